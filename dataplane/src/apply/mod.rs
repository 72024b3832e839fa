//! Lets the events in the log take effect.
//!
//! A webhook is answered when it is in the log; what follows from it is decided here, from the log, right after the
//! commit, and for what a crash left behind at the next start. Applying is idempotent: the store lets each event take
//! effect once, whoever applies it and however often.

mod consequence;

use std::sync::Arc;
use std::time::Duration;

use messaging::clock::Clock;
use tokio_util::sync::CancellationToken;

use crate::config::Configs;
use crate::dispatch::brakes::Brakes;
use crate::metrics::Metrics;
use crate::store::webhook::{Applied, ApplyEvent, LoggedEvent};
use crate::store::{Store, StoreError};

/// Events taken from the log at once. They are written in few groups, because each waits with the others.
const BATCH: u32 = 256;
/// Another replica, which wakes nobody here, may have died between logging and applying.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// After the store failed.
const PAUSE: Duration = Duration::from_millis(500);

/// What applying needs of the rest of the process.
#[derive(Clone)]
pub struct ApplyContext {
    pub store: Arc<dyn Store>,
    pub configs: Arc<Configs>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    /// Those of this process's dispatch: most troubles of a sender are told by a status, not by an answer.
    pub brakes: Arc<Brakes>,
}

/// Applies events until told to stop, and then what is still in the log.
pub async fn run(context: ApplyContext, stop: CancellationToken) {
    // Without its sender's config an event would take effect without keywords and without being published.
    let mut changes = context.configs.subscribe();
    while !context.configs.is_ready() {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
    loop {
        match turn(&context).await {
            Ok(0) if stop.is_cancelled() => return,
            Ok(0) => {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = context.store.signals().webhooks.notified() => {}
                    () = tokio::time::sleep(LOOK_AGAIN) => {}
                }
            }
            Ok(_) => {}
            Err(_) if stop.is_cancelled() => return,
            Err(error) => {
                tracing::error!(%error, "no event can take effect while the store fails; they stay in the log");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
    }
}

/// Applies the oldest events of the log; answers how many were applied or found to be so.
///
/// Events of one batch are applied at the same time and in no order: statuses merge, and the window and suppressions of
/// a contact follow from the times of their messages. Two keywords of one contact are the exception, so events of one
/// contact are applied one after the other.
pub async fn turn(context: &ApplyContext) -> Result<usize, StoreError> {
    let events = context.store.unapplied_events(BATCH).await?;
    let applied = events.len();
    let lines = in_lines(events);
    let outcomes = futures::future::join_all(lines.into_iter().map(|line| async move {
        for event in line {
            apply(context, event).await?;
        }
        Ok::<(), StoreError>(())
    }))
    .await;
    outcomes.into_iter().collect::<Result<(), _>>()?;
    Ok(applied)
}

/// Events that must follow each other, in their order.
fn in_lines(events: Vec<LoggedEvent>) -> Vec<Vec<LoggedEvent>> {
    let mut lines: Vec<Vec<LoggedEvent>> = Vec::new();
    let mut line_of = std::collections::HashMap::new();
    for event in events {
        match consequence::line(&event) {
            None => lines.push(vec![event]),
            Some(key) => {
                let index = *line_of.entry(key).or_insert_with(|| {
                    lines.push(Vec::new());
                    lines.len() - 1
                });
                if let Some(line) = lines.get_mut(index) {
                    line.push(event);
                }
            }
        }
    }
    lines
}

async fn apply(context: &ApplyContext, logged: LoggedEvent) -> Result<(), StoreError> {
    let ApplyContext { store, configs, clock, metrics, brakes } = context;
    let now = clock.now();
    let tenant = configs.get(&logged.reference.tenant);
    let sender = tenant.as_ref().and_then(|tenant| tenant.sender(&logged.sender));
    // A sender that is gone has no sinks and no keywords; its messages still reach their statuses.
    let sinks = sender.map(|sender| sender.sinks()).unwrap_or_default();
    let consequence = consequence::of(&logged, sender.map(|sender| sender.config), now, &mut || rand::random());
    let stop = consequence::stops_sender_until(&logged).filter(|until| *until > now);
    let apply = ApplyEvent {
        event: logged.reference.clone(),
        sender: logged.sender.clone(),
        now,
        received_at: logged.received_at,
        consequence,
        sinks,
    };
    if let Applied::Now { reached } = store.apply_event(apply).await? {
        if let Some(until) = stop {
            brakes.stop_sender(&logged.reference.tenant, &logged.sender, until);
        }
        reached.into_iter().for_each(|status| metrics.message_reached(status));
    }
    Ok(())
}
