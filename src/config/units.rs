//! Values with units: `8MiB`, `1m30s`, `block:50ms`. What is not understood is refused, with what would be.

use std::time::Duration;

use super::{BacklogOverflow, Compression, Overflow, Signals, SpoolUse};

/// How long `block` waits where it does not say.
const BLOCK_DEFAULT: Duration = Duration::from_secs(1);

pub(super) const BYTES: &str = "a whole number of bytes with an optional unit, such as 1048576, 512KiB, 8MiB or 4MB";
pub(super) const DURATION: &str = "a duration with its unit (ms, s, m, h, d), such as 200ms, 5s or 1m30s";
pub(super) const OVERFLOW: &str = "drop_newest, block, or block and a limit, such as block:50ms";
pub(super) const BACKLOG_OVERFLOW: &str = "drop_oldest or drop_newest";
pub(super) const COMPRESSION: &str = "none or gzip";
pub(super) const SWITCH: &str = "true or false";
pub(super) const COUNT: &str = "a whole number";

/// Bytes; the units with an `i` count in 1024, the others in 1000.
pub(super) fn bytes(text: &str) -> Result<usize, &'static str> {
    let digits = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1000 * 1000,
        "gb" => 1000 * 1000 * 1000,
        // Kubernetes writes `Ki` for its quantities. A bare `K` means 1000 to it and 1024 to others, so it is refused.
        "kib" | "ki" => 1 << 10,
        "mib" | "mi" => 1 << 20,
        "gib" | "gi" => 1 << 30,
        "tib" | "ti" => 1 << 40,
        _ => return Err(BYTES),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    bytes.and_then(|bytes| usize::try_from(bytes).ok()).ok_or(BYTES)
}

/// A duration; several parts add up, the larger unit first. Only zero needs no unit.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    let mut last_unit = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|char: char| !char.is_ascii_digit()).ok_or(DURATION)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|char: char| char.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            "d" => 24 * 60 * 60 * 1000,
            _ => return Err(DURATION),
        };
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(millis)).ok_or(DURATION)?;
        if millis >= last_unit {
            return Err(DURATION);
        }
        last_unit = millis;
        total = total.checked_add(Duration::from_millis(part)).ok_or(DURATION)?;
        rest = tail;
    }
    if text.is_empty() { Err(DURATION) } else { Ok(total) }
}

/// What the queue does when it is full.
pub(super) fn overflow(text: &str) -> Result<Overflow, &'static str> {
    match text.split_once(':') {
        None if text == "drop_newest" => Ok(Overflow::DropNewest),
        None if text == "block" => Ok(Overflow::Block(BLOCK_DEFAULT)),
        Some(("block", limit)) => duration(limit).map(Overflow::Block).map_err(|_| OVERFLOW),
        _ => Err(OVERFLOW),
    }
}

/// What a destination does when it owes too much.
pub(super) fn backlog_overflow(text: &str) -> Result<BacklogOverflow, &'static str> {
    match text {
        "drop_oldest" => Ok(BacklogOverflow::DropOldest),
        "drop_newest" => Ok(BacklogOverflow::DropNewest),
        _ => Err(BACKLOG_OVERFLOW),
    }
}

pub(super) fn compression(text: &str) -> Result<Compression, &'static str> {
    match text {
        "none" => Ok(Compression::None),
        "gzip" => Ok(Compression::Gzip),
        _ => Err(COMPRESSION),
    }
}

pub(super) fn switch(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(SWITCH),
    }
}

pub(super) fn count(text: &str) -> Result<usize, &'static str> {
    text.parse().map_err(|_| COUNT)
}

/// Bytes in the largest unit that divides them.
pub(super) fn show_bytes(bytes: usize) -> String {
    match bytes {
        0 => "0".into(),
        _ if (bytes as u64).is_multiple_of(1 << 40) => format!("{}TiB", bytes as u64 >> 40),
        _ if bytes.is_multiple_of(1 << 30) => format!("{}GiB", bytes >> 30),
        _ if bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{}KiB", bytes >> 10),
        _ => bytes.to_string(),
    }
}

/// A duration in the largest unit that divides it.
pub(super) fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if !duration.subsec_nanos().is_multiple_of(1_000_000) {
        return format!("{duration:?}");
    }
    let unit = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)]
        .into_iter()
        .find(|(_, unit)| millis > 0 && millis.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{millis}ms"), |(name, unit)| format!("{}{name}", millis / unit))
}

