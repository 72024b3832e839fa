//! How long an answer's `Retry-After` asks the caller to wait.

use std::time::Duration;

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use jiff::fmt::rfc2822;

/// A longer wait is the server's mistake.
const LONGEST: Duration = Duration::from_secs(86_400);

/// A date counts from the answer's own `Date`, so that our clock does not matter; without that header it is ignored. A
/// date in the past asks for no wait.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let answered_at = text(DATE).and_then(|date| rfc2822::parse(date).ok()).map(|date| date.timestamp());
    let wait = messaging::retry_after::retry_after(text(RETRY_AFTER)?, answered_at)?;
    Some(Duration::try_from(wait).unwrap_or(Duration::ZERO).min(LONGEST))
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
