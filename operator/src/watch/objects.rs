//! Puts one kind's objects into the store, and the new and changed ones into the controller's queue.
//!
//! An object that this version can't read affects only itself. It is counted and reported, and everything else uses
//! its last readable version.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use serde_json::Value;
use tokio::time::Instant;

use super::endless;
use crate::clock::sleep_until;
use crate::reconcile::events::{Note, reason};
use crate::reconcile::kind::tenant_of;
use crate::reconcile::machinery::Driver;
use crate::watch::edges::Awaited;
use crate::watch::stores::{Scope, Stores};

/// How long until everything is listed again when something could not be read. During an upgrade of the definitions
/// the API server may show an object in the shape of the old one, and send no further event about it.
const LIST_AGAIN: Duration = Duration::from_secs(30);

/// The objects to reconcile, as the watch reports them.
pub fn objects<'a, K: Awaited>(
    driver: &'a Driver<K>,
    stores: &'a Stores<K>,
    scope: &Scope,
    writer: Writer<K>,
) -> impl Stream<Item = ObjectRef<K>> + Send + 'a {
    let api = scope.api::<DeserializeGuard<K>>(&driver.machinery.client);
    let watch = move || endless(api.clone(), watcher::Config::default(), K::PLURAL, &driver.machinery.metrics).boxed();
    let follower = Follower::new(driver, stores, writer);
    stream::unfold((watch(), watch, follower), |(mut events, watch, mut follower)| async move {
        loop {
            tokio::select! {
                event = events.next() => {
                    let requests = follower.handle(event?).await;
                    return Some((stream::iter(requests), (events, watch, follower)));
                }
                () = sleep_until(follower.list_again_at) => {
                    follower.list_again_at = None;
                    events = watch();
                }
            }
        }
    })
    .flatten()
}

struct Follower<'a, K: Awaited> {
    driver: &'a Driver<K>,
    stores: &'a Stores<K>,
    store: Store<K>,
    writer: Writer<K>,
    seen: HashMap<ObjectRef<K>, Seen<K>>,
    listed: bool,
    /// Set while an object could not be read.
    list_again_at: Option<Instant>,
}

struct Seen<K> {
    /// A hash of what a reconcile depends on, without the status.
    fingerprint: u64,
    /// A hash of what others read of its status.
    read_by_others: u64,
    object: Arc<K>,
}

impl<'a, K: Awaited> Follower<'a, K> {
    fn new(driver: &'a Driver<K>, stores: &'a Stores<K>, writer: Writer<K>) -> Self {
        let store = writer.as_reader();
        Self { driver, stores, store, writer, seen: HashMap::new(), listed: false, list_again_at: None }
    }

    /// Handles one event, and returns the objects that must be reconciled because of it.
    async fn handle(&mut self, event: Event<DeserializeGuard<K>>) -> Vec<ObjectRef<K>> {
        let listed = matches!(event, Event::InitDone);
        let touched = match &event {
            Event::Apply(object) => {
                Some(ObjectRef::new(&object.name_any()).within(&object.namespace().unwrap_or_default()))
            }
            _ => None,
        };
        let Some(event) = self.readable(event).await else { return Vec::new() };
        self.writer.apply_watcher_event(&event);
        if let Event::Delete(object) = &event {
            self.gone(&ObjectRef::from_obj(object));
        }
        if listed {
            return self.relisted();
        }
        touched.into_iter().filter(|object| self.is_news(object)).collect()
    }

    /// After a fresh list: an object that is not in it is gone, and one that is in it may have changed unseen.
    fn relisted(&mut self) -> Vec<ObjectRef<K>> {
        if !std::mem::replace(&mut self.listed, true) {
            self.driver.machinery.listings.note();
        }
        let gone: Vec<_> = self.seen.keys().filter(|object| self.store.get(object).is_none()).cloned().collect();
        gone.iter().for_each(|object| self.gone(object));
        let objects: Vec<_> = self.store.state().iter().map(|object| ObjectRef::from_obj(&**object)).collect();
        objects.into_iter().filter(|object| self.is_news(object)).collect()
    }

