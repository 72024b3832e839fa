//! What each side recorded by itself: the clients, the provider, the tenants' applications, and the data plane.
//!
//! The logs are plain values, so that the [`oracle`](crate::oracle) is a function of them and nothing else.

use jiff::Timestamp;
use messaging::lifecycle::MessageStatus;
use messaging::opt_out::OptChange;

/// Everything that is compared.
#[derive(Debug, Clone, Default)]
pub struct Logs {
    pub asked: Vec<Asked>,
    pub provider: Vec<Outbound>,
    pub webhooks: Vec<Webhook>,
    pub keywords: Vec<Keyword>,
    /// In order of arrival at each application.
    pub received: Vec<Received>,
    pub stored: Vec<Stored>,
    /// The customers' messages in the database, if it can be queried: the tenant and the provider's id of each.
    pub stored_inbound: Option<Vec<(String, String)>>,
}

/// A client's request to send, under one idempotency key, and the responses to it.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    pub tenant: String,
    pub key: String,
    /// No other message has this text.
    pub text: String,
    pub to: String,
    /// Whom that address reaches.
    pub person: String,
    /// The handle of its template; `None` for free text.
    pub template: Option<String>,
    /// Whether it has `onUnconfirmed: resend`, so that it may reach the provider more than once.
    pub resends: bool,
    /// Whether its validity is short.
    pub expires: bool,
    /// The time before the first request.
    pub asked_at: Timestamp,
    pub answers: Vec<Answer>,
    /// The responses to its cancellation; `None` for a request without a response.
    pub withdrawals: Vec<Option<u16>>,
}

/// One answer to one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    pub replica: String,
    /// Absent if no response came.
    pub status: Option<u16>,
    /// The message's id, in a 202.
    pub message: Option<String>,
    /// The rest of the response.
    pub words: String,
    /// When it came, or when the client stopped waiting.
    pub at: Timestamp,
}

/// A message that the provider accepted.
#[derive(Debug, Clone, Default)]
pub struct Outbound {
    pub tenant: String,
    pub sid: String,
    pub text: String,
    /// The handle of its template.
    pub template: Option<String>,
    pub taken_at: Timestamp,
    /// Our attempt id, from the callback URL that came with it.
    pub attempt: Option<String>,
    /// Its statuses in order, in the provider's words.
    pub statuses: Vec<String>,
}

/// A webhook that the provider sent, or that was sent in its name.
#[derive(Debug, Clone, Default)]
pub struct Webhook {
    pub tenant: String,
    pub sid: String,
    /// `received` for a customer's message; otherwise the status that it reports, in the provider's words.
    pub reports: String,
    /// The response to every attempt and copy; `None` if none came.
    pub answers: Vec<Option<u16>>,
    /// The provider's deliberate fault.
    pub faults: Vec<String>,
}

impl Webhook {
    pub fn is_inbound(&self) -> bool {
        self.reports == "received"
    }

    pub fn was_acknowledged(&self) -> bool {
        self.answers.iter().flatten().any(|status| (200..300).contains(status))
    }
}

/// A customer opts out, or in again.
#[derive(Debug, Clone)]
pub struct Keyword {
    pub tenant: String,
    /// Whoever wrote it, from whichever of their addresses.
    pub person: String,
    pub change: OptChange,
    /// The provider's id of the keyword's message.
    pub sid: String,
    /// The time before it was sent.
    pub written_at: Timestamp,
    /// When its application was seen to have received the message, which is after the keyword took effect.
    pub heard_at: Option<Timestamp>,
    /// When its application was seen to have received the opted-out or opted-in event.
    pub changed_at: Option<Timestamp>,
}

/// An event that an application accepted, redeliveries included.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// The tenant whose application received it.
    pub application: String,
    pub id: String,
    /// The tenant that the event names.
    pub tenant: String,
    /// The last part of its type: `received`, or a status.
    pub kind: String,
    pub subject: String,
    pub provider_message_id: Option<String>,
    pub body: String,
}

/// A message as the data plane shows it at the end.
#[derive(Debug, Clone)]
pub struct Stored {
    pub tenant: String,
    pub id: String,
    /// The idempotency key of its request, from its metadata.
    pub key: String,
    pub status: MessageStatus,
    pub reason: Option<String>,
    pub provider_message_id: Option<String>,
    pub timeline: Vec<Reached>,
}

/// A line of a message's timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    pub status: MessageStatus,
    pub attempt: Option<String>,
    pub reason: Option<String>,
    pub at: String,
}
