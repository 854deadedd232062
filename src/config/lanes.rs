//! The destinations that the environment names: one by `LOGCHUTE_URL`, or several by `LOGCHUTE_LANES`.
//!
//! Each lane has variables of its own, `LOGCHUTE_AUDIT_URL` and so on. What it does not say it has from the variable of
//! no lane, except where it goes and what lets it in: a token that was meant for one store must not reach another
//! because somebody added a lane.

use super::chosen::Chosen;
use super::list::{Lanes, SETTINGS};
use super::names::{self, PREFIX};
use super::reader::Reader;
use super::{Destination, foreign, units, url};
use crate::error::Error;
use crate::voice::mask_url;
use crate::wire::Names;

const LANES: &str = "LOGCHUTE_LANES";
const URL: &str = "LOGCHUTE_URL";

/// The names in `LOGCHUTE_LANES`; none where it is not set.
pub(super) fn named(reader: &Reader<'_>) -> Result<Vec<String>, Error> {
    let Some(text) = reader.text(LANES)? else { return Ok(Vec::new()) };
    let refuse = |must: String| reader.refused(LANES, text, must);
    let mut lanes: Vec<String> = Vec::new();
    for lane in text.split(',').map(str::trim).filter(|lane| !lane.is_empty()) {
        let is_plain = lane.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if !is_plain || !lane.starts_with(|first: char| first.is_ascii_lowercase()) {
            return Err(refuse(format!(
                "names of small letters and digits that begin with a letter, separated by commas, such as ops,audit; {lane:?} \
                 is none"
            )));
        }
        if let Some(known) = names::begun_by(&lane.to_ascii_uppercase()) {
            return Err(refuse(format!("other names: {lane} is how {known} begins")));
        }
        if lanes.iter().any(|other| other == lane) {
            return Err(refuse(format!("names that differ: {lane} is there twice")));
        }
        lanes.push(lane.to_owned());
    }
    if lanes.is_empty() { Err(refuse("at least one name, such as ops,audit".into())) } else { Ok(lanes) }
}

/// All destinations. `promoted` are fields that become labels, where a store has labels.
pub(super) fn destinations(
    reader: &Reader<'_>,
    lanes: &[String],
    promoted: &[String],
) -> Result<Vec<Destination>, Error> {
    if lanes.is_empty() {
        return Ok(destination(reader, promoted)?.into_iter().collect());
    }
    refuse_shared_words(reader, lanes)?;
    let lane = |lane: &String| {
        let reader = reader.of_lane(lane);
        let mut to = destination(&reader, promoted)?.ok_or_else(|| {
            let must = format!("set, as {LANES} names the lane {lane}: to a URL such as {}", url::example(&reader));
            Error::setting(reader.name(URL), "", must)
        })?;
        to.name.clone_from(lane);
        to.filter = reader.directives("LOGCHUTE_FILTER")?;
        to.chosen = chosen(&reader)?;
        Ok(to)
    };
    lanes.iter().map(lane).collect()
}

/// Refuses what each lane must say itself, where it is said for all of them.
fn refuse_shared_words(reader: &Reader<'_>, lanes: &[String]) -> Result<(), Error> {
    for setting in SETTINGS.iter().filter(|setting| setting.lanes == Lanes::Own) {
        let short = setting.name.trim_start_matches(PREFIX);
        for twin in ["", "_FILE"].into_iter().take(1 + usize::from(setting.twin)) {
            let name = format!("{}{twin}", setting.name);
            let Some(value) = reader.env.raw(&name).map(|raw| raw.to_string_lossy()) else { continue };
            if value.trim().is_empty() {
                continue;
            }
            let value = match (setting.name, twin) {
                (URL, _) => mask_url(&value),
                (_, "") if setting.secret => "***".into(),
                _ => value.into_owned(),
            };
            let own: Vec<_> = lanes.iter().map(|lane| reader.of_lane(lane).prefix()).collect();
            let own: Vec<_> = own.iter().map(|prefix| format!("{prefix}{short}{twin}")).collect();
            let must = format!("unset where {LANES} is set: each lane has its own ({})", own.join(", "));
            return Err(Error::setting(name, value, must));
        }
    }
    Ok(())
}