    fn is_news(&mut self, object_ref: &ObjectRef<K>) -> bool {
        let Some(object) = self.store.get(object_ref) else { return false };
        let (fingerprint, read_by_others) = (fingerprint(&*object), hash_of(&object.read_by_others()));
        let seen = Seen { fingerprint, read_by_others, object: Arc::clone(&object) };
        let before = self.seen.insert(object_ref.clone(), seen);
        let news = before.as_ref().is_none_or(|before| before.fingerprint != fingerprint);
        if news || before.is_none_or(|before| before.read_by_others != read_by_others) {
            object.wake_waiting(&self.driver.machinery.watched);
        }
        if news && let Some(tenant) = tenant_of(&*object) {
            self.driver.machinery.publication.touch(&tenant);
        }
        news
    }

    fn gone(&mut self, object_ref: &ObjectRef<K>) {
        let Some(Seen { object, .. }) = self.seen.remove(object_ref) else { return };
        if let Some(uid) = object.uid() {
            self.driver.machinery.attempts.forget(&uid);
            self.driver.machinery.freshness.forget(&uid);
            self.driver.machinery.found.forget(&uid);
        }
        object.forget(&self.driver.context);
        object.wake_waiting(&self.driver.machinery.watched);
        if let Some(tenant) = tenant_of(&*object) {
            self.driver.machinery.publication.touch(&tenant);
        }
    }

    /// The event with a readable object: the one in the event, or else its last readable version.
    async fn readable(&mut self, event: Event<DeserializeGuard<K>>) -> Option<Event<K>> {
        Some(match event {
            Event::Init => Event::Init,
            Event::InitDone => Event::InitDone,
            Event::InitApply(object) => Event::InitApply(self.read(object).await?),
            Event::Apply(object) => Event::Apply(self.read(object).await?),
            Event::Delete(object) => {
                let key = ObjectRef::<K>::new(&object.name_any()).within(&object.namespace().unwrap_or_default());
                self.note(&object, true);
                Event::Delete(object.0.ok().or_else(|| self.store.get(&key).map(|old| (*old).clone()))?)
            }
        })
    }

    async fn read(&mut self, object: DeserializeGuard<K>) -> Option<K> {
        let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
        self.note(&object, object.0.is_ok());
        match object.0 {
            Ok(mut object) => {
                lighten(object.meta_mut());
                Some(object)
            }
            Err(unreadable) => {
                self.list_again_at = self.list_again_at.or_else(|| Some(Instant::now() + LIST_AGAIN));
                tracing::warn!(kind = K::PLURAL, namespace, name, error = unreadable.error, "an object can't be read");
                let about = ObjectReference {
                    api_version: Some(K::api_version(&()).into_owned()),
                    kind: Some(K::kind(&()).into_owned()),
                    name: Some(name.clone()),
                    namespace: Some(namespace.clone()),
                    uid: unreadable.metadata.uid,
                    ..ObjectReference::default()
                };
                let text = format!(
                    "this version of the operator can't read the object, and uses the last version that it could read: {}",
                    unreadable.error
                );
                self.driver
                    .machinery
                    .events
                    .publish(&about, &Note { warning: true, reason: reason::UNREADABLE, text })
                    .await;
                self.store.get(&ObjectRef::new(&name).within(&namespace)).map(|old| (*old).clone())
            }
        }
    }

    fn note(&self, object: &DeserializeGuard<K>, readable: bool) {
        let count = self.stores.note_readable(&object.namespace().unwrap_or_default(), &object.name_any(), readable);
        self.driver.machinery.metrics.unreadable(K::NAME, count);
    }
}

/// Drops what nothing here reads and what makes a stored object several times as large: which fields who set, and the
/// copy of the spec that `kubectl apply` keeps.
fn lighten(meta: &mut ObjectMeta) {
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    // An empty map keeps its memory.
    meta.annotations = meta.annotations.take().filter(|annotations| !annotations.is_empty());
}

fn hash_of(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    hasher.finish()
}

fn fingerprint<K: Awaited>(object: &K) -> u64 {
    let meta = object.meta();
    let mut hasher = DefaultHasher::new();
    meta.uid.hash(&mut hasher);
    meta.generation.hash(&mut hasher);
    meta.deletion_timestamp.is_some().hash(&mut hasher);
    // Whoever removes it gets it back at once.
    object.finalizers().iter().any(|finalizer| finalizer == crds::annotation::FINALIZER).hash(&mut hasher);
    for annotation in
        [crds::annotation::PAUSED, crds::annotation::RECONCILE_REQUESTED_AT, crds::annotation::DELETE_ADOPTED]
    {
        object.annotations().get(annotation).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
