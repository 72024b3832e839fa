//! Wakes workers of this process without a timer.

use tokio::sync::Notify;

/// One bell for each worker that reads what others write. A bell that rings while nobody listens is heard by the next
/// who does.
#[derive(Debug, Default)]
pub struct Signals {
    /// Events were logged.
    pub webhooks: Notify,
    /// Messages were queued, or may be claimed earlier than before.
    pub queue: Notify,
    /// Events wait to be published.
    pub outbox: Notify,
}
