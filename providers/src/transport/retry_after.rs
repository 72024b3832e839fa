//! `Retry-After` (RFC 9110, 10.2.3): a number of seconds, or a date.

use std::time::Duration;

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use jiff::fmt::rfc2822;

/// A longer pause than this is somebody's mistake.
const LONGEST: Duration = Duration::from_secs(86_400);

/// How long to wait. A date is taken relative to the answer's own `Date`, so that no clock of ours matters; without
/// that header it says nothing.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let wanted = text(RETRY_AFTER)?;
    let wait = match wanted.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = rfc2822::parse(wanted).ok()?.timestamp();
            let now = rfc2822::parse(text(DATE)?).ok()?.timestamp();
            Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO)
        }
    };
    Some(wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&'static str, &str)]) -> Option<Duration> {
        let headers = pairs
            .iter()
            .map(|&(name, value)| (http::HeaderName::from_static(name), value.parse().expect("a header value")))
            .collect();
        retry_after(&headers)
    }

    #[test]
    fn seconds_and_dates_are_understood_and_nonsense_is_ignored() {
        assert_eq!(of(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        let date = ("date", "Fri, 21 Nov 2025 07:28:00 GMT");
        assert_eq!(of(&[("retry-after", "Fri, 21 Nov 2025 07:28:30 GMT"), date]), Some(Duration::from_secs(30)));
        assert_eq!(of(&[("retry-after", "Fri, 21 Nov 2025 07:00:00 GMT"), date]), Some(Duration::ZERO));
        assert_eq!(of(&[("retry-after", "Fri, 21 Nov 2025 07:28:30 GMT")]), None);
        assert_eq!(of(&[("retry-after", "soon")]), None);
        assert_eq!(of(&[("retry-after", "99999999999")]), Some(LONGEST));
        assert_eq!(of(&[]), None);
    }
}
