#![no_main]
logchute_fuzz::judges!(logchute::backend::Loki::new("http://store"));
