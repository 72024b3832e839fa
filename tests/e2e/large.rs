//! A tenant whose config grows beyond what one Secret holds.

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
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

#[tokio::test]
async fn a_config_that_fits_no_secret_is_told_with_its_size_and_mends_itself() -> Result<()> {
    let mut world = World::start(&["shop"]).await?;
    let shop = world.tenant(0).await?;
    let names = |of: std::ops::Range<usize>| of.map(|n| format!("t{n}")).collect::<Vec<_>>();

    // Above 1 MiB it is compressed, and the data plane runs it.
    world.operator.kill()?;
    approved(&world, &shop, &names(0..30)).await?;
    world.start_operator()?;
    let secret = format!("whatsapp-tenant-{}", shop.namespace);
    eventually("the config is compressed", async || {
        let value = world
            .cluster
            .kubectl(&[
                "get",
                "secret",
                &secret,
                "--namespace",
                &world.system,
                "--output",
                "jsonpath={.data.tenant\\.json}",
            ])
            .await
            .map_err(|e| format!("{e:#}"))?;
        let bytes = BASE64_STANDARD.decode(value.trim()).map_err(|e| e.to_string())?;
        if bytes.starts_with(&[0x1f, 0x8b]) { Ok(()) } else { Err(format!("{} bytes, not compressed", bytes.len())) }
    })
    .await?;
    annotate(&world, &shop, "whatsapp-operator.dev/paused=true").await?;
    is_paused(&world, &shop).await?;

    // Above that nothing is published, and what the data plane does not do is told on the object.
    world.operator.kill()?;
    let too_many = names(30..46);
    approved(&world, &shop, &too_many).await?;
    world.start_operator()?;
    let metrics = format!("http://127.0.0.1:{}/metrics", world.ports.operator);
    eventually("the operator counts the tenant", async || {
        let answer = reqwest::get(&metrics).await.map_err(|e| e.to_string())?;
        let text = answer.text().await.map_err(|e| e.to_string())?;
        let counted = text.lines().find(|line| line.starts_with("whatsapp_operator_unpublished_tenants "));
        if counted.is_some_and(|line| line.ends_with(" 1")) { Ok(()) } else { Err(format!("{counted:?}")) }
    })
    .await?;
    annotate(&world, &shop, "whatsapp-operator.dev/paused-").await?;
    let sender = world.condition("whatsappsender", &shop.namespace, "support", "Stalled", "True").await?;
    let stalled = conditions(&sender).find(|c| c["type"] == "Stalled").context("no Stalled condition")?;
    let message = stalled["message"].as_str().unwrap_or_default();
    ensure!(stalled["reason"] == "NotPublished", "{stalled}");
    ensure!(message.contains("bytes") && message.contains("1048576"), "{message}");
    ensure!(conditions(&sender).any(|c| c["type"] == "Ready" && c["status"] == "False"), "{sender:#}");

    let delete = ["delete", "messagetemplate", "--namespace", &shop.namespace];
    world
        .cluster
        .kubectl(&[&delete[..], &too_many.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat())
        .await?;
    world.ready("whatsappsender", &shop.namespace, "support").await?;
    world.in_data_plane("whatsappsender", &shop.namespace, "support").await
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
