//! The sandbox's own health and clock.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    pub status: String,
    /// Requests that ended in a panic: a defect of the sandbox.
    pub panics: u64,
    pub now: Timestamp,
}

/// Moves the sandbox's time forward, past scheduled messages, windows and reviews.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClockAdvance {
    pub seconds: u64,
}
