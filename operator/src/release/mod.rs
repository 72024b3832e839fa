//! `whatsapp-operator release`: the way out when the operator is gone for good, and objects that are being deleted
//! still wait for it.
//!
//! Reads as a list: [`leader`] makes sure that no operator lives, [`held`] finds what waits and tells what it leaves at
//! the provider, and this module takes our finalizer away. Nothing else is touched, and the provider is never called.
//! It runs with the rights of the person who calls it.

pub mod held;
pub mod leader;
#[cfg(test)]
mod tests;

use std::io::Write;

use clap::Args;
use crds::annotation::FINALIZER;
use crds::{MessageTemplate, RoutingPolicy, WhatsAppSender};
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use crate::settings;
use held::{Held, Leaves};
use leader::{Pace, Watch};

/// How many objects are listed at once.
const PAGE: u32 = 500;

/// What to release.
#[derive(Debug, Clone, Args)]
pub struct Release {
    /// The namespace whose objects are released
    #[arg(
        long,
        value_name = "NAMESPACE",
        value_parser = settings::namespace,
        required_unless_present = "all_namespaces",
        conflicts_with = "all_namespaces"
    )]
    pub namespace: Option<String>,

    /// Releases the objects of every namespace. Objects of another installation are released too: only the Lease that
    /// is named here tells whether an operator lives
    #[arg(long)]
    pub all_namespaces: bool,

    /// Releases them. Without it, nothing is changed: it is only told what would be released, and what would stay
    #[arg(long)]
    pub execute: bool,

    /// The namespace of the leader's Lease and of the compiled tenant configs: where the operator ran
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE", value_parser = settings::namespace)]
    pub config_namespace: String,

    /// The Lease that the operator's replicas competed for
    #[arg(long, env = "WHATSAPP_LEASE_NAME", value_name = "NAME", default_value = "whatsapp-operator")]
    pub lease_name: String,

    /// Confirms that no operator runs although there is no Lease to tell: its namespace was deleted, or it ran with
    /// --leader-election=false
    #[arg(long)]
    pub without_lease: bool,
}

/// Why not everything was released. What was released before is on stdout.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseFailed {
    #[error(
        "an operator lives: {holder} renews the Lease {lease} in the namespace {namespace}. It cleans up and releases the objects itself; their conditions tell what it waits for. Only if it shall not, stop every replica and run this again"
    )]
    LeaderLives { holder: String, lease: String, namespace: String },
    #[error(
        "there is no Lease {lease} in the namespace {namespace}, so nothing tells whether an operator lives: check --config-namespace and --lease-name (`kubectl get leases --all-namespaces` lists them). If the Lease is gone and no operator runs anywhere, add --without-lease"
    )]
    NoLease { lease: String, namespace: String },
    #[error(
        "the right to {verb} {resource} in {place} is missing: run this as somebody who has it, or grant it by a role. The API server says: {said}"
    )]
    Forbidden { verb: &'static str, resource: &'static str, place: String, said: String },
    #[error("{kind} {namespace}/{name} was changed at the same time, and is not released: run this again")]
    Changed { kind: &'static str, namespace: String, name: String },
    #[error("cannot {verb} {resource} in {place}")]
    Cluster { verb: &'static str, resource: &'static str, place: String, source: Box<kube::Error> },
    #[error("what stays at the provider can't be written to stdout, so no more is released")]
    Output(#[from] std::io::Error),
}

impl ReleaseFailed {
    /// 4: an operator lives, or may live. 5: a right is missing. 1: anything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::LeaderLives { .. } | Self::NoLease { .. } => 4,
            Self::Forbidden { .. } => 5,
            Self::Changed { .. } | Self::Cluster { .. } | Self::Output(_) => 1,
        }
    }
}

