//! The names of files in a spool directory. Whatever is named otherwise is not ours.

/// `INCARNATION-FINGERPRINT-NUMBER.seg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentName {
    /// Of the pipeline whose lock it stands under.
    pub(super) owner: u128,
    pub(super) fingerprint: u64,
    pub(super) number: u32,
}

impl std::fmt::Display for SegmentName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}-{:016x}-{:08x}.seg", self.owner, self.fingerprint, self.number)
    }
}

/// What a file is by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Segment(SegmentName),
    /// Held by its owner as long as it lives.
    Lock(u128),
    /// What its owner has in memory.
    State(u128),
    /// Not complete: gets its name once it is.
    New,
    /// Set aside.
    Bad,
    Foreign,
}

pub(super) fn lock(owner: u128) -> String {
    format!("{owner:032x}.lock")
}

pub(super) fn state(owner: u128) -> String {
    format!("{owner:032x}.state")
}

/// While it is not complete.
pub(super) fn new(name: &str) -> String {
    format!("{name}.new")
}

/// Once it is set aside.
pub(super) fn bad(name: &str) -> String {
    format!("{name}.bad")
}

pub(super) fn kind(name: &str) -> Kind {
    if let Some(inner) = name.strip_suffix(".bad") {
        return if matches!(kind(inner), Kind::Segment(_)) { Kind::Bad } else { Kind::Foreign };
    }
    if let Some(inner) = name.strip_suffix(".new") {
        return if matches!(kind(inner), Kind::Segment(_) | Kind::Lock(_)) { Kind::New } else { Kind::Foreign };
    }
    let known = match name.split_once('.') {
        Some((stem, "lock")) => hex(stem, 32).map(Kind::Lock),
        Some((stem, "state")) => hex(stem, 32).map(Kind::State),
        Some((stem, "seg")) => segment(stem).map(Kind::Segment),
        _ => None,
    };
    known.unwrap_or(Kind::Foreign)
}

fn segment(stem: &str) -> Option<SegmentName> {
    let (owner, rest) = stem.split_once('-')?;
    let (fingerprint, number) = rest.split_once('-')?;
    Some(SegmentName {
        owner: hex(owner, 32)?,
        fingerprint: hex(fingerprint, 16)? as u64,
        number: hex(number, 8)? as u32,
    })
}

/// Digits as we write them, and no others: two names are never one file.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let as_ours = text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if as_ours { u128::from_str_radix(text, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_what_they_are() {
        let name = SegmentName { owner: 1 << 127, fingerprint: 7, number: u32::MAX };
        assert_eq!(kind(&name.to_string()), Kind::Segment(name));
        assert_eq!((kind(&lock(5)), kind(&state(5))), (Kind::Lock(5), Kind::State(5)));
        assert_eq!((kind(&bad(&name.to_string())), kind(&new(&lock(5)))), (Kind::Bad, Kind::New));
    }

    #[test]
    fn whatever_is_named_otherwise_is_not_ours() {
        let name = SegmentName { owner: 0xAB, fingerprint: 7, number: 1 }.to_string();
        let upper = name.to_uppercase();
        let signed = name.replacen("0000", "+000", 1);
        let others = [".", "..", "", "notes.txt", "../x.seg", ".seg", "lost+found", "x.bad", "a.lock", &upper, &signed];
        for other in others.into_iter().chain([&*format!("{name}.bad.bad"), &format!("x{name}"), &format!("{name}~")]) {
            assert_eq!(kind(other), Kind::Foreign, "{other}");
        }
    }
}
