//! Publishes the tenants: several at once, each tenant's configs one after another.
//!
//! A config is written only when its bytes differ, only over the version that it was compiled from, and only by the
//! process that leads: so one that was held up overwrites nothing newer. The Secret is read from the API server,
//! because a watch lags.

mod failing;
pub(super) mod form;
mod slot;
mod trouble;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crds::WhatsAppSender;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams};
use messaging::config::TenantConfig;
use messaging::config::kubernetes::{API_KEY_SECRET_TYPE, secret_name};
use messaging::config::parts::{PartIndex, cut};
use messaging::id::TenantId;
use tokio::time::Instant;

use self::failing::Failing;
pub use self::form::Readers;
use self::form::{Form, form};
pub(super) use self::slot::only_as_read;
use self::slot::{Slot, Write, confirm};
use self::trouble::{Overtaken, TookTooLong, Unaccounted};
use super::Publisher;
use super::api_keys;
use super::compile::{Input, Present};
use super::compose::{Composed, compose};
use super::data_plane::{Awaited, Unpublished};
use super::leftovers::{go_now, leftovers};
use super::part_secrets::{Listed, Put};
use super::precedence::ordered;
use crate::clock::sleep_until;
use crate::metrics::Published;
use crate::reconcile::error::{Advice, Failure, KubernetesFailure};
use crate::reconcile::events::{Note, reason as event};
use crate::reconcile::kind::name_of;
use crate::sender::provider::SpecProvider;

/// How many tenants are published at once. They mostly wait for the API server.
const AT_ONCE: usize = 8;

/// A new tenant's objects arrive one after another; a short pause publishes them together.
const GATHER: Duration = Duration::from_millis(50);

/// How long publishing one tenant may take.
const WITHIN: Duration = Duration::from_secs(30);

/// How often a config is compiled again because something else wrote the Secret meanwhile.
const ATTEMPTS: usize = 5;

/// Publishes tenants as they change, until the task is dropped.
pub async fn publish_forever(publisher: &Publisher) {
    let mut failing = Failing::default();
    let mut busy = BTreeSet::new();
    let mut turns = FuturesUnordered::new();
    loop {
        let has_room = turns.len() < AT_ONCE;
        let retry = failing.next(&busy).map(|(at, tenant)| (at, tenant.clone()));
        let tenant = tokio::select! {
            Some((tenant, published)) = turns.next() => {
                busy.remove(&tenant);
                settle(publisher, &mut failing, &tenant, published);
                continue;
            }
            tenant = publisher.contributions.next_dirty(&busy), if has_room => tenant,
            Some(tenant) = due(retry), if has_room => tenant,
        };
        busy.insert(tenant.clone());
        turns.push(turn(publisher, tenant));
    }
}

/// Returns the tenant when it is its time.
async fn due(retry: Option<(Instant, TenantId)>) -> Option<TenantId> {
    let (at, tenant) = retry.unzip();
    sleep_until(at).await;
    tenant
}

async fn turn(publisher: &Publisher, tenant: TenantId) -> (TenantId, Result<Published, Failure>) {
    tokio::time::sleep(GATHER).await;
    publisher.contributions.settle(&tenant);
    let published = tokio::time::timeout(WITHIN, publish(publisher, &tenant)).await;
    let published = published.unwrap_or_else(|_| Err(TookTooLong { within: WITHIN }.into()));
    (tenant, published)
}

/// Notes what became of a tenant's turn.
fn settle(publisher: &Publisher, failing: &mut Failing, tenant: &TenantId, published: Result<Published, Failure>) {
    match published {
        Ok(outcome) => {
            failing.published(tenant);
            publisher.metrics.published(outcome);
        }
        Err(failure) => {
            publisher.metrics.published(Published::Error);
            let delay = failing.failed(tenant, Instant::now(), rand::random());
            tracing::warn!(%tenant, error = failure.message(), ?delay, "the tenant's config could not be published; trying again");
            let stalled = failure.advice() == Advice::Stalled;
            publisher.data_plane.set_unpublished(tenant, Unpublished { stalled, message: failure.message() });
        }
    }
    publisher.metrics.unpublished(failing.len());
}

