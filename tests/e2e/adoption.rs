//! Templates that somebody else made are taken up, and stay theirs.

use anyhow::{Context, Result, ensure};
use kube::api::DynamicObject;
use sandbox::twilio::types::{CreatedAccount, NewAccount, NewApproval, NewContent};
use sandbox::types::RequestFilter;
use serde_json::{Value, json};
use tests::eventually::eventually;
use tests::world::{Tenant, World, conditions};

const BODY: &str = "Hello {{1}}, your order has left our warehouse and is on its way to you.";

/// What somebody made in the console: the English text of the tenants' template.
fn made() -> NewContent {
    NewContent {
        friendly_name: "Order shipped".to_owned(),
        language: "en_US".to_owned(),
        types: [("twilio/text".to_owned(), json!({ "body": BODY }))].into_iter().collect(),
        approval: Some(NewApproval {
            status: "approved".to_owned(),
            category: "UTILITY".to_owned(),
            ..NewApproval::default()
        }),
        ..NewContent::default()
    }
}

/// A tenant's template in English alone.
fn english(shop: &Tenant, sender: &str, name: &str, body: &str, adopt: &[&str]) -> Result<DynamicObject> {
    let localization = json!({"language": "en_US", "body": body, "adopt": adopt});
    shop.template(name, &json!({"senderRefs": [{"name": sender}], "localizations": [localization]}))
}

/// A further account with the content and a sender of that name.
async fn another_account(world: &World, shop: &Tenant, name: &str, number: &str) -> Result<CreatedAccount> {
    let new = NewAccount { senders: vec![number.into()], contents: vec![made()], ..NewAccount::default() };
    let account = world.control.create_account(&new).await?;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": shop.namespace},
        "stringData": {"authToken": account.auth_token}});
    let provider = json!({"accountSid": account.account_sid, "credentialsSecretRef": {"name": name}});
    let changes = json!({"phoneNumber": number, "provider": {"twilio": provider}});
    let mut sender = shop.sender(&changes)?;
    sender.metadata.name = Some(name.to_owned());
    world.cluster.apply(&[serde_json::from_value(secret)?, sender], None).await?;
    world.ready("whatsappsender", &shop.namespace, name).await?;
    Ok(account)
}

/// The calls that changed a content of an account.
async fn writes(world: &World, account: &CreatedAccount) -> Result<Vec<String>> {
    let filter = RequestFilter {
        path: Some("/v1/Content".to_owned()),
        account: Some(account.account_sid.clone()),
        ..RequestFilter::default()
    };
    let requests = world.control.requests(&filter).await?;
    let writes = requests.iter().filter(|request| request.method != "GET");
    Ok(writes.map(|request| format!("{} {}", request.method, request.path)).collect())
}

async fn stalled(world: &World, shop: &Tenant, name: &str) -> Result<String> {
    let object = world.condition("messagetemplate", &shop.namespace, name, "Stalled", "True").await?;
    let stalled = conditions(&object).find(|c| c["type"] == "Stalled").context("no Stalled condition")?;
    Ok(format!("{}: {}", stalled["reason"], stalled["message"]))
}

fn newest(template: &Value) -> (Option<&str>, Option<&str>) {
    let newest = &template["status"]["locations"][0]["newest"];
    (newest["handle"].as_str(), newest["origin"].as_str())
}

