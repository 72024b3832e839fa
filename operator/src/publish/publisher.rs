//! Writes each tenant's Secret: only when its bytes differ, and after reading it from the API server, because a watch
//! lags.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, Preconditions};
use messaging::config::TenantConfig;
use messaging::config::kubernetes::{API_KEY_SECRET_TYPE, CONFIG_KEY, SECRET_TYPE, TENANT_LABEL, secret_name};
use messaging::config::packed::{LARGEST, packed};
use messaging::id::TenantId;
use tokio::time::Instant;

use super::Publisher;
use super::api_keys;
use super::compile::{Input, Present, compile};
use super::data_plane::Unpublished;
use super::precedence::ordered;
use super::published::read_config;
use super::sound::{LeftOut, sound};
use crate::clock::sleep_until;
use crate::metrics::Published;
use crate::reconcile::backoff;
use crate::reconcile::drive::FIELD_MANAGER;
use crate::reconcile::error::{Advice, Explain, Failure, KubernetesFailure};
use crate::reconcile::events::{Note, reason as event};
use crate::reconcile::freshness::number;
use crate::reconcile::kind::name_of;

/// A new tenant's objects arrive one after another; a short pause publishes them together.
const GATHER: Duration = Duration::from_millis(50);

/// How long publishing one tenant may take before the next tenant's turn.
const WITHIN: Duration = Duration::from_secs(30);

/// The API server did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the API server did not answer within {WITHIN:?}")]
struct TookTooLong;
impl Explain for TookTooLong {
    fn advice(&self) -> Advice {
        Advice::Transient { not_before: None }
    }
    fn reason(&self) -> &'static str {
        "KubernetesFailed"
    }
}

/// Publishes tenants as they change, until the task is dropped.
pub async fn publish_forever(publisher: &Publisher) {
    let mut failing: BTreeMap<TenantId, (Instant, u32)> = BTreeMap::new();
    loop {
        let retry_at = failing.values().map(|(at, _)| *at).min();
        let tenant = tokio::select! {
            tenant = publisher.contributions.next_dirty() => {
                tokio::time::sleep(GATHER).await;
                tenant
            }
            () = sleep_until(retry_at) => {
                let now = Instant::now();
                let Some(tenant) = failing.iter().find(|(_, (at, _))| *at <= now).map(|(t, _)| t.clone()) else { continue };
                tenant
            }
        };
        let published = tokio::time::timeout(WITHIN, publish(publisher, &tenant)).await;
        match published.unwrap_or_else(|_| Err(TookTooLong.into())) {
            Ok(outcome) => {
                failing.remove(&tenant);
                publisher.metrics.unpublished(failing.len());
                publisher.metrics.published(outcome);
            }
            Err(failure) => {
                publisher.metrics.published(Published::Error);
                let attempt = failing.get(&tenant).map_or(1, |(_, attempt)| attempt.saturating_add(1));
                let delay = backoff::delay(attempt, rand::random());
                tracing::warn!(%tenant, error = failure.message(), ?delay, "the tenant's config could not be published; trying again");
                let stalled = failure.advice() == Advice::Stalled;
                publisher.data_plane.set_unpublished(&tenant, Unpublished { stalled, message: failure.message() });
                failing.insert(tenant, (Instant::now() + delay, attempt));
                publisher.metrics.unpublished(failing.len());
            }
        }
    }
}

/// The objects that the watches show.
fn present(publisher: &Publisher, tenant: &TenantId) -> Present {
    let mut present = Present {
        senders: publisher.watched.senders.stores.of(tenant).iter().filter_map(|sender| name_of(&**sender)).collect(),
        templates: publisher
            .watched
            .templates
            .stores
            .of(tenant)
            .iter()
            .filter_map(|template| {
                let senders = template.spec.sender_refs.iter().filter_map(|sender| sender.name.parse().ok()).collect();
                Some((name_of(&**template)?, senders))
            })
            .collect(),
        policies: ordered(&publisher.watched.policies.stores.of(tenant)).into_iter().filter_map(name_of).collect(),
    };
    // An unreadable object still exists, and what was published of it stays.
    present
        .senders
        .extend(publisher.watched.senders.stores.unreadable(tenant).iter().filter_map(|name| name.parse().ok()));
    for name in publisher.watched.templates.stores.unreadable(tenant).iter().filter_map(|name| name.parse().ok()) {
        present.templates.entry(name).or_default();
    }
    present
        .policies
        .extend(publisher.watched.policies.stores.unreadable(tenant).iter().filter_map(|name| name.parse().ok()));
    present
}

