//! What the driver needs of a kind to reconcile its objects.

use std::fmt::Debug;
use std::str::FromStr;

use crds::Conditions;
use crds::condition::reason;
use kube::core::NamespaceResourceScope;
use kube::core::object::HasStatus;
use kube::{Resource, ResourceExt};
use messaging::id::{InvalidName, TenantId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::metrics::KindName;
use crate::reconcile::error::{Advice, Explain, Failure};
use crate::reconcile::progress::{Next, Progress};

/// A kind that is reconciled. [`super::drive`] does everything that is the same for all kinds: finalizers, conditions,
/// Events, backoff, the pause, the status patch. A kind only observes, decides and acts.
pub trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + HasStatus<Status: Conditions + Clone + Default + Serialize + Send + Sync>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// The type of its objects' names.
    type Name: FromStr<Err = InvalidName> + Send + Sync;
    /// What a reconcile of this kind needs.
    type Context: Send + Sync + 'static;

    const NAME: KindName;
    /// The plural in lower case, for logs and metrics of watches.
    const PLURAL: &'static str;
    /// The condition types that the kind reports besides `Ready`, `Reconciling` and `Stalled`.
    const CONDITIONS: &'static [&'static str];

    /// The reasons of Events about a write that puts the provider right. For an object that was ready, that is a
    /// repair.
    const PUTS_RIGHT: &'static [&'static str];

    /// Whether something must be done at the provider before the object may be deleted. The object has our finalizer
    /// exactly while this is `true`.
    fn needs_cleanup(&self) -> bool;

    /// Observes, decides, acts, and records its findings. It may be cancelled at any await (a provider took too long)
    /// and repeated at any time, so every step must be idempotent. While [`Progress::paused`] is set it must not write
    /// at the provider. The object is ready only if it calls [`Progress::ready`].
    fn reconcile(
        &self,
        id: &Id<Self::Name>,
        context: &Self::Context,
        progress: &mut Progress<Self::Status>,
    ) -> impl Future<Output = Result<Next, Failure>> + Send;

    /// Cleans up at the provider, where [`Kind::needs_cleanup`] asks for it. It must not depend on the rest of the
    /// spec being valid, nor on the tenant's Secrets existing: use
    /// [`crate::sender::directory::SenderDirectory::find`].
    fn cleanup(
        &self,
        id: &Id<Self::Name>,
        context: &Self::Context,
        progress: &mut Progress<Self::Status>,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// The object is gone: forgets what this process keeps about it.
    fn forget(&self, context: &Self::Context);
}

/// Which object it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Id<N> {
    pub tenant: TenantId,
    pub name: N,
}

/// The tenant's or the object's name is not one of ours. The API server admits only names that are.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct Unnamed {
    path: &'static str,
    source: InvalidName,
}

impl Explain for Unnamed {
    fn advice(&self) -> Advice {
        Advice::Stalled
    }
    fn reason(&self) -> &'static str {
        reason::INVALID_SPEC
    }
}

pub fn id_of<K: Kind>(object: &K) -> Result<Id<K::Name>, Unnamed> {
    let at = |path| move |source| Unnamed { path, source };
    Ok(Id {
        tenant: TenantId::new(object.namespace().unwrap_or_default()).map_err(at("metadata.namespace"))?,
        name: object.name_any().parse().map_err(at("metadata.name"))?,
    })
}

/// The tenant of an object: its namespace. The API server admits only namespaces that are valid tenant names.
pub fn tenant_of<K: Resource>(object: &K) -> Option<TenantId> {
    object.meta().namespace.as_deref().and_then(|namespace| TenantId::new(namespace).ok())
}

/// An object's name as one of our own name types. The API server admits only valid ones.
pub fn name_of<K: Resource, N: std::str::FromStr>(object: &K) -> Option<N> {
    object.name_any().parse().ok()
}
