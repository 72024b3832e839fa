//! What must hold between the logs when everything has settled: a pure function, from what each side wrote down to what
//! was broken.

mod opt_out;
mod publication;
mod sending;
#[cfg(test)]
mod tests;
mod webhooks;

use std::collections::BTreeMap;
use std::fmt;

use messaging::lifecycle::MessageStatus;

pub use self::opt_out::asked_in_vain;
pub use self::sending::times_resent;
use crate::logs::Logs;

/// A promise that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Broken {
    /// A webhook was answered with 2xx, and no application heard of it.
    AcknowledgedButNotPublished,
    /// A webhook was answered with 2xx, and the database does not hold its message exactly once.
    AcknowledgedButNotStoredOnce,
    /// A status was acknowledged, and its message does not show it.
    AcknowledgedStatusWithoutEffect,
    /// One thing that happened was told under several ids.
    PublishedUnderSeveralIds,
    /// An application heard of what never happened.
    PublishedButNeverHappened,
    /// One id, several bodies.
    EventChanged,
    /// An event reached another tenant's application.
    ReachedAnotherTenant,
    /// A message's statuses arrived in an order that they cannot have had.
    StatusOutOfOrder,
    /// A message reached a status that its application was not told of.
    StatusNotPublished,
    /// A client repeated its request until the end and never got an answer that decides.
    NeverAnswered,
    /// A 202 whose message does not exist.
    AcceptedButNotStored,
    /// One key stands for several messages.
    KeyHasSeveralMessages,
    /// A message that nobody asked for.
    StoredButNeverAsked,
    /// The provider has several messages where one was asked for.
    SentTwice,
    /// A message was handed over again while it was not known what became of it, and nobody had asked for that.
    SentAgainUnasked,
    /// A message was given up although it was to be sent again rather than be lost.
    GivenUpInsteadOfResent,
    /// The provider has a message with another template than the one that was asked for, or with none, or with any.
    SentOtherContent,
    /// The provider has a message to somebody who had opted out.
    SentAlthoughOptedOut,
    /// A message to somebody who had opted in again was refused because of the opt-out before.
    RefusedAlthoughOptedIn,
    /// The provider has a message that was never accepted from a client.
    SentWithoutAcceptance,
    /// The provider has a message that was withdrawn in time.
    SentAlthoughCanceled,
    /// A message has not ended.
    NotTerminal,
    /// A message ended more than once.
    SeveralTerminalStates,
    /// A message ended without a reason that a person can read.
    EndedWithoutReason,
    /// A message ended as the provider did not end it.
    ContradictsProvider,
    /// What must settle by itself settled only when the clocks were put forward, if then.
    StuckUntilClocksWereSet,
}

impl Broken {
    /// Whether waiting may still mend it. All else is final as soon as it is seen.
    pub fn may_pass(self) -> bool {
        matches!(
            self,
            Self::AcknowledgedButNotPublished
                | Self::AcknowledgedButNotStoredOnce
                | Self::AcknowledgedStatusWithoutEffect
                | Self::StatusNotPublished
                | Self::NotTerminal
        )
    }
}

/// What a broken promise is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// A client's idempotency key.
    Key(String),
    /// The data plane's id of a message.
    Message(String),
    /// The provider's id of a message.
    Sid(String),
    Event(String),
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => write!(f, "idempotency key {id}"),
            Self::Message(id) => write!(f, "message {id}"),
            Self::Sid(id) => write!(f, "the provider's message {id}"),
            Self::Event(id) => write!(f, "event {id}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub broken: Broken,
    pub tenant: String,
    pub about: About,
    pub detail: String,
}

impl Violation {
    pub(crate) fn new(broken: Broken, tenant: &str, about: About, detail: impl Into<String>) -> Self {
        Self { broken, tenant: tenant.to_owned(), about, detail: detail.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {} of tenant {}: {}", self.broken, self.about, self.tenant, self.detail)
    }
}

/// Everything that is broken; empty when all is well.
pub fn judge(logs: &Logs) -> Vec<Violation> {
    let mut violations = webhooks::judge(logs);
    violations.extend(publication::judge(logs));
    violations.extend(sending::judge(logs));
    violations.extend(opt_out::judge(logs));
    violations
}

/// What a provider's status means to us; `None` for words that say nothing yet.
fn meaning(provider_status: &str) -> Option<MessageStatus> {
    match provider_status {
        "sent" => Some(MessageStatus::Sent),
        "delivered" => Some(MessageStatus::Delivered),
        "read" => Some(MessageStatus::Read),
        "failed" | "undelivered" => Some(MessageStatus::Failed),
        _ => None,
    }
}

/// Groups by tenant and something else.
fn by<'a, T>(items: &'a [T], key: impl Fn(&'a T) -> (&'a str, &'a str)) -> BTreeMap<(&'a str, &'a str), Vec<&'a T>> {
    let mut groups: BTreeMap<_, Vec<&T>> = BTreeMap::new();
    for item in items {
        groups.entry(key(item)).or_default().push(item);
    }
    groups
}
