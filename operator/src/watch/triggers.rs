//! Reconciles that something other than the object itself asks for: a Secret, a sender, a dependant.

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::reconcile::kind::Kind;
use crate::watch::stores::Scope;

/// Asks for reconciles of one kind. What is asked for twice while it waits is done once, by the controller's queue, so
/// the channels never hold more than a moment's worth.
#[derive(Debug)]
pub struct Trigger<K: Kind>(Mutex<Vec<(Scope, UnboundedSender<ObjectRef<K>>)>>);

impl<K: Kind> Default for Trigger<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Kind> Trigger<K> {
    /// What is asked for in a scope, for its controller.
    pub fn listen(&self, scope: Scope) -> UnboundedReceiver<ObjectRef<K>> {
        let (sender, receiver) = unbounded_channel();
        self.0.lock().push((scope, sender));
        receiver
    }

    /// Has this object reconciled soon.
    pub fn ask(&self, object: &K) {
        let namespace = object.namespace().unwrap_or_default();
        let listeners = self.0.lock();
        for (_, listener) in listeners.iter().filter(|(scope, _)| scope.covers(&namespace)) {
            // It fails only when the controller ends, and then everything is looked at again by the next one.
            drop(listener.send(ObjectRef::from_obj(object)));
        }
    }
}
