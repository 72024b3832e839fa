//! Wakes workers of this process without a timer.

use tokio::sync::Notify;

/// One bell for each worker that reads what others write. A bell that rings while its worker is busy is heard when the
/// worker next listens.
#[derive(Debug, Default)]
pub struct Signals {
    /// Events were logged.
    pub webhooks: Notify,
    /// Messages were queued, or may be claimed earlier than before.
    pub queue: Notify,
    /// Events wait to be published.
    pub outbox: Notify,
}

/// Which bells to ring once what was written is committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bells {
    pub(crate) webhooks: bool,
    pub(crate) queue: bool,
    pub(crate) outbox: bool,
}

impl Bells {
    pub(super) fn ring(self, signals: &Signals) {
        if self.webhooks {
            signals.webhooks.notify_one();
        }
        if self.queue {
            signals.queue.notify_one();
        }
        if self.outbox {
            signals.outbox.notify_one();
        }
    }
}
