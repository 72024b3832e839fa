//! How messages and contacts are shown to tenants.

use std::collections::BTreeMap;

use jiff::Timestamp;
use messaging::address::{Address, PhoneNumber};
use messaging::contact::{ConsentRecord, Lift};
use messaging::content::{InboundContent, OutboundContent};
use messaging::id::{MessageId, SenderName};
use messaging::lifecycle::MessageStatus;
use messaging::provider::InboundMessage;
use messaging::routing::Route;
use messaging::window::Window;
use serde::Serialize;
use utoipa::ToSchema;

use crate::schema;
use crate::store::contact::{Contact, LinkedAddress, Revocation};
use crate::store::message::{Message, MessageRecord, OnUnconfirmed, Reason, ReceivedMessage, TimelineEntry};

/// A message.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Message)]
pub(super) struct MessageView {
    #[schema(value_type = schema::MessageId)]
    id: MessageId,
    /// The latest status. Acceptance is not delivery: `queued`, `submitted`, `unconfirmed`, `accepted` and `sent` may
    /// all still fail.
    #[schema(value_type = schema::Status)]
    status: MessageStatus,
    /// Why it has this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[schema(value_type = schema::Address)]
    to: Address,
    /// The sender whose credentials, limits, window and suppressions apply.
    #[schema(value_type = schema::SenderName)]
    sender: SenderName,
    /// The sender's number. A Messaging Service may pick another of its numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::PhoneNumber>)]
    from: Option<PhoneNumber>,
    /// The Messaging Service that it leaves through.
    #[serde(skip_serializing_if = "Option::is_none")]
    messaging_service_sid: Option<String>,
    /// `template`, `text` or `media`, as requested; absent once retention has removed it.
    #[serde(flatten)]
    #[schema(value_type = super::bodies::Content)]
    content: Option<OutboundContent>,
    /// The template's language that is sent, where it has none that was asked for, or WhatsApp has not approved that.
    #[serde(skip_serializing_if = "Option::is_none")]
    served_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::MessageId>)]
    reply_to: Option<MessageId>,
    /// With `replyTo`: whether the contact sees that message quoted. Not every provider can quote.
    #[serde(skip_serializing_if = "Option::is_none")]
    quoted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    /// What happens if the outcome of an attempt stays unknown.
    on_unconfirmed: OnUnconfirmed,
    /// The provider's id, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_message_id: Option<String>,
    /// How often it was handed to the provider.
    attempts: u32,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// The status that it had ended with before later proof corrected it, such as `failed` of a message that was
    /// delivered after all; absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Status>)]
    corrected_from: Option<MessageStatus>,
    /// Every status that it reached, oldest first; absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<Vec<TimelineEntry>>,
}

impl From<Message> for MessageView {
    fn from(message: Message) -> Self {
        let Message {
            id,
            tenant: _,
            route: Route { sender, via },
            from,
            to,
            content,
            purpose: _,
            priority: _,
            reply_to,
            served_language,
            metadata,
            on_unconfirmed,
            status,
            reason,
            provider_message_id,
            attempt: _,
            attempts,
            created_at,
            updated_at,
            scheduled_at,
            expires_at,
        } = message;
        Self {
            id,
            status,
            reason,
            to,
            sender,
            from,
            messaging_service_sid: via.map(|pool| pool.to_string()),
            content,
            served_language,
            quoted: reply_to.as_ref().map(|reply_to| reply_to.quotes.is_some()),
            reply_to: reply_to.map(|reply_to| reply_to.id),
            schedule_at: scheduled_at,
            expires_at,
            metadata,
            on_unconfirmed,
            provider_message_id,
            attempts,
            created_at,
            updated_at,
            corrected_from: None,
            timeline: None,
        }
    }
}

impl From<MessageRecord> for MessageView {
    fn from(record: MessageRecord) -> Self {
        let statuses = || record.timeline.iter().map(|entry| entry.status);
        let steps = statuses().zip(statuses().skip(1));
        let corrected_from =
            steps.filter(|(ended, then)| ended.is_corrected_by(*then)).map(|(ended, _)| ended).next_back();
        let message = Self::from(record.message);
        let mut timeline = record.timeline;
        for entry in timeline.iter_mut().filter(|entry| entry.status == MessageStatus::Submitted) {
            entry.quoted = message.quoted;
        }
        Self { corrected_from, timeline: Some(timeline), ..message }
    }
}

/// A message that was sent or received.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = AnyMessage)]
pub(super) enum ReadView {
    Sent(Box<MessageView>),
    Received(Box<ReceivedView>),
}

/// A message that a contact sent. What it says is there as long as bodies are kept.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReceivedMessage)]
pub(super) struct ReceivedView {
    #[schema(value_type = schema::MessageId)]
    id: MessageId,
    direction: Direction,
    /// The sender that was written to.
    #[schema(value_type = schema::SenderName)]
    sender: SenderName,
    /// The contact.
    #[schema(value_type = schema::Address)]
    from: Address,
    /// The contact's business-scoped user id, where the provider reported both.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Address>)]
    from_user_id: Option<Address>,
    /// Our number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Address>)]
    to: Option<Address>,
    /// The name that the contact has given themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    profile_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::InboundContent>)]
    content: Option<InboundContent>,
    /// The message that this one answers, sent or received; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::MessageId>)]
    in_reply_to: Option<MessageId>,
    /// The provider's id of the message that this one answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_reply_to_provider_message_id: Option<String>,
    provider_message_id: String,
    received_at: Timestamp,
    /// Every other field of the webhook.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extra: BTreeMap<String, String>,
}

