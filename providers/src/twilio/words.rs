//! Twilio's words for the status of a message.

use messaging::lifecycle::MessageStatus;

/// The status that a word of the `message_enum_status` enumeration means for a message that we sent; `None` for words
/// that it does not have. (Twilio's OpenAPI document of the 2010 API.)
pub(crate) fn outbound_status(word: &str) -> Option<MessageStatus> {
    Some(match word {
        "queued" | "accepted" | "scheduled" | "sending" => MessageStatus::Accepted,
        // Only for messages to several recipients; some of them were sent.
        "sent" | "partially_delivered" => MessageStatus::Sent,
        "delivered" => MessageStatus::Delivered,
        "read" => MessageStatus::Read,
        "undelivered" | "failed" => MessageStatus::Failed,
        "canceled" => MessageStatus::Canceled,
        _ => return None,
    })
}

/// The status of any message in Twilio's log. An unknown word means at least that Twilio has the message.
pub(crate) fn logged_status(word: &str) -> MessageStatus {
    match word {
        // A message from a customer has reached us.
        "receiving" | "received" => MessageStatus::Delivered,
        word => outbound_status(word).unwrap_or(MessageStatus::Accepted),
    }
}
