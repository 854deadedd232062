//! Times as texts.

/// Nanoseconds since 1970 of a time like `2026-11-24T08:09:10.123456789Z`, of which zeros at the end may be left away.
pub(crate) fn unix_nanos(time: &str) -> Option<i64> {
    let (date, clock) = time.strip_suffix('Z').or_else(|| time.strip_suffix("+00:00"))?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut clock = clock.splitn(3, ':').map(str::parse::<i64>);
    let (hours, minutes, seconds) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    let fraction: i64 = format!("{fraction:0<9}").parse().ok()?;

    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let years: i64 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    let months: i64 = lengths.iter().take(usize::try_from(month - 1).ok()?).sum();
    let days = years + months + day - 1;
    Some((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1_000_000_000 + fraction)
}

#[test]
fn times_are_read_to_the_nanosecond() {
    assert_eq!(unix_nanos("1970-01-01T00:00:00Z"), Some(0));
    assert_eq!(unix_nanos("2026-11-24T08:20:07.362615923Z"), Some(1_795_508_407_362_615_923));
    assert_eq!(unix_nanos("2024-02-29T23:59:59.5+00:00"), Some(1_709_251_199_500_000_000));
}