/// Which way a message went.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum Direction {
    Inbound,
}

impl ReceivedView {
    pub(super) fn of(message: ReceivedMessage, said: Option<InboundMessage>, in_reply_to: Option<MessageId>) -> Self {
        let ReceivedMessage { id, sender, contact, provider_message_id, received_at, webhook: _ } = message;
        let mut view = Self {
            id,
            direction: Direction::Inbound,
            sender,
            from: contact,
            from_user_id: None,
            to: None,
            profile_name: None,
            content: None,
            in_reply_to,
            in_reply_to_provider_message_id: None,
            provider_message_id,
            received_at,
            extra: BTreeMap::new(),
        };
        if let Some(said) = said {
            view.from_user_id = said.from_user_id;
            view.to = said.to;
            view.profile_name = said.profile_name;
            view.content = Some(said.content);
            view.in_reply_to_provider_message_id = said.in_reply_to;
            view.extra = said.extra;
        }
        view
    }
}

/// A page of messages, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageList {
    pub(super) items: Vec<MessageView>,
    /// The `cursor` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_cursor: Option<String>,
}

/// A contact of one sender.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Contact)]
pub(super) struct ContactView {
    #[schema(value_type = schema::Address)]
    address: Address,
    #[schema(value_type = schema::SenderName)]
    sender: SenderName,
    window: WindowView,
    #[serde(skip_serializing_if = "Option::is_none")]
    consent: Option<ConsentView>,
    /// While present, nothing is sent to the contact.
    #[serde(skip_serializing_if = "Option::is_none")]
    suppression: Option<SuppressionView>,
    /// The latest decision of the tenant to lift suppressions.
    #[serde(skip_serializing_if = "Option::is_none")]
    lifted: Option<LiftView>,
    /// Addresses that were seen together with this one, newest first. What is known of them counts here, and what is
    /// known of this one counts there, unless the number has passed to somebody else or the link is revoked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<LinkView>,
}

/// An address that was seen together with the contact's: a number and a business-scoped id that one webhook named, or
/// two ids that the provider gave one person one after the other.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Link)]
struct LinkView {
    #[schema(value_type = schema::Address)]
    address: Address,
    /// The provider account whose id one of the two is.
    account: String,
    /// When they were first seen together.
    since: Timestamp,
    last_seen: Timestamp,
    /// When the number passed to somebody with another id.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    /// While present, the two do not count as one person's.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<RevocationView>,
}

/// A decision that two addresses are not one person's.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Revocation)]
struct RevocationView {
    at: Timestamp,
    /// The person or program that decided.
    by: String,
    reason: String,
}

impl From<LinkedAddress> for LinkView {
    fn from(linked: LinkedAddress) -> Self {
        let LinkedAddress { address, account, first_seen, last_seen, until, revoked } = linked;
        let revoked = revoked.map(|Revocation { at, by, reason }| RevocationView { at, by, reason });
        Self { address, account, since: first_seen, last_seen, until, revoked }
    }
}

/// The 24-hour window, in which free-form messages may be sent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Window)]
struct WindowView {
    open: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    closes_at: Option<Timestamp>,
    /// When the contact last wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_inbound_at: Option<Timestamp>,
}

/// What the contact agreed to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Consent)]
pub(super) struct ConsentView {
    #[schema(value_type = schema::ConsentStatus)]
    status: messaging::contact::ConsentStatus,
    recorded_at: Timestamp,
    #[schema(value_type = super::bodies::EvidenceBody)]
    evidence: messaging::contact::Evidence,
}

impl From<ConsentRecord> for ConsentView {
    fn from(record: ConsentRecord) -> Self {
        let ConsentRecord { status, recorded_at, evidence } = record;
        Self { status, recorded_at, evidence }
    }
}

/// Why nothing is sent to a contact.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Suppression)]
struct SuppressionView {
    #[schema(value_type = schema::SuppressionReason)]
    reason: messaging::contact::SuppressionReason,
    /// When the reason was last given.
    at: Timestamp,
    detail: String,
}

/// A decision that a contact may be written to again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Lift)]
struct LiftView {
    at: Timestamp,
    /// The person or program that decided.
    by: String,
    reason: String,
}

impl ContactView {
    pub(super) fn new(
        address: Address,
        sender: SenderName,
        contact: Contact,
        links: Vec<LinkedAddress>,
        now: Timestamp,
    ) -> Self {
        let state = contact.state;
        let window = Window::at(state.last_inbound_at, now);
        let suppression = state.suppression(now);
        let lifted =
            state.lift().map(|Lift { at, by, reason }| LiftView { at: *at, by: by.clone(), reason: reason.clone() });
        Self {
            address,
            sender,
            window: WindowView {
                open: window.is_open(),
                closes_at: window.closes_at(),
                last_inbound_at: state.last_inbound_at,
            },
            consent: state.consent.map(ConsentView::from),
            suppression: suppression.map(|s| SuppressionView { reason: s.reason, at: s.at, detail: s.detail }),
            lifted,
            links: links.into_iter().map(LinkView::from).collect(),
        }
    }
}
