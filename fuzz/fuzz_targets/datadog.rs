#![no_main]
logchute_fuzz::judges!(logchute::backend::Datadog::new("http://store"));
