//! The wait that a store asks for.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};

/// A store cannot silence us for longer; the schedule of the lane goes on from there.
const LONGEST: Duration = Duration::from_secs(60);

/// Reads `Retry-After` (RFC 9110 §10.2.3): whole seconds, or a date.
///
/// More than a minute means a minute, a date that has passed means at once. A date counts from the reply's own
/// `Date`, so that a wrong clock on either side does not matter, and from `now` where there is none. Of several
/// the first counts. What is neither (negative, fractions, words) says nothing: the lane waits as it would have.
pub(super) fn read(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let asked = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit()) {
        // Too many digits for a number are a number above the limit.
        return Some(asked.parse().map_or(LONGEST, Duration::from_secs).min(LONGEST));
    }
    let then = httpdate::parse_http_date(asked).ok()?;
    let now = headers.get(DATE).and_then(date).unwrap_or(now);
    Some(then.duration_since(now).unwrap_or_default().min(LONGEST))
}

/// How far `now` is ahead of the reply's own `Date`, in seconds.
pub(super) fn ahead(headers: &HeaderMap, now: SystemTime) -> Option<i64> {
    let then = headers.get(DATE).and_then(date)?;
    let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    Some(now.duration_since(then).map_or_else(|behind| -seconds(behind.duration()), seconds))
}

fn date(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT
    const NOW: u64 = 784_111_777;

    fn asked(values: &[&[u8]], date: Option<&str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(RETRY_AFTER, HeaderValue::from_bytes(value).unwrap());
        }
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_str(date).unwrap());
        }
        read(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)).map(|wait| wait.as_secs())
    }

    #[test]
    fn n8_the_wait_that_a_store_asks_for_is_between_none_and_a_minute() {
        let table: &[(&[u8], Option<u64>)] = &[
            (b"0", Some(0)),
            (b"1", Some(1)),
            (b" 7 ", Some(7)),
            (b"0000000000000000000000000000005", Some(5)),
            (b"59", Some(59)),
            (b"60", Some(60)),
            (b"61", Some(60)),
            (b"1000000000000", Some(60)),
            (b"18446744073709551615", Some(60)),
            (b"99999999999999999999999999999999", Some(60)),
            (b"-1", None),
            (b"+5", None),
            (b"1.5", None),
            (b"1e3", None),
            (b"0x10", None),
            (b"5 seconds", None),
            (b"5, 6", None),
            (b"", None),
            (b"soon", None),
            (b"\xff\xfe", None),
            (b"\xd9\xa3", None), // an Arabic digit
            (b"Sun, 06 Nov 1994 08:49:57 GMT", Some(20)),
            (b"Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            (b"Sat, 05 Nov 1994 08:49:37 GMT", Some(0)),
            (b"Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            (b"Fri, 31 Dec 9999 23:59:59 GMT", Some(60)),
            (b"Sunday, 06-Nov-94 08:49:47 GMT", Some(10)),
            (b"Sun Nov  6 08:49:47 1994", Some(10)),
            (b"Sun, 06 Nov 1994 08:49:57", None),
            (b"Sun, 06 Nov 1994 25:61:99 GMT", None),
            (b"Sun, 00 Nov 1994 08:49:57 GMT", None),
            (b"1994-11-06T08:49:57Z", None),
        ];
        for (value, wait) in table {
            assert_eq!(asked(&[value], None), *wait, "{}", String::from_utf8_lossy(value));
        }
        assert_eq!(asked(&[], None), None);
    }

    #[test]
    fn n8_of_many_the_first_counts() {
        let many: Vec<&[u8]> = std::iter::once(&b"3"[..]).chain(std::iter::repeat_n(&b"50"[..], 199)).collect();
        assert_eq!(asked(&many, None), Some(3));
        assert_eq!(asked(&[b"nonsense", b"5"], None), None);
    }

    #[test]
    fn n8_a_date_counts_from_the_stores_own_clock() {
        let then = b"Tue, 01 Jan 2030 00:00:30 GMT";
        assert_eq!(asked(&[then], Some("Tue, 01 Jan 2030 00:00:00 GMT")), Some(30));
        assert_eq!(asked(&[then], Some("Tue, 01 Jan 2030 00:01:00 GMT")), Some(0));
        assert_eq!(asked(&[then], Some("garbage")), Some(60));
    }
}
