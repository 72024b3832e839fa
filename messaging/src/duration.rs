//! Durations in text: a whole number and one unit, such as `500ms`, `15m` or `30d`.
//!
//! Specs, requests and flags share this form. Each names the units it accepts, and checks its own range.

use std::time::Duration;

/// A unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Milliseconds,
    Seconds,
    Minutes,
    Hours,
    Days,
}

impl Unit {
    fn letters(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::Minutes => "m",
            Self::Hours => "h",
            Self::Days => "d",
        }
    }

    fn millis(self) -> u64 {
        match self {
            Self::Milliseconds => 1,
            Self::Seconds => 1_000,
            Self::Minutes => 60 * 1_000,
            Self::Hours => 60 * 60 * 1_000,
            Self::Days => 24 * 60 * 60 * 1_000,
        }
    }
}

/// Reads a whole number, zero included, and one of the `units`; `None` for anything else.
pub fn parse(text: &str, units: &[Unit]) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, letters) = text.split_at(digits);
    let unit = units.iter().find(|unit| unit.letters() == letters)?;
    number.parse::<u64>().ok()?.checked_mul(unit.millis()).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::Unit::{Days, Hours, Milliseconds, Minutes, Seconds};
    use super::*;

    const ALL: &[Unit] = &[Milliseconds, Seconds, Minutes, Hours, Days];

    #[test]
    fn a_duration_is_a_whole_number_and_one_unit() {
        for (text, millis) in [
            ("0s", 0),
            ("500ms", 500),
            ("25s", 25_000),
            ("015m", 900_000),
            ("6h", 21_600_000),
            ("365d", 31_536_000_000),
        ] {
            assert_eq!(parse(text, ALL), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_not_a_duration() {
        for text in [
            "",
            "s",
            "30",
            "30 d",
            "-1d",
            "+1d",
            "1.5h",
            "1h30m",
            "30w",
            "3é",
            "6ĥ",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert_eq!(parse(text, ALL), None, "{text:?}");
        }
        assert_eq!(parse("1d", &[Seconds, Minutes]), None, "a unit that is not accepted here");
    }
}
