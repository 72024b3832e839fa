//! Which objects wait for which: every dependency between objects, in one place.
//!
//! Whenever an object appears, changes, changes in what others read of its status, or goes, everything that waits for
//! it is reconciled at once. What a reconcile reads of another object and is not here is noticed only at the next poll.
//! Objects that name a Secret are woken by [`crate::sender::credentials`].

use std::collections::BTreeSet;

use crds::condition::{CREDENTIALS_VALID, STALLED, TEMPLATE_EVENTS_CONFIGURED, WEBHOOKS_CONFIGURED};
use crds::{MessageTemplate, RoutingPolicy, WhatsAppSender};
use kube::ResourceExt;
use messaging::id::PoolId;
use serde_json::{Value, json};

use super::Watched;
use crate::push;
use crate::reconcile::kind::{Kind, tenant_of};
use crate::rotation::wish;
use crate::sender::provider::SpecProvider;
use crate::sender::rival;
use crate::template::claims;
use crate::template::dereference::reads;

/// A kind whose objects others may wait for.
pub trait Awaited: Kind {
    /// Requests a reconcile of everything that waits for this object.
    fn wake_waiting(&self, watched: &Watched);

    /// What others read of the object's status.
    fn read_by_others(&self) -> Value {
        Value::Null
    }
}

impl Awaited for WhatsAppSender {
    fn wake_waiting(&self, watched: &Watched) {
        // An account may have thousands of templates, and most have nothing to do with most of its senders.
        let senders = tenant_of(self).map(|tenant| (&watched.senders.stores, tenant));
        let find = |name: &str| senders.as_ref().and_then(|(senders, tenant)| senders.get(tenant, name));
        watched.templates.ask_where(|template| is_same_tenant(template, self) && reads(template, self, find));
        // A policy names senders, and finds the sender of a Messaging Service by the accounts of all.
        watched.policies.ask_where(|policy| is_same_tenant(policy, self));
        // A Messaging Service belongs to one namespace, and no other may route through it.
        let pool = SpecProvider::of(self).and_then(SpecProvider::pool);
        watched.policies.ask_where(|policy| pool.as_ref().is_some_and(|pool| routes_through(policy, pool)));
        // Of several senders with one number, one takes precedence, the senders of a pool agree on its URLs, and those
        // that share a Secret rotate together, if they rotate at all: an account may have hundreds.
        let waits = |sender: &WhatsAppSender| {
            // Of those of an account that ask for template events, one acts, and the others show the same.
            let follows = || push::wish::asks(sender) && push::wish::share_an_account(sender, self);
            let rotate = || wish::share_a_secret(sender, self) && (wish::rotates(sender) || wish::rotates(self));
            rival::compete(sender, self) || rotate() || follows()
        };
        watched.senders.ask_where(|sender| waits(sender) && sender.uid() != self.uid());
    }

    fn read_by_others(&self) -> Value {
        let Some(status) = &self.status else { return Value::Null };
        let condition = |name: &str| status.conditions.iter().find(|condition| condition.type_ == name);
        let state = |name: &str| condition(name).map(|condition| condition.status.as_str());
        let stalled = condition(STALLED).map(|condition| condition.reason.as_str());
        let key = status.rotation.as_ref().and_then(|rotation| rotation.key.as_ref());
        let events = condition(TEMPLATE_EVENTS_CONFIGURED).map(|condition| [&condition.status, &condition.message]);
        json!([state(CREDENTIALS_VALID), state(WEBHOOKS_CONFIGURED), stalled, status.handle, key, events])
    }
}

impl Awaited for MessageTemplate {
    fn wake_waiting(&self, watched: &Watched) {
        let current = tenant_of(self).and_then(|tenant| watched.templates.stores.get(&tenant, &self.name_any()));
        watched.holders.note(current.as_deref().unwrap_or(self), current.is_some());
        // Of two templates that name or adopted the same one at the provider, one comes first.
        let wanted = claims::adopted_or_named(self);
        if wanted.is_empty() {
            return;
        }
        watched.templates.ask_where(|other| {
            other.metadata.uid != self.metadata.uid && !claims::adopted_or_named(other).is_disjoint(&wanted)
        });
    }

    fn read_by_others(&self) -> Value {
        json!(claims::recorded_or_named(self).collect::<BTreeSet<_>>())
    }
}

impl Awaited for RoutingPolicy {
    fn wake_waiting(&self, watched: &Watched) {
        // Of a tenant's policies, one takes precedence.
        watched.policies.ask_where(|policy| is_same_tenant(policy, self) && policy.uid() != self.uid());
    }
}

fn routes_through(policy: &RoutingPolicy, pool: &PoolId) -> bool {
    let targets = policy.spec.by_country.iter().map(|route| &route.to).chain([&policy.spec.default]);
    targets.into_iter().any(|target| target.messaging_service_sid.as_deref() == Some(pool.as_str()))
}

fn is_same_tenant(one: &impl ResourceExt, other: &impl ResourceExt) -> bool {
    one.namespace() == other.namespace()
}
