//! Addresses in Twilio's notation: `whatsapp:` before a phone number or a business-scoped user id.

use messaging::address::Address;

const CHANNEL: &str = "whatsapp:";

/// The notation of `To`, `From` and `sender_id`.
pub(crate) fn channel_address(address: &str) -> String {
    format!("{CHANNEL}{address}")
}

/// `None` for what is not a WhatsApp address, such as an SMS sender name.
pub(crate) fn parse(value: &str) -> Option<Address> {
    value.strip_prefix(CHANNEL).unwrap_or(value).parse().ok()
}
