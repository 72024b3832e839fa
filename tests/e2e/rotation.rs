//! Credentials are replaced while messages flow: no send fails, and no webhook is refused.

use std::cell::RefCell;

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use sandbox::types::{Reply, RequestFilter, WebhookFilter};
use serde_json::{Value, json};
use tests::api::TenantApi;
use tests::eventually::eventually;
use tests::world::{Options, Store, Tenant, World};

/// Messages in both directions, one after another.
struct Traffic {
    control: sandbox::Client,
    api: TenantApi,
    ids: RefCell<Vec<String>>,
}

impl Traffic {
    fn new(world: &World, tenant: &Tenant) -> Self {
        Self { control: world.control.clone(), api: tenant.api.clone(), ids: RefCell::default() }
    }

    /// Flows while something else happens.
    async fn flows_during(&self, happening: impl Future<Output = Result<()>>) -> Result<()> {
        tokio::select! {
            ended = self.flow() => ended,
            happened = happening => happened,
        }
    }

    async fn flow(&self) -> Result<()> {
        loop {
            let n = self.ids.borrow().len();
            // One customer gets few messages a minute.
            let customer = format!("+447700900{:03}", n % 50);
            self.control.reply(&customer, &Reply { body: format!("in {n}"), ..Reply::default() }).await?;
            let text = json!({"to": customer, "from": "support", "text": {"body": format!("out {n}")}});
            // A replica that is killed answers nothing, so the same request is made again.
            let id = eventually("it is accepted", async || {
                self.api.send(&format!("out {n}"), &text).await.map_err(|error| format!("{error:#}"))
            });
            let id = id.await?;
            self.ids.borrow_mut().push(id);
        }
    }

    /// Waits until so many more messages were accepted.
    async fn goes_on(&self, more: usize) -> Result<()> {
        let until = self.ids.borrow().len() + more;
        eventually("the traffic goes on", async || {
            let sent = self.ids.borrow().len();
            if sent >= until { Ok(()) } else { Err(format!("{sent} of {until}")) }
        })
        .await
    }

    fn sent(&self) -> Vec<String> {
        self.ids.borrow().clone()
    }

    /// Every message arrived.
    async fn arrived(&self, tenant: &Tenant) -> Result<()> {
        for id in &self.sent() {
            tenant.api.until(id, "delivered").await?;
        }
        Ok(())
    }

    /// Every message arrived, except what never reached the provider, because its replica was killed before it made the
    /// call. That one is `unconfirmed`, and not sent again.
    async fn arrived_or_never_left(&self, world: &World, tenant: &Tenant) -> Result<()> {
        for id in &self.sent() {
            eventually(&format!("message {id} is delivered, or was never sent"), async || {
                let message = tenant.api.message(id).await.map_err(|error| format!("{error:#}"))?;
                let calls = world.control.requests(&creations()).await.map_err(|error| error.to_string())?;
                let has_left = calls.iter().any(|call| call.form_value("Body") == message["text"]["body"].as_str());
                match message["status"].as_str() {
                    Some("delivered") if has_left => Ok(()),
                    Some("unconfirmed") if !has_left => Ok(()),
                    _ => Err(message.to_string()),
                }
            })
            .await?;
        }
        Ok(())
    }

    /// Nothing was refused: no call, and no webhook.
    async fn was_undisturbed(self, world: &World) -> Result<()> {
        let ids = self.ids.into_inner();
        ensure!(ids.len() >= 10, "only {} messages", ids.len());
        for call in world.control.requests(&creations()).await? {
            ensure!(call.status.is_none_or(|status| status < 400), "a call was refused: {call:?}");
        }
        for webhook in world.control.webhooks(&WebhookFilter::default()).await? {
            let refused = webhook.attempts.iter().find(|attempt| attempt.status == Some(403));
            ensure!(refused.is_none(), "a webhook was refused: {webhook:?}");
        }
        Ok(())
    }
}