const SPOOL: &str = "overflow, exit or always";

/// What goes to the spool.
pub(super) fn spool(text: &str) -> Result<SpoolUse, &'static str> {
    match text {
        "overflow" => Ok(SpoolUse::Overflow),
        "exit" => Ok(SpoolUse::Exit),
        "always" => Ok(SpoolUse::Always),
        _ => Err(SPOOL),
    }
}

const FSYNC: &str = "off, or a duration with its unit (ms, s, m, h, d), such as 1s";

/// How long what was written may wait for the disk.
pub(super) fn fsync(text: &str) -> Result<Option<Duration>, &'static str> {
    if text == "off" { Ok(None) } else { duration(text).map(Some).map_err(|_| FSYNC) }
}

const SIGNALS: &str = "off, flush or exit";

/// What is done about SIGTERM and SIGINT.
pub(super) fn signals(text: &str) -> Result<Signals, &'static str> {
    match text {
        "off" => Ok(Signals::Off),
        "flush" => Ok(Signals::Flush),
        "exit" => Ok(Signals::Exit),
        _ => Err(SIGNALS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_with_every_unit() {
        for (text, expected) in [
            ("1048576", 1 << 20),
            ("0", 0),
            ("7B", 7),
            ("512KiB", 512 << 10),
            ("8MiB", 8 << 20),
            ("8 MiB", 8 << 20),
            ("8mib", 8 << 20),
            ("8Mi", 8 << 20),
            ("1GiB", 1 << 30),
            ("1Gi", 1 << 30),
            #[cfg(target_pointer_width = "64")]
            ("2TiB", 2 << 40),
            ("4MB", 4_000_000),
            ("4kB", 4000),
            ("1GB", 1_000_000_000),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "MiB", "8M", "8K", "-1", "+1", "1.5MiB", "8 MiB 1", "99999999999GiB", "8ＭiB", "0x10", "1_000"]
        {
            assert_eq!(bytes(text), Err(BYTES), "{text}");
        }
    }

    #[test]
    fn durations_with_every_unit_and_none_without() {
        let ms = Duration::from_millis;
        for (text, expected) in [
            ("200ms", ms(200)),
            ("5s", ms(5000)),
            ("1m30s", ms(90_000)),
            ("24h", ms(86_400_000)),
            ("1d1h", ms(90_000_000)),
            ("0", ms(0)),
            ("0s", ms(0)),
        ] {
            assert_eq!(duration(text), Ok(expected), "{text}");
        }
        for text in ["", "5", "s", "5 s", "1.5s", "-1s", "30s1m", "1s1s", "5S", "1m30", "99999999999999999999d", "5µs"]
        {
            assert_eq!(duration(text), Err(DURATION), "{text}");
        }
    }

    #[test]
    fn policies_by_name() {
        assert_eq!(overflow("drop_newest"), Ok(Overflow::DropNewest));
        assert_eq!(overflow("block"), Ok(Overflow::Block(Duration::from_secs(1))));
        assert_eq!(overflow("block:50ms"), Ok(Overflow::Block(Duration::from_millis(50))));
        for text in ["", "drop_oldest", "block:", "block:50", "Block", "drop_newest:1s"] {
            assert_eq!(overflow(text), Err(OVERFLOW), "{text}");
        }
        assert_eq!(backlog_overflow("drop_oldest"), Ok(BacklogOverflow::DropOldest));
        assert_eq!(backlog_overflow("block"), Err(BACKLOG_OVERFLOW));
        assert_eq!(compression("gzip"), Ok(Compression::Gzip));
        assert_eq!(compression("zstd"), Err(COMPRESSION));
        assert_eq!((switch("1"), switch("OFF"), switch("maybe")), (Ok(true), Ok(false), Err(SWITCH)));
        assert_eq!((count("4"), count("four"), count("-4")), (Ok(4), Err(COUNT), Err(COUNT)));
    }

    #[test]
    fn what_is_shown_reads_back() {
        for number in [0, 1, 1000, 1024, 3 << 20, 5 << 30, (1 << 20) + 1] {
            assert_eq!(bytes(&show_bytes(number)), Ok(number));
        }
        for millis in [0, 1, 1500, 60_000, 90_000, 86_400_000] {
            let given = Duration::from_millis(millis);
            assert_eq!(duration(&show_duration(given)), Ok(given));
        }
        assert_eq!(show_duration(Duration::from_micros(1500)), "1.5ms");
    }
}
