#![no_main]
logchute_fuzz::judges!(logchute::backend::Forward::new("tcp://store:24224"));
