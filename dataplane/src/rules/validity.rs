//! When a message's validity ends.

use jiff::Timestamp;
use messaging::clock::after;
use messaging::config::Validity;

use crate::store::message::{Message, Reason};

/// When the message is no longer worth sending. One that an earlier version accepted without an end has its sender's
/// default, counted from when it was due.
pub(crate) fn ends_at(message: &Message, defaults: &Validity) -> Timestamp {
    let due_at = message.scheduled_at.map_or(message.created_at, |at| at.max(message.created_at));
    message.expires_at.unwrap_or_else(|| after(due_at, defaults.of(message.priority.category())))
}

/// Why a message expires: also what kept it from leaving, where an attempt failed.
pub(crate) fn expired(reason: Reason, last: Option<&Reason>) -> Reason {
    let Some(last) = last else { return reason };
    let code = last.code.as_ref().map(|code| format!("{code}: ")).unwrap_or_default();
    Reason { text: format!("{}; the last attempt failed: {code}{}", reason.text, last.text), ..reason }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use messaging::id::{MessageId, SenderName, TenantId};
    use messaging::lifecycle::MessageStatus;
    use messaging::policy::Purpose;
    use messaging::routing::Route;

    use super::*;
    use crate::store::message::{OnUnconfirmed, Priority};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + seconds).unwrap()
    }

    fn message(priority: Priority) -> Message {
        Message {
            id: MessageId::new(at(0), &[0; 10]),
            tenant: TenantId::new("shop").unwrap(),
            route: Route::direct(SenderName::new("support").unwrap()),
            to: "+447700900123".parse().unwrap(),
            content: None,
            purpose: Purpose::Message,
            priority,
            from: None,
            served_language: None,
            reply_to: None,
            metadata: BTreeMap::new(),
            on_unconfirmed: OnUnconfirmed::Fail,
            status: MessageStatus::Queued,
            reason: None,
            provider_message_id: None,
            attempt: None,
            attempts: 0,
            created_at: at(0),
            updated_at: at(0),
            scheduled_at: None,
            expires_at: None,
        }
    }

    #[test]
    fn a_message_without_an_end_is_valid_for_its_categorys_default_from_when_it_is_due() {
        let defaults = Validity::default();
        assert_eq!(ends_at(&message(Priority::Authentication), &defaults), at(600));
        assert_eq!(ends_at(&message(Priority::Utility), &defaults), at(86_400));
        let scheduled = Message { scheduled_at: Some(at(100)), ..message(Priority::Authentication) };
        assert_eq!(ends_at(&scheduled, &defaults), at(700));
        let own = Message { expires_at: Some(at(5)), ..scheduled };
        assert_eq!(ends_at(&own, &defaults), at(5));
    }

    #[test]
    fn the_reason_of_an_expired_message_names_its_last_failure() {
        let late = Reason::new(Some("expired"), "too late");
        assert_eq!(expired(late.clone(), None), late);
        let last = Reason::new(Some("20429"), "too many requests");
        let both = Reason::new(Some("expired"), "too late; the last attempt failed: 20429: too many requests");
        assert_eq!(expired(late, Some(&last)), both);
    }
}
