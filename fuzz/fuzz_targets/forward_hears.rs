#![no_main]
logchute_fuzz::hears!(logchute::backend::Forward::new("tcp://store:24224"));
