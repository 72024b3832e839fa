//! What follows from an event, as far as the event and the sender's config decide it: a pure function.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use messaging::address::Address;
use messaging::clock::after;
use messaging::config::SenderConfig;
use messaging::content::OutboundContent;
use messaging::failure::{FailureScope, NewAttempts};
use messaging::id::{MessageId, Randomness};
use messaging::opt_out::{self, OptChange};
use messaging::policy::Purpose;
use messaging::provider::{InboundMessage, StatusUpdate, WebhookEvent};
use messaging::routing::Route;
use messaging::window;

use super::apply::{Consequence, Keyword, Received};
use super::event;
use crate::store::message::{NewMessage, OnUnconfirmed, Priority, ReplyTo};
use crate::store::webhook::LoggedEvent;

/// A confirmation of an opt-out that could not leave soon is better not sent.
const REPLY_WITHIN: Duration = Duration::from_secs(60 * 60);

/// What follows from an event. `sender` is its sender's config, while it has one; `jitter` is random, at least 0 and
/// below 1.
pub(crate) fn of(
    logged: &LoggedEvent,
    sender: Option<&SenderConfig>,
    now: Timestamp,
    ask_at: Timestamp,
    jitter: f64,
    randomness: &mut dyn FnMut() -> Randomness,
) -> Consequence {
    match &logged.event {
        WebhookEvent::Inbound(message) => {
            Consequence::Received(Box::new(received(logged, message, sender, now, randomness)))
        }
        WebhookEvent::Status(update) => Consequence::Status {
            update: Box::new(update.clone()),
            suppress: update.failure.as_ref().and_then(|failure| failure.suppression(logged.received_at)),
            ask_at,
            new_attempts: sender.map(|sender| NewAttempts { validity: sender.validity, jitter }),
        },
        WebhookEvent::UserIdChange(change) => match sender {
            Some(sender) => {
                Consequence::UserIdChange { account: sender.provider.account_key().to_owned(), change: change.clone() }
            }
            None => Consequence::Nothing { reason: "its sender has no config".to_owned() },
        },
        WebhookEvent::OtherChannel { channel, .. } => {
            Consequence::Nothing { reason: format!("it belongs to the channel {channel:?}, not to WhatsApp") }
        }
        WebhookEvent::Unreadable { reason, .. } => Consequence::Nothing { reason: reason.clone() },
    }
}

/// What the failure that a status reports affects. No answer reports most failures of an account or of a template, and
/// each further message would fail too and may cost money, so what the failure affects is stopped.
pub(crate) fn failure(logged: &LoggedEvent) -> Option<FailureScope> {
    match &logged.event {
        WebhookEvent::Status(StatusUpdate { failure, .. }) => failure.as_ref().map(|failure| failure.scope()),
        WebhookEvent::Inbound(_)
        | WebhookEvent::UserIdChange(_)
        | WebhookEvent::OtherChannel { .. }
        | WebhookEvent::Unreadable { .. } => None,
    }
}

fn received(
    logged: &LoggedEvent,
    message: &InboundMessage,
    sender: Option<&SenderConfig>,
    now: Timestamp,
    randomness: &mut dyn FnMut() -> Randomness,
) -> Received {
    let (tenant, name, at) = (&logged.reference.tenant, &logged.reference.sender, logged.received_at);
    let id = event::received_id(tenant, name, &message.provider_message_id, at);
    let our_number = || sender.map(|sender| Address::Phone(sender.phone_number.clone()));
    let message = &InboundMessage { to: message.to.clone().or_else(our_number), ..message.clone() };
    let contacts = contacts(message);
    let keyword = opt_change(message, sender).map(|(change, text)| Keyword {
        change,
        text: text.to_owned(),
        event: event::keyword(tenant, name, change, text, message, at),
        // The provider that judged the keyword has answered it, too.
        reply: sender
            .filter(|sender| message.opt_change.is_none() && is_to(message, sender))
            .and_then(|sender| reply(logged, message, sender, change, id, now, randomness)),
    });
    Received {
        id,
        message: message.clone(),
        contacts,
        opens_window: sender.is_none_or(|sender| is_to(message, sender)),
        account: sender.map(|sender| sender.provider.account_key().to_owned()),
        event: event::received(tenant, name, id, message, at),
        keyword,
    }
}

