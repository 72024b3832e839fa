//! One tenant cannot see, impersonate or reach another.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::DynamicObject;
use reqwest::{Method, StatusCode};
use sandbox::twilio::types::NewAccount;
use serde_json::{Value, json};
use tests::api::TenantApi;
use tests::chart;
use tests::cluster::{Cluster, client, kubectl};
use tests::eventually::eventually;
use tests::world::{AUDIENCE, Options, Store, World, conditions};

#[tokio::test]
async fn another_tenants_token_is_forbidden_and_sees_nothing() -> Result<()> {
    strangers(World::start(&["shop", "bakery"]).await?).await
}

#[tokio::test]
async fn tenants_that_share_a_database_and_its_replicas_are_still_isolated() -> Result<()> {
    let options = Options { store: Store::Postgres { replicas: 2 }, ..Options::default() };
    strangers(World::start_in(Cluster::shared().await?, &["shop", "bakery"], options).await?).await
}

async fn strangers(world: World) -> Result<()> {
    let (shop, bakery) = (world.tenant(0).await?, world.tenant(1).await?);
    let template =
        json!({"localizations": [{"language": "en_US", "body": "Hello {{1}}, your order is on its way to you now."}]});
    world.cluster.apply(&[shop.template("order-shipped", &template)?], None).await?;
    world.ready("messagetemplate", &shop.namespace, "order-shipped").await?;
    world.in_data_plane("messagetemplate", &shop.namespace, "order-shipped").await?;
    let send = json!({"to": "+447700900131", "from": "support", "template": {"name": "order-shipped", "values": {"1": "Ava"}}});
    let id = shop.api.send("order-1", &send).await?;

    // Its own tenant sees it at every replica.
    for _ in 0..2 {
        ensure!(shop.api.message(&id).await?["id"] == id.as_str());
    }
    // Naming the other tenant is forbidden. Without that, the message does not exist.
    let http = reqwest::Client::new();
    let token = world.cluster.token(&bakery.namespace, "default", Some(AUDIENCE)).await?;
    let url = format!("http://127.0.0.1:{}/v1/messages", world.ports.api);
    let as_shop = http.get(&url).bearer_auth(&token).header("whatsapp-tenant", &shop.namespace).send().await?;
    ensure!(as_shop.status() == StatusCode::FORBIDDEN, "{as_shop:?}");
    let read = bakery.api.get(&format!("/v1/messages/{id}")).await?;
    ensure!(read.status == StatusCode::NOT_FOUND, "{read:?}");
    let cancel = bakery.api.request(Method::POST, &format!("/v1/messages/{id}/cancel"), None, None).await?;
    ensure!(cancel.status == StatusCode::NOT_FOUND, "{cancel:?}");
    let list = bakery.api.get("/v1/messages").await?;
    ensure!(list.status == StatusCode::OK && !list.body.to_string().contains(&id), "{list:?}");
    // It has no template of that name, and cannot use the other tenant's.
    let refused = bakery.api.try_send("order-1", &send).await?;
    ensure!(refused.status == StatusCode::UNPROCESSABLE_ENTITY, "{refused:?}");
    ensure!(refused.body["errors"][0]["code"] == "template_unknown", "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn a_token_for_another_audience_or_from_outside_is_rejected() -> Result<()> {
    let world = World::start(&["shop", "elsewhere"]).await?;
    let shop = world.tenant(0).await?;
    let http = reqwest::Client::new();
    let url = format!("http://127.0.0.1:{}/v1/messages", world.ports.api);
    let ask = async |token: &str| anyhow::Ok(http.get(&url).bearer_auth(token).send().await?.status());
    ensure!(http.get(&url).send().await?.status() == StatusCode::UNAUTHORIZED);
    ensure!(ask("not-a-token").await? == StatusCode::UNAUTHORIZED);
    let wrong_audience = world.cluster.token(&shop.namespace, "default", None).await?;
    ensure!(ask(&wrong_audience).await? == StatusCode::UNAUTHORIZED);
    // A namespace without a sender is not a tenant.
    let stranger = world.cluster.token(&world.namespaces[1], "default", Some(AUDIENCE)).await?;
    ensure!(ask(&stranger).await? == StatusCode::FORBIDDEN);
    Ok(())
}

#[tokio::test]
async fn another_tenants_secret_is_unreachable() -> Result<()> {
    let world = World::start(&["shop", "bakery"]).await?;
    let (shop, bakery) = (world.tenant(0).await?, world.tenant_without_sender(1).await?);
    // A reference cannot name a namespace: the schema has no such field.
    let sneaky =
        json!({"provider": {"twilio": {"credentialsSecretRef": {"name": "twilio", "namespace": shop.namespace}}}});
    let manifest = serde_json::to_string(&bakery.sender(&sneaky)?)?;
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), &manifest)?;
    let path = file.path().to_string_lossy();
    let refused = world.cluster.kubectl(&["apply", "--validate=strict", "-f", &path]).await;
    ensure!(refused.as_ref().is_err_and(|e| e.to_string().contains("namespace")), "{refused:?}");

    // A name refers to a Secret of the same namespace, or to none.
    world.cluster.kubectl(&["delete", "secret", "twilio", "--namespace", &bakery.namespace]).await?;
    world.cluster.apply(&[bakery.sender(&json!({}))?], None).await?;
    let sender = world.condition("whatsappsender", &bakery.namespace, "support", "CredentialsValid", "False").await?;
    ensure!(sender.to_string().contains("twilio"), "{sender:#}");

    // The data plane reads the compiled Secrets in its own namespace, and no tenant's Secrets.
    let reached = kubectl(&world.data_plane_kubeconfig(), &["get", "secrets", "--namespace", &shop.namespace]).await;
    ensure!(reached.as_ref().is_err_and(|e| e.to_string().contains("forbidden")), "{reached:?}");
    // And no tenant reads the compiled Secrets.
    let tenants = tempfile::NamedTempFile::new()?;
    world.cluster.kubeconfig_of(&bakery.namespace, "default", tenants.path()).await?;
    let compiled: Api<Secret> = Api::namespaced(client(tenants.path()).await?, &world.system);
    let reached = compiled.list(&kube::api::ListParams::default()).await;
    ensure!(
        matches!(&reached, Err(kube::Error::Api(status)) if status.code == 403),
        "a tenant can list compiled Secrets"
    );
    Ok(())
}

