//! The spellings of a phone number.
//!
//! In a few countries the number that people dial and the number that WhatsApp reports differ by one digit. Both reach
//! the same subscriber, so whatever is kept of a person is looked up under every spelling. What is sent keeps the
//! spelling that the caller gave.

use crate::address::{Address, PhoneNumber};

/// A digit that one spelling has and the other lacks.
struct OptionalDigit {
    calling_code: &'static str,
    /// How many digits of the national number stand before it.
    after: usize,
    digit: char,
    /// The length of the national number without it.
    national: usize,
    /// Which national numbers, without the digit, have both spellings.
    applies: fn(&str) -> bool,
}

/// The two-digit area codes of Brazil whose numbers WhatsApp reports with the ninth digit, as they are dialled.
const BRAZIL_AS_DIALLED: [&str; 14] =
    ["11", "12", "13", "14", "15", "16", "17", "18", "19", "21", "22", "24", "27", "28"];

/// The countries where both spellings occur. WhatsApp keeps the number under which an account was registered before the
/// numbering plan changed. (360dialog and Zoko on WhatsApp ids of Brazil and Mexico; Green API, Wassenger and Whapi on
/// Brazil, Mexico and Argentina; all read in 2026-11. Meta's reference only says that `wa_id` may differ from the
/// input.)
const OPTIONAL_DIGITS: [OptionalDigit; 3] = [
    // Brazil: mobile numbers got a ninth digit, which WhatsApp drops outside the states that got it first. Landlines
    // begin with 2 to 5, have eight digits, and did not change.
    OptionalDigit {
        calling_code: "55",
        after: 2,
        digit: '9',
        national: 10,
        applies: |national| {
            national.split_at_checked(2).is_some_and(|(area, subscriber)| {
                !area.contains('0')
                    && !BRAZIL_AS_DIALLED.contains(&area)
                    && subscriber.starts_with(['6', '7', '8', '9'])
            })
        },
    },
    // Mexico: mobile numbers had a 1 before them in international calls until 2019, and WhatsApp still has it.
    OptionalDigit { calling_code: "52", after: 0, digit: '1', national: 10, applies: |_| true },
    // Argentina: mobile numbers have a 9 before them in international calls, which people leave out.
    OptionalDigit { calling_code: "54", after: 0, digit: '9', national: 10, applies: |_| true },
];

impl OptionalDigit {
    /// The number without the digit, and the number with it, where this one is either.
    fn both(&self, number: &PhoneNumber) -> Option<[PhoneNumber; 2]> {
        let national = number.as_str().strip_prefix('+')?.strip_prefix(self.calling_code)?;
        let (before, rest) = national.split_at_checked(self.after)?;
        let rest = match national.len().checked_sub(self.national)? {
            0 => rest,
            1 => rest.strip_prefix(self.digit)?,
            _ => return None,
        };
        let (calling_code, digit) = (self.calling_code, self.digit);
        if !(self.applies)(&format!("{before}{rest}")) {
            return None;
        }
        let parsed = |text: String| text.parse().ok();
        Some([
            parsed(format!("+{calling_code}{before}{rest}"))?,
            parsed(format!("+{calling_code}{before}{digit}{rest}"))?,
        ])
    }
}

impl PhoneNumber {
    /// Every number that reaches the same subscriber, this one among them; the canonical one first.
    pub fn spellings(&self) -> Vec<Self> {
        let both = OPTIONAL_DIGITS.iter().find_map(|optional| optional.both(self));
        both.map_or_else(|| vec![self.clone()], Vec::from)
    }

    /// The spelling that stands for all of them in keys: the shortest.
    #[must_use]
    pub fn canonical(&self) -> Self {
        self.spellings().swap_remove(0)
    }
}

impl Address {
    /// As [`PhoneNumber::spellings`]; a business-scoped id has one spelling.
    pub fn spellings(&self) -> Vec<Self> {
        match self {
            Self::Phone(number) => number.spellings().into_iter().map(Self::Phone).collect(),
            Self::User(_) => vec![self.clone()],
        }
    }

    /// As [`PhoneNumber::canonical`].
    #[must_use]
    pub fn canonical(&self) -> Self {
        self.spellings().swap_remove(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spellings(number: &str) -> Vec<String> {
        let address: Address = number.parse().expect(number);
        address.spellings().iter().map(Address::to_string).collect()
    }

    #[test]
    fn a_number_of_brazil_mexico_or_argentina_has_the_spelling_that_is_dialled_and_the_one_that_whatsapp_reports() {
        for both in [
            ["+553180000001", "+5531980000001"],
            ["+556196021005", "+5561996021005"],
            ["+525512345678", "+5215512345678"],
            ["+541158749895", "+5491158749895"],
        ] {
            for number in both {
                assert_eq!(spellings(number), both, "{number}");
            }
        }
    }

    #[test]
    fn a_number_that_is_reported_as_it_is_dialled_has_one_spelling() {
        for number in [
            // The area codes of São Paulo, Rio de Janeiro and Espírito Santo.
            "+5511987654321",
            "+551187654321",
            "+5528987654321",
            // Landlines of Brazil, and what is no number there.
            "+553133334444",
            "+5531933334444",
            "+553080000001",
            "+5531980000",
            "+55319800000012",
            // A ninth digit that is not 9.
            "+5531880000001",
            "+5225512345678",
            "+5481158749895",
            "+447700900123",
            "GB.1a2b3c",
        ] {
            assert_eq!(spellings(number), [number]);
        }
    }

    proptest! {
        #[test]
        fn all_spellings_of_a_number_agree_on_what_they_are(
            number in r"\+(55|52|54)[0-9]{8,12}|\+[1-9][0-9]{6,14}"
        ) {
            let number: PhoneNumber = number.parse().expect("made to be a number");
            let spellings = number.spellings();
            prop_assert!(spellings.contains(&number));
            for other in &spellings {
                prop_assert_eq!(&other.spellings(), &spellings);
                prop_assert_eq!(&other.canonical(), &spellings[0]);
            }
        }
    }
}
