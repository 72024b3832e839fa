//! Reconciles that something else than the object itself requests: a Secret, a sender, a dependant.

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::reconcile::kind::Kind;
use crate::watch::stores::Scope;

/// Requests reconciles of one kind. The controller empties the channels into its queue at once, and its queue merges
/// requests for the same object.
#[derive(Debug)]
pub struct Trigger<K: Kind>(Mutex<Vec<(Scope, UnboundedSender<ObjectRef<K>>)>>);

impl<K: Kind> Default for Trigger<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Kind> Trigger<K> {
    /// The requests in a scope, for its controller.
    pub fn listen(&self, scope: Scope) -> UnboundedReceiver<ObjectRef<K>> {
        let (sender, receiver) = unbounded_channel();
        self.0.lock().push((scope, sender));
        receiver
    }

    /// Requests a reconcile of this object.
    pub fn ask(&self, object: &K) {
        let namespace = object.namespace().unwrap_or_default();
        let listeners = self.0.lock();
        for (_, listener) in listeners.iter().filter(|(scope, _)| scope.covers(&namespace)) {
            // Sending fails only when the controller has ended, and its successor reconciles every object.
            drop(listener.send(ObjectRef::from_obj(object)));
        }
    }
}
