#![no_main]
logchute_fuzz::judges!(logchute::backend::Syslog::new("tcp://store:514"));
