//! Webhooks as they came, the events in them, and what follows from an event.

use std::time::Duration;

use jiff::Timestamp;
use messaging::address::Address;
use messaging::id::{SenderName, TenantId};
use messaging::provider::webhook::{EndpointId, WebhookRoute};
use messaging::provider::{StatusUpdate, WebhookEvent};
use uuid::fmt::Simple;

/// The replica that records an event applies it at once. An event that is not applied within this time may be claimed
/// by any replica.
pub const APPLIED_WITHIN: Duration = Duration::from_secs(10);

/// One request to an endpoint, whose signature has been verified. All of it is committed together.
#[derive(Debug, Clone, Default)]
pub struct RecordRequest {
    /// Its parts, each under its own tenant.
    pub webhooks: Vec<RecordWebhook>,
    /// Parts that no configured sender is the addressee of.
    pub unaddressed: Vec<UnaddressedPart>,
}

impl From<RecordWebhook> for RecordRequest {
    fn from(webhook: RecordWebhook) -> Self {
        Self { webhooks: vec![webhook], unaddressed: Vec::new() }
    }
}

/// A part of a signed request that no configured sender is the addressee of. It belongs to no tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnaddressedPart {
    /// Unique; sorts by time.
    pub id: String,
    pub received_at: Timestamp,
    pub endpoint: EndpointId,
    pub route: WebhookRoute,
    pub url: String,
    /// The request's headers as JSON, credentials left out.
    pub headers: String,
    /// The part alone, byte for byte.
    pub body: bytes::Bytes,
}

/// One part of a verified request, for one sender.
#[derive(Debug, Clone)]
pub struct RecordWebhook {
    pub tenant: TenantId,
    pub sender: SenderName,
    /// Unique within the tenant; sorts by time.
    pub id: String,
    pub received_at: Timestamp,
    pub url: String,
    /// By which route it came.
    pub route: WebhookRoute,
    /// The request's headers as JSON, credentials left out.
    pub headers: String,
    /// Byte for byte.
    pub body: bytes::Bytes,
    /// What each of its events is known by, so that it is taken once: see [`dedupe_keys`].
    pub dedupe_keys: Vec<String>,
    /// When any replica may apply the events: at once, or when the one that records them has not for so long.
    pub left_to_others_at: Timestamp,
}

/// An id for a new webhook. Sorts by the time of its making, so that the log grows at its end.
pub fn webhook_id(now: Timestamp) -> String {
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
    let id = uuid::Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid();
    ["whk_", id.simple().encode_lower(&mut [0; Simple::LENGTH])].concat()
}

/// What each event of a webhook is known by.
pub fn dedupe_keys(events: &[WebhookEvent]) -> Vec<String> {
    events.iter().map(dedupe_key).collect()
}

/// What an event is known by.
///
/// A status that names its attempt is a different event from the same status without one: where the other came first
/// and waits for a message that is not known yet, this one finds it. Statuses merge, so both may take effect.
pub fn dedupe_key(event: &WebhookEvent) -> String {
    match event {
        WebhookEvent::Status(StatusUpdate { attempt: Some(attempt), .. }) => {
            format!("{}:{attempt}", event.dedupe_key())
        }
        WebhookEvent::Inbound(_)
        | WebhookEvent::Status(_)
        | WebhookEvent::UserIdChange(_)
        | WebhookEvent::OtherChannel { .. }
        | WebhookEvent::Unreadable { .. } => event.dedupe_key(),
    }
}

/// Suppresses the author of a recorded stop keyword, unless it has taken effect already.
#[derive(Debug, Clone)]
pub struct HearStop {
    pub tenant: TenantId,
    pub sender: SenderName,
    pub dedupe_key: String,
    /// When its webhook came.
    pub received_at: Timestamp,
    /// When it was said, where the provider tells.
    pub said_at: Option<Timestamp>,
    /// Every address that the provider knows the author by.
    pub contacts: Vec<Address>,
    pub keyword: String,
    /// What the author said to these counts as well.
    pub others_in_pool: Vec<SenderName>,
}

/// Which events of a webhook were new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// One for each event, in their order.
    pub new: Vec<bool>,
}

impl Recorded {
    /// Whether there was nothing new in it.
    pub fn is_duplicate(&self) -> bool {
        !self.new.is_empty() && self.new.iter().all(|new| !new)
    }
}

