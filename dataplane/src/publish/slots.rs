//! How many deliveries each sink has in flight.

use std::collections::HashMap;
use std::sync::Arc;

use messaging::id::{SenderName, TenantId};
use parking_lot::Mutex;

use crate::store::message::SinkId;

/// Deliveries to one sink at once. They are about different messages, so order is kept.
const PER_SINK: u32 = 8;

/// A sink of a sender.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SinkKey {
    pub(super) tenant: TenantId,
    pub(super) sender: SenderName,
    pub(super) sink: SinkId,
}

/// The slots of every sink.
#[derive(Debug, Clone, Default)]
pub(super) struct SinkSlots {
    /// A sink without deliveries has no entry.
    taken: Arc<Mutex<HashMap<SinkKey, u32>>>,
}

/// The slot of one delivery. Dropping it, also in a panic, frees it.
pub(super) struct SinkSlot {
    slots: SinkSlots,
    key: SinkKey,
}

impl SinkSlots {
    pub(super) fn free(&self, key: &SinkKey) -> u32 {
        PER_SINK.saturating_sub(self.taken.lock().get(key).copied().unwrap_or(0))
    }

    pub(super) fn acquire(&self, key: &SinkKey) -> SinkSlot {
        *self.taken.lock().entry(key.clone()).or_default() += 1;
        SinkSlot { slots: self.clone(), key: key.clone() }
    }
}

impl SinkSlot {
    pub(super) fn key(&self) -> &SinkKey {
        &self.key
    }
}

impl Drop for SinkSlot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock();
        if let Some(n) = taken.get_mut(&self.key) {
            *n = n.saturating_sub(1);
            if *n == 0 {
                taken.remove(&self.key);
            }
        }
    }
}
