//! Attempts to hand messages to a provider.

use jiff::Timestamp;
use messaging::id::{AttemptId, MessageId, TenantId};

use super::table::Finder;

table! {
    /// One call to a provider for a message, written before it is made.
    pub(crate) struct AttemptRow in "attempts" {
        key { tenant: TenantId, id: AttemptId }
        fixed { message: MessageId, started_at: Timestamp }
        changing {
            finished_at: Option<Timestamp>,
            outcome: Option<String>,
            provider_message_id: Option<String>,
            /// The provider's own id of the request.
            provider_request_id: Option<String>,
        }
    }
}

/// The outcome of an attempt that the provider took and reported as not delivered, so that there may be another.
const NOT_DELIVERED: &str = "not delivered";

impl AttemptRow {
    pub(crate) fn was_not_delivered(&self) -> bool {
        self.outcome.as_deref() == Some(NOT_DELIVERED)
    }

    pub(crate) fn not_delivered(self, at: Timestamp) -> Self {
        Self { finished_at: self.finished_at.or(Some(at)), outcome: Some(NOT_DELIVERED.to_owned()), ..self }
    }
}

/// Attempts by the id that the provider gave the message.
pub(crate) static BY_PROVIDER_ID: Finder =
    Finder { table: &TABLE, by: &["tenant", "provider_message_id"], index: None };
