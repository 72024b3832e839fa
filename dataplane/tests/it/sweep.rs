//! Promises about customers' messages whose webhook never came, against the sandbox's log.

use dataplane::store::WebhookLog as _;
use std::sync::Arc;
use std::time::Duration;

use dataplane::apply::{Applier, ApplyContext};
use dataplane::budget::Budget;
use dataplane::clock::SystemClock;
use dataplane::config::{Applied, Configs};
use dataplane::shared::Shared;
use dataplane::store::webhook::RecordWebhook;
use dataplane::sweep::{SweepContext, SweepOptions, Sweeper};
use jiff::{SignedDuration, Timestamp};
use messaging::clock::Clock;
use messaging::id::PoolId;
use messaging::provider::webhook::WebhookHome;
use providers::HttpSettings;
use sandbox::seed::{EXAMPLE_ACCOUNT_SID, EXAMPLE_AUTH_TOKEN, EXAMPLE_SENDER, EXAMPLE_SERVICE_SID, Seed};
use sandbox::types::{
    ErrorShape, Reply, ReplyMedia, RequestEffect, RequestFault, RequestFilter, WebhookFilter, WebhookRecord,
};
use sandbox::{Config, Running, Sandbox};
use serde_json::json;

use crate::config::{bytes, tenant_json};
use crate::sink::Sink;
use crate::world::{self, CUSTOMER, World, sink_config, support, tenant};

const EVERY: Duration = Duration::from_secs(15 * 60);
const RECOVERED: &str = r#"whatsapp_reconcile_repairs_total{kind="inbound_recovered"}"#;

/// A data plane whose tenant `shop` has an account at a sandbox.
struct Swept {
    world: World,
    sandbox: Running,
    sink: Sink,
    configs: Arc<Configs>,
}

impl Swept {
    async fn new() -> Self {
        let world = World::new().await;
        // Its dates are compared with ours.
        world.clock.set(SystemClock.now());
        let sandbox = Sandbox::start(Config { seed: Seed::example(), ..Config::default() }).await.unwrap();
        let sink = Sink::start().await;
        let http = providers::http_client(HttpSettings::default()).unwrap();
        let connect = move |account: &_| providers::connect(account, &http);
        let configs = Arc::new(Configs::new(
            Arc::new(connect),
            providers::webhook_adapters().into(),
            world::open_sink(),
            Arc::clone(&world.shared.metrics),
        ));
        let mut config = tenant_json("shop");
        let sender = &mut config["senders"]["support"];
        sender["phoneNumber"] = json!(EXAMPLE_SENDER);
        sender["events"] = json!([sink_config(&sink.url())]);
        sender["provider"]["twilio"] = json!({
            "accountSid": EXAMPLE_ACCOUNT_SID,
            "username": EXAMPLE_ACCOUNT_SID,
            "password": EXAMPLE_AUTH_TOKEN,
            "webhookKeys": [EXAMPLE_AUTH_TOKEN],
            "baseUrl": sandbox.base_url(),
        });
        assert_eq!(configs.apply(&tenant("shop"), &bytes(&config)), Applied::New);
        Self { world, sandbox, sink, configs }
    }

    /// Points the sandbox's webhooks to an address where nothing listens. The sandbox still records each webhook.
    async fn records_webhooks(&self) {
        let tenant = self.configs.get(&tenant("shop")).unwrap();
        let http = providers::http_client(HttpSettings::default()).unwrap();
        let admin = providers::admin(&tenant.config.senders[&support()].provider, &http);
        let sender = admin.find_sender(&EXAMPLE_SENDER.parse().unwrap()).await.unwrap().unwrap();
        let found = admin.pools().unwrap().find_pool(&PoolId::new(EXAMPLE_SERVICE_SID)).await.unwrap();
        let service = found.pool.unwrap();
        let targets = admin.webhook_targets(&WebhookHome {
            public_base_url: &"http://127.0.0.1:1".parse().unwrap(),
            tenant: &tenant.config.tenant,
            sender: &support(),
        });
        admin.configure_webhooks(&sender, Some(&service), &targets).await.unwrap();
    }

    /// A customer writes. Returns the message's SID.
    async fn customer_writes(&self, body: &str) -> String {
        let reply = Reply { body: body.into(), profile_name: Some("Ava".into()), ..Reply::default() };
        self.sandbox.control().reply(CUSTOMER, &reply).await.unwrap().message_sid
    }

