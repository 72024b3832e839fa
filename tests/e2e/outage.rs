//! The data plane survives an outage of the control plane.

use anyhow::{Result, ensure};
use serde_json::json;
use tests::cluster::Cluster;
use tests::world::{Options, Tenant, World};

const CUSTOMER: &str = "+447700900130";

/// The customer writes, the application receives it, and answers.
async fn talk(world: &World, shop: &Tenant, n: u32) -> Result<()> {
    world.hear(shop, CUSTOMER, &format!("hello {n}")).await?;
    let text = json!({"to": CUSTOMER, "from": "support", "text": {"body": format!("answer {n}")}});
    let id = shop.api.send(&format!("answer-{n}"), &text).await?;
    shop.api.until(&id, "delivered").await.map(drop)
}

#[tokio::test]
async fn without_the_operator_and_the_api_server_the_data_plane_serves_and_restarts_from_its_cache() -> Result<()> {
    let cluster = Cluster::private().await?;
    let mut world = World::start_in(cluster.clone(), &["shop"], Options::default()).await?;
    let mut shop = world.tenant(0).await?;
    world.in_data_plane("whatsappsender", &shop.namespace, "support").await?;
    // Without an API server no ServiceAccount token can be reviewed, so the application uses an API key.
    let key = "wak_0123456789abcdef0123456789abcdef";
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "whatsapp-operator.dev/api-key",
        "metadata": {"name": "backend", "namespace": shop.namespace}, "stringData": {"key": key},
    });
    world.cluster.apply(&[serde_json::from_value(secret)?], None).await?;
    shop.api = tests::api::TenantApi::new(format!("http://127.0.0.1:{}", world.ports.api), key);
    tests::eventually::eventually("the API key is known", async || {
        let answer = shop.api.get("/v1/messages").await.map_err(|e| format!("{e:#}"))?;
        if answer.status.is_success() { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await?;

    // The whole control plane goes down.
    world.operator.terminate()?;
    cluster.stop_api_server().await?;
    talk(&world, &shop, 1).await?;

    // A container that restarts now has only its cache.
    world.kill_data_plane()?;
    world.start_data_plane(&[]).await?;
    talk(&world, &shop, 2).await?;

    // Once the control plane is back, changes arrive again.
    cluster.start_api_server().await?;
    world.start_operator()?;
    world.cluster.apply(&[shop.sender(&json!({"limits": {"messagesPerSecond": 40}}))?], None).await?;
    world.ready("whatsappsender", &shop.namespace, "support").await?;
    world.in_data_plane("whatsappsender", &shop.namespace, "support").await?;
    ensure!(world.provider_messages(&shop, CUSTOMER).await?.len() == 2);
    Ok(())
}
