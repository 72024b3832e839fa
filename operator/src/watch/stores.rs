//! Every object of a kind that the watches have reported, by namespace.

use std::collections::BTreeSet;
use std::sync::Arc;

use crds::Conditions as _;
use crds::condition::READY;
use kube::core::NamespaceResourceScope;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, Resource};
use messaging::id::TenantId;
use parking_lot::Mutex;

use crate::reconcile::kind::Kind;

/// Every object of a kind. There is one store for the whole cluster, or one for each watched namespace.
#[derive(Debug)]
pub struct Stores<K: Kind> {
    scopes: Vec<(Scope, Store<K>)>,
    unreadable: Mutex<BTreeSet<(String, String)>>,
}

/// What one watch covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    Cluster,
    Namespace(String),
}

impl Scope {
    pub fn covers(&self, namespace: &str) -> bool {
        match self {
            Self::Cluster => true,
            Self::Namespace(name) => name == namespace,
        }
    }

    /// Objects of a kind in this scope.
    pub fn api<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self, client: &Client) -> Api<K> {
        match self {
            Self::Cluster => Api::all(client.clone()),
            Self::Namespace(name) => Api::namespaced(client.clone(), name),
        }
    }
}

impl<K: Kind> Stores<K> {
    pub fn new(scopes: Vec<(Scope, Store<K>)>) -> Self {
        Self { scopes, unreadable: Mutex::default() }
    }

    fn store_of(&self, namespace: &str) -> Option<&Store<K>> {
        self.scopes.iter().find(|(scope, _)| scope.covers(namespace)).map(|(_, store)| store)
    }

    pub fn get(&self, tenant: &TenantId, name: &str) -> Option<Arc<K>> {
        self.store_of(tenant.as_str())?.get(&ObjectRef::new(name).within(tenant.as_str()))
    }

    /// The objects of a tenant, including those that are being deleted.
    pub fn of(&self, tenant: &TenantId) -> Vec<Arc<K>> {
        let namespace = Some(tenant.as_str());
        self.store_of(tenant.as_str())
            .map(|store| store.state_filter(|object| object.meta().namespace.as_deref() == namespace))
            .unwrap_or_default()
    }

    pub fn all(&self) -> Vec<Arc<K>> {
        self.scopes.iter().flat_map(|(_, store)| store.state()).collect()
    }

    /// Notes whether an object can be read, and returns how many can't. Those keep their last readable version.
    pub fn note_readable(&self, namespace: &str, name: &str, readable: bool) -> usize {
        let mut unreadable = self.unreadable.lock();
        let key = (namespace.to_owned(), name.to_owned());
        if readable {
            unreadable.remove(&key);
        } else {
            unreadable.insert(key);
        }
        unreadable.len()
    }

    /// The names of a tenant's unreadable objects.
    pub fn unreadable(&self, tenant: &TenantId) -> Vec<String> {
        let unreadable = self.unreadable.lock();
        unreadable.iter().filter(|(namespace, _)| namespace == tenant.as_str()).map(|(_, name)| name.clone()).collect()
    }
}

/// How many objects there are by the status of their `Ready` condition.
pub fn readiness<K: Kind>(objects: &[Arc<K>]) -> [(&'static str, usize); 3] {
    let mut counts = [("True", 0), ("False", 0), ("Unknown", 0)];
    for object in objects {
        let ready = object.status().and_then(|status| status.conditions().iter().find(|one| one.type_ == READY));
        match counts.iter_mut().find(|(word, _)| ready.is_some_and(|ready| ready.status == *word)) {
            Some((_, count)) => *count += 1,
            None => counts[2].1 += 1,
        }
    }
    counts
}