/// Names an event of the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LoggedEventRef {
    pub tenant: TenantId,
    pub sender: SenderName,
    /// What it is known by: see [`dedupe_key`].
    pub dedupe_key: String,
    /// The webhook that brought it first.
    pub webhook: String,
    /// Its place in the webhook.
    pub position: u32,
}

/// An event of the log that has not taken effect.
#[derive(Debug, Clone)]
pub struct LoggedEvent {
    pub reference: LoggedEventRef,
    pub received_at: Timestamp,
    pub event: WebhookEvent,
    /// How often applying it has failed.
    pub tries: u32,
}

/// An event of the log that was not applied in time, with the webhook that it is in.
#[derive(Debug, Clone)]
pub struct WaitingEvent {
    pub reference: LoggedEventRef,
    pub received_at: Timestamp,
    /// `None` once retention has removed it.
    pub webhook: Option<StoredWebhook>,
    /// How often applying it has failed.
    pub tries: u32,
}

/// Claims events that were recorded and not applied in time.
#[derive(Debug, Clone)]
pub struct ClaimUnapplied {
    pub now: Timestamp,
    /// No other replica claims them before this.
    pub lease_until: Timestamp,
    pub limit: u32,
}

/// Which webhooks of the log to read again. Every condition that is given must hold.
#[derive(Debug, Clone)]
pub struct ReplayFilter {
    pub tenant: TenantId,
    pub sender: SenderName,
    /// Received at this time or later.
    pub since: Option<Timestamp>,
    /// Received before this time.
    pub until: Option<Timestamp>,
    /// Behind this one, which is the last of the page before: when it was received, and its id.
    pub after: Option<(Timestamp, String)>,
    pub limit: u32,
}

/// A webhook as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredWebhook {
    pub tenant: TenantId,
    pub sender: SenderName,
    pub id: String,
    pub received_at: Timestamp,
    pub url: String,
    /// By which route it came.
    pub route: WebhookRoute,
    /// The request's headers as JSON, credentials left out.
    pub headers: String,
    /// Byte for byte.
    pub body: bytes::Bytes,
}

/// Gives up events of the log that can never be applied. Their webhooks stay, so that a replay can bring them back.
#[derive(Debug, Clone, Copy)]
pub struct GiveUpEvents {
    /// Those that came before this, and
    pub received_before: Timestamp,
    /// that applying has failed for at least this often.
    pub tries: u32,
}

/// An event that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    pub tenant: TenantId,
    pub sender: SenderName,
    /// The webhook that it is in.
    pub webhook: String,
    pub received_at: Timestamp,
}

/// What became of making a day of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayMade {
    Made,
    WasThere,
    /// The log already holds webhooks of that day in the default partition; they leave one by one.
    Taken,
    /// This database does not keep days apart.
    NotApart,
}

/// One bounded step of retention for one sender.
#[derive(Debug, Clone)]
pub struct Forget {
    pub tenant: TenantId,
    pub sender: SenderName,
    /// Raw webhooks from before this go.
    pub webhooks_before: Timestamp,
    /// Message bodies, and dead letters, from before this go.
    pub bodies_before: Timestamp,
    /// Everything else of messages that ended before this goes.
    pub metadata_before: Timestamp,
    /// Statuses from before this go, if their message has not become known.
    pub parked_before: Timestamp,
    /// At most this many rows of each table in one step.
    pub limit: u32,
}

/// One bounded step of forgetting a removed sender, besides [`Forget`].
#[derive(Debug, Clone)]
pub struct ForgetRemoved {
    pub tenant: TenantId,
    pub sender: SenderName,
    /// What is known of people, and has not changed since, goes.
    pub before: Timestamp,
    /// Whether the tenant has other senders. What people told one of them not to do counts for them too, so it stays.
    pub others_are_left: bool,
    /// At most this many rows of each table in one step.
    pub limit: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_the_time_of_their_making() {
        let id = |second| webhook_id(Timestamp::new(second, 0).unwrap());
        assert!(id(1_700_000_000) < id(1_700_000_001));
        let id = id(1_700_000_000);
        assert!(id.len() == 36 && id.starts_with("whk_018bcfe5") && id != webhook_id(Timestamp::UNIX_EPOCH), "{id}");
    }
}
