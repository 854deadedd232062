#![no_main]
logchute_fuzz::judges!(logchute::backend::Otlp::new("http://store"));
