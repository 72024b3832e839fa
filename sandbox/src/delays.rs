//! How long a provider takes for what happens by itself.

use std::time::Duration;

/// [`Delays::default`] suits tests.
#[derive(Debug, Clone, Copy)]
pub struct Delays {
    /// Between one status of a message and the next.
    pub status: Duration,
    /// From submitting a content to its decision. Half of it is spent as `received`, half as `pending`.
    pub review: Duration,
    /// From creating or changing a sender until it is `ONLINE` again.
    pub sender: Duration,
}

impl Default for Delays {
    fn default() -> Self {
        Self {
            status: Duration::from_millis(10),
            review: Duration::from_millis(100),
            sender: Duration::from_millis(50),
        }
    }
}
