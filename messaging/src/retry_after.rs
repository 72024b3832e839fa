//! The value of an HTTP `Retry-After` header (RFC 9110, 10.2.3): a number of seconds, or a date.

use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};

/// How long to wait after `now`; negative for a date that has passed. `None` for anything else, and for a date when
/// `now` is unknown. The value is only a request and is unbounded: each caller applies its own limits.
pub fn retry_after(value: &str, now: Option<Timestamp>) -> Option<SignedDuration> {
    let value = value.trim();
    match value.parse::<u64>() {
        Ok(seconds) => Some(SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))),
        Err(_) => Some(rfc2822::parse(value).ok()?.timestamp().duration_since(now?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_understood_and_nonsense_is_ignored() {
        let now = Timestamp::from_second(784_111_777).ok();
        for (value, seconds) in [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("18446744073709551615", Some(i64::MAX)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Some(-30)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value, now).map(|wait| wait.as_secs()), seconds, "{value:?}");
        }
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:37 GMT", None), None, "a date means nothing without a clock");
    }
}
