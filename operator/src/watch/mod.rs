//! Watches turn changes in the cluster into stores and reconcile requests.

pub mod edges;
pub mod granted;
pub mod objects;
pub mod stores;
pub mod triggers;

use std::fmt::Debug;
use std::sync::Arc;

use crds::{MessageTemplate, RoutingPolicy, WhatsAppSender};
use futures::{Stream, StreamExt};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
pub use objects::objects;
use serde::de::DeserializeOwned;
use stores::Stores;
use triggers::Trigger;

use crate::metrics::Metrics;
use crate::reconcile::kind::Kind;
use crate::reconcile::redact;
use crate::template::holders::Holders;

/// The objects of one kind, and a trigger to reconcile them.
#[derive(Debug)]
pub struct Objects<K: Kind> {
    pub stores: Stores<K>,
    pub trigger: Trigger<K>,
}

impl<K: Kind> Objects<K> {
    pub fn new(stores: Stores<K>) -> Self {
        Self { stores, trigger: Trigger::default() }
    }

    /// Requests a reconcile of every object that is picked.
    pub fn ask_where(&self, picked: impl Fn(&K) -> bool) {
        self.stores.all().iter().filter(|object| picked(object)).for_each(|object| self.trigger.ask(object));
    }
}

/// The objects of all kinds.
#[derive(Debug, Clone)]
pub struct Watched {
    pub senders: Arc<Objects<WhatsAppSender>>,
    pub templates: Arc<Objects<MessageTemplate>>,
    pub policies: Arc<Objects<RoutingPolicy>>,
    /// Which of the templates have what at the provider.
    pub holders: Arc<Holders>,
}

/// A watch that reports its errors and restarts, with growing delays.
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
                tracing::warn!(resource, error = redact::chain(error), "a watch broke; restarting it");
            })
            .ok();
        std::future::ready(event)
    })
}

/// The object of an event that changed something.
pub fn touched<K>(event: Event<K>) -> Option<K> {
    match event {
        Event::Apply(object) | Event::InitApply(object) | Event::Delete(object) => Some(object),
        Event::Init | Event::InitDone => None,
    }
}
