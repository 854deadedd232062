//! Names of variables that begin like ours, and which of them concern us.

use super::list::{Lanes, SETTINGS, Setting};

/// What begins the name of every variable of ours.
pub(super) const PREFIX: &str = "LOGCHUTE_";

/// What to say about a variable whose name begins with [`PREFIX`]; `None` where it is known, or is not meant for us.
pub(super) fn remark(name: &str, lanes: &[String]) -> Option<String> {
    let short = name.strip_prefix(PREFIX)?;
    if known(lanes).any(|known| known == name) || is_service_link(short) {
        return None;
    }
    let of_lane =
        short.split_once('_').filter(|(lane, _)| lanes.iter().any(|known| known.to_ascii_uppercase() == *lane));
    let setting = of_lane.map_or(short, |(_, setting)| setting);
    if of_lane.is_some() && ours().any(|known| known.name.strip_prefix(PREFIX) == Some(setting)) {
        return Some(format!("{name} is ignored: {PREFIX}{setting} holds for the whole process, not for a lane"));
    }
    let nearest = known(lanes).min_by_key(|known| far(name, known)).unwrap_or_default();
    if let Some(lane) = missing_lane(short).filter(|_| far(name, &nearest) > 2) {
        return Some(format!("{name} is not known and is ignored; {PREFIX}LANES does not name a lane {lane}"));
    }
    Some(format!("{name} is not known and is ignored; the nearest known name is {nearest}"))
}

/// The variable whose name begins like those of a lane of that name, in capitals: the two could not be told apart.
pub(super) fn begun_by(lane: &str) -> Option<String> {
    if is_service_link(lane) {
        return Some(format!("{PREFIX}{lane}, which Kubernetes sets for a service of our name,"));
    }
    let names = ours().filter_map(|setting| setting.name.strip_prefix(PREFIX));
    let mut begun = names.filter(|name| name.split('_').next() == Some(lane));
    begun.next().map(|name| format!("{PREFIX}{name}"))
}

/// The lane to which this would belong, if there were one of that name.
fn missing_lane(short: &str) -> Option<String> {
    let (lane, setting) = short.split_once('_')?;
    let is_name = lane.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let is_setting = || names_of(PREFIX, true).any(|known| known.strip_prefix(PREFIX) == Some(setting));
    (is_name && begun_by(lane).is_none() && is_setting()).then(|| lane.to_ascii_lowercase())
}

/// A name that goes on where the other one ends is nearer than the letters say.
fn far(name: &str, known: &str) -> usize {
    let goes_on = |long: &str, short: &str| long.strip_prefix(short).is_some_and(|rest| rest.starts_with('_'));
    let distance = distance(name, known);
    if goes_on(known, name) || goes_on(name, known) { distance.min(2) } else { distance }
}

fn ours() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| setting.name.starts_with(PREFIX))
}

/// Every name that is read: those of no lane, then those of each lane.
fn known(lanes: &[String]) -> impl Iterator<Item = String> {
    let of_lanes = lanes.iter().flat_map(|lane| {
        let prefix = format!("{PREFIX}{}_", lane.to_ascii_uppercase());
        names_of(&prefix, true).collect::<Vec<_>>()
    });
    names_of(PREFIX, false).chain(of_lanes)
}

fn names_of(prefix: &str, of_lane: bool) -> impl Iterator<Item = String> {
    let settings = ours().filter(move |setting| !of_lane || setting.lanes != Lanes::No);
    settings.flat_map(move |setting| {
        let name = setting.name.replacen(PREFIX, prefix, 1);
        let twin = setting.twin.then(|| format!("{name}_FILE"));
        std::iter::once(name).chain(twin)
    })
}

/// What Kubernetes puts into every container of a namespace for each Service in it; here for one that is
/// called `logchute` (`SERVICE_HOST`, `PORT_80_TCP_ADDR` …), or `logchute-something` (`SOMETHING_SERVICE_HOST` …).
fn is_service_link(short: &str) -> bool {
    let words: Vec<&str> = short.split('_').collect();
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    (0..words.len()).any(|from| match &words[from..] {
        ["SERVICE", "HOST"] | ["PORT"] | ["SERVICE", "PORT", ..] => true,
        ["PORT", number, "TCP" | "UDP" | "SCTP"]
        | ["PORT", number, "TCP" | "UDP" | "SCTP", "PROTO" | "PORT" | "ADDR"] => is_number(number),
        _ => false,
    })
}

/// How many characters must be put in, taken out, replaced or swapped to make one text the other.
pub(super) fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![(0..=other.len()).collect::<Vec<_>>()];
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let swap = if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                rows[i - 1][j - 1] + 1
            } else {
                usize::MAX
            };
            row.push((rows[i][j] + usize::from(a != b)).min(rows[i][j + 1] + 1).min(row[j] + 1).min(swap));
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_told_with_the_nearest_known_one() {
        for (name, nearest) in [
            ("LOGCHUTE_ULR", "LOGCHUTE_URL"),
            ("LOGCHUTE_QUEUE_BYTE", "LOGCHUTE_QUEUE_BYTES"),
            ("LOGCHUTE_TOKENFILE", "LOGCHUTE_TOKEN_FILE"),
            ("LOGCHUTE_BACKLOG", "LOGCHUTE_BACKLOG_BYTES"),
            ("LOGCHUTE_SPOOLDIR", "LOGCHUTE_SPOOL_DIR"),
            ("LOGCHUTE_FALLBACKS", "LOGCHUTE_FALLBACK"),
        ] {
            let remark = remark(name, &[]).unwrap();
            assert!(remark.starts_with(name) && remark.ends_with(&format!(" {nearest}")), "{remark}");
        }
    }

    #[test]
    fn service_links_of_kubernetes_are_not_meant_for_us() {
        for name in [
            "SERVICE_HOST",
            "SERVICE_PORT",
            "SERVICE_PORT_HTTP",
            "SERVICE_PORT_HTTP_METRICS",
            "PORT",
            "PORT_80_TCP",
            "PORT_80_TCP_PROTO",
            "PORT_80_TCP_PORT",
            "PORT_80_TCP_ADDR",
            "PORT_53_UDP_ADDR",
            "STORE_SERVICE_HOST",
            "STORE_PORT_3100_TCP_ADDR",
        ] {
            assert_eq!(remark(&format!("{PREFIX}{name}"), &[]), None, "{name}");
        }
        assert!(remark("LOGCHUTE_SERVICES", &[]).is_some());
        assert!(remark("LOGCHUTE_PORT_X_TCP", &[]).is_some());
    }

    #[test]
    fn known_names_and_names_of_others_are_passed_over() {
        assert_eq!(remark("LOGCHUTE_URL", &[]), None);
        assert_eq!(remark("LOGCHUTE_TOKEN_FILE", &[]), None);
        assert_eq!(remark("LOGCHUTES", &[]), None);
        assert!(remark("LOGCHUTE_URL_FILE", &[]).is_some(), "it has no twin");
    }

    #[test]
    fn distance_counts_a_swap_once() {
        assert_eq!((distance("wran", "warn"), distance("", "abc"), distance("info", "info")), (1, 3, 0));
    }
}
