//! The one task for what happens by itself: it takes the steps that are due and hands webhooks to the deliverer.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{deliver::Deliverer, stage::Shared};

/// Steps taken before requests get the lock again.
const STEPS_AT_ONCE: usize = 256;
const LONGEST_REST: Duration = Duration::from_secs(3600);

/// Runs until `stop` is cancelled.
pub(crate) async fn run(shared: Arc<Shared>, mut deliverer: Deliverer, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let (rest, outbox) = shared.look(|stage| {
            let rest = stage.take_due_steps(STEPS_AT_ONCE);
            (rest, stage.world.webhooks.take_outbox())
        });
        for delivery in outbox {
            deliverer.send(delivery);
        }
        match rest {
            Some(Duration::ZERO) => tokio::task::yield_now().await,
            rest => {
                let rest = tokio::time::sleep(rest.unwrap_or(LONGEST_REST).min(LONGEST_REST));
                tokio::select! {
                    () = shared.changed.notified() => {}
                    () = rest => {}
                    () = stop.cancelled() => {}
                }
            }
        }
    }
    deliverer.finish().await;
}
