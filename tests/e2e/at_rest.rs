//! At rest the operator is silent, and drift is repaired.

use std::time::Duration;

use anyhow::{Result, ensure};
use sandbox::types::RequestFilter;
use serde_json::json;
use tests::cluster::Cluster;
use tests::eventually::eventually;
use tests::process::root;
use tests::world::{Options, World};

/// The operator's calls to list senders so far.
fn polls() -> RequestFilter {
    RequestFilter { method: Some("GET".into()), path: Some("/v2/Channels/Senders".into()), account: None, since: None }
}

#[tokio::test]
async fn at_rest_nothing_is_written_to_the_provider_or_to_the_api_server() -> Result<()> {
    let world = World::start(&["shop"]).await?;
    let shop = world.tenant(0).await?;
    let policy = json!({"default": {"senderRef": {"name": "support"}}});
    world
        .cluster
        .apply(&[shop.template("order-shipped", &json!({}))?, shop.object("RoutingPolicy", "default", policy)?], None)
        .await?;
    for (kind, name) in
        [("whatsappsender", "support"), ("messagetemplate", "order-shipped"), ("routingpolicy", "default")]
    {
        world.ready(kind, &shop.namespace, name).await?;
        world.in_data_plane(kind, &shop.namespace, name).await?;
    }
    // The operator is at rest after a whole round without anything to do. The provider's log shows the rounds.
    let rounds = async |more: usize| -> Result<()> {
        let before = world.control.requests(&polls()).await?.len();
        eventually("the operator has polled again", async || {
            let now = world.control.requests(&polls()).await.map_err(|e| format!("{e:#}"))?.len();
            if now >= before + more { Ok(()) } else { Err(format!("{now} of {}", before + more)) }
        })
        .await
    };
    rounds(1).await?;
    let since = world.control.requests(&RequestFilter::default()).await?.last().map(|r| r.id);
    let audited = world.cluster.audit()?.map(|a| a.len());
    rounds(3).await?;

    let requests = world.control.requests(&RequestFilter { since, ..RequestFilter::default() }).await?;
    let writes: Vec<_> = requests.iter().filter(|r| r.method != "GET").collect();
    ensure!(writes.is_empty(), "provider writes at rest: {writes:#?}");
    if let (Some(before), Some(audit)) = (audited, world.cluster.audit()?) {
        let operator = format!("system:serviceaccount:{}:{}", world.system, world.accounts.operator);
        let known = audit[..before].iter().any(|entry| entry.user.username == operator);
        ensure!(known, "the audit log has no entry of {operator}");
        let writes: Vec<_> = audit[before..]
            .iter()
            .filter(|entry| entry.user.username == operator && entry.object_ref.resource != "leases")
            .collect();
        ensure!(writes.is_empty(), "API server writes at rest: {writes:#?}");
    }
    Ok(())
}

#[tokio::test]
async fn webhooks_that_drifted_are_repaired() -> Result<()> {
    let world = World::start(&["shop"]).await?;
    let shop = world.tenant_without_sender(0).await?;
    let service = shop.account.services[0].clone();
    let through_service = json!({"provider": {"twilio": {"messagingServiceSid": service}}});
    let url = format!("{}/v1/Services/{service}", world.sandbox.base_url());
    let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
    let change = async |form: &[(&str, &str)]| -> Result<()> {
        let request = http.post(&url).basic_auth(&shop.account.account_sid, Some(&shop.account.auth_token));
        let answer = request.form(form).send().await?;
        ensure!(answer.status().is_success(), "{answer:?}");
        Ok(())
    };
    change(&[("UseInboundWebhookOnNumber", "false")]).await?;
    world.cluster.apply(&[shop.sender(&through_service)?], None).await?;
    world.ready("whatsappsender", &shop.namespace, "support").await?;
    let get = async || -> Result<serde_json::Value> {
        let answer =
            http.get(&url).basic_auth(&shop.account.account_sid, Some(&shop.account.auth_token)).send().await?;
        Ok(answer.json().await?)
    };
    let wanted = get().await?["inbound_request_url"].clone();
    ensure!(wanted.as_str().is_some_and(|u| u.contains(&shop.namespace) && u.ends_with("#rc=5&rp=all")), "{wanted}");
    let sender = &["kind=\"WhatsAppSender\""][..];
    let counted = async |name: &str| world.operator_metric(name, sender).await;
    ensure!(counted("whatsapp_operator_time_to_ready_seconds_count").await? == 1.0);
    ensure!(counted("whatsapp_operator_repairs_total").await? == 0.0, "its first write is no repair");
    change(&[("InboundRequestUrl", "https://elsewhere.example.com/hook")]).await?;
    eventually("the webhook is repaired", async || {
        let now = get().await.map_err(|e| format!("{e:#}"))?["inbound_request_url"].clone();
        if now == wanted { Ok(()) } else { Err(now) }
    })
    .await?;
    eventually("the repair is counted", async || match counted("whatsapp_operator_repairs_total").await {
        Ok(1.0) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
}

#[tokio::test]
async fn an_object_that_cannot_be_read_never_stops_the_others() -> Result<()> {
    // A private cluster, because the test changes the kinds.
    let cluster = Cluster::private().await?;
    let world = World::start_in(cluster.clone(), &["shop"], Options::default()).await?;
    let shop = world.tenant_without_sender(0).await?;
    // An older schema admitted what today's types cannot read: a rate that is a word.
    let kind = "whatsappsenders.whatsapp-operator.dev";
    let limits = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/limits";
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let lenient = json!([{"op": "replace", "path": limits, "value": anything}]);
    cluster.kubectl(&["patch", "crd", kind, "--type=json", "--patch", &lenient.to_string()]).await?;
    let mut unreadable =
        shop.sender(&json!({"phoneNumber": "+14155230000", "limits": {"messagesPerSecond": "fast"}}))?;
    unreadable.metadata.name = Some("unreadable".into());
    eventually("the lenient schema admits the object", async || world.cluster.put(unreadable.clone()).await).await?;
    cluster
        .kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &root().join("crds").to_string_lossy()])
        .await?;

    eventually("the strict schema is back and admits a good sender", async || {
        world.cluster.apply(&[shop.sender(&json!({}))?], None).await
    })
    .await?;
    world.ready("whatsappsender", &shop.namespace, "support").await?;
    // It does not stop an operator that starts while it exists, either.
    let mut world = world;
    world.operator.terminate()?;
    world.start_operator()?;
    let slower = json!({"limits": {"messagesPerSecond": 7}});
    world.cluster.apply(&[shop.sender(&slower)?], None).await?;
    world.ready("whatsappsender", &shop.namespace, "support").await?;
    Ok(())
}