/// The calls that send messages.
fn creations() -> RequestFilter {
    RequestFilter {
        method: Some("POST".to_owned()),
        path: Some("/Messages.json$".to_owned()),
        ..RequestFilter::default()
    }
}

/// Calls the provider about its tokens, with one of them. Returns the new one.
async fn tokens(world: &World, tenant: &Tenant, token: &str, what: &str) -> Result<String> {
    let url = format!("{}/v1/AuthTokens/{what}", world.sandbox.base_url());
    let request = reqwest::Client::new().post(url).basic_auth(&tenant.account.account_sid, Some(token));
    let answer: Value = request.send().await?.error_for_status()?.json().await?;
    let token = answer["secondary_auth_token"].as_str().or(answer["auth_token"].as_str());
    token.map(str::to_owned).context("a token")
}

/// Whether the provider accepts a token.
async fn is_accepted(world: &World, tenant: &Tenant, token: &str) -> Result<bool> {
    let account = &tenant.account.account_sid;
    let url = format!("{}/2010-04-01/Accounts/{account}/Messages.json?PageSize=1", world.sandbox.base_url());
    let answer = reqwest::Client::new().get(url).basic_auth(account, Some(token)).send().await?;
    Ok(answer.status() == StatusCode::OK)
}

/// Writes the Secret with the credentials anew.
async fn put_secret(world: &World, tenant: &Tenant, data: Value) -> Result<()> {
    let metadata = json!({"name": "twilio", "namespace": tenant.namespace});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data});
    world.cluster.kubectl(&["delete", "secret", "twilio", "--namespace", &tenant.namespace]).await?;
    world.cluster.apply(&[serde_json::from_value(secret)?], None).await
}

async fn secret(world: &World, tenant: &Tenant) -> Result<Vec<(String, String)>> {
    use base64::Engine as _;
    let secret = world.get("secret", &tenant.namespace, "twilio").await?;
    let data = secret["data"].as_object().context("data")?;
    let decode = |value: &Value| {
        let bytes = base64::prelude::BASE64_STANDARD.decode(value.as_str().context("a text")?)?;
        anyhow::Ok(String::from_utf8(bytes)?)
    };
    data.iter().map(|(key, value)| Ok((key.clone(), decode(value)?))).collect()
}

/// Waits until the sender's status is so.
async fn until(world: &World, tenant: &Tenant, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
    eventually(what, async || {
        let sender = world.get("whatsappsender", &tenant.namespace, "support").await.map_err(|e| format!("{e:#}"))?;
        if is_so(&sender["status"]) { Ok(sender["status"].clone()) } else { Err(sender["status"].to_string()) }
    })
    .await
}

