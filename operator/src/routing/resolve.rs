//! Resolves references to senders. Reads from the API server and, for Messaging Services that no sender names, from the
//! provider. Writes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::condition::reason;
use crds::{RoutingPolicyStatus, WhatsAppSender};
use kube::ResourceExt;
use messaging::config::PoolConfig;
use messaging::id::{PoolId, SenderName, TenantId};
use messaging::provider::admin::{FoundPool, PoolObservation};
use messaging::provider::{AccountAdmin as _, ProviderError};

use super::RoutingContext;
use super::validate::{Reference, Target, Validated};
use crate::reconcile::error::{Advice, Explain, Failure, KubernetesFailure, advice_of};
use crate::sender::directory::AcceptedSender;
use crate::sender::owner::other_owner;
use crate::sender::provider::SpecProvider;

/// A reference, and why it can't be resolved.
#[derive(Debug, thiserror::Error)]
#[error("{path}")]
struct Unresolved {
    path: String,
    source: Failure,
}

impl Explain for Unresolved {
    fn advice(&self) -> Advice {
        self.source.advice()
    }
    fn reason(&self) -> &'static str {
        self.source.reason()
    }
}

/// A Messaging Service belongs to another namespace.
#[derive(Debug, thiserror::Error)]
#[error(
    "{path}: the Messaging Service {pool} belongs to the namespace {owner}, whose sender named it first; nothing is sent through it from here, because a STOP would be heard there; name a service or a sender of this namespace"
)]
pub(super) struct Taken {
    path: String,
    pool: PoolId,
    owner: TenantId,
}

impl Explain for Taken {
    fn advice(&self) -> Advice {
        Advice::Stalled
    }
    fn reason(&self) -> &'static str {
        reason::CONFLICT
    }
}

/// The first Messaging Service that belongs to another namespace.
pub(super) async fn find_taken(
    context: &RoutingContext,
    tenant: &TenantId,
    policy: &Validated,
) -> Result<Option<Taken>, KubernetesFailure> {
    let mut asked = BTreeSet::new();
    for Reference { path, target } in policy.references() {
        let Target::Service(sid) = target else { continue };
        let pool = PoolId::new(sid);
        if !asked.insert(sid) {
            continue;
        }
        if let Some(owner) = other_owner(&*context.owners, &pool, tenant, context.clock.now()).await? {
            return Ok(Some(Taken { path: path.clone(), pool, owner }));
        }
    }
    Ok(None)
}

#[derive(Debug, thiserror::Error)]
enum NoService {
    #[error(
        "no account of this namespace's senders has the Messaging Service {0}; add a sender of its account, or name another service"
    )]
    Nowhere(String),
    #[error("the Messaging Service {0} can't be looked up")]
    Unknown(String, #[source] ProviderError),
}

impl Explain for NoService {
    fn advice(&self) -> Advice {
        match self {
            // A sender of that account triggers a reconcile.
            Self::Nowhere(_) => Advice::Waiting { after: None },
            Self::Unknown(_, error) => advice_of(error),
        }
    }
    fn reason(&self) -> &'static str {
        match self {
            Self::Nowhere(_) => reason::REFERENCE_NOT_FOUND,
            Self::Unknown(..) => reason::PROVIDER_UNAVAILABLE,
        }
    }
}

/// What a policy's references to Messaging Services mean.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    /// The sender of each Messaging Service.
    pub(super) services: BTreeMap<String, SenderName>,
    /// Those that were looked up here. `None` when one could not be, and what was seen of it earlier still counts. A
    /// service that a sender names is that sender's to look up.
    pub(super) pools: Option<BTreeMap<PoolId, PoolConfig>>,
}