#[tokio::test]
async fn a_service_account_sends_from_the_senders_that_rbac_grants_it_and_from_no_other() -> Result<()> {
    let options = Options { authorize_senders: true, ..Options::default() };
    let world = World::start_in(Cluster::shared().await?, &["shop"], options).await?;
    let numbers = ["+14155237101", "+14155237102"];
    let new = NewAccount { senders: numbers.map(Into::into).into(), ..NewAccount::default() };
    let mut shop = world.tenant_without_sender(0).await?;
    shop.account = world.control.create_account(&new).await?;
    let namespace = shop.namespace.as_str();
    let credentials = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "twilio", "namespace": namespace},
        "stringData": {"authToken": shop.account.auth_token},
    });
    let mut objects = vec![serde_json::from_value(credentials)?];
    for (name, number) in ["support", "sales"].into_iter().zip(numbers) {
        let mut sender = shop.sender(&json!({ "phoneNumber": number }))?;
        sender.metadata.name = Some(name.to_owned());
        objects.push(sender);
    }
    objects.push(shop.template("order-shipped", &json!({"senderRefs": [{"name": "support"}, {"name": "sales"}]}))?);
    world.cluster.apply(&objects, None).await?;
    world.ready("messagetemplate", namespace, "order-shipped").await?;
    for (kind, name) in
        [("whatsappsender", "support"), ("whatsappsender", "sales"), ("messagetemplate", "order-shipped")]
    {
        world.in_data_plane(kind, namespace, name).await?;
    }
    world.cluster.kubectl(&["create", "serviceaccount", "orders", "--namespace", namespace]).await?;
    let token = world.cluster.token(namespace, "orders", Some(AUDIENCE)).await?;
    let orders = TenantApi::new(format!("http://127.0.0.1:{}", world.ports.api), token);
    let from = |sender: &str| json!({"to": "+447700900132", "from": sender, "template": {"name": "order-shipped", "values": {"1": "Ava"}}});

    // Without a right it sends from neither. The answer's own commands grant it.
    let refused = orders.try_send("order-1", &from("support")).await?;
    ensure!(refused.status == StatusCode::FORBIDDEN, "{refused:?}");
    ensure!(refused.body["errors"][0]["pointer"] == "/from", "{refused:?}");
    let commands = refused.body["errors"][0]["expected"].as_str().context("no remedy")?;
    for command in commands.split("kubectl ").skip(1) {
        let arguments: Vec<&str> = command.split_whitespace().filter(|word| *word != "&&").collect();
        world.cluster.kubectl(&arguments).await?;
    }
    let sent = eventually("the right counts", async || {
        let answer = orders.try_send("order-1", &from("support")).await.map_err(|e| format!("{e:#}"))?;
        if answer.status == StatusCode::ACCEPTED { Ok(answer) } else { Err(format!("{answer:?}")) }
    })
    .await?;
    ensure!(sent.body["sender"] == "support", "{sent:?}");
    let refused = orders.try_send("order-2", &from("sales")).await?;
    ensure!(refused.status == StatusCode::FORBIDDEN, "{refused:?}");
    // Another ServiceAccount of the namespace has no right, and does not get the first one's answer.
    let repeated = shop.api.try_send("order-1", &from("support")).await?;
    ensure!(repeated.status == StatusCode::FORBIDDEN, "{repeated:?}");
    Ok(())
}

