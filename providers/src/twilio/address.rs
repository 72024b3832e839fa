//! Addresses in Twilio's notation: `whatsapp:` before a phone number or a business-scoped user id.

use messaging::address::Address;

const CHANNEL: &str = "whatsapp:";

/// As `To`, `From` and `sender_id` want it.
pub(crate) fn channel_address(address: &str) -> String {
    format!("{CHANNEL}{address}")
}

/// `None` for what is no address of WhatsApp's, such as an SMS sender name.
pub(crate) fn parse(value: &str) -> Option<Address> {
    value.strip_prefix(CHANNEL).unwrap_or(value).parse().ok()
}