/// Every address that the provider knows a message's author by.
pub(crate) fn contacts(message: &InboundMessage) -> Vec<Address> {
    let mut contacts = vec![message.from.clone()];
    contacts.extend(message.from_user_id.iter().filter(|id| **id != message.from).cloned());
    contacts
}

/// Whether a message was written to the sender's own number. An endpoint also hears what is written to numbers of its
/// pool that no sender of ours has.
fn is_to(message: &InboundMessage, sender: &SenderConfig) -> bool {
    let own = Address::Phone(sender.phone_number.canonical());
    message.to.as_ref().is_none_or(|to| to.canonical() == own)
}

/// Whether a message opts out or in, and by which words: the provider's verdict, else a keyword of the sender.
pub(crate) fn opt_change<'m>(
    message: &'m InboundMessage,
    sender: Option<&SenderConfig>,
) -> Option<(OptChange, &'m str)> {
    match message.opt_change {
        Some(change) => Some((change, message.content.words().next().unwrap_or_default())),
        None => opt_out::recognise(&sender?.opt_out, message.content.words()),
    }
}

/// The sender's answer to a keyword, where it has one and it would arrive while anybody expects it.
fn reply(
    logged: &LoggedEvent,
    message: &InboundMessage,
    sender: &SenderConfig,
    change: OptChange,
    id: MessageId,
    now: Timestamp,
    randomness: &mut dyn FnMut() -> Randomness,
) -> Option<NewMessage> {
    let text = match change {
        OptChange::Stop => sender.opt_out.stop_reply.as_ref(),
        OptChange::Start => sender.opt_out.start_reply.as_ref(),
    }?;
    let expires_at = after(logged.received_at, REPLY_WITHIN.min(window::LENGTH));
    if expires_at <= now {
        return None;
    }
    Some(NewMessage {
        id: MessageId::new(now, &randomness()),
        tenant: logged.reference.tenant.clone(),
        route: Route::direct(logged.reference.sender.clone()),
        from: Some(sender.phone_number.clone()),
        to: message.from.clone(),
        content: OutboundContent::Text { body: text.clone() },
        purpose: Purpose::KeywordReply,
        priority: Priority::Utility,
        served_language: None,
        reply_to: Some(ReplyTo { id, quotes: None }),
        metadata: BTreeMap::new(),
        on_unconfirmed: OnUnconfirmed::Fail,
        created_at: now,
        scheduled_at: None,
        expires_at: Some(expires_at),
    })
}

#[cfg(test)]
mod tests {
    use messaging::content::InboundContent;
    use messaging::failure::{Failure, FailureClass};
    use messaging::id::{SenderName, TenantId};

