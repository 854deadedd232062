#![no_main]
use logchute::backend::{Ndjson, Preset};
logchute_fuzz::judges!(
    Ndjson::preset(Preset::Axiom, "http://store/logs"),
    Ndjson::preset(Preset::BetterStack, "http://store/logs"),
    Ndjson::preset(Preset::NewRelic, "http://store/logs"),
    Ndjson::preset(Preset::OpenObserve, "http://store/logs"),
);
