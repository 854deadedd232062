#![no_main]
logchute_fuzz::judges!(logchute::backend::GoogleCloud::new("project"));
