//! Ends queued messages whose validity is over, whatever else holds them back.
//!
//! Dispatch checks a message again before it leaves, but never sees one whose sender is paused, held or no longer
//! configured. Such a message would come too late, and its tenant should learn that in time.

use std::time::Duration;

use futures::future::try_join_all;
use messaging::lifecycle::MessageStatus;
use messaging::refusal::RefusalCode;
use tokio_util::sync::CancellationToken;

use crate::progress::Task;
use crate::shared::Shared;
use crate::store::StoreError;
use crate::store::message::Reason;
use crate::store::queue::{ExpireMessage, ExpiredRef};

/// How often the queue is checked. A message ends at most this long after its validity.
const EVERY: Duration = Duration::from_secs(5);
/// Messages that are ended at once: few enough to leave room for other writes.
const STEP: u32 = 100;

/// What expiring needs of the rest of the process.
#[derive(Clone)]
pub struct Expiry {
    pub shared: Shared,
}

impl Expiry {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            loop {
                match self.turn().await {
                    Ok(over) if over < STEP || stop.is_cancelled() => {
                        self.shared.progress.did(Task::Expire, self.shared.clock.now());
                        break;
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(%error, "messages whose validity is over cannot be ended yet; none of them leaves");
                        break;
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Ends up to [`STEP`] messages whose validity is over. Returns how many it found; none while the clock is
    /// unreliable.
    pub async fn turn(&self) -> Result<u32, StoreError> {
        let Shared { store, clock, clock_check, .. } = &self.shared;
        let over = store.expired(clock.now(), STEP).await?;
        if over.is_empty() {
            return Ok(0);
        }
        // The end of a message is final, and the clock may have been set since the last comparison.
        clock_check.compare().await?;
        if !clock_check.is_reliable() {
            return Ok(0);
        }
        let ended = try_join_all(over.iter().map(|message| self.expire(message))).await?;
        // Another replica may have been quicker, or a call may have begun meanwhile.
        for _ in ended.into_iter().filter(|ended| *ended) {
            self.shared.metrics.message_reached(MessageStatus::Expired);
        }
        Ok(u32::try_from(over.len()).unwrap_or(u32::MAX))
    }

    async fn expire(&self, message: &ExpiredRef) -> Result<bool, StoreError> {
        let ExpiredRef { tenant, id, sender } = message;
        let text = "validFor: the message expired before it could be handed over";
        let expire = ExpireMessage {
            tenant: tenant.clone(),
            id: *id,
            now: self.shared.clock.now(),
            reason: Reason::new(Some(RefusalCode::Expired.as_str()), text),
            sinks: self.shared.sinks_of(tenant, sender),
        };
        self.shared.store.write(expire).await
    }
}