    /// The world's, with configs whose accounts are the sandbox's.
    fn shared(&self) -> Shared {
        Shared { configs: Arc::clone(&self.configs), ..self.world.shared.clone() }
    }

    async fn sweep(&self) {
        self.sweep_by("replica-a").await;
    }

    async fn sweep_by(&self, owner: &str) {
        let mut sweeper = Sweeper::new(SweepContext {
            shared: self.shared(),
            // Large enough that no sweep waits for it, because the clock does not move.
            budget: Arc::new(Budget::new(1000, 1000)),
            options: SweepOptions { every: EVERY, ..SweepOptions::new(owner) },
        });
        sweeper.turn();
        sweeper.settle_down().await;
    }

    /// Applies what is in the log, and publishes what follows.
    async fn take_effect(&self) {
        let context = ApplyContext { shared: self.shared(), ..self.world.applying(None) };
        let (mut applier, _) = Applier::new(context);
        while applier.turn().await.unwrap() > 0 {}
        let mut publishing = self.world.publishing();
        publishing.shared = self.shared();
        let mut publisher = dataplane::publish::Publisher::new(publishing);
        for _ in 0..4 {
            publisher.turn().await.unwrap();
            publisher.settle_down().await;
        }
    }

    /// What the webhook would have brought, and whether any of it was new.
    async fn webhook_comes(&self, sid: &str) -> bool {
        let webhooks = self.sandbox.control().webhooks(&WebhookFilter::default()).await.unwrap();
        let recorded: WebhookRecord = webhooks.into_iter().find(|webhook| webhook.message_sid == sid).unwrap();
        let events = self.configs.webhook_adapter("twilio").unwrap().translate("inbound", recorded.body.as_bytes());
        assert_eq!(events.len(), 1);
        let now = self.world.clock.now();
        let body = recorded.body.into();
        let webhook = RecordWebhook { url: recorded.url, body, ..world::webhook(&tenant("shop"), now, &events) };
        !self.world.shared.store.record_webhook(webhook).await.unwrap().is_duplicate()
    }

    /// The provider's ids of the messages that the tenant's application received.
    fn delivered(&self) -> Vec<String> {
        let events = self.sink.received();
        let of = |event: &serde_json::Value| Some(event["data"]["providerMessageId"].as_str()?.to_owned());
        let mut ids: Vec<String> = events.iter().filter_map(|received| of(&received.event())).collect();
        ids.sort();
        ids
    }

    /// How far the account's log has been read.
    async fn until(&self) -> Option<Timestamp> {
        self.world.shared.store.sweeps().await.unwrap().first().and_then(|cursor| cursor.swept_until)
    }

    fn recovered(&self, n: usize) {
        self.world.metric(&format!("{RECOVERED} {n}"));
    }
}

fn minutes(n: i64) -> SignedDuration {
    SignedDuration::from_mins(n)
}

#[tokio::test]
async fn what_no_webhook_brought_is_recovered_once_and_a_late_webhook_repeats_nothing() {
    let swept = Swept::new().await;
    swept.records_webhooks().await;
    let brought = swept.customer_writes("hello").await;
    let lost = swept.customer_writes("is anybody there?").await;
    assert!(swept.webhook_comes(&brought).await);
    swept.take_effect().await;
    assert_eq!(swept.delivered(), [brought.as_str()]);

    swept.world.clock.advance(minutes(6));
    swept.sweep().await;
    swept.take_effect().await;
    let mut both = [brought.clone(), lost.clone()];
    both.sort();
    assert_eq!(swept.delivered(), both);
    swept.recovered(1);

    swept.world.clock.advance(minutes(16));
    swept.sweep().await;
    assert!(!swept.webhook_comes(&lost).await, "it is known under its webhook's key");
    swept.take_effect().await;
    assert_eq!(swept.delivered(), both);
    swept.recovered(1);
}

#[tokio::test]
async fn what_is_known_is_not_asked_for_again() {
    let swept = Swept::new().await;
    swept.records_webhooks().await;
    let photo = ReplyMedia { content_type: "image/png".into(), data: "iVBORw0KGgo=".into() };
    let reply = Reply { media: vec![photo], ..Reply::default() };
    let sid = swept.sandbox.control().reply(CUSTOMER, &reply).await.unwrap().message_sid;
    let asked = async || {
        let all = swept.sandbox.control().requests(&RequestFilter::default()).await.unwrap();
        all.into_iter().filter(|request| request.path.contains(&sid)).count()
    };
    swept.world.clock.advance(minutes(6));
    swept.sweep().await;
    swept.recovered(1);
    let once = asked().await;
    assert!(once > 0, "its media are not in the list");
    swept.world.clock.advance(minutes(16));
    swept.sweep().await;
    assert_eq!(asked().await, once);
}

