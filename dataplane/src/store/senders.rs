//! The senders that configs have had, remembered after they leave every config.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use messaging::config::Retention;
use messaging::id::{MessageId, SenderName, TenantId};

use super::message::SinkId;

/// A sender of the present or the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSender {
    pub tenant: TenantId,
    pub sender: SenderName,
    /// That of its last config; `None` when it has been in none since senders are remembered.
    pub retention: Option<Retention>,
    /// Those of its last config; `None` when it has been in none since they are remembered.
    pub sinks: Option<Vec<SinkId>>,
    /// `None` while a config has it.
    pub absence: Option<Absence>,
}

/// A time in which no config had a sender, without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absence {
    pub since: Timestamp,
    /// When it was last seen to be absent.
    pub until: Timestamp,
}

impl Absence {
    /// Whether it has lasted for the whole grace.
    pub fn is_removal(&self, grace: Duration) -> bool {
        self.until.duration_since(self.since) >= SignedDuration::try_from(grace).unwrap_or(SignedDuration::MAX)
    }
}

/// Remembers what a replica sees of a sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSender {
    pub tenant: TenantId,
    pub sender: SenderName,
    pub seen: Seen,
    pub now: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A config has it.
    Configured { retention: Retention, sinks: Vec<SinkId> },
    /// No config has it.
    Absent,
    /// No config has it, and this replica may have no configs because their source is empty by mistake: that prolongs
    /// an absence, and does not begin one.
    Unsure,
}

/// Ends a queued message as canceled, if its sender is removed.
#[derive(Debug, Clone)]
pub struct CancelOfRemoved {
    pub tenant: TenantId,
    pub id: MessageId,
    pub grace: Duration,
    pub now: Timestamp,
}