/// Checks every sender, and finds the sender of every Messaging Service.
///
/// # Errors
/// With the first reference that can't be resolved, by the order of the fields.
pub(super) async fn resolve(
    context: &RoutingContext,
    tenant: &TenantId,
    policy: &Validated,
    status: &RoutingPolicyStatus,
) -> Result<Resolved, Failure> {
    let mut references: Vec<&Reference> = policy.references().collect();
    references.sort_by_key(|reference| position(reference));
    let mut services = BTreeMap::new();
    let mut pools = Some(BTreeMap::new());
    for Reference { path, target } in references {
        let found = match target {
            Target::Sender(name) => context.directory.usable(tenant, name).await.map(drop).map_err(Failure::from),
            Target::Service(sid) if services.contains_key(sid) => Ok(()),
            Target::Service(sid) => find_service(context, tenant, sid, status).await.map(|(sender, seen)| {
                services.insert(sid.clone(), sender);
                match (seen, &mut pools) {
                    (Seen::Here(pool), Some(pools)) => {
                        pools.insert(pool.id.clone(), PoolConfig { numbers: pool.numbers().cloned().collect() });
                    }
                    (Seen::Earlier, _) => pools = None,
                    (Seen::BySender, _) | (Seen::Here(_), None) => {}
                }
            }),
        };
        found.map_err(|source| Unresolved { path: path.clone(), source })?;
    }
    Ok(Resolved { services, pools })
}

/// Who saw a Messaging Service at the provider, and when.
enum Seen {
    BySender,
    Here(PoolObservation),
    Earlier,
}

/// `spec.default` before `spec.byCountry[2]` before `spec.byCountry[10]`.
fn position(reference: &Reference) -> (usize, &str) {
    (reference.path.len(), &reference.path)
}

/// The sender through which a Messaging Service is used: the first by name whose spec names the service. Otherwise,
/// among the senders of the account that has the service, the first in its pool, or else the first.
async fn find_service(
    context: &RoutingContext,
    tenant: &TenantId,
    sid: &str,
    status: &RoutingPolicyStatus,
) -> Result<(SenderName, Seen), Failure> {
    let known = usable_senders(context, tenant).await;
    if let Some((name, ..)) = known.iter().find(|(_, sender, _)| names_service(sender, sid)) {
        return Ok((name.clone(), Seen::BySender));
    }
    let mut failure = None;
    let mut asked: Vec<&str> = Vec::new();
    for (name, _, sender) in &known {
        let account = sender.account.key();
        if asked.contains(&account) {
            continue;
        }
        asked.push(account);
        let Some(pools) = sender.account.pools() else { continue };
        match pools.find_pool(&PoolId::new(sid)).await {
            Ok(FoundPool { pool: Some(service), .. }) => {
                let sender = sender_of(&known, account, &service).unwrap_or(name).clone();
                return Ok((sender, Seen::Here(service)));
            }
            Ok(FoundPool { pool: None, .. }) => {}
            Err(error) => drop(failure.get_or_insert(error)),
        }
    }
    let Some(error) = failure else { return Err(NoService::Nowhere(sid.to_owned()).into()) };
    // The recorded sender still counts while the provider can't be asked.
    let recorded = status.services.iter().find(|service| service.messaging_service_sid == sid);
    let recorded = recorded.and_then(|service| known.iter().find(|(name, ..)| name.as_str() == service.sender));
    recorded
        .map(|(name, ..)| (name.clone(), Seen::Earlier))
        .ok_or_else(|| NoService::Unknown(sid.to_owned(), error).into())
}

/// The first sender of an account by name that is in a service's pool.
fn sender_of<'a>(known: &'a [UsableSender], account: &str, service: &PoolObservation) -> Option<&'a SenderName> {
    let is_in_pool = |sender: &WhatsAppSender| {
        let handle = sender.status.as_ref().and_then(|status| status.handle.as_ref());
        handle.is_some_and(|handle| service.holds(handle))
    };
    let here = known.iter().filter(|(.., sender)| sender.account.key() == account);
    here.filter(|(_, object, _)| is_in_pool(object)).map(|(name, ..)| name).next()
}

fn names_service(sender: &WhatsAppSender, sid: &str) -> bool {
    SpecProvider::of(sender).and_then(SpecProvider::pool) == Some(PoolId::new(sid))
}

type UsableSender = (SenderName, Arc<WhatsAppSender>, AcceptedSender);

/// The tenant's usable senders, by name.
async fn usable_senders(context: &RoutingContext, tenant: &TenantId) -> Vec<UsableSender> {
    let mut senders = context.senders.stores.of(tenant);
    senders.sort_by_key(|sender| sender.name_any());
    let mut known = Vec::new();
    for object in senders {
        let Ok(name) = object.name_any().parse::<SenderName>() else { continue };
        if let Ok(sender) = context.directory.usable(tenant, &name).await {
            known.push((name, object, sender));
        }
    }
    known
}
