//! RFC 3339, both ways.

const DAY: i64 = 86_400;

/// Nanoseconds since 1970 of a time like `2026-02-03T04:05:06.789Z`; none where it is no such time, or too far
/// away for 64 bits.
pub(super) fn nanos(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once(['T', 't'])?;
    let mut date = date.split('-').map(digits);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let zone = rest.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = rest.split_at(zone);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut clock = clock.split(':').map(digits);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let offset = match zone.as_bytes() {
        b"Z" | b"z" => 0,
        [sign, ..] => {
            let (hours, minutes) = zone[1..].split_once(':')?;
            let offset = digits(hours)? * 3_600 + digits(minutes)? * 60;
            if *sign == b'-' { -offset } else { offset }
        }
        [] => return None,
    };
    let valid = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !valid || date.next().is_some() || clock.next().is_some() || fraction.len() > 9 {
        return None;
    }
    let fraction = digits(fraction)? * 10_i64.pow(9 - fraction.len() as u32);
    let seconds = days(year, month, day) * DAY + hour * 3_600 + minute * 60 + second - offset;
    i64::try_from(i128::from(seconds) * 1_000_000_000 + i128::from(fraction)).ok()
}

/// That time in UTC, with nine digits behind the point.
pub(super) fn text(nanos: i64) -> String {
    let (seconds, fraction) = (nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000));
    let (year, month, day) = date(seconds.div_euclid(DAY));
    let clock = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (clock / 3_600, clock / 60 % 60, clock % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:09}Z")
}

fn digits(text: &str) -> Option<i64> {
    // `parse` alone would take a sign, too.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Days since 1970 of a date, in years that begin in March so that the leap day comes last
/// (<https://howardhinnant.github.io/date_algorithms.html>, `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The other way (the same page, `civil_from_days`).
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let civil_month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(civil_month <= 2), civil_month, day - (153 * month + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_out_as_they_went_in() {
        for (written, expected) in [
            ("1970-01-01T00:00:00.000000000Z", 0),
            ("1969-12-31T23:59:59.999999999Z", -1),
            ("2000-02-29T12:00:00.000000001Z", 951_825_600_000_000_001),
            ("2023-11-14T22:13:20.123456789Z", 1_700_000_000_123_456_789),
            ("2262-04-11T23:47:16.854775807Z", i64::MAX),
            ("1677-09-21T00:12:43.145224192Z", i64::MIN),
        ] {
            assert_eq!(nanos(written), Some(expected), "{written}");
            assert_eq!(text(expected), written);
        }
    }

    #[test]
    fn fractions_and_zones_are_optional_or_short() {
        assert_eq!(nanos("1970-01-01T00:00:01Z"), Some(1_000_000_000));
        assert_eq!(nanos("1970-01-01T01:00:01.5+01:00"), Some(1_500_000_000));
        assert_eq!(nanos("1969-12-31T23:30:00-00:30"), Some(0));
    }

    #[test]
    fn what_is_no_time_is_none() {
        let not_times = [
            "",
            "T",
            "now",
            "2023-13-01T00:00:00Z",
            "2023-01-01T25:00:00Z",
            "2023-01-01T00:00:00",
            "2023-01-01",
            "3000-01-01T00:00:00Z",
        ];
        for text in not_times {
            assert_eq!(nanos(text), None, "{text}");
        }
    }
}
