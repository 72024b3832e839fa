//! Addresses: phone numbers and business-scoped user ids, with or without the channel's prefix.

pub(crate) const WHATSAPP: &str = "whatsapp:";

/// The address without `whatsapp:`.
pub(crate) fn bare(address: &str) -> &str {
    address.strip_prefix(WHATSAPP).unwrap_or(address)
}

pub(crate) fn is_whatsapp(address: &str) -> bool {
    address.starts_with(WHATSAPP)
}

/// Whether it is `+` and 7 to 15 digits.
pub(crate) fn is_phone_number(bare: &str) -> bool {
    bare.strip_prefix('+')
        .is_some_and(|digits| (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// `US.1349…` or `US.ENT.1181…`: two capitals, a dot, and at most 128 letters, digits and dots.
pub(crate) fn is_user_id(bare: &str) -> bool {
    let Some((country, rest)) = bare.split_once('.') else { return false };
    country.len() == 2
        && country.bytes().all(|b| b.is_ascii_uppercase())
        && (1..=128).contains(&rest.len())
        && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
}

/// Whether a message can be sent to it at all.
pub(crate) fn is_recipient(address: &str) -> bool {
    is_phone_number(bare(address)) || (is_whatsapp(address) && is_user_id(bare(address)))
}

/// The number with its last four digits hidden, as status callbacks carry it.
pub(crate) fn masked(address: &str) -> String {
    let bare = bare(address);
    let visible = bare.char_indices().rev().nth(3).map_or(0, |(index, _)| index);
    format!("{}XXXX", &bare[..visible])
}

/// The ISO code of a number's country, for the few that examples use.
pub(crate) fn country(address: &str) -> &'static str {
    const PREFIXES: [(&str, &str); 8] = [
        ("+1", "US"),
        ("+44", "GB"),
        ("+49", "DE"),
        ("+33", "FR"),
        ("+353", "IE"),
        ("+55", "BR"),
        ("+91", "IN"),
        ("+62", "ID"),
    ];
    PREFIXES.iter().find(|(prefix, _)| bare(address).starts_with(prefix)).map_or("ZZ", |(_, country)| country)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_are_phone_numbers_or_business_scoped_user_ids() {
        for good in ["whatsapp:+447700900123", "+447700900123", "whatsapp:US.13491208655302741918"] {
            assert!(is_recipient(good), "{good}");
        }
        for bad in ["", "whatsapp:", "whatsapp:447700900123", "US.13491208655302741918", "whatsapp:us.1", "+12"] {
            assert!(!is_recipient(bad), "{bad}");
        }
    }

    #[test]
    fn masking_hides_the_last_four_digits() {
        assert_eq!(masked("whatsapp:+919945411234"), "+91994541XXXX");
        assert_eq!(masked("+1"), "XXXX");
    }
}
