//! What each side wrote down by itself: the clients, the provider, the tenants' applications, and the data plane.
//!
//! They are plain values, so that the [`oracle`](crate::oracle) is a function of them and nothing else.

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
    /// What the database holds of customers' messages, where it can be asked: tenant and the provider's id of each.
    pub stored_inbound: Option<Vec<(String, String)>>,
}

/// A client's wish to send, under one idempotency key, and what it was told.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    pub tenant: String,
    pub key: String,
    /// No other message has this text.
    pub text: String,
    pub to: String,
    /// The handle of the template that it is to be sent with; `None` for free text.
    pub template: Option<String>,
    /// Whether it says `onUnconfirmed: resend`: it may reach the provider more than once rather than not at all.
    pub resends: bool,
    /// Whether its validity ends before long.
    pub expires: bool,
    /// Before the first request.
    pub asked_at: Timestamp,
    pub answers: Vec<Answer>,
    /// The answers to its withdrawal; `None` where none came.
    pub withdrawals: Vec<Option<u16>>,
}

/// One answer to one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    pub replica: String,
    /// Absent where no answer came.
    pub status: Option<u16>,
    /// The message's id, in a 202.
    pub message: Option<String>,
    /// What else was said.
    pub words: String,
    /// When it came, or was not waited for any longer.
    pub at: Timestamp,
}

/// A message that the provider took.
#[derive(Debug, Clone, Default)]
pub struct Outbound {
    pub tenant: String,
    pub sid: String,
    pub text: String,
    /// The handle of the template that it was made with.
    pub template: Option<String>,
    pub taken_at: Timestamp,
    /// Our attempt id, from the callback URL that came with it.
    pub attempt: Option<String>,
    /// The statuses that it went through, in the provider's words.
    pub statuses: Vec<String>,
}

/// A webhook that the provider sent, or that was sent in its name.
#[derive(Debug, Clone, Default)]
pub struct Webhook {
    pub tenant: String,
    pub sid: String,
    /// `received` for a customer's message, else the status that it tells, in the provider's words.
    pub tells: String,
    /// Of every attempt and copy; `None` where no answer came.
    pub answers: Vec<Option<u16>>,
    /// What the provider did to it on purpose.
    pub faults: Vec<String>,
}

impl Webhook {
    pub fn is_inbound(&self) -> bool {
        self.tells == "received"
    }

    pub fn was_acknowledged(&self) -> bool {
        self.answers.iter().flatten().any(|status| (200..300).contains(status))
    }
}

/// A customer asks for no more messages, or for messages again.
#[derive(Debug, Clone)]
pub struct Keyword {
    pub tenant: String,
    pub customer: String,
    pub change: OptChange,
    /// The provider's id of the message that says so.
    pub sid: String,
    /// Before anybody can have heard of it.
    pub written_at: Timestamp,
    /// When its application was seen to have received it, which is after it took effect.
    pub heard_at: Option<Timestamp>,
    /// When its application was seen to know that it changed something.
    pub changed_at: Option<Timestamp>,
}

/// An event that an application accepted, redeliveries included.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// Whose application it is.
    pub application: String,
    pub id: String,
    /// Whom the event says that it is for.
    pub tenant: String,
    /// The last part of its type: `received`, or a status.
    pub kind: String,
    pub subject: String,
    pub provider_message_id: Option<String>,
    pub body: String,
}

/// A message as the data plane tells of it at the end.
#[derive(Debug, Clone)]
pub struct Stored {
    pub tenant: String,
    pub id: String,
    /// The idempotency key that it was asked for under, from its metadata.
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
