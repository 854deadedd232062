#![no_main]
logchute_fuzz::judges!(
    logchute::backend::Ndjson::new("http://store/logs"),
    logchute::backend::Ndjson::preset(logchute::backend::Preset::Axiom, "http://store"),
    logchute::backend::Ndjson::preset(logchute::backend::Preset::BetterStack, "http://store"),
    logchute::backend::Ndjson::preset(logchute::backend::Preset::NewRelic, "http://store"),
    logchute::backend::Ndjson::preset(logchute::backend::Preset::OpenObserve, "http://store"),
);
