//! A tenant whose config grows beyond what one Secret holds.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Error, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tests::eventually::eventually;
use tests::world::{Tenant, World, conditions};

const LANGUAGES: [&str; 32] = [
    "af", "ar", "az", "bg", "bn", "ca", "cs", "da", "de", "el", "en", "es", "et", "fa", "fi", "fil", "fr", "ga", "gu",
    "he", "hi", "hr", "hu", "id", "it", "ja", "ka", "kk", "kn", "ko", "lo", "lt",
];
/// The account of a sender that is gone, so that nothing asks the provider about these templates.
const GONE: &str = "AC00000000000000000000000000000009";

/// A text that compression makes hardly smaller.
fn noise(seed: &str) -> String {
    let bytes: Vec<u8> = (0..24).flat_map(|n| Sha256::digest(format!("{seed} {n}"))).collect();
    BASE64_STANDARD.encode(bytes)
}

/// Templates that were approved in 32 languages, about 33 kB each.
async fn approved(world: &World, tenant: &Tenant, names: &[String]) -> Result<()> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("whatsapp-operator.dev", "v1alpha1", "MessageTemplate"));
    let api: Api<DynamicObject> = Api::namespaced_with(world.cluster.admin().await?, &tenant.namespace, &kind);
    for name in names {
        let texts =
            || LANGUAGES.map(|language| json!({"language": language, "body": noise(&format!("{name} {language}"))}));
        let spec = json!({
            "senderRefs": [{"name": "gone"}], "category": "UTILITY", "fallbackLanguage": "en",
            "localizations": texts(), "deletionPolicy": "Retain",
        });
        world.cluster.apply(&[tenant.object("MessageTemplate", name, spec)?], None).await?;
        let revision = |language: &str| json!({"name": format!("{name}_{language}"), "handle": format!("HX{name}{language}"), "state": "Approved"});
        let locations = LANGUAGES.map(|language| {
            json!({"account": GONE, "language": language, "serving": revision(language), "newest": revision(language)})
        });
        let revisions: Vec<Value> = texts()
            .into_iter()
            .map(|text| {
                let name = format!("{name}_{}", text["language"].as_str().unwrap_or_default());
                json!({"name": name, "category": "UTILITY", "content": text})
            })
            .collect();
        let status = json!({"status": {"observedGeneration": 0, "locations": locations, "revisions": revisions}});
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await?;
    }
    Ok(())
}

async fn annotate(world: &World, tenant: &Tenant, annotation: &str) -> Result<()> {
    let arguments =
        ["annotate", "whatsappsender", "support", annotation, "--namespace", &tenant.namespace, "--overwrite"];
    world.cluster.kubectl(&arguments).await.map(drop)
}

/// A replica that has acknowledged nothing: its Lease. One of a version that does not read configs in parts says
/// nothing of them.
async fn replica(world: &World, pod: &str, reads_parts: bool) -> Result<Api<Lease>> {
    let leases: Api<Lease> = Api::namespaced(world.cluster.admin().await?, &world.system);
    let mut lease = json!({
        "metadata": {
            "name": format!("whatsapp-dataplane-{pod}"),
            "labels": {"whatsapp-operator.dev/data-plane-replica": "true"},
            "annotations": {"whatsapp-operator.dev/applied-resource-version": "0"},
        },
        "spec": {"holderIdentity": pod, "leaseDurationSeconds": 3600},
    });
    if reads_parts {
        lease["metadata"]["annotations"]["whatsapp-operator.dev/applied-parts"] = json!("{}");
    }
    leases.create(&PostParams::default(), &serde_json::from_value(lease)?).await?;
    Ok(leases)
}

/// What the tenant's Secret holds.
async fn published(world: &World, tenant: &Tenant) -> Result<Value, String> {
    let secret = format!("whatsapp-tenant-{}", tenant.namespace);
    let path = "jsonpath={.data.tenant\\.json}";
    let value =
        world.cluster.kubectl(&["get", "secret", &secret, "--namespace", &world.system, "--output", path]).await;
    let value = BASE64_STANDARD.decode(value.map_err(|e| format!("{e:#}"))?.trim()).map_err(|e| e.to_string())?;
    serde_json::from_slice(&value).map_err(|e| e.to_string())
}

/// How many Secrets hold parts of the tenant's config.
async fn parts(world: &World, tenant: &Tenant) -> Result<usize, String> {
    let label = format!("whatsapp-operator.dev/tenant={}", tenant.namespace);
    let kind = "type=whatsapp-operator.dev/tenant-config-part";
    let arguments = ["get", "secrets", "--namespace", &world.system, "--selector", &label, "--field-selector", kind];
    let listed = world.cluster.kubectl(&[&arguments[..], &["--output", "name"]].concat()).await;
    Ok(listed.map_err(|e| format!("{e:#}"))?.lines().count())
}

