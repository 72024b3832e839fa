//! What must not go on for now: a tenant, one of its senders, a template or a sink.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use messaging::id::{SenderName, TenantId};
use serde::Serialize;

use super::message::SinkId;

/// What is held.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    Tenant,
    Sender(SenderName),
    /// By the provider's handle.
    Template(String),
    /// What starts conversations through the sender: templates outside the 24-hour window, except authentication.
    Conversations(SenderName),
    Sink(SenderName, SinkId),
}

/// Why it is held, and what that means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HoldKind {
    /// A person has paused it: messages are accepted and wait.
    Pause,
    /// A person drains it: new messages are refused, those in the queue are sent.
    Drain,
    /// It failed for every message; it is tried again when its time is over.
    Breaker,
    /// The sink answered 410: nothing goes there until its configuration changes or a person lifts it.
    Gone,
}

impl HoldKind {
    pub const ALL: [Self; 4] = [Self::Pause, Self::Drain, Self::Breaker, Self::Gone];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Drain => "drain",
            Self::Breaker => "breaker",
            Self::Gone => "gone",
        }
    }
}

/// A stop on something until a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    pub tenant: TenantId,
    pub scope: Scope,
    pub kind: HoldKind,
    /// [`Timestamp::MAX`]: until a person lifts it.
    pub until: Timestamp,
    /// A sentence for a person.
    pub reason: String,
    pub created_at: Timestamp,
}

impl Hold {
    /// Whether only a person ends it.
    pub fn lasts_until_lifted(&self) -> bool {
        // Stores keep microseconds.
        self.until.as_microsecond() == Timestamp::MAX.as_microsecond()
    }
}

impl HoldKind {
    /// Whether a person put it, so that their newest word counts.
    pub fn is_of_a_person(self) -> bool {
        match self {
            Self::Pause | Self::Drain => true,
            Self::Breaker | Self::Gone => false,
        }
    }
}

/// Holds something. What a person held before is replaced; of what workers held, the longer stays.
#[derive(Debug, Clone)]
pub struct PutHold {
    pub hold: Hold,
}

/// Lets it go on.
#[derive(Debug, Clone)]
pub struct LiftHold {
    pub tenant: TenantId,
    pub scope: Scope,
    pub kind: HoldKind,
}

/// No provider's handle has a slash.
const CONVERSATIONS: &str = "conversations/";

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant => f.write_str("tenant"),
            Self::Sender(sender) => write!(f, "sender/{sender}"),
            // A replica of the version before takes it for a template that nothing uses.
            Self::Conversations(sender) => write!(f, "template/{CONVERSATIONS}{sender}"),
            Self::Template(handle) => write!(f, "template/{handle}"),
            Self::Sink(sender, sink) => write!(f, "sink/{sender}/{}", sink.as_str()),
        }
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a scope: expected tenant, sender/…, template/… or sink/…/…");
        if text == "tenant" {
            return Ok(Self::Tenant);
        }
        let (kind, rest) = text.split_once('/').ok_or_else(wrong)?;
        match kind {
            "sender" => Ok(Self::Sender(rest.parse().map_err(|_| wrong())?)),
            "template" => match rest.strip_prefix(CONVERSATIONS) {
                Some(sender) => Ok(Self::Conversations(sender.parse().map_err(|_| wrong())?)),
                None => Ok(Self::Template(rest.to_owned())),
            },
            "sink" => {
                let (sender, sink) = rest.split_once('/').ok_or_else(wrong)?;
                Ok(Self::Sink(sender.parse().map_err(|_| wrong())?, SinkId::new(sink)))
            }
            _ => Err(wrong()),
        }
    }
}

impl FromStr for HoldKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| format!("{text:?} is none of pause, drain, breaker, gone"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_survives_text() {
        let sender: SenderName = "support.eu".parse().unwrap();
        for scope in [
            Scope::Tenant,
            Scope::Sender(sender.clone()),
            Scope::Template("HX1".into()),
            Scope::Conversations(sender.clone()),
            Scope::Sink(sender, SinkId::new("https://app.example/events")),
        ] {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        assert!("senders/x".parse::<Scope>().is_err());
    }
}