/// What an error of the API server means to the person who called. `None`: in the whole cluster.
fn failed(
    verb: &'static str,
    resource: &'static str,
    namespace: Option<&str>,
) -> impl FnOnce(kube::Error) -> ReleaseFailed {
    let place = namespace.map_or_else(|| "all namespaces".to_owned(), |name| format!("the namespace {name}"));
    move |error| match error {
        kube::Error::Api(status) if status.code == 403 => {
            ReleaseFailed::Forbidden { verb, resource, place, said: status.message.clone() }
        }
        source => ReleaseFailed::Cluster { verb, resource, place, source: Box::new(source) },
    }
}

/// Releases what waits for an operator that is gone, or tells what that would be. What stays is written to `out` before
/// it is released, so it is known whatever happens then.
///
/// # Errors
/// See [`ReleaseFailed`]. The rest then still waits; the next call goes on.
pub async fn release(
    client: &Client,
    options: &Release,
    pace: &impl Pace,
    out: &mut impl Write,
) -> Result<(), ReleaseFailed> {
    let mut watch = Watch::new(client, options);
    watch.until_gone(pace).await?;
    let mut waiting = list::<MessageTemplate>(client, options).await?;
    waiting.extend(list::<WhatsAppSender>(client, options).await?);
    waiting.extend(list::<RoutingPolicy>(client, options).await?);
    for object in &waiting {
        writeln!(out, "{object}")?;
        if options.execute {
            // An operator that was started meanwhile cleans up itself.
            watch.is_still_gone().await?;
            let outcome = remove_finalizer(client, object).await?;
            writeln!(out, "  {outcome}")?;
        }
    }
    let (count, config_namespace) = (waiting.len(), &options.config_namespace);
    match (options.execute, count) {
        (_, 0) => writeln!(out, "no object that is being deleted waits for the operator")?,
        (false, _) => writeln!(out, "objects that wait: {count}. Nothing was changed; --execute releases them")?,
        (true, _) => writeln!(
            out,
            "objects that waited: {count}. The compiled configs, which hold tokens, are kept: `whatsapp-operator remove-configs --config-namespace {config_namespace}` removes those that nothing waits for"
        )?,
    }
    Ok(())
}

/// The objects of a kind that wait. None where the kind itself is gone.
async fn list<K: Leaves>(client: &Client, options: &Release) -> Result<Vec<Held>, ReleaseFailed> {
    // Read as they are: an object that another version wrote is held too.
    let resource = ApiResource::erase::<K>(&());
    let namespace = options.namespace.as_deref();
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let (mut waiting, mut page) = (Vec::new(), ListParams::default().limit(PAGE));
    loop {
        let listed = match api.list(&page).await {
            Ok(listed) => listed,
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(waiting),
            Err(error) => return Err(failed("list", K::PLURAL, namespace)(error)),
        };
        waiting
            .extend(listed.items.into_iter().filter_map(|object| held::held::<K>(object, &options.config_namespace)));
        match listed.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) => page = page.continue_token(&next),
            None => return Ok(waiting),
        }
    }
}

/// Removes our finalizer, and no other. Fails if the object changed since it was read.
async fn remove_finalizer(client: &Client, held: &Held) -> Result<&'static str, ReleaseFailed> {
    let Held { kind, resource, namespace, name, version, others, .. } = held;
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, resource);
    let patch = json!({ "metadata": { "finalizers": others, "resourceVersion": version } });
    match api.patch_metadata(name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) if others.is_empty() => Ok("released"),
        Ok(_) => Ok("released; it still waits for other finalizers"),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok("is gone already"),
        Err(kube::Error::Api(status)) if status.code == 409 => {
            Err(ReleaseFailed::Changed { kind, namespace: namespace.clone(), name: name.clone() })
        }
        Err(error) => Err(failed("patch", kind, Some(namespace))(error)),
    }
}

/// Whether an object waits for us before it goes.
fn waits(metadata: &kube::api::ObjectMeta) -> bool {
    let ours = |finalizer: &String| finalizer == FINALIZER;
    metadata.deletion_timestamp.is_some() && metadata.finalizers.iter().flatten().any(ours)
}
