//! Durations as people write them in a spec: `30d`, `6h`, `15m`, `45s`.

use std::time::Duration;

/// What the API server checks of such a field, and what it says otherwise. It must accept what [`parse`] accepts.
pub(crate) const RULE: &str = "self.matches('^[1-9][0-9]{0,5}[smhd]$')";
pub(crate) const MESSAGE: &str = "must be a duration: a whole number and one unit of s, m, h or d, such as 30d";

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration: expected a whole number from 1 to 999999 and one unit of s, m, h or d, such as 30d")]
pub struct InvalidDuration(pub String);

/// Reads a whole number from 1 to 999,999 and one unit: `s`, `m`, `h` or `d`.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let invalid = || InvalidDuration(text.to_owned());
    let split = text.len().checked_sub(1).filter(|&at| text.is_char_boundary(at)).ok_or_else(invalid)?;
    let (number, unit) = text.split_at(split);
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(invalid()),
    };
    let digits = number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0') && number.len() <= 6;
    let count: u64 = number.parse().ok().filter(|_| digits).ok_or_else(invalid)?;
    Ok(Duration::from_secs(count * seconds))
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
