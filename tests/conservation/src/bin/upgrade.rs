//! Runs this build beside an older one over one database, as a rollout does: `make upgrade`.
//!
//! `UPGRADE_PROGRAM` is the older build of the data plane. What it logs before the newer build migrates the database,
//! and what it logs afterwards, must hold for the newer one.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use conservation::replica::Replica;
use conservation::signing::{inbound, text_fields};
use conservation::tenant::{SENDER, Tenant};
use conservation::world::run_folder;
use postgres_cluster::Server;
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use sandbox::{Config, Sandbox};
use serde_json::json;
use tests::api::{Answer, TenantApi};
use tests::eventually::eventually;

const DATABASE: &str = "upgrade";
const PROGRAM: &str = "UPGRADE_PROGRAM";
const VERSION: &str = "SELECT MAX(version) FROM schema_versions";

#[tokio::main]
async fn main() -> Result<()> {
    tests::install_crypto();
    let older = std::env::var_os(PROGRAM).with_context(|| format!("{PROGRAM} is not set: run `make upgrade`"))?;
    let folder = run_folder("whatsapp-upgrade-")?;
    rollout(PathBuf::from(older), folder.path()).await
}

async fn rollout(older: PathBuf, folder: &Path) -> Result<()> {
    let sandbox = Sandbox::start(Config::default()).await?;
    let server = Server::launch(&[]).await?;
    server.create_database(DATABASE).await?;
    let store = format!("{}?sslmode=disable", server.tcp_url(DATABASE));
    let configs = folder.join("configs");
    std::fs::create_dir(&configs)?;
    let replica = |name: &str| Replica::new(name.to_owned(), store.clone(), &configs);
    let (mut old, mut new) = (replica("old")?.of_build(older), replica("new")?);

    let public_url = format!("http://{}", old.webhooks);
    let tenant = Tenant::create(0, &sandbox.control(), sandbox.base_url(), &public_url).await?;
    tenant.write_config(&configs, &public_url, sandbox.base_url())?;
    let customers = Customers { tenant: &tenant, old: public_url, new: format!("http://{}", new.api) };
    let [before, after, never] = [&tenant.customers[0], &tenant.customers[1], &tenant.customers[2]];

    old.start(folder)?;
    old.ready(folder).await?;
    let from = server.query(DATABASE, VERSION).await?;
    customers.opts_out_at_the_old_replica(before).await?;

    new.start(folder)?;
    new.ready(folder).await?;
    let to = server.query(DATABASE, VERSION).await?;
    eprintln!("upgrade: the new replica runs; the schema was at version {from} and is at {to}");
    customers.is_refused_at_the_new_replica(before).await?;

    old.ready(folder).await.context("after the migration")?;
    customers.opts_out_at_the_old_replica(after).await?;
    customers.is_refused_at_the_new_replica(after).await?;

    let accepted = customers.is_sent_a_template_by_the_new_replica(never).await?;
    ensure!(accepted.status == StatusCode::ACCEPTED, "{never} never opted out: {accepted:?}");
    new.terminate()?;
    old.terminate()?;
    eprintln!(
        "upgrade: opt-outs that the old replica received before and after the migration are in force at the new one"
    );
    Ok(())
}

/// The customers of one tenant, served by both replicas.
struct Customers<'a> {
    tenant: &'a Tenant,
    /// The old replica's webhook listener.
    old: String,
    /// The new replica's API.
    new: String,
}

impl Customers<'_> {
    /// Writes STOP, which Twilio reports to the old replica.
    async fn opts_out_at_the_old_replica(&self, customer: &str) -> Result<()> {
        let Tenant { name, account, number, .. } = self.tenant;
        let sid = format!("SM{:0>32}", customer.trim_start_matches('+'));
        let fields = text_fields(&account.account_sid, &sid, customer, number, "STOP");
        let path = format!("/webhooks/{name}/{SENDER}/twilio/inbound");
        let signed = inbound(&self.old, &path, &account.auth_token, &fields)?;
        let request = reqwest::Client::new()
            .post(format!("{}{}", self.old, signed.path))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("x-twilio-signature", signed.signature)
            .body(signed.body);
        let status = request.send().await?.status();
        ensure!(status.is_success(), "the old replica answered the STOP of {customer} with {status}");
        Ok(())
    }

    /// Waits until the new replica knows the opt-out, and then asks once.
    async fn is_refused_at_the_new_replica(&self, customer: &str) -> Result<()> {
        let path = format!("/v1/contacts/{customer}?sender={SENDER}");
        eventually(&format!("the new replica knows that {customer} opted out"), async || {
            let contact = self.api().get(&path).await.map_err(|error| format!("{error:#}"))?;
            if contact.body["suppression"].is_object() { Ok(()) } else { Err(contact.body.to_string()) }
        })
        .await?;
        let answer = self.is_sent_a_template_by_the_new_replica(customer).await?;
        let error = &answer.body["errors"][0];
        let refused = answer.status == StatusCode::UNPROCESSABLE_ENTITY && error["code"] == "suppressed";
        ensure!(refused, "{customer} opted out, so the template should be refused as suppressed: {answer:?}");
        Ok(())
    }

    async fn is_sent_a_template_by_the_new_replica(&self, customer: &str) -> Result<Answer> {
        let template = json!({"name": self.tenant.templates[0].name, "values": {"1": "42"}});
        let message = json!({"to": customer, "from": SENDER, "template": template});
        self.api().try_send(&format!("template-for-{customer}"), &message).await
    }

    fn api(&self) -> TenantApi {
        TenantApi::new(self.new.clone(), &self.tenant.api_key)
    }
}
