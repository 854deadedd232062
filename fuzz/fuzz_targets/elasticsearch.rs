#![no_main]
logchute_fuzz::judges!(logchute::backend::Elasticsearch::new("http://store"));
