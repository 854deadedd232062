//! How each of these stores is named in `LOGCHUTE_URL`. A scheme each, so that no store is shown another one's token.

use super::super::{Backend, Foreign, Says, Scheme, Setup, Written};
use super::{Ndjson, Preset};
use crate::error::Error;

// Every field is a field here; what `LOGCHUTE_LABELS` sets is in the resource.
pub(crate) const SCHEME: Scheme = Scheme {
    names: super::super::names::ndjson(),
    written: &[Written::Http],
    default_url: None,
    foreign: &[],
    build: |setup| Ok(Box::new(Ndjson::new(setup.url))),
};

/// `AXIOM_URL` is a base URL; the dataset has a variable of its own.
pub(crate) const AXIOM: Scheme = Scheme {
    names: &["axiom"],
    default_url: Some("https://api.axiom.co"),
    foreign: &[
        Foreign::url("AXIOM_URL"),
        Foreign::new("AXIOM_TOKEN", Says::Token),
        Foreign::new("AXIOM_ORG_ID", Says::Tenant),
    ],
    build: axiom,
    ..SCHEME
};

/// Each source has a host of its own.
pub(crate) const BETTER_STACK: Scheme = Scheme {
    names: &["betterstack"],
    foreign: &[
        Foreign::new("BETTER_STACK_INGESTING_URL", Says::Url(https)),
        Foreign::new("BETTER_STACK_SOURCE_TOKEN", Says::Token),
        Foreign::new("LOGTAIL_SOURCE_TOKEN", Says::Token),
    ],
    build: |setup| built(Preset::BetterStack, setup),
    ..SCHEME
};

pub(crate) const NEW_RELIC: Scheme = Scheme {
    names: &["newrelic"],
    default_url: Some(NEW_RELIC_US),
    foreign: &[
        Foreign::new("NEW_RELIC_REGION", Says::Url(new_relic_region)),
        Foreign::new("NEW_RELIC_LICENSE_KEY", Says::Token),
        Foreign::new("NEW_RELIC_API_KEY", Says::Token),
    ],
    build: |setup| {
        // Keys of accounts in the EU begin so, and New Relic's agents go by it.
        let is_european = (setup.lookup)("NEW_RELIC_LICENSE_KEY").is_some_and(|key| key.starts_with("eu"));
        let is_default = setup.variable.is_none() && setup.url == NEW_RELIC_US;
        let url = if is_european && is_default { NEW_RELIC_EU } else { setup.url };
        Ok(Box::new(Ndjson::preset(Preset::NewRelic, url)))
    },
    ..SCHEME
};

pub(crate) const OPENOBSERVE: Scheme =
    Scheme { names: &["openobserve"], build: |setup| built(Preset::OpenObserve, setup), ..SCHEME };

pub(crate) const VICTORIALOGS: Scheme =
    Scheme { names: &["victorialogs"], build: |setup| built(Preset::VictoriaLogs, setup), ..SCHEME };

const NEW_RELIC_US: &str = "https://log-api.newrelic.com/log/v1";
const NEW_RELIC_EU: &str = "https://log-api.eu.newrelic.com/log/v1";

fn built(preset: Preset, setup: &Setup<'_>) -> Result<Box<dyn Backend>, Error> {
    Ok(Box::new(Ndjson::preset(preset, setup.url)))
}

/// A base URL gets the path of the dataset that `AXIOM_DATASET` names.
fn axiom(setup: &Setup<'_>) -> Result<Box<dyn Backend>, Error> {
    let path = super::preset::host_and_path(setup.url).1;
    let mut url = setup.url.to_owned();
    if path.trim_matches('/').is_empty() {
        let Some(dataset) = (setup.lookup)("AXIOM_DATASET") else {
            let must = "a URL with the path of a dataset (/v1/datasets/NAME/ingest), or AXIOM_DATASET must be set";
            return Err(Error::setting(setup.variable.unwrap_or("LOGCHUTE_URL"), setup.url, must));
        };
        // Names of datasets are letters, digits, `-`, `_` and `.`.
        let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
        if !dataset.chars().all(is_plain) {
            let must = "the name of a dataset: letters, digits, '-', '_' and '.'";
            return Err(Error::setting("AXIOM_DATASET", dataset, must));
        }
        url = super::preset::with_path(url, &format!("/v1/datasets/{dataset}/ingest"));
    }
    Ok(Box::new(Ndjson::preset(Preset::Axiom, url)))
}

/// A URL, or a host, which is meant by https.
pub(crate) fn https(value: &str) -> Result<String, &'static str> {
    Ok(if value.contains("://") { value.to_owned() } else { format!("https://{value}") })
}

fn new_relic_region(value: &str) -> Result<String, &'static str> {
    match value.to_ascii_lowercase().as_str() {
        "us" => Ok(NEW_RELIC_US.to_owned()),
        "eu" => Ok(NEW_RELIC_EU.to_owned()),
        _ => Err("us or eu"),
    }
}
