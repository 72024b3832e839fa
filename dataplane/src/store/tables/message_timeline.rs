//! The steps in messages' lives; only ever added.

use jiff::Timestamp;
use messaging::id::{AttemptId, MessageId, TenantId};
use messaging::lifecycle::MessageStatus;

use crate::store::message::Reason;

table! {
    /// A step of a message's timeline.
    pub(crate) struct StepRow in "message_timeline" {
        key { tenant: TenantId, message: MessageId, position: u32 }
        fixed { at: Timestamp, status: MessageStatus, attempt: Option<AttemptId>, reason: Option<Reason> }
    }
}
