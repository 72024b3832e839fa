//! Which objects wait for the operator, and what each leaves at the provider if nobody cleans up. Pure.

use std::fmt;

use crds::annotation::FINALIZER;
use crds::{MessageTemplate, RoutingPolicy, TemplateLocationStatus, WhatsAppSender};
use kube::ResourceExt;
use kube::api::{ApiResource, DynamicObject};

use super::waits;
use crate::reconcile::kind::{Kind, tenant_of};
use crate::reconcile::redact::redact;
use crate::rotation::records::{self, Subject};
use crate::sender::provider::SpecProvider;

/// An object that is being deleted, and waits for the operator. It is shown with what it leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// The kind's plural.
    pub kind: &'static str,
    pub resource: ApiResource,
    pub namespace: String,
    pub name: String,
    /// The version that was read.
    pub version: Option<String>,
    /// The finalizers of others.
    pub others: Vec<String>,
    /// What stays, in plain words.
    pub stays: Vec<String>,
}

/// A kind whose objects leave something.
pub trait Leaves: Kind {
    /// What stays when nobody cleans up, as the object's status knows it, in plain words.
    fn stays(&self, config_namespace: &str) -> Vec<String>;
}

/// The object, if it waits for the operator. Others are never touched.
pub fn held<K: Leaves>(object: DynamicObject, config_namespace: &str) -> Option<Held> {
    if !waits(&object.metadata) {
        return None;
    }
    let (namespace, name, version) = (object.namespace()?, object.name_any(), object.resource_version());
    let others = object.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER).cloned().collect();
    let stays = object.try_parse::<K>().map_or_else(
        |_| vec!["what it made, which cannot be told: its spec or status is not of this version".to_owned()],
        |parsed| parsed.stays(config_namespace),
    );
    Some(Held { kind: K::PLURAL, resource: ApiResource::erase::<K>(&()), namespace, name, version, others, stays })
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)?;
        for one in &self.stays {
            write!(f, "\n  stays: {one}")?;
        }
        if self.stays.is_empty() {
            write!(f, "\n  its status knows of nothing that stays")?;
        }
        Ok(())
    }
}

impl Leaves for MessageTemplate {
    fn stays(&self, _: &str) -> Vec<String> {
        self.status.iter().flat_map(|status| &status.locations).flat_map(templates).collect()
    }
}

/// The templates of one language at one account, each once.
fn templates(location: &TemplateLocationStatus) -> Vec<String> {
    let TemplateLocationStatus { account, language, serving, newest, retiring } = location;
    let at = format!("in the account {account}, language {language}");
    let mut stays = Vec::new();
    for revision in [serving, newest].into_iter().flatten() {
        let one = match &revision.handle {
            Some(handle) => format!("the template {handle} {at}"),
            // Its creation may have succeeded although nobody heard of it.
            None => format!("maybe a template named {} {at}: it was being created", revision.name),
        };
        if !stays.contains(&one) {
            stays.push(one);
        }
    }
    stays.extend(retiring.iter().map(|handle| format!("the template {handle} {at}")));
    stays
}

impl Leaves for WhatsAppSender {
    fn stays(&self, config_namespace: &str) -> Vec<String> {
        let account = SpecProvider::of(self).map_or("of the spec", |provider| provider.account().1);
        let (mut stays, status) = (Vec::new(), self.status.as_ref());
        let webhooks = status.and_then(|status| status.webhooks.as_ref());
        for (what, url) in webhooks.into_iter().flat_map(|urls| [("inbound", &urls.inbound), ("status", &urls.status)])
        {
            if let Some(url) = url {
                let number = &self.spec.phone_number;
                stays.push(format!("the {what} webhook {} of {number} in the account {account}", redact(url)));
            }
        }
        if let Some(membership) = status.and_then(|status| status.membership.as_ref()) {
            let (number, service) = (&self.spec.phone_number, &membership.messaging_service_sid);
            stays.push(format!(
                "{number} in the Messaging Service {service}, which the operator added it to, in the account {account}"
            ));
        }
        let rotation = status.and_then(|status| status.rotation.as_ref());
        if let Some(key) = rotation.and_then(|rotation| rotation.key.as_ref()) {
            stays.push(format!("the API key {key}, which the operator made, in the account {account}: it is valid until somebody revokes it"));
        }
        if let (true, Some(tenant), Some(provider)) =
            (rotation.is_some() || self.spec.credential_rotation.is_some(), tenant_of(self), SpecProvider::of(self))
        {
            let record = records::name(&Subject { tenant, secret: provider.credentials_secret().to_owned() });
            stays.push(format!("the Secret {record} in the namespace {config_namespace}, if there is one: it lists every key that the operator made and did not revoke, in use or not"));
        }
        if status.is_some_and(|status| status.template_events.is_some()) {
            let name = format!("whatsapp-operator/{}", self.uid().unwrap_or_default());
            stays.push(format!("the Event Streams sink with the description {name} and its subscription, if there is one, in the account {account}"));
        }
        stays
    }
}

impl Leaves for RoutingPolicy {
    /// A policy is only config.
    fn stays(&self, _: &str) -> Vec<String> {
        Vec::new()
    }
}
