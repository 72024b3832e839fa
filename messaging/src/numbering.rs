//! Countries, and which of them a phone number belongs to.
//!
//! The numbering plans come from `phonenumber`'s copy of Google's metadata. Its own parser is not used: it strips trunk
//! prefixes and leading zeros even from international numbers. So it finds no country for Italy's landlines, for Saint
//! Petersburg (812), or for an unassigned number of a shared code.

use std::fmt;

use phonenumber::Type;
use phonenumber::metadata::{DATABASE, Metadata};
use serde::{Deserialize, Serialize};

/// An ISO 3166-1 alpha-2 country, upper case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

impl Country {
    pub fn new(code: &str) -> Option<Self> {
        match code.as_bytes() {
            [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Some(Self([*a, *b])),
            _ => None,
        }
    }
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("??")
    }
    /// Every country with a numbering plan, by code.
    pub fn with_numbers() -> impl Iterator<Item = Self> {
        let letters = b'A'..=b'Z';
        letters.clone().flat_map(move |a| letters.clone().map(move |b| Self([a, b]))).filter(Self::has_numbers)
    }
    /// Whether it has a numbering plan: `GB` has one, `UK` does not.
    pub fn has_numbers(&self) -> bool {
        has_plan(*self)
    }
}
impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl TryFrom<String> for Country {
    type Error = String;
    fn try_from(value: String) -> Result<Self, String> {
        Self::new(&value)
            .ok_or_else(|| format!("{value:?} is not a country: expected two upper-case letters, such as GB"))
    }
}
impl From<Country> for String {
    fn from(value: Country) -> String {
        value.as_str().to_owned()
    }
}

/// Every kind of number that a person or a business may have.
const KINDS: [Type; 10] = [
    Type::FixedLine,
    Type::Mobile,
    Type::TollFree,
    Type::PremiumRate,
    Type::SharedCost,
    Type::PersonalNumber,
    Type::Voip,
    Type::Pager,
    Type::Uan,
    Type::Voicemail,
];

/// The country of an E.164 number, given without its `+`.
///
/// Where countries share a calling code (+1, +7, +44, …), it is the one whose plan has the number. An unassigned
/// number, such as one reserved for examples or one newer than the metadata, counts as the code's main country's.
/// `None` where no country has the calling code: satellite phones, international networks, and codes that do not exist.
pub(crate) fn country(digits: &str) -> Option<Country> {
    // Calling codes have one to three digits, and none is a prefix of another.
    let (regions, national) = (1..=3).find_map(|length| {
        let (code, national) = digits.split_at_checked(length)?;
        Some((DATABASE.region(&code.parse::<u16>().ok()?)?, national))
    })?;
    let main = *regions.first()?;
    let owner = match regions.as_slice() {
        [_only] => main,
        shared => shared.iter().copied().find(|region| has(region, national)).unwrap_or(main),
    };
    Country::new(owner) // Codes of no country have "001", which is not a country.
}

/// Whether this country has a numbering plan.
pub(crate) fn has_plan(country: Country) -> bool {
    DATABASE.by_id(country.as_str()).is_some()
}

fn has(region: &str, national: &str) -> bool {
    DATABASE.by_id(region).is_some_and(|plan| match plan.leading_digits() {
        Some(leading) => leading.find(national).is_some_and(|found| found.start() == 0),
        None => has_assigned(plan, national),
    })
}

fn has_assigned(plan: &Metadata, national: &str) -> bool {
    let descriptors = plan.descriptors();
    descriptors.general().is_match(national)
        && KINDS.iter().any(|kind| descriptors.get(*kind).is_some_and(|descriptor| descriptor.is_match(national)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_shared_calling_codes_have_their_own_country() {
        let numbers = [
            // +1: area codes.
            ("+12025550123", "US"),
            ("+14155238886", "US"),
            ("+16137827274", "CA"),
            ("+14165550123", "CA"),
            ("+13459492311", "KY"),
            ("+18765230123", "JM"),
            ("+18685550123", "TT"),
            ("+12425550123", "BS"),
            ("+18095550123", "DO"),
            ("+17875550123", "PR"),
            ("+16715550123", "GU"),
            ("+18005550123", "US"),
            // +7: Kazakhstan has 7 and 33622, Russia the rest, Kazan's 843 and Saint Petersburg's 812 among it.
            ("+79161234567", "RU"),
            ("+78431234567", "RU"),
            ("+78121234567", "RU"),
            ("+77011234567", "KZ"),
            ("+77172123456", "KZ"),
            // +44: the islands have a few area codes and mobile ranges.
            ("+442079460123", "GB"),
            ("+447400123456", "GB"),
            ("+441481256789", "GG"),
            ("+447781123456", "GG"),
            ("+441534456789", "JE"),
            ("+447797712345", "JE"),
            ("+441624756789", "IM"),
            ("+447624412345", "IM"),
            // +39: the leading zero is part of the number.
            ("+390612345678", "IT"),
            ("+393123456789", "IT"),
            ("+390669812345", "VA"),
            // +262, +590, +599, +61, +47, +358, +212.
            ("+262692123456", "RE"),
            ("+262639012345", "YT"),
            ("+590690001234", "GP"),
            ("+59995181234", "CW"),
            ("+5993181234", "BQ"),
            ("+61412345678", "AU"),
            ("+61891641234", "CX"),
            ("+4741234567", "NO"),
            ("+4779123456", "SJ"),
            ("+358412345678", "FI"),
            ("+3581812345678", "AX"),
            ("+212650123456", "MA"),
        ];
        let wrong: Vec<_> = numbers
            .into_iter()
            .map(|(number, expected)| (number, expected, country(&number[1..]).map(|c| c.to_string())))
            .filter(|(_, expected, found)| found.as_deref() != Some(*expected))
            .collect();
        assert_eq!(wrong, []);
    }

    #[test]
    fn a_code_of_one_country_decides_alone() {
        for (number, expected) in [
            ("+4915112345678", "DE"),
            ("+353851234567", "IE"),
            ("+919876543210", "IN"),
            ("+5511987654321", "BR"),
            ("+6281234567890", "ID"),
            ("+2348012345678", "NG"),
            ("+38344123456", "XK"),
            // Not an assigned number, but a German one.
            ("+4900000000000", "DE"),
        ] {
            assert_eq!(country(&number[1..]).map(|c| c.to_string()).as_deref(), Some(expected), "{number}");
        }
    }

    #[test]
    fn an_unassigned_number_counts_as_the_main_countrys() {
        // Ofcom's and NANPA's numbers for examples, Twilio's magic number, and lengths that do not exist.
        for (number, expected) in [
            ("+447700900123", "GB"),
            ("+15005550006", "US"),
            ("+15550001234", "US"),
            ("+1202555", "US"),
            ("+440000000", "GB"),
        ] {
            assert_eq!(country(&number[1..]).map(|c| c.to_string()).as_deref(), Some(expected), "{number}");
        }
    }

    #[test]
    fn numbers_of_no_country_have_none() {
        for number in ["+883510000000000", "+870773111632", "+80012345678", "+9991234567", "+2101234567"] {
            assert_eq!(country(&number[1..]), None, "{number}");
        }
    }
}
