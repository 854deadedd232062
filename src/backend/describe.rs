//! What a backend declares, in words: for the doctor, and for the tables in the docs.

use std::time::Duration;

use super::{Backend, Delivery, Reply, Verdict};
use crate::contain::contained;

/// Name and value of each fact.
pub(crate) fn describe(backend: &dyn Backend) -> Vec<(&'static str, String)> {
    let facts = backend.facts();
    let delivery = match facts.delivers() {
        Delivery::EffectivelyOnce => "effectively once: the store recognises a record that it has already",
        Delivery::AtLeastOnce => "at least once: a record may be stored twice when an answer got lost",
        Delivery::BestEffort => "best effort: the store does not say whether it took a record",
    };
    let most = |most: usize, what: &str| match most {
        usize::MAX => format!("no limit on {what} but the user's"),
        most => format!("{} {what}", grouped(most)),
    };
    let mut all = vec![
        ("delivery", delivery.to_owned()),
        (
            "largest request",
            format!("{}, {}", most(facts.most_bytes(), "bytes"), most(facts.most_records(), "records")),
        ),
        ("sent again on", retried(backend)),
        (
            "oldest record",
            facts.oldest_age().map_or_else(|| "no limit is known".to_owned(), |age| age_of(age.as_secs())),
        ),
        (
            "newest record",
            facts
                .newest_ahead()
                .map_or_else(|| "no limit is known".to_owned(), |ahead| format!("{} ahead", age_of(ahead.as_secs()))),
        ),
        (
            "order of arrival",
            match facts.most_in_flight() {
                1 => "as logged: one request at a time".to_owned(),
                _ => "by time and id; as logged with LOGCHUTE_IN_FLIGHT=1".to_owned(),
            },
        ),
    ];
    if facts.reorders_within() < Duration::MAX {
        let behind = age_of(facts.reorders_within().as_secs());
        all.push((
            "behind the newest",
            format!("at most {behind}; where more than half of that is owed, the oldest goes first"),
        ));
    }
    if let Some(age) = facts.replays_older_than() {
        all.push(("replayed apart", format!("what is older than {}, to a place of its own", age_of(age.as_secs()))));
    }
    if facts.takes_gzip() {
        all.push(("compression", "gzip, where LOGCHUTE_COMPRESSION says so".to_owned()));
    }
    all
}

/// Statuses with an empty body to which the verdict is to send the same again. A success that says too little to be one
/// is told on the store's page.
fn retried(backend: &dyn Backend) -> String {
    if ["tcp://", "tls://"].iter().any(|scheme| backend.url().starts_with(scheme)) {
        // No acknowledgement has a status.
        return match backend.facts().delivers() {
            Delivery::BestEffort => "a broken connection, as far as it is seen".to_owned(),
            _ => "no acknowledgement or a broken connection".to_owned(),
        };
    }
    let is_retried = |status: u16| {
        let verdict = contained(|| backend.judge(&Reply::new(status, "")));
        matches!(verdict, Ok(Verdict::Retry { .. }))
    };
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for status in (300..600).filter(|&status| is_retried(status)) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == status => *last = status,
            _ => ranges.push((status, status)),
        }
    }
    let shown = ranges.iter().map(|&(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}–{last}"),
    });
    let statuses = shown.collect::<Vec<_>>().join(", ");
    let broken = "no answer or a broken connection";
    if statuses.is_empty() { broken.to_owned() } else { format!("status {statuses}; {broken}") }
}

fn age_of(seconds: u64) -> String {
    match seconds {
        days if days % 86_400 == 0 && days > 86_400 => format!("{} days", days / 86_400),
        hours if hours % 3600 == 0 => format!("{} h", hours / 3600),
        minutes if minutes % 60 == 0 => format!("{} min", minutes / 60),
        seconds => format!("{seconds} s"),
    }
}

/// 1,048,576
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{Loki, Ndjson, SCHEMES};
    use super::*;

    #[test]
    fn facts_are_told_in_words() {
        let loki = describe(&Loki::new("http://loki"));
        let of = |name: &str| loki.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str()).unwrap();
        assert!(of("delivery").starts_with("effectively once"));
        assert_eq!(of("largest request"), "1,048,576 bytes, 10,000 records");
        assert_eq!(of("sent again on"), "status 408, 425, 429, 500–599; no answer or a broken connection");
        let ndjson = describe(&Ndjson::new("http://vl"));
        assert!(ndjson.contains(&("compression", "gzip, where LOGCHUTE_COMPRESSION says so".to_owned())));
    }

    const OPEN: &str = "<!-- facts: ";
    const CLOSE: &str = "<!-- /facts -->\n";

    /// The page with its tables made anew: one follows each line `<!-- facts: NAME URL -->`.
    fn with_tables(page: &str, names: &mut Vec<String>) -> String {
        let mut made = String::new();
        let mut rest = page;
        while let Some((before, after)) = rest.split_once(OPEN) {
            let (head, after) = after.split_once(" -->\n").expect("the mark ends");
            let (name, url) = head.split_once(' ').expect("name and URL");
            let (_, after) = after.split_once(CLOSE).expect("the table ends");
            let scheme = SCHEMES.iter().find(|scheme| scheme.names.contains(&name)).unwrap_or_else(|| panic!("{name}"));
            names.push(name.to_owned());
            made += &format!("{before}{OPEN}{head} -->\n| fact | value |\n|---|---|\n");
            for (fact, value) in describe(&*scheme.built(name, url, &[], &[])) {
                made += &format!("| {fact} | {value} |\n");
            }
            made += CLOSE;
            rest = after;
        }
        made + rest
    }

    #[test]
    fn the_pages_of_the_stores_have_the_facts() {
        if !cfg!(all(feature = "datadog", feature = "syslog")) {
            return;
        }
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/stores");
        let mut names = Vec::new();
        for page in std::fs::read_dir(folder).unwrap() {
            let path = page.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let made = with_tables(&text, &mut names);
            if std::env::var_os("UPDATE_DOCS").is_some() {
                std::fs::write(&path, &made).unwrap();
                continue;
            }
            assert!(text == made, "UPDATE_DOCS=1 cargo test --all-features --lib the_pages writes {}", path.display());
        }
        for scheme in SCHEMES {
            assert!(names.iter().any(|name| name == scheme.names[0]), "no page has the facts of {}", scheme.names[0]);
        }
    }

    #[test]
    fn ages_are_told_in_the_largest_unit_that_fits() {
        let told = [60, 3600, 5 * 3600, 86_400, 7 * 86_400, 61].map(age_of);
        assert_eq!(told, ["1 min", "1 h", "5 h", "24 h", "7 days", "61 s"]);
    }
}
