//! Watches: what the cluster says, turned into stores, reconcile requests and reasons to publish.

pub mod leases;
pub mod objects;
pub mod secrets;
pub mod stores;
pub mod triggers;

use std::fmt::Debug;

use futures::{Stream, StreamExt};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
pub use objects::objects;
use serde::de::DeserializeOwned;

use crate::metrics::Metrics;
use crate::reconcile::redact;

/// A watch that reports its errors and goes on, with growing delays.
pub fn endless<K: Resource + Clone + DeserializeOwned + Debug + Send + 'static>(
    api: Api<K>,
    selection: watcher::Config,
    resource: &'static str,
    metrics: &Metrics,
) -> impl Stream<Item = Event<K>> + Send {
    watcher(api, selection).default_backoff().filter_map(move |event| {
        let event = event
            .inspect_err(|error| {
                metrics.watch_error(resource);
                tracing::warn!(resource, error = redact::chain(error), "a watch broke; it is taken up again");
            })
            .ok();
        std::future::ready(event)
    })
}