#[tokio::test]
async fn an_operator_without_a_right_to_all_secrets_reads_those_of_a_namespace_once_it_grants_them() -> Result<()> {
    let options = Options { granted_secrets: true, ..Options::default() };
    let world = World::start_in(Cluster::shared().await?, &["shop", "bakery"], options).await?;
    let (shop, bakery) = (world.tenant_without_sender(0).await?, world.tenant_without_sender(1).await?);
    world.cluster.apply(&[shop.sender(&json!({}))?, bakery.sender(&json!({}))?], None).await?;

    // The sender names the command that grants it. The other namespace is not touched by it.
    let sender = world.condition("whatsappsender", &shop.namespace, "support", "CredentialsValid", "False").await?;
    let refused =
        conditions(&sender).find(|condition| condition["type"] == "CredentialsValid").context("no condition")?;
    ensure!(refused["reason"] == "SecretsNotGranted", "{refused:#}");
    let (_, command) = refused["message"].as_str().and_then(|m| m.split_once("kubectl ")).context("no command")?;
    world.cluster.kubectl(&command.split_whitespace().collect::<Vec<_>>()).await?;
    world.ready("whatsappsender", &shop.namespace, "support").await?;
    world.in_data_plane("whatsappsender", &shop.namespace, "support").await?;
    let operator = world.operator_kubeconfig();
    let reached = kubectl(&operator, &["get", "secrets", "--namespace", &bakery.namespace]).await;
    ensure!(reached.as_ref().is_err_and(|e| e.to_string().contains("forbidden")), "{reached:?}");
    world.condition("whatsappsender", &bakery.namespace, "support", "CredentialsValid", "False").await?;

    // Its Secrets are followed from then on: a key that arrives gives access, and wrong credentials are told.
    world.cluster.apply(&[api_key(&shop.namespace)?], None).await?;
    let client = TenantApi::new(format!("http://127.0.0.1:{}", world.ports.api), API_KEY.to_owned());
    eventually("the key gives access", async || {
        let answer = client.get("/v1/messages").await.map_err(|error| format!("{error:#}"))?;
        if answer.status == StatusCode::OK { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await?;
    world.cluster.kubectl(&["delete", "secret", "twilio", "--namespace", &shop.namespace]).await?;
    world.condition("whatsappsender", &shop.namespace, "support", "CredentialsValid", "False").await.map(drop)
}

#[tokio::test]
async fn a_platform_says_where_events_may_go_and_which_accounts_a_namespace_may_use() -> Result<()> {
    const ACCOUNTS: &str = "whatsapp-operator.dev/twilio-accounts";
    let cluster = Cluster::shared().await?;
    let shop = cluster.namespace("shop").await?;
    let named = |name: &str, url: &str, account: &str, note: &str| {
        json!({
            "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppSender",
            "metadata": {"name": name, "namespace": shop, "annotations": {"example.com/note": note}},
            "spec": {
                "phoneNumber": "+14155237201",
                "provider": {"twilio": {"accountSid": account, "credentialsSecretRef": {"name": "twilio"}}},
                "events": [{"http": {"url": url, "signingSecretRef": {"name": "events"}}}],
            },
        })
    };
    let sender = |url: &str, account: &str| named("support", url, account, "");
    let (own, others) = ("AC00000000000000000000000000007201", "AC00000000000000000000000000007202");
    let good = "https://in.events.example.com/a";
    // One from before the policies.
    let file = tempfile::NamedTempFile::new()?;
    let apply = async |sender: &Value, dry: bool| {
        std::fs::write(file.path(), sender.to_string())?;
        let (path, dry) = (file.path().to_string_lossy(), if dry { "--dry-run=server" } else { "--dry-run=none" });
        cluster.kubectl(&["apply", dry, "-f", &path]).await
    };
    let before = named("old", "https://elsewhere.example.com/", others, "before");
    apply(&before, false).await?;

    let values = [
        ("watchNamespaces", format!("{{{shop}}}")),
        ("admission.eventHosts", "{events.example.org,*.events.example.com}".to_owned()),
        ("admission.accountsOfNamespaces", "true".to_owned()),
    ];
    let values: Vec<_> = values.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let objects = chart::render(&shop, &shop, &[&chart::REQUIRED[..], &values].concat()).await?;
    let is_policy = |object: &DynamicObject| {
        object.types.as_ref().is_some_and(|types| types.kind.starts_with("ValidatingAdmissionPolicy"))
    };
    let policies: Vec<_> = objects.into_iter().filter(is_policy).collect();
    ensure!(policies.len() == 4, "{policies:#?}");
    cluster.apply(&policies, None).await?;

    let refused = async |sender: &Value, words: &str| {
        eventually(words, async || match apply(sender, true).await {
            Ok(_) => Err("it is admitted".to_owned()),
            Err(error) if format!("{error:#}").contains(words) => Ok(()),
            Err(error) => Err(format!("{error:#}")),
        })
        .await
    };
    refused(&sender(good, others), &format!("this namespace may not use {others}")).await?;
    let annotation = format!("{ACCOUNTS}=AC00000000000000000000000000007203, {own}");
    cluster.kubectl(&["annotate", "namespace", &shop, &annotation]).await?;
    eventually("the account is allowed", async || {
        apply(&sender(good, own), true).await.map(drop).map_err(|error| format!("{error:#}"))
    })
    .await?;
    refused(&sender(good, others), &format!("this namespace may not use {others}")).await?;
    for (url, host) in [
        ("https://events.example.com/", "events.example.com"),
        ("https://evilevents.example.com/", "evilevents.example.com"),
        ("https://in.events.example.com@elsewhere.example.net/", "elsewhere.example.net"),
        ("https://elsewhere.example.net/?.events.example.com", "elsewhere.example.net"),
    ] {
        refused(&sender(url, own), &format!("spec.events: events may not be sent to {host}")).await?;
    }
    apply(&sender("https://EVENTS.example.org:8443/", own), true).await?;
    // The spec of one from before changes only to one that is allowed. The operator still writes its finalizer to it.
    refused(&named("old", good, others, "before"), &format!("this namespace may not use {others}")).await?;
    apply(&named("old", "https://elsewhere.example.com/", others, "after"), false).await.map(drop)
}

const API_KEY: &str = "wak_0123456789abcdefghij";

fn api_key(namespace: &str) -> Result<DynamicObject> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "whatsapp-operator.dev/api-key",
        "metadata": {"name": "orders", "namespace": namespace}, "stringData": {"key": API_KEY},
    }))?)
}