#[tokio::test]
async fn a_config_that_fits_no_secret_is_published_in_parts_once_every_replica_reads_them() -> Result<()> {
    let mut world = World::start(&["shop"]).await?;
    let shop = world.tenant(0).await?;
    let names: Vec<String> = (0..46).map(|n| format!("t{n}")).collect();
    world.operator.kill()?;
    approved(&world, &shop, &names).await?;
    let leases = replica(&world, "old", false).await?;
    world.start_operator()?;

    // While one replica does not read parts, nothing is published, and what the data plane does not do is told on the
    // object.
    let renewals = AtomicUsize::new(0);
    let metrics = format!("http://127.0.0.1:{}/metrics", world.ports.operator);
    eventually("the operator counts the tenant", async || {
        // It is alive as long as it renews its Lease.
        let renewed = renewals.fetch_add(1, Ordering::Relaxed);
        let now =
            json!({"spec": {"renewTime": format!("2026-01-01T00:{:02}:{:02}.000000Z", renewed / 60, renewed % 60)}});
        let renewed = leases.patch("whatsapp-dataplane-old", &PatchParams::default(), &Patch::Merge(&now)).await;
        renewed.map_err(|e| e.to_string())?;
        let answer = reqwest::get(&metrics).await.map_err(|e| e.to_string())?;
        let text = answer.text().await.map_err(|e| e.to_string())?;
        let counted = text.lines().find(|line| line.starts_with("whatsapp_operator_unpublished_tenants "));
        if counted.is_some_and(|line| line.ends_with(" 1")) { Ok(()) } else { Err(format!("{counted:?}")) }
    })
    .await?;
    annotate(&world, &shop, "whatsapp-operator.dev/paused=true").await?;
    let sender = world.condition("whatsappsender", &shop.namespace, "support", "Stalled", "True").await?;
    let stalled = conditions(&sender).find(|c| c["type"] == "Stalled").context("no Stalled condition")?;
    let message = stalled["message"].as_str().unwrap_or_default();
    ensure!(stalled["reason"] == "NotPublished", "{stalled}");
    ensure!(message.contains("bytes") && message.contains("1048576"), "{message}");
    ensure!(message.contains("these do not: old;"), "{message}");

    // Then it is, and the data plane runs it.
    leases.delete("whatsapp-dataplane-old", &DeleteParams::default()).await?;
    is_paused(&world, &shop).await?;
    let index = published(&world, &shop).await.map_err(Error::msg)?;
    ensure!(index["format"] == 2 && index["parts"].as_array().is_some_and(|parts| parts.len() > 1), "{index}");
    annotate(&world, &shop, "whatsapp-operator.dev/paused-").await?;
    world.ready("whatsappsender", &shop.namespace, "support").await?;
    eventually("of the parts, only those of the newest config are left", async || {
        let (index, parts) = (published(&world, &shop).await?, parts(&world, &shop).await?);
        let named = index["parts"].as_array().map(Vec::len);
        if named == Some(parts) { Ok(()) } else { Err(format!("{parts}, and {index}")) }
    })
    .await?;
    named_again(&world, &shop).await?;
    world.kill_data_plane()?;
    world.start_data_plane(&[]).await?;
    world.in_data_plane("whatsappsender", &shop.namespace, "support").await?;

    // And when it is small again, one Secret holds it.
    let delete = ["delete", "messagetemplate", "--namespace", &shop.namespace];
    let too_many = names.iter().skip(4).map(String::as_str).collect::<Vec<_>>();
    world.cluster.kubectl(&[&delete[..], &too_many[..]].concat()).await?;
    eventually("the config is one Secret without parts", async || {
        let (config, parts) = (published(&world, &shop).await?, parts(&world, &shop).await?);
        if config["format"] == 1 && parts == 0 { Ok(()) } else { Err(format!("{}, {parts} parts", config["format"])) }
    })
    .await?;
    world.ready("whatsappsender", &shop.namespace, "support").await?;
    world.in_data_plane("whatsappsender", &shop.namespace, "support").await
}

/// A config comes back while a replica still holds up the removal of its parts: they are written again before they are
/// named.
async fn named_again(world: &World, tenant: &Tenant) -> Result<()> {
    let leases = replica(world, "slow", true).await?;
    let first = published(world, tenant).await.map_err(Error::msg)?;
    for (limits, is_first) in [(json!({"burst": 7}), false), (Value::Null, true)] {
        let change = json!({"spec": {"limits": limits}}).to_string();
        let patch = ["patch", "whatsappsender", "support", "--namespace", &tenant.namespace, "--type", "merge"];
        world.cluster.kubectl(&[&patch[..], &["--patch", &change]].concat()).await?;
        eventually("the change is published", async || {
            let index = published(world, tenant).await?;
            if (index == first) == is_first { Ok(()) } else { Err(index.to_string()) }
        })
        .await?;
    }
    let secrets = ["get", "secrets", "--namespace", &world.system, "--output"];
    let renewed = "jsonpath={.items[*].metadata.annotations.whatsapp-operator\\.dev/renewed-from}";
    ensure!(!world.cluster.kubectl(&[&secrets[..], &[renewed]].concat()).await?.trim().is_empty());
    leases.delete("whatsapp-dataplane-slow", &DeleteParams::default()).await?;
    world.ready("whatsappsender", &tenant.namespace, "support").await.map(drop)
}

/// Waits until the sender says that it is paused, which it does once the data plane keeps the pause.
async fn is_paused(world: &World, tenant: &Tenant) -> Result<()> {
    eventually("the sender is paused", async || {
        let sender = world.get("whatsappsender", &tenant.namespace, "support").await.map_err(|e| format!("{e:#}"))?;
        let paused = conditions(&sender).any(|c| c["type"] == "Reconciling" && c["reason"] == "Paused");
        if paused { Ok(()) } else { Err(sender["status"].to_string()) }
    })
    .await
}
