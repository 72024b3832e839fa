//! Events that wait to be published to a tenant's sinks, in order for each message (or contact).

use jiff::Timestamp;
use messaging::id::{EventId, SenderName, TenantId};

use super::message::SinkId;

/// A sink that events wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxLane {
    pub tenant: TenantId,
    pub sender: SenderName,
    pub sink: SinkId,
    /// When the next of its events may be claimed.
    pub next_at: Timestamp,
}

/// Claims events for one sink.
#[derive(Debug, Clone)]
pub struct ClaimEvents {
    pub tenant: TenantId,
    pub sender: SenderName,
    pub sink: SinkId,
    pub now: Timestamp,
    pub owner: String,
    pub lease_until: Timestamp,
    pub limit: u32,
}

/// Proves that one holds an event for a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRef {
    pub tenant: TenantId,
    pub sender: SenderName,
    pub sink: SinkId,
    pub event: EventId,
    pub fence: i64,
}

/// An event that this replica holds for a sink.
#[derive(Debug, Clone)]
pub struct EventClaim {
    pub reference: EventRef,
    /// The CloudEvent in JSON, the same bytes at every delivery.
    pub body: bytes::Bytes,
    /// How often it has been tried before.
    pub tries: u32,
    pub created_at: Timestamp,
}

/// The event is to be tried again.
#[derive(Debug, Clone)]
pub struct DeferEvent {
    pub event: EventRef,
    pub until: Timestamp,
    /// Why, when it was tried; `None` gives it back untried.
    pub error: Option<String>,
}

/// The event will not be delivered.
#[derive(Debug, Clone)]
pub struct EndEvent {
    pub event: EventRef,
    pub now: Timestamp,
    pub error: String,
    /// Whether it is kept as a dead letter, or dropped because its sink is gone.
    pub keep: bool,
}

/// What waits to be published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    pub waiting: u64,
    pub dead: u64,
    pub oldest_created_at: Option<Timestamp>,
}

/// Which dead letters to list. Every condition that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct DeadEventFilter {
    pub sender: Option<SenderName>,
    pub sink: Option<SinkId>,
    pub event: Option<EventId>,
    /// Behind this one: the last of the page before. One event may be dead for several sinks.
    pub after: Option<(EventId, SinkId)>,
    pub limit: u32,
}

/// An event that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadEvent {
    pub sender: SenderName,
    pub sink: SinkId,
    pub event: EventId,
    /// The message or contact that it is about.
    pub subject: String,
    /// The CloudEvent in JSON.
    pub body: String,
    pub created_at: Timestamp,
    pub dead_at: Timestamp,
    pub tries: u32,
    pub last_error: String,
}

/// Moves events that wait under a sink's address to the name that the sink is known by since: in their order, and
/// before those that wait under the name. Of a subject that another replica is delivering an event of, nothing is moved
/// yet.
#[derive(Debug, Clone)]
pub struct TakeOver {
    pub tenant: TenantId,
    pub sender: SenderName,
    pub address: SinkId,
    pub name: SinkId,
    pub now: Timestamp,
    /// At most so many subjects at once.
    pub limit: u32,
}

/// Sends a dead letter on its way again, from the first try on.
#[derive(Debug, Clone)]
pub struct RedriveEvent {
    pub tenant: TenantId,
    pub sender: SenderName,
    pub sink: SinkId,
    pub event: EventId,
    pub now: Timestamp,
}
