//! Durations as people write them in a spec: `30d`, `6h`, `15m`, `45s`.

use std::time::Duration;

use messaging::duration::{self, Unit};

/// The API server's rule for such a field, and its message for a text that breaks the rule. The rule accepts exactly
/// what [`parse`] accepts.
pub(crate) const RULE: &str = "self.matches('^[1-9][0-9]{0,5}[smhd]$')";
pub(crate) const MESSAGE: &str = "must be a duration: a whole number and one unit of s, m, h or d, such as 30d";

/// The same for how long a message may be valid, with the bounds of [`messaging::config::Validity::BOUNDS`].
pub(crate) const VALIDITY_RULE: &str = "self.matches('^[1-9][0-9]{0,5}[smhd]$') && \
    int(self.substring(0, self.size() - 1)) * (self.endsWith('s') ? 1 : self.endsWith('m') ? 60 : self.endsWith('h') ? 3600 : 86400) >= 10 && \
    int(self.substring(0, self.size() - 1)) * (self.endsWith('s') ? 1 : self.endsWith('m') ? 60 : self.endsWith('h') ? 3600 : 86400) <= 2592000";
pub(crate) const VALIDITY_MESSAGE: &str =
    "must be a duration from 10s to 30d: a whole number and one unit of s, m, h or d, such as 24h";

/// The rule that a rotation has time for its overlap. The fields' own rules hold, so both are numbers with a unit.
pub(crate) const INTERVAL_RULE: &str = "!self.every.matches('^[1-9][0-9]{0,5}[smhd]$') || !self.minOverlap.matches('^[1-9][0-9]{0,5}[smhd]$') || \
    int(self.every.substring(0, self.every.size() - 1)) * (self.every.endsWith('s') ? 1 : self.every.endsWith('m') ? 60 : self.every.endsWith('h') ? 3600 : 86400) >= \
    2 * int(self.minOverlap.substring(0, self.minOverlap.size() - 1)) * (self.minOverlap.endsWith('s') ? 1 : self.minOverlap.endsWith('m') ? 60 : self.minOverlap.endsWith('h') ? 3600 : 86400)";
pub(crate) const INTERVAL_MESSAGE: &str =
    "every must be at least twice minOverlap, so that one rotation ends before the next begins";

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration: expected a whole number from 1 to 999999 and one unit of s, m, h or d, such as 30d")]
pub struct InvalidDuration(pub String);

/// Reads a whole number from 1 to 999,999 and one unit: `s`, `m`, `h` or `d`.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let in_range = text.len() <= "999999d".len() && !text.starts_with('0');
    let parsed = duration::parse(text, &[Unit::Seconds, Unit::Minutes, Unit::Hours, Unit::Days]);
    parsed.filter(|_| in_range).ok_or_else(|| InvalidDuration(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_with_one_unit_are_durations() {
        for (text, seconds) in
            [("1s", 1), ("15m", 900), ("6h", 21_600), ("365d", 31_536_000), ("999999d", 86_399_913_600)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_would_be_right() {
        for text in ["", "d", "0d", "01d", "30", "30 d", "-1d", "+1d", "1.5h", "1h30m", "1000000s", "30w", "3é"] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains("expected a whole number"), "{error}");
        }
    }
}