/// The objects that the watches show.
fn present(publisher: &Publisher, tenant: &TenantId) -> Present {
    let senders = publisher.watched.senders.stores.of(tenant);
    let is_sandbox =
        |sender: &&Arc<WhatsAppSender>| SpecProvider::of(sender).is_some_and(|provider| provider.sandbox().is_some());
    let mut present = Present {
        senders: senders.iter().filter_map(|sender| name_of(&**sender)).collect(),
        sandboxes: senders.iter().filter(is_sandbox).filter_map(|sender| name_of(&**sender)).collect(),
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

/// Publishes a tenant as everything contributed so far says.
async fn publish(publisher: &Publisher, tenant: &TenantId) -> Result<Published, Failure> {
    let secrets: Api<Secret> = Api::namespaced(publisher.client.clone(), &publisher.namespace);
    for _ in 0..ATTEMPTS {
        if let Some(published) = attempt(publisher, &secrets, tenant).await? {
            return Ok(published);
        }
        tracing::info!(%tenant, "the tenant's Secret was written meanwhile; compiling its config again");
    }
    Err(Overtaken.into())
}

/// Reads, compiles and writes once. `None` when what was read is no longer what is there.
async fn attempt(
    publisher: &Publisher,
    secrets: &Api<Secret>,
    tenant: &TenantId,
) -> Result<Option<Published>, Failure> {
    let slot = Slot::read(secrets, tenant).await?;
    let present = present(publisher, tenant);
    if slot.found.is_none() && present.is_empty() {
        sweep(publisher, tenant, None, None, None).await?;
        return Ok(Some(Published::Unchanged));
    }
    let previous = previous(publisher, &slot, tenant, &present).await?;
    let api_keys = if present.is_empty() { Vec::new() } else { api_keys(publisher, tenant).await? };
    let Composed { config, left_out } = publisher.contributions.with(tenant, |contributed| {
        compose(Input {
            tenant,
            public_base_url: &publisher.public_base_url,
            present: &present,
            contributed,
            api_keys,
            previous: previous.as_deref(),
        })
    });
    for (part, why) in &left_out {
        tracing::warn!(%tenant, ?part, why, "left out of the tenant's config, because it is faulty or too much");
    }
    publisher.data_plane.set_left_out(tenant, left_out);
    match config {
        Some((config, json)) => write(publisher, &slot, tenant, config, json).await,
        None => remove(publisher, &slot, tenant).await,
    }
}

/// What is published now.
///
/// Failure policy: fail static. Where that cannot be read, nothing is published until everything that may be in it is
/// known, because what is left out stops working.
async fn previous(
    publisher: &Publisher,
    slot: &Slot<'_>,
    tenant: &TenantId,
    present: &Present,
) -> Result<Option<Arc<TenantConfig>>, Failure> {
    let Some(secret) = &slot.found else { return Ok(None) };
    let why = match publisher.published.read(tenant, secret).await? {
        Ok(config) => return Ok(Some(config)),
        Err(why) => why,
    };
    tracing::warn!(%tenant, why, "the published config cannot be read; it is compiled anew");
    if let Some(last) = publisher.data_plane.last_published(tenant) {
        return Ok(Some(last));
    }
    match publisher.contributions.with(tenant, |contributed| present.not_in(contributed)) {
        Some(object) => Err(Unaccounted { why, object, secret: secret_name(tenant) }.into()),
        None => Ok(None),
    }
}

async fn write(
    publisher: &Publisher,
    slot: &Slot<'_>,
    tenant: &TenantId,
    config: TenantConfig,
    json: Vec<u8>,
) -> Result<Option<Published>, Failure> {
    let index_before = slot.index();
    let form = form(json, index_before.is_some(), &publisher.data_plane.readers()).inspect_err(|too_large| {
        publisher.data_plane.wait_for(tenant, too_large.may_fit_later().then_some(Awaited::Readers));
    })?;
    let mut listed = None;
    let (value, index, for_now) = match form {
        Form::Whole { value, for_now } => (value, None, for_now),
        Form::Parts(json) => {
            let pieces = cut(&json);
            let parts = publisher.published.parts(tenant);
            let before = parts.list().await?;
            if parts.put(&pieces, &before, index_before.as_ref()).await? == Put::Overtaken {
                return Ok(None);
            }
            listed = Some(before);
            let index = PartIndex::of(tenant, &pieces);
            (index.to_json(), Some(index), false)
        }
    };
    let (version, published) = if slot.holds(&value) {
        (slot.version(), Published::Unchanged)
    } else {
        let Write::Done(version) = slot.write(value, &publisher.tenure).await? else { return Ok(None) };
        tracing::info!(
            %tenant,
            senders = config.senders.len(),
            templates = config.templates.len(),
            policies = config.policies.len(),
            parts = index.as_ref().map_or(0, |index| index.parts().len()),
            version,
            "tenant config published"
        );
        (version, Published::Written)
    };
    let id = index.as_ref().map(PartIndex::id);
    publisher.data_plane.set_published(tenant, version, id, Some(Arc::new(config)));
    publisher.data_plane.wait_for(tenant, for_now.then_some(Awaited::Readers));
    sweep(publisher, tenant, Some(version), index.as_ref(), listed).await?;
    Ok(Some(published))
}

async fn remove(publisher: &Publisher, slot: &Slot<'_>, tenant: &TenantId) -> Result<Option<Published>, Failure> {
    let Write::Done(_) = slot.remove(&publisher.tenure).await? else { return Ok(None) };
    publisher.data_plane.set_published(tenant, 0, None, None);
    sweep(publisher, tenant, None, None, None).await?;
    if slot.found.is_none() {
        return Ok(Some(Published::Unchanged));
    }
    tracing::info!(%tenant, "tenant config removed: the tenant has nothing left to publish");
    Ok(Some(Published::Removed))
}

/// Removes the parts that the published index does not name, also those that a crash left behind, once they may go.
/// `published` is the version of the Secret, where there is one.
async fn sweep(
    publisher: &Publisher,
    tenant: &TenantId,
    published: Option<u128>,
    index: Option<&PartIndex>,
    listed: Option<Listed>,
) -> Result<(), Failure> {
    let parts = publisher.published.parts(tenant);
    let listed = match listed {
        Some(listed) => listed,
        None if publisher.known_parts.has_any(tenant) => parts.list().await?,
        None => return Ok(()),
    };
    let mut left = leftovers(&listed, index);
    if left.is_empty() {
        return Ok(());
    }
    let run_by_all = published.map(|_| {
        publisher.data_plane.wait_for(tenant, Some(Awaited::Acknowledgement));
        publisher.data_plane.is_run_by_all(tenant)
    });
    if run_by_all == Some(true) {
        publisher.data_plane.wait_for(tenant, None);
    }
    go_now(&mut left, run_by_all);
    let secrets = &publisher.published.secrets;
    if left.is_empty() || Slot::read(secrets, tenant).await?.version() != published.unwrap_or(0) {
        // Another leader's write came to be meanwhile, and may name them. The watch tells, and it is looked at again.
        return Ok(());
    }
    confirm(&publisher.tenure).await?;
    parts.remove(&left).await?;
    Ok(())
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

#[cfg(test)]
mod tests;
