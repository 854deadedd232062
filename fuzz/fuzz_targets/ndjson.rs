#![no_main]
logchute_fuzz::judges!(
    logchute::backend::Ndjson::new("http://store/logs"),
    logchute::backend::Ndjson::new("http://store/insert/jsonline"),
);
