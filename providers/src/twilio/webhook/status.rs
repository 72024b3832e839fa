//! Status callbacks: how Twilio reports on a message that we sent.
//!
//! They arrive in any order and repeatedly, but never for a message's first status. (Twilio docs, outbound message
//! status in status callbacks.)

use messaging::id::AttemptId;
use messaging::lifecycle::MessageStatus;
use messaging::provider::StatusUpdate;

use super::fields::Fields;
use crate::twilio::codes;
use crate::twilio::words::outbound_status;

pub(crate) fn translate(mut fields: Fields, attempt: Option<AttemptId>) -> Result<StatusUpdate, String> {
    let Some(provider_message_id) = fields.take("MessageSid").or_else(|| fields.take("SmsSid")) else {
        return Err("a status callback has neither MessageSid nor SmsSid".to_owned());
    };
    // A channel's read receipt has two marks; either one suffices.
    let read = fields.peek("EventType").is_some_and(|event| event.eq_ignore_ascii_case("READ"));
    let word = fields.take("MessageStatus").or_else(|| fields.take("SmsStatus"));
    let status = match (read, word.as_deref()) {
        (true, _) => MessageStatus::Read,
        (false, None) => {
            return Err(format!("the status callback of {provider_message_id} has no MessageStatus"));
        }
        (false, Some(word)) => outbound_status(&word.to_ascii_lowercase()).ok_or_else(|| {
            format!("the status callback of {provider_message_id} has the MessageStatus {word:?}, which no message that we sent can have")
        })?,
    };
    let failure = (status == MessageStatus::Failed).then(|| {
        let code = fields.take("ErrorCode").filter(|code| code != "0");
        // The channel's own message says more than Twilio's summary of it.
        let message = fields.take("ChannelStatusMessage").or_else(|| fields.take("ErrorMessage"));
        let message = message.unwrap_or_else(|| codes::NO_EXPLANATION.to_owned());
        codes::failure(code, None, message)
    });
    Ok(StatusUpdate { provider_message_id, attempt, status, failure, extra: fields.rest() })
}
