//! Times as RFC 3339 has them, in UTC.

use std::fmt::Write as _;

/// Appends the time with this many digits after the second, at most nine.
pub(super) fn push(out: &mut String, unix_nanos: i64, digits: usize) {
    let seconds = unix_nanos.div_euclid(1_000_000_000);
    let nanos = unix_nanos.rem_euclid(1_000_000_000);
    let (year, month, day) = date(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let _ = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}");
    out.truncate(out.len() - (9 - digits.min(9)));
    out.push('Z');
}

/// The civil date of a day since 1970-01-01, by Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>).
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_across_the_calendar() {
        for (nanos, digits, expected) in [
            (0, 9, "1970-01-01T00:00:00.000000000Z"),
            (-1, 9, "1969-12-31T23:59:59.999999999Z"),
            (951_827_696_000_000_000, 3, "2000-02-29T12:34:56.000Z"),
            (4_107_542_400_000_000_000, 6, "2100-03-01T00:00:00.000000Z"),
            (super::super::testing::NANOS, 6, "2026-11-24T08:00:00.123456Z"),
            (i64::MAX, 9, "2262-04-11T23:47:16.854775807Z"),
            (i64::MIN, 9, "1677-09-21T00:12:43.145224192Z"),
        ] {
            let mut out = String::new();
            super::push(&mut out, nanos, digits);
            assert_eq!(out, expected);
        }
    }
}