/// What is said about batches, backlog, disk, requests and patience.
pub(super) fn chosen(reader: &Reader<'_>) -> Result<Chosen, Error> {
    Ok(Chosen {
        backlog_bytes: reader.given("LOGCHUTE_BACKLOG_BYTES", units::bytes)?,
        backlog_overflow: reader.parsed("LOGCHUTE_BACKLOG_OVERFLOW", units::backlog_overflow)?,
        batch_bytes: reader.given("LOGCHUTE_BATCH_BYTES", units::bytes)?,
        in_flight: reader.given("LOGCHUTE_IN_FLIGHT", units::count)?,
        linger: reader.given("LOGCHUTE_LINGER", units::duration)?,
        timeout: reader.given("LOGCHUTE_TIMEOUT", units::duration)?,
        retry_for: reader.given("LOGCHUTE_RETRY_FOR", units::duration)?,
        compression: reader.parsed("LOGCHUTE_COMPRESSION", units::compression)?,
        spool_dir: reader.given_path("LOGCHUTE_SPOOL_DIR"),
        spool_bytes: reader.given("LOGCHUTE_SPOOL_BYTES", units::bytes)?,
        spool: reader.given("LOGCHUTE_SPOOL", units::spool)?,
        fsync: reader.given("LOGCHUTE_FSYNC", units::fsync)?,
        fallback: reader.parsed("LOGCHUTE_FALLBACK", super::env::tee)?,
        quarantine: reader.given_path("LOGCHUTE_QUARANTINE"),
    })
}

/// The destination that `LOGCHUTE_URL` names, with its credentials. These are read in any case, so that a
/// malformed one is told even while no URL is set.
fn destination(reader: &Reader<'_>, promoted: &[String]) -> Result<Option<Destination>, Error> {
    let all = reader.of_all();
    let token = reader.secret("LOGCHUTE_TOKEN")?;
    let user = reader.secret("LOGCHUTE_USER")?;
    let password = reader.secret("LOGCHUTE_PASSWORD")?;
    let tenant = reader.secret("LOGCHUTE_TENANT")?;
    let headers = reader.headers()?;
    let own_ca = reader.path("LOGCHUTE_CA");
    let ca_name = if own_ca.is_some() { reader.name("LOGCHUTE_CA") } else { all.name("LOGCHUTE_CA") };
    let ca = own_ca.or_else(|| all.path("LOGCHUTE_CA"));
    let (cert, key) = (reader.path("LOGCHUTE_CERT"), reader.path("LOGCHUTE_KEY"));
    let allow_http = reader.parsed("LOGCHUTE_ALLOW_HTTP", units::switch)?;
    let allow_http = allow_http.or(all.parsed("LOGCHUTE_ALLOW_HTTP", units::switch)?).unwrap_or(false);
    let (cert_name, key_name) = (reader.name("LOGCHUTE_CERT"), reader.name("LOGCHUTE_KEY"));
    match (&cert, &key) {
        (Some(cert), None) => {
            return Err(Error::setting(cert_name, cert.display(), format!("set together with {key_name}")));
        }
        (None, Some(key)) => {
            return Err(Error::setting(key_name, key.display(), format!("set together with {cert_name}")));
        }
        _ => {}
    }
    for (name, path) in [(&ca_name, &ca), (&cert_name, &cert), (&key_name, &key)] {
        if let (Some(path), false) = (path, cfg!(feature = "tls")) {
            let must = "unset: it needs the feature `tls`, which is not compiled in";
            return Err(Error::setting(name.clone(), path.display(), must));
        }
    }
    let Some(given) = reader.text(URL)? else {
        let credential =
            [("TOKEN", token.is_some()), ("PASSWORD", password.is_some()), ("HEADERS", !headers.is_empty())];
        if let Some((name, _)) = credential.into_iter().find(|(_, set)| *set) {
            reader.remark(format!("{PREFIX}{name} is set, but {URL} is not, so nothing is sent anywhere"));
        }
        return Ok(None);
    };
    let mut names = Names::of_environment(reader.prefix(), mask_url(given));
    names.replace("ca", ca_name);
    let (backend, scheme) = url::backend(given, promoted, reader, &mut names)?;
    let mut to = Destination::boxed(backend);
    to.reach.names = names;
    let credentials = &mut to.reach.credentials;
    (credentials.token, credentials.user, credentials.password) = (token, user, password);
    (credentials.tenant, credentials.headers) = (tenant, headers);
    (to.reach.ca, to.reach.cert, to.reach.key, to.reach.allow_http) = (ca, cert, key, allow_http);
    foreign::add(reader, scheme, &mut to);
    Ok(Some(to))
}