async fn publish(publisher: &Publisher, tenant: &TenantId) -> Result<Published, Failure> {
    let secrets: Api<Secret> = Api::namespaced(publisher.client.clone(), &publisher.namespace);
    let name = secret_name(tenant);
    let present = present(publisher, tenant);
    let contributed = publisher.contributions.of(tenant);
    let old = secrets.get_opt(&name).await.map_err(KubernetesFailure::new("the published config cannot be read"))?;
    if old.is_none() && present.is_empty() {
        return Ok(Published::Unchanged);
    }
    let old = old.map(|secret| ours(tenant, secret)).transpose()?;
    let previous = old.as_ref().and_then(|secret| read_config(tenant, secret));
    let api_keys = if present.is_empty() { Vec::new() } else { api_keys(publisher, tenant).await? };
    let config = compile(Input {
        tenant,
        public_base_url: &publisher.public_base_url,
        present: &present,
        contributed: &contributed,
        api_keys,
        previous: previous.as_ref(),
    });
    let (config, left_out) = match config.map(|config| sound(config, previous.as_ref())) {
        Some((config, left_out)) => (Some(config), left_out),
        None => (None, LeftOut::new()),
    };
    for (part, why) in &left_out {
        tracing::warn!(%tenant, ?part, why, "left out of the tenant's config, because it is faulty");
    }
    publisher.data_plane.set_left_out(tenant, left_out);
    match (config, old) {
        (Some(config), old) => write(publisher, &secrets, tenant, &name, config, old.as_ref()).await,
        (None, Some(old)) => {
            let preconditions = Preconditions { uid: old.uid(), resource_version: old.resource_version() };
            let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
            match secrets.delete(&name, &params).await {
                Ok(_) => tracing::info!(%tenant, "tenant config removed: the tenant has nothing left to publish"),
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => {
                    return Err(KubernetesFailure::new("the published config cannot be removed")(error).into());
                }
            }
            publisher.data_plane.set_published(tenant, 0, None);
            Ok(Published::Removed)
        }
        (None, None) => {
            publisher.data_plane.set_published(tenant, 0, None);
            Ok(Published::Unchanged)
        }
    }
}

async fn write(
    publisher: &Publisher,
    secrets: &Api<Secret>,
    tenant: &TenantId,
    name: &str,
    config: TenantConfig,
    old: Option<&Secret>,
) -> Result<Published, Failure> {
    let json = config.to_json();
    let size = json.len();
    let bytes = packed(json);
    if bytes.len() > LARGEST {
        return Err(TooLarge { size, compressed: bytes.len() }.into());
    }
    let version_of = |secret: &Secret| secret.resource_version().as_deref().and_then(number).unwrap_or(0);
    if let Some(old) = old
        && old.data.as_ref().and_then(|data| data.get(CONFIG_KEY)).is_some_and(|published| published.0 == bytes)
        && old.labels().get(TENANT_LABEL).is_some_and(|label| label == tenant.as_str())
    {
        publisher.data_plane.set_published(tenant, version_of(old), Some(config));
        return Ok(Published::Unchanged);
    }
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some([(TENANT_LABEL.to_owned(), tenant.to_string())].into()),
            ..ObjectMeta::default()
        },
        type_: Some(SECRET_TYPE.to_owned()),
        data: Some([(CONFIG_KEY.to_owned(), ByteString(bytes))].into()),
        ..Secret::default()
    };
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let written = secrets
        .patch(name, &params, &Patch::Apply(&secret))
        .await
        .map_err(KubernetesFailure::new("the tenant's config cannot be written"))?;
    tracing::info!(
        %tenant,
        senders = config.senders.len(),
        templates = config.templates.len(),
        policies = config.policies.len(),
        version = written.resource_version(),
        "tenant config published"
    );
    publisher.data_plane.set_published(tenant, version_of(&written), Some(config));
    Ok(Published::Written)
}

async fn api_keys(publisher: &Publisher, tenant: &TenantId) -> Result<Vec<messaging::config::ApiKeyConfig>, Failure> {
    let secrets: Api<Secret> = Api::namespaced(publisher.client.clone(), tenant.as_str());
    let selection = ListParams::default().fields(&format!("type={API_KEY_SECRET_TYPE}"));
    let listed =
        secrets.list(&selection).await.map_err(KubernetesFailure::new("the tenant's API keys cannot be listed"))?;
    let keys = api_keys::read(&listed.items);
    for (secret, why) in keys.unusable {
        let note = Note { warning: true, reason: event::API_KEY_UNUSABLE, text: why.to_owned() };
        publisher.events.publish(&secret, &note).await;
    }
    Ok(keys.usable)
}

/// The tenant has more objects than one Secret holds.
#[derive(Debug, thiserror::Error)]
#[error(
    "this namespace's config can't be published: it has {size} bytes, {compressed} compressed, and a Secret holds {LARGEST}; the data plane runs the last one that fitted; delete templates, or move some to another namespace"
)]
struct TooLarge {
    size: usize,
    compressed: usize,
}

impl Explain for TooLarge {
    fn advice(&self) -> Advice {
        Advice::Stalled
    }
    fn reason(&self) -> &'static str {
        crds::condition::reason::NOT_PUBLISHED
    }
}

/// A Secret has the name of ours and another type. Writing would destroy what someone else made.
#[derive(Debug, thiserror::Error)]
#[error(
    "the secret {name} in the data plane's namespace has the type {found:?}; remove it, so that the tenant's config can take its place"
)]
struct NotOurs {
    name: String,
    found: String,
}

impl Explain for NotOurs {
    fn advice(&self) -> Advice {
        Advice::Stalled
    }
    fn reason(&self) -> &'static str {
        crds::condition::reason::CONFLICT
    }
}

fn ours(tenant: &TenantId, secret: Secret) -> Result<Secret, NotOurs> {
    match secret.type_.as_deref() {
        Some(SECRET_TYPE) => Ok(secret),
        found => Err(NotOurs { name: secret_name(tenant), found: found.unwrap_or("Opaque").to_owned() }),
    }
}

#[cfg(test)]
mod tests;