/// Waits until every replica has been told the webhook keys in the Secret, by what is compiled.
async fn compiled_with(world: &World, tenant: &Tenant, token: &str) -> Result<()> {
    use base64::Engine as _;
    eventually("the token is compiled", async || {
        let name = format!("whatsapp-tenant-{}", tenant.namespace);
        let secret = world.get("secret", &world.system, &name).await.map_err(|e| format!("{e:#}"))?;
        let bytes = secret["data"]["tenant.json"].as_str().unwrap_or_default();
        let bytes = base64::prelude::BASE64_STANDARD.decode(bytes).map_err(|e| e.to_string())?;
        if String::from_utf8_lossy(&bytes).contains(token) { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await?;
    world.in_data_plane("whatsappsender", &tenant.namespace, "support").await
}

#[tokio::test]
async fn an_auth_token_is_replaced_by_hand_and_nothing_is_refused() -> Result<()> {
    let world = World::start(&["shop"]).await?;
    let shop = world.tenant(0).await?;
    let old = shop.account.auth_token.clone();
    let traffic = Traffic::new(&world, &shop);
    let replacing = async {
        traffic.goes_on(3).await?;
        let next = tokens(&world, &shop, &old, "Secondary").await?;
        put_secret(&world, &shop, json!({"authToken": old, "secondaryAuthToken": next})).await?;
        compiled_with(&world, &shop, &next).await?;
        traffic.goes_on(3).await?;
        tokens(&world, &shop, &old, "Promote").await?;
        traffic.goes_on(3).await?;
        put_secret(&world, &shop, json!({"authToken": next})).await?;
        let told = |status: &Value| status["oldWebhookKeysUntil"].is_string();
        until(&world, &shop, "the old token's end is told", told).await?;
        traffic.goes_on(3).await
    };
    traffic.flows_during(replacing).await?;
    ensure!(!is_accepted(&world, &shop, &old).await?);
    traffic.arrived(&shop).await?;
    traffic.was_undisturbed(&world).await?;
    world.ready("whatsappsender", &shop.namespace, "support").await.map(drop)
}

#[tokio::test]
async fn a_token_that_the_provider_refuses_is_left_aside_and_what_was_good_goes_on() -> Result<()> {
    let world = World::start(&["shop"]).await?;
    let shop = world.tenant(0).await?;
    let (good, wrong) = (shop.account.auth_token.clone(), "ffffffffffffffffffffffffffffffff");
    let traffic = Traffic::new(&world, &shop);
    let says = |words: &'static str| {
        move |status: &Value| {
            let conditions = status["conditions"].as_array();
            let valid = conditions.into_iter().flatten().find(|condition| condition["type"] == "CredentialsValid");
            valid.is_some_and(|valid| valid["message"].as_str().is_some_and(|message| message.contains(words)))
        }
    };
    let trying = async {
        put_secret(&world, &shop, json!({"authToken": good, "secondaryAuthToken": wrong})).await?;
        until(&world, &shop, "it is left aside", says("refuses the secondaryAuthToken")).await?;
        put_secret(&world, &shop, json!({"authToken": wrong})).await?;
        until(&world, &shop, "it is refused", says("those that were accepted last stay in use")).await?;
        traffic.goes_on(10).await
    };
    traffic.flows_during(trying).await?;
    traffic.arrived(&shop).await?;
    traffic.was_undisturbed(&world).await
}

/// What a tenant grants, in the words of the condition that asks for it.
async fn grant(world: &World, tenant: &Tenant) -> Result<()> {
    let namespace = ["--namespace", tenant.namespace.as_str()];
    let role =
        ["create", "role", "whatsapp-rotation", "--verb=get,patch", "--resource=secrets", "--resource-name=twilio"];
    world.cluster.kubectl(&[&role[..], &namespace].concat()).await?;
    let account = format!("--serviceaccount={}:{}", world.system, world.accounts.operator);
    let binding = ["create", "rolebinding", "whatsapp-rotation", "--role=whatsapp-rotation", account.as_str()];
    world.cluster.kubectl(&[&binding[..], &namespace].concat()).await.map(drop)
}

async fn annotate(world: &World, tenant: &Tenant, annotation: &str) -> Result<()> {
    let name = ["annotate", "whatsappsender", "support", "--overwrite", "--namespace", tenant.namespace.as_str()];
    world.cluster.kubectl(&[&name[..], &[annotation]].concat()).await.map(drop)
}

#[tokio::test]
async fn key_and_token_are_rotated_under_traffic_while_the_operator_and_replicas_are_killed() -> Result<()> {
    let options = Options { store: Store::Postgres { replicas: 2 }, ..Options::default() };
    let mut world = World::start_in(tests::cluster::Cluster::shared().await?, &["shop"], options).await?;
    let shop = world.tenant(0).await?;
    let old = shop.account.auth_token.clone();
    let traffic = Traffic::new(&world, &shop);
    let rotation = json!({"credentialRotation": {"every": "90d", "minOverlap": "2s", "authToken": true}});
    let idle = |status: &Value| status["rotation"]["phase"] == "Idle" && status["rotation"]["key"].is_string();
    let mut first = Value::Null;
    let rotating = async {
        world.cluster.apply(&[shop.sender(&rotation)?], None).await?;
        first = until(&world, &shop, "the first key is in use", idle).await?["rotation"]["key"].clone();
        traffic.goes_on(3).await?;
        annotate(&world, &shop, "whatsapp-operator.dev/rotate-requested-at=1").await?;
        let held = |status: &Value| status["rotation"]["summary"] == "Held NotGranted";
        until(&world, &shop, "the grant is asked for", held).await?;
        grant(&world, &shop).await?;
        // The operator and a replica die on the way, again and again.
        for n in 0..3 {
            world.operator.kill()?;
            world.replicas[n % 2].kill()?;
            world.start_replica(n % 2, &[]).await?;
            world.start_operator()?;
            traffic.goes_on(2).await?;
        }
        until(&world, &shop, "the rotation ends", |status| idle(status) && status["rotation"]["key"] != first).await?;
        traffic.goes_on(3).await
    };
    traffic.flows_during(rotating).await?;
    traffic.arrived_or_never_left(&world, &shop).await?;
    traffic.was_undisturbed(&world).await?;

    ensure!(!is_accepted(&world, &shop, &old).await?, "the old token ended");
    let secret = secret(&world, &shop).await?;
    let [(key, token)] = &secret[..] else { anyhow::bail!("the Secret has {} keys", secret.len()) };
    ensure!(key == "authToken" && is_accepted(&world, &shop, token).await?);
    let url = format!("{}/2010-04-01/Accounts/{}/Keys.json", world.sandbox.base_url(), shop.account.account_sid);
    let request = reqwest::Client::new().get(url).basic_auth(&shop.account.account_sid, Some(token));
    let keys: Value = request.send().await?.json().await?;
    let keys: Vec<_> = keys["keys"].as_array().into_iter().flatten().map(|key| key["sid"].clone()).collect();
    ensure!(keys.len() == 1 && keys[0] != first, "{keys:?}");
    Ok(())
}

#[tokio::test]
async fn a_rotation_names_the_replica_that_it_waits_for_and_revokes_nothing_until_then() -> Result<()> {
    let options = Options { store: Store::Postgres { replicas: 2 }, ..Options::default() };
    let mut world = World::start_in(tests::cluster::Cluster::shared().await?, &["shop"], options).await?;
    let shop = world.tenant(0).await?;
    let rotation = json!({"credentialRotation": {"every": "90d", "minOverlap": "1s"}});
    world.cluster.apply(&[shop.sender(&rotation)?], None).await?;
    let idle = |status: &Value| status["rotation"]["phase"] == "Idle" && status["rotation"]["key"].is_string();
    let first = until(&world, &shop, "the first key is in use", idle).await?["rotation"]["key"].clone();
    // It keeps its Lease and acknowledges nothing.
    world.replicas[1].kill()?;
    annotate(&world, &shop, "whatsapp-operator.dev/rotate-immediately-requested-at=1").await?;
    let waits = |status: &Value| {
        status["rotation"]["summary"].as_str().is_some_and(|s| s.starts_with("AwaitingAck data-plane-1 ("))
    };
    until(&world, &shop, "the replica is named", waits).await?;
    let columns = world.cluster.kubectl(&["get", "was", "--namespace", &shop.namespace]).await?;
    ensure!(columns.contains("AwaitingAck data-plane-1"), "{columns}");
    world.start_replica(1, &[]).await?;
    until(&world, &shop, "the rotation ends", |status| idle(status) && status["rotation"]["key"] != first).await?;
    // However often it was looked at meanwhile.
    let events = ["get", "events", "--namespace", &shop.namespace, "--output", "json"];
    let events: Value = serde_json::from_str(&world.cluster.kubectl(&events).await?)?;
    let began: Vec<_> =
        events["items"].as_array().into_iter().flatten().filter(|event| event["reason"] == "RotationBegan").collect();
    ensure!(!began.is_empty() && began.iter().all(|event| event["series"].is_null()), "told more than once: {began:?}");
    Ok(())
}