    use super::*;
    use crate::store::webhook::LoggedEventRef;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + seconds).unwrap()
    }

    fn logged(event: WebhookEvent) -> LoggedEvent {
        LoggedEvent {
            reference: LoggedEventRef {
                tenant: TenantId::new("shop").unwrap(),
                sender: SenderName::new("support").unwrap(),
                dedupe_key: "in:SM1".into(),
                webhook: "whk_1".into(),
                position: 0,
            },
            received_at: at(0),
            event,
            tries: 0,
        }
    }

    fn failed(class: FailureClass) -> LoggedEvent {
        logged(WebhookEvent::Status(StatusUpdate {
            provider_message_id: "SM1".into(),
            attempt: None,
            status: messaging::lifecycle::MessageStatus::Failed,
            failure: Some(Failure::new(class, "invalid").with_code("63024")),
            extra: BTreeMap::new(),
        }))
    }

    fn says(text: &str) -> LoggedEvent {
        logged(WebhookEvent::Inbound(InboundMessage {
            provider_message_id: "SM1".into(),
            from: "+447700900123".parse().unwrap(),
            from_user_id: Some("GB.1a2b".parse().unwrap()),
            to: None,
            profile_name: None,
            content: InboundContent::Text { body: text.into() },
            opt_change: None,
            said_at: None,
            in_reply_to: None,
            extra: BTreeMap::new(),
        }))
    }

    fn config() -> SenderConfig {
        let mut config: SenderConfig = serde_json::from_value(serde_json::json!({
            "phoneNumber": "+14155238886",
            "provider": {"twilio": {"accountSid": "AC1", "username": "AC1", "password": "p", "webhookKeys": ["k"]}},
        }))
        .unwrap();
        config.opt_out.stop_reply = Some("You will hear nothing more.".into());
        config
    }

    fn received_of(logged: &LoggedEvent, config: Option<&SenderConfig>, now: Timestamp) -> Received {
        match of(logged, config, now, at(3600), 0.5, &mut || [7; 10]) {
            Consequence::Received(received) => *received,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_window_opens_under_every_address_of_the_customer() {
        let contacts = received_of(&says("hello"), Some(&config()), at(1)).contacts;
        assert_eq!(contacts.iter().map(Address::as_str).collect::<Vec<_>>(), ["+447700900123", "GB.1a2b"]);
    }

    #[test]
    fn the_window_opens_for_the_number_that_was_written_to() {
        let opens = |to: Option<&str>, number: &str| {
            let WebhookEvent::Inbound(message) = says("hello").event else { unreachable!() };
            let to = to.map(|to| to.parse().unwrap());
            let config = SenderConfig { phone_number: number.parse().unwrap(), ..config() };
            let logged = logged(WebhookEvent::Inbound(InboundMessage { to, ..message }));
            received_of(&logged, Some(&config), at(1)).opens_window
        };
        assert!(opens(None, "+14155238886"), "the endpoint's own");
        assert!(opens(Some("+14155238886"), "+14155238886"));
        assert!(opens(Some("+5215512345678"), "+525512345678"), "in another spelling");
        assert!(!opens(Some("+14155238889"), "+14155238886"), "another number of the pool");
    }

    #[test]
    fn applying_the_same_event_again_tells_of_it_under_the_same_ids() {
        let (first, again) =
            (received_of(&says("stop"), Some(&config()), at(1)), received_of(&says("stop"), Some(&config()), at(900)));
        assert_eq!((first.id, first.event.id), (again.id, again.event.id));
        assert_eq!(first.keyword.unwrap().event, again.keyword.unwrap().event);
    }

    #[test]
    fn a_keyword_is_answered_while_the_answer_is_expected() {
        let keyword = |now| received_of(&says(" Stop "), Some(&config()), now).keyword.unwrap();
        let reply = keyword(at(1)).reply.unwrap();
        assert_eq!(reply.purpose, Purpose::KeywordReply);
        assert_eq!(reply.content, OutboundContent::Text { body: "You will hear nothing more.".into() });
        assert!(keyword(at(3600)).reply.is_none(), "too late");
        assert!(
            received_of(&says("start"), Some(&config()), at(1)).keyword.unwrap().reply.is_none(),
            "none configured"
        );
        assert!(received_of(&says("stop"), None, at(1)).keyword.is_none(), "a sender that is gone has no keywords");
    }

    #[test]
    fn a_status_suppresses_when_its_failure_says_that_the_recipient_does_not_want_it() {
        for (class, suppresses) in [(FailureClass::Suppress, true), (FailureClass::Template, false)] {
            match of(&failed(class), None, at(0), at(3600), 0.5, &mut || [0; 10]) {
                Consequence::Status { suppress, .. } => assert_eq!(suppress.is_some(), suppresses, "{class:?}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
