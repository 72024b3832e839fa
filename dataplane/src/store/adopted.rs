//! What parked statuses reported, which takes effect in the write that learns their message's provider id.

use jiff::Timestamp;
use messaging::failure::FailureScope;

/// An answer, and the failures of the statuses that had waited for this write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopting<T> {
    pub answer: T,
    /// Of the message that was written.
    pub failures: Vec<AdoptedFailure>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdoptedFailure {
    pub scope: FailureScope,
    /// When its status was received.
    pub reported_at: Timestamp,
}

impl<T> From<T> for Adopting<T> {
    fn from(answer: T) -> Self {
        Self { answer, failures: Vec::new() }
    }
}
