//! Addresses in Twilio's notation: `whatsapp:` before a phone number or a business-scoped user id.

use messaging::address::Address;

const CHANNEL: &str = "whatsapp:";

/// The notation of `To`, `From` and `sender_id`.
pub(crate) fn channel_address(address: &str) -> String {
    format!("{CHANNEL}{address}")
}

/// `None` for what is not a WhatsApp address, such as the number of an SMS, which has no channel before it.
pub(crate) fn parse(value: &str) -> Option<Address> {
    value.strip_prefix(CHANNEL)?.parse().ok()
}

/// The channel of an address of another channel: the one before the colon, or `sms` for a bare number or a bare sender
/// name.
pub(crate) fn other_channel(value: &str) -> Option<&str> {
    if value.is_empty() || value.starts_with(CHANNEL) {
        return None;
    }
    let named = value.split_once(':').map(|(channel, _)| channel);
    Some(named.filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric()) && name.len() <= 32).unwrap_or("sms"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_to_the_channel_before_it() {
        let whatsapp = |value| parse(value).map(|address| address.to_string());
        assert_eq!(whatsapp("whatsapp:+447700900123").as_deref(), Some("+447700900123"));
        assert_eq!(whatsapp("whatsapp:GB.1a2b").as_deref(), Some("GB.1a2b"));
        assert_eq!(other_channel("whatsapp:+447700900123"), None);
        assert_eq!(other_channel("whatsapp:nonsense"), None);
        assert_eq!(other_channel(""), None);
        for (value, channel) in
            [("+447700900123", "sms"), ("ACME", "sms"), ("messenger:123", "messenger"), ("rcs:acme", "rcs")]
        {
            assert_eq!((whatsapp(value), other_channel(value)), (None, Some(channel)), "{value}");
        }
    }
}
