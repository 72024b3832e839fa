//! Stored times that lie further ahead than they may, because a clock that was ahead has set them.

use jiff::Timestamp;

/// A time that is stored to be compared with the present. A time that a person chose is none of them: when a message is
/// scheduled for, when it expires, and until when a person holds something; nor is the end of a hold on a sink that is
/// gone, which has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoredTime {
    /// When a message that is not scheduled may first be claimed.
    MessageAccepted,
    /// When the claim of a message ends.
    MessageClaimed,
    /// When a message that was given back may be claimed again.
    MessageDeferred,
    /// When the claim of an unsettled message ends.
    UnsettledClaimed,
    /// When the provider is asked about an unsettled message.
    UnsettledDeferred,
    /// When the first try to publish an event may begin.
    EventReady,
    /// When the claim of an event ends.
    EventClaimed,
    /// When an event is tried again.
    EventDeferred,
    /// When a logged event that was not applied may be claimed.
    LoggedEvent,
    /// Until when a worker has stopped a sender.
    Breaker,
    /// Until when a worker lets a template, or a sender's conversations, rest.
    Rest,
    /// When an account may be swept again.
    SweepDue,
    /// How far an account's log was read.
    SweptUntil,
}

impl StoredTime {
    pub const ALL: [Self; 13] = [
        Self::MessageAccepted,
        Self::MessageClaimed,
        Self::MessageDeferred,
        Self::UnsettledClaimed,
        Self::UnsettledDeferred,
        Self::EventReady,
        Self::EventClaimed,
        Self::EventDeferred,
        Self::LoggedEvent,
        Self::Breaker,
        Self::Rest,
        Self::SweepDue,
        Self::SweptUntil,
    ];
}

/// How far ahead a stored time may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    pub time: StoredTime,
    /// What lies beyond this is mended.
    pub latest: Timestamp,
    /// The time that it is set to. A scheduled message gets its own time, if that is later.
    pub mended: Timestamp,
}

/// Mends the times that lie beyond their bounds. Answers how many of each there were, without those of which there were
/// none.
#[derive(Debug, Clone)]
pub struct MendTimes(pub Vec<Bound>);
