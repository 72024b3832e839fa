//! Checks what must hold between the logs when everything has settled: a pure function from the records of each side to
//! the violations.

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

/// A broken promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Broken {
    /// A webhook was answered with 2xx, and no application received its event.
    AcknowledgedButNotPublished,
    /// A webhook was answered with 2xx, and its message is not in the database exactly once.
    AcknowledgedButNotStoredOnce,
    /// A status was acknowledged, and its message does not show it.
    AcknowledgedStatusWithoutEffect,
    /// One occurrence was published under several ids.
    PublishedUnderSeveralIds,
    /// An application received an event for something that never happened.
    PublishedButNeverHappened,
    /// Several bodies were published under one id.
    EventChanged,
    /// An event reached another tenant's application.
    ReachedAnotherTenant,
    /// A message's statuses arrived in an impossible order.
    StatusOutOfOrder,
    /// A message reached a status for which its application received no event.
    StatusNotPublished,
    /// A client repeated its request until the end and never got a final response.
    NeverAnswered,
    /// A 202 whose message does not exist.
    AcceptedButNotStored,
    /// One idempotency key names several messages.
    KeyHasSeveralMessages,
    /// A message exists that no client requested.
    StoredButNeverAsked,
    /// The provider has several messages for one request.
    SentTwice,
    /// A message was sent again while its outcome was unknown, without `onUnconfirmed: resend`.
    SentAgainUnasked,
    /// A message with `onUnconfirmed: resend` was given up.
    GivenUpInsteadOfResent,
    /// The provider has a message with the wrong template, without its template, or with a template that was not
    /// requested.
    SentOtherContent,
    /// The provider has a message to a customer who had opted out.
    SentAlthoughOptedOut,
    /// A message to a customer who had opted in again was refused because of the earlier opt-out.
    RefusedAlthoughOptedIn,
    /// The provider has a message that the data plane never accepted from a client.
    SentWithoutAcceptance,
    /// The provider has a message that was canceled in time.
    SentAlthoughCanceled,
    /// A message has not ended.
    NotTerminal,
    /// A message ended more than once.
    SeveralTerminalStates,
    /// A message ended without a reason that a person can read.
    EndedWithoutReason,
    /// A message ended differently from the provider's own record.
    ContradictsProvider,
    /// What must settle by itself settled only after the clocks were put forward, or not at all.
    StuckUntilClocksWereSet,
}

impl Broken {
    /// Whether waiting may still resolve it. Any other violation is final as soon as it is seen.
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

/// The subject of a violation.
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

/// All violations; empty when every promise holds.
pub fn judge(logs: &Logs) -> Vec<Violation> {
    let mut violations = webhooks::judge(logs);
    violations.extend(publication::judge(logs));
    violations.extend(sending::judge(logs));
    violations.extend(opt_out::judge(logs));
    violations
}

/// Our status for a provider's; `None` for one without a counterpart.
fn meaning(provider_status: &str) -> Option<MessageStatus> {
    match provider_status {
        "sent" => Some(MessageStatus::Sent),
        "delivered" => Some(MessageStatus::Delivered),
        "read" => Some(MessageStatus::Read),
        "failed" | "undelivered" => Some(MessageStatus::Failed),
        _ => None,
    }
}

/// Groups by tenant and another key.
fn by<'a, T>(items: &'a [T], key: impl Fn(&'a T) -> (&'a str, &'a str)) -> BTreeMap<(&'a str, &'a str), Vec<&'a T>> {
    let mut groups: BTreeMap<_, Vec<&T>> = BTreeMap::new();
    for item in items {
        groups.entry(key(item)).or_default().push(item);
    }
    groups
}
