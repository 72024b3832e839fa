//! `RoutingPolicy`: resolves its references to senders, and reports conflicts.
//!
//! A reconcile reads as a list: [`mod@validate`] (the spec), [`mod@resolve`] (the sender behind each reference),
//! [`mod@compile`] (what the data plane needs) and [`precedence`] (which policy takes precedence). It never writes at a
//! provider.

mod compile;
mod resolve;
#[cfg(test)]
mod tests;
mod validate;

use std::sync::Arc;

use crds::{RoutingPolicy, RoutingPolicyStatus, ServiceSender, WhatsAppSender};
use messaging::clock::Clock;
use messaging::id::{PolicyName, TenantId};
use messaging::routing::RoutingConfig;

use self::resolve::Resolved;
use self::validate::Validated;
use crate::metrics::KindName;
use crate::publish::published::PublishedConfigs;
use crate::publish::{Contributions, Observer, precedence};
use crate::reconcile::error::Failure;
use crate::reconcile::kind::{Id, Kind, name_of, tenant_of};
use crate::reconcile::progress::{Next, Progress};
use crate::sender::directory::SenderDirectory;
use crate::sender::owner::PoolOwners;
use crate::watch::Objects;

/// What a policy's reconcile needs.
pub struct RoutingContext {
    pub directory: Arc<SenderDirectory>,
    pub published: Arc<dyn PublishedConfigs>,
    pub contributions: Arc<Contributions>,
    pub senders: Arc<Objects<WhatsAppSender>>,
    pub policies: Arc<Objects<RoutingPolicy>>,
    pub owners: Arc<dyn PoolOwners>,
    pub clock: Arc<dyn Clock>,
}

impl Kind for RoutingPolicy {
    type Name = PolicyName;
    type Context = RoutingContext;

    const NAME: KindName = KindName::Policy;
    const PLURAL: &'static str = "routingpolicies";
    const CONDITIONS: &'static [&'static str] = &[];
    const PUTS_RIGHT: &'static [&'static str] = &[];

    /// A policy is only config.
    fn needs_cleanup(&self) -> bool {
        false
    }

    async fn reconcile(
        &self,
        Id { tenant, name }: &Id<PolicyName>,
        context: &RoutingContext,
        progress: &mut Progress<RoutingPolicyStatus>,
    ) -> Result<Next, Failure> {
        withdraw_if_dangling(context, tenant, name).await?;

        let desired = validate::validate(&self.spec)?;
        describe(&mut progress.status, &desired);
        if let Some(taken) = resolve::find_taken(context, tenant, &desired).await? {
            context.contributions.set_policy(tenant, name, None);
            return Err(taken.into());
        }
        let resolved = resolve::resolve(context, tenant, &desired, &progress.status).await;
        // An unresolved reference leaves the published policy unchanged.
        let Resolved { services, pools } = resolved?;
        progress.status.services = services
            .iter()
            .map(|(sid, sender)| ServiceSender { messaging_service_sid: sid.clone(), sender: sender.to_string() })
            .collect();
        if let Some(pools) = pools {
            context.contributions.set_pools(tenant, &Observer::Policy(name.clone()), pools);
        }
        context.contributions.set_policy(tenant, name, compile::compile(&desired, &services));
        progress.ready(&precedence::message(&context.policies.stores.of(tenant), name));
        Ok(Next::Poll)
    }

    async fn cleanup(
        &self,
        _: &Id<PolicyName>,
        _: &RoutingContext,
        _: &mut Progress<RoutingPolicyStatus>,
    ) -> Result<(), Failure> {
        Ok(())
    }

    fn forget(&self, context: &RoutingContext) {
        if let (Some(tenant), Some(name)) = (tenant_of(self), name_of(self)) {
            context.contributions.forget_policy(&tenant, &name);
        }
    }
}

/// Sets what the printed columns show.
fn describe(status: &mut RoutingPolicyStatus, desired: &Validated) {
    status.default = Some(desired.default.target.to_string());
    status.countries = i32::try_from(desired.countries.len()).ok();
}

/// Withdraws a published policy that routes to a deleted sender, because the data plane refuses a config with one.
async fn withdraw_if_dangling(context: &RoutingContext, tenant: &TenantId, name: &PolicyName) -> Result<(), Failure> {
    let published = match context.contributions.policy(tenant, name) {
        Some(contributed) => contributed,
        None => context.published.of(tenant).await?.and_then(|published| published.policies.get(name).cloned()),
    };
    let senders = context.senders.stores.of(tenant);
    // An unreadable sender still exists.
    let unreadable = context.senders.stores.unreadable(tenant);
    let exists = |name: &str| {
        senders.iter().any(|sender| sender.metadata.name.as_deref() == Some(name))
            || unreadable.iter().any(|u| u == name)
    };
    let is_gone = |name: &str| !exists(name);
    if published.is_some_and(|published| senders_of(&published).any(is_gone)) {
        context.contributions.set_policy(tenant, name, None);
    }
    Ok(())
}

fn senders_of(policy: &RoutingConfig) -> impl Iterator<Item = &str> {
    std::iter::once(&policy.default).chain(policy.by_country.values()).map(|route| route.sender.as_str())
}