#[tokio::test]
async fn what_somebody_made_is_used_at_once_and_is_there_when_the_object_is_gone_unless_it_was_handed_over()
-> Result<()> {
    let world = World::start(&["shop"]).await?;
    let shop = world.tenant(0).await?;
    let account = another_account(&world, &shop, "console", "+14155249101").await?;
    let content = account.contents[0].as_str();
    // The policy is to delete, which is for what the object creates.
    let template = || english(&shop, "console", "order-shipped", BODY, &[]);
    world.cluster.apply(&[template()?], None).await?;
    let ready = world.ready("messagetemplate", &shop.namespace, "order-shipped").await?;
    ensure!(newest(&ready) == (Some(content), Some("Adopted")), "{ready:#}");

    let second = english(&shop, "console", "second", BODY, &[content])?;
    world.cluster.apply(&[second], None).await?;
    let told = stalled(&world, &shop, "second").await?;
    ensure!(
        told.contains("Conflict") && told.contains(r#"is used by the MessageTemplate \"order-shipped\""#),
        "{told}"
    );

    let delete = ["delete", "messagetemplate", "order-shipped", "--namespace", &shop.namespace, "--timeout=60s"];
    world.cluster.kubectl(&delete).await?;
    // The other one takes it over.
    let ready = world.ready("messagetemplate", &shop.namespace, "second").await?;
    ensure!(newest(&ready) == (Some(content), Some("Adopted")), "{ready:#}");
    ensure!(writes(&world, &account).await?.is_empty(), "{:?}", writes(&world, &account).await?);

    let annotation = "whatsapp-operator.dev/delete-adopted=true";
    let namespace = ["--namespace", shop.namespace.as_str()];
    let annotate = ["annotate", "messagetemplate", "second", annotation].into_iter().chain(namespace);
    world.cluster.kubectl(&annotate.collect::<Vec<_>>()).await?;
    let delete = ["delete", "messagetemplate", "second", "--timeout=60s"].into_iter().chain(namespace);
    world.cluster.kubectl(&delete.collect::<Vec<_>>()).await?;
    let writes = writes(&world, &account).await?;
    ensure!(writes == [format!("DELETE /v1/Content/{content}")], "{writes:?}");
    Ok(())
}

#[tokio::test]
async fn a_template_that_cannot_be_adopted_is_refused_and_none_is_submitted_in_its_place() -> Result<()> {
    let world = World::start(&["shop"]).await?;
    let shop = world.tenant(0).await?;
    let account = another_account(&world, &shop, "console", "+14155249102").await?;
    let content = account.contents[0].as_str();
    let other_text = "Hello {{1}}, your order has left our warehouse and arrives tomorrow.";
    let missing = "HX00000000000000000000000000000000";
    for (name, sender, body, handle, expected) in [
        ("another-text", "console", other_text, content, "says something else: body has"),
        ("another-account", "support", BODY, content, "to which none of spec.senderRefs belongs"),
        ("missing", "console", BODY, missing, "does not exist at AC"),
    ] {
        world.cluster.apply(&[english(&shop, sender, name, body, &[handle])?], None).await?;
        let told = stalled(&world, &shop, name).await?;
        let field = format!("spec.localizations[0].adopt[0]: {handle}");
        ensure!(told.contains("InvalidSpec") && told.contains(&field) && told.contains(expected), "{told}");
    }
    for account in [&account, &shop.account] {
        let writes = writes(&world, account).await?;
        ensure!(writes.is_empty(), "{writes:?}");
    }
    // Corrected, it is adopted.
    world.cluster.apply(&[english(&shop, "console", "missing", BODY, &[content])?], None).await?;
    let ready = world.ready("messagetemplate", &shop.namespace, "missing").await?;
    ensure!(newest(&ready).0 == Some(content), "{ready:#}");
    eventually("an Event tells", async || {
        let events = ["get", "events", "--namespace", &shop.namespace, "--output", "json"];
        let events = world.cluster.kubectl(&events).await.map_err(|e| format!("{e:#}"))?;
        if events.contains("RevisionAdopted") { Ok(()) } else { Err(events) }
    })
    .await
}

#[tokio::test]
async fn what_retain_leaves_is_used_again_when_the_object_is_applied_again() -> Result<()> {
    let world = World::start(&["shop"]).await?;
    let shop = world.tenant(0).await?;
    let template = || shop.template("order-shipped", &json!({"deletionPolicy": "Retain"}));
    let mut created = Vec::new();
    for round in 0..2 {
        world.cluster.apply(&[template()?], None).await?;
        world.ready("messagetemplate", &shop.namespace, "order-shipped").await?;
        let delete = ["delete", "messagetemplate", "order-shipped", "--namespace", &shop.namespace, "--timeout=60s"];
        world.cluster.kubectl(&delete).await?;
        let writes = writes(&world, &shop.account).await?;
        if round == 0 {
            created = writes;
        } else {
            ensure!(writes == created && created.len() == 4, "{writes:?} after {created:?}");
        }
    }
    Ok(())
}