#[tokio::test]
async fn a_recovered_message_has_effect_from_when_it_was_written() {
    let swept = Swept::new().await;
    swept.sweep().await;
    let written = swept.world.clock.now();
    swept.customer_writes("hello").await;
    swept.customer_writes("STOP").await;
    swept.world.clock.advance(minutes(3 * 60));
    swept.sweep().await;
    swept.take_effect().await;
    let contact =
        swept.world.shared.store.contact(&tenant("shop"), &support(), &CUSTOMER.parse().unwrap()).await.unwrap();
    let window = contact.state.last_inbound_at.unwrap();
    assert!(window.duration_since(written).abs() < minutes(1), "{window} is not {written}");
    assert!(
        contact.state.suppression(swept.world.clock.now()).is_some(),
        "an opt-out counts, however late it is found"
    );
    swept.recovered(2);
}

#[tokio::test]
async fn what_is_still_young_is_left_to_its_webhook_until_the_next_sweep() {
    let swept = Swept::new().await;
    let sid = swept.customer_writes("hello").await;
    swept.world.clock.advance(minutes(4));
    swept.sweep().await;
    swept.take_effect().await;
    assert_eq!(swept.delivered(), Vec::<String>::new());
    swept.world.clock.advance(minutes(15));
    swept.sweep().await;
    swept.take_effect().await;
    assert_eq!(swept.delivered(), [sid]);
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_read_again_from_where_it_was() {
    let swept = Swept::new().await;
    swept.world.clock.advance(minutes(6));
    swept.sweep().await;
    let before = swept.until().await;
    assert!(before.is_some());
    let last_success = swept.world.clock.now();
    let told = |at: Timestamp| {
        swept.world.metric(&format!(r#"whatsapp_last_success_timestamp_seconds{{task="sweep"}} {}"#, at.as_second()));
    };
    told(last_success);

    let fails =
        RequestEffect::Status { status: 503, retry_after: None, code: None, message: None, shape: ErrorShape::Empty };
    swept.sandbox.control().add_request_fault(RequestFault::new(fails)).await.unwrap();
    swept.customer_writes("hello").await;
    swept.world.clock.advance(minutes(16));
    swept.sweep().await;
    assert_eq!(swept.until().await, before, "it was not read");
    told(last_success);
    swept.recovered(0);

    swept.sandbox.control().clear_faults().await.unwrap();
    swept.world.clock.advance(minutes(16));
    swept.sweep().await;
    assert!(swept.until().await > before);
    told(swept.world.clock.now());
    swept.recovered(1);
}

#[tokio::test]
async fn every_tenants_account_has_its_turn_however_many_there_are() {
    let swept = Swept::new().await;
    let shop: serde_json::Value =
        serde_json::from_slice(&swept.configs.get(&tenant("shop")).unwrap().config.to_json()).unwrap();
    for n in 0..30 {
        let mut config = shop.clone();
        config["tenant"] = json!(format!("shop-{n}"));
        assert_eq!(swept.configs.apply(&tenant(&format!("shop-{n}")), &bytes(&config)), Applied::New);
    }
    swept.world.clock.advance(minutes(6));
    swept.sweep().await;
    let cursors = swept.world.shared.store.sweeps().await.unwrap();
    assert_eq!(cursors.len(), 31);
    assert!(cursors.iter().all(|cursor| cursor.swept_until.is_some()));
}

#[tokio::test]
async fn replicas_share_the_accounts_and_none_is_swept_twice_in_its_time() {
    let swept = Swept::new().await;
    swept.world.clock.advance(minutes(6));
    let reads = async || {
        let requests = swept.sandbox.control().requests(&Default::default()).await.unwrap();
        requests.iter().filter(|request| request.path.contains("/Messages.json")).count()
    };
    swept.sweep_by("replica-a").await;
    swept.sweep_by("replica-b").await;
    assert_eq!(reads().await, 1, "one call for the one sender of the account");
    swept.world.clock.advance(minutes(16));
    swept.sweep_by("replica-b").await;
    assert_eq!(reads().await, 2);
}
