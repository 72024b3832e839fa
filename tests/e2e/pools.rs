//! Messaging Services: which senders are in them, and one that several namespaces name.

use anyhow::{Context, Result, ensure};
use kube::api::DynamicObject;
use sandbox::twilio::types::{CreatedAccount, NewAccount, NewService};
use serde_json::{Value, json};
use tests::eventually::eventually;
use tests::world::{Tenant, World, conditions};

/// Moves a tenant to a number of an account that it shares, and returns its sender, which names the account's service.
async fn in_service(world: &World, tenant: &mut Tenant, number: &str) -> Result<DynamicObject> {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "twilio", "namespace": tenant.namespace},
        "stringData": {"authToken": tenant.account.auth_token},
    });
    world.cluster.apply(&[serde_json::from_value(secret)?], None).await?;
    number.clone_into(&mut tenant.number);
    tenant.sender(&json!({"provider": {"twilio": {"messagingServiceSid": tenant.account.services[0]}}}))
}

fn stalled(sender: &Value) -> Result<&str> {
    let stalled = conditions(sender).find(|c| c["type"] == "Stalled").context("no Stalled condition")?;
    stalled["message"].as_str().context("no message")
}

#[tokio::test]
async fn of_two_namespaces_that_name_one_messaging_service_the_first_keeps_it() -> Result<()> {
    let world = World::start(&["shop", "bakery"]).await?;
    let numbers = ["+14155237001", "+14155237002"];
    let new = NewAccount {
        senders: numbers.map(Into::into).into(),
        services: vec![NewService::default()],
        ..NewAccount::default()
    };
    let account = world.control.create_account(&new).await?;
    let (mut shop, mut bakery) = (world.tenant_without_sender(0).await?, world.tenant_without_sender(1).await?);
    shop.account = account.clone();
    bakery.account = account.clone();
    let (shops, bakerys) =
        (in_service(&world, &mut shop, numbers[0]).await?, in_service(&world, &mut bakery, numbers[1]).await?);
    let url = format!("{}/v1/Services/{}", world.sandbox.base_url(), account.services[0]);
    let http = reqwest::Client::new();
    let is_shops = async || -> Result<bool> {
        let answer = http.get(&url).basic_auth(&account.account_sid, Some(&account.auth_token)).send().await?;
        let service: Value = answer.json().await?;
        Ok(service["inbound_request_url"].as_str().is_some_and(|url| url.contains(&shop.namespace)))
    };

    world.cluster.apply(std::slice::from_ref(&shops), None).await?;
    world.ready("whatsappsender", &shop.namespace, "support").await?;
    world.cluster.apply(&[bakerys], None).await?;
    let other = world.condition("whatsappsender", &bakery.namespace, "support", "Stalled", "True").await?;
    ensure!(stalled(&other)?.contains(&shop.namespace), "{}", stalled(&other)?);
    ensure!(is_shops().await?);

    // Applying the sender again does not hand the service over.
    world.cluster.kubectl(&["delete", "whatsappsender", "support", "--namespace", &shop.namespace]).await?;
    let asked = json!({"metadata": {"annotations": {"whatsapp-operator.dev/reconcile-requested-at": "now"}}});
    let (namespace, patch) = (&bakery.namespace, asked.to_string());
    world
        .cluster
        .kubectl(&["patch", "whatsappsender", "support", "--namespace", namespace, "--type=merge", "--patch", &patch])
        .await?;
    let other = eventually("the other sender is looked at again", async || {
        let other = world.get("whatsappsender", namespace, "support").await.map_err(|e| format!("{e:#}"))?;
        if other["status"]["lastHandledReconcileAt"] == "now" { Ok(other) } else { Err(other["status"].to_string()) }
    })
    .await?;
    ensure!(stalled(&other)?.contains(&shop.namespace), "{}", stalled(&other)?);
    world.cluster.apply(&[shops], None).await?;
    world.ready("whatsappsender", &shop.namespace, "support").await?;
    ensure!(is_shops().await?);
    Ok(())
}

/// Waits until the service holds the account's only sender, or nobody.
async fn holds(world: &World, account: &CreatedAccount, is_held: bool) -> Result<()> {
    let url = format!("{}/v1/Services/{}/ChannelSenders", world.sandbox.base_url(), account.services[0]);
    let http = reqwest::Client::new();
    eventually(if is_held { "the service holds the sender" } else { "the service holds nobody" }, async || {
        let asked = http.get(&url).basic_auth(&account.account_sid, Some(&account.auth_token)).send().await;
        let answer: Value = asked.map_err(|e| e.to_string())?.json().await.map_err(|e| e.to_string())?;
        let senders = answer["senders"].as_array().map(|senders| senders.iter().map(|s| s["sid"].clone()).collect());
        let expected = if is_held { vec![json!(account.senders[0].sid)] } else { vec![] };
        if senders.as_ref() == Some(&expected) { Ok(()) } else { Err(answer.to_string()) }
    })
    .await
}

#[tokio::test]
async fn a_sender_is_put_into_the_service_that_it_asks_for_and_taken_out_again() -> Result<()> {
    let world = World::start(&["shop"]).await?;
    let number = "+14155237003";
    let new = NewAccount {
        senders: vec![number.into()],
        services: vec![NewService { senders: Some(vec![]), ..NewService::default() }],
        ..NewAccount::default()
    };
    let account = world.control.create_account(&new).await?;
    let mut shop = world.tenant_without_sender(0).await?;
    shop.account = account.clone();
    let named = in_service(&world, &mut shop, number).await?;
    let twilio = json!({"messagingServiceSid": account.services[0], "messagingServiceMembership": "Managed"});
    let managed = shop.sender(&json!({"provider": {"twilio": twilio}, "deletionPolicy": "Delete"}))?;
    let alone = shop.sender(&json!({"deletionPolicy": "Delete"}))?;

    // Who only names it, waits for somebody else.
    world.cluster.apply(&[named], None).await?;
    let waiting = world.condition("whatsappsender", &shop.namespace, "support", "Ready", "False").await?;
    let ready = conditions(&waiting).find(|c| c["type"] == "Ready").context("no condition Ready")?;
    ensure!(ready["message"].as_str().is_some_and(|text| text.contains("Managed")), "{ready}");
    holds(&world, &account, false).await?;

    world.cluster.apply(std::slice::from_ref(&managed), None).await?;
    holds(&world, &account, true).await?;
    let sender = world.ready("whatsappsender", &shop.namespace, "support").await?;
    ensure!(sender["status"]["membership"] == json!({"messagingServiceSid": account.services[0]}), "{sender}");
    let url = sender["status"]["webhooks"]["inbound"].as_str().context("no URL")?;
    ensure!(url.contains(&shop.namespace), "{url}");

    world.cluster.apply(&[alone], None).await?;
    holds(&world, &account, false).await?;
    eventually("the sender is ready without the service", async || {
        let sender = world.ready("whatsappsender", &shop.namespace, "support").await.map_err(|e| format!("{e:#}"))?;
        if sender["status"]["membership"].is_null() { Ok(()) } else { Err(sender["status"].to_string()) }
    })
    .await?;

    world.cluster.apply(&[managed], None).await?;
    holds(&world, &account, true).await?;
    let delete = ["delete", "whatsappsender", "support", "--timeout=120s", "--namespace", &shop.namespace];
    world.cluster.kubectl(&delete).await?;
    holds(&world, &account, false).await
}
