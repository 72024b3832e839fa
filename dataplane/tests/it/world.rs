//! A data plane without its sockets: a real store in a file, configs, a driven clock, and a fake provider per account.

use dataplane::store::WebhookLog as _;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dataplane::apply::{Applier, ApplyContext};
use dataplane::clock_check::ClockCheck;
use dataplane::config::{Adapters, Applied, Configs, Connect};
use dataplane::dispatch::brakes::Brakes;
use dataplane::dispatch::settle::Settler;
use dataplane::dispatch::{DispatchContext, DispatchOptions, Dispatcher};
use dataplane::holds::Holds;
use dataplane::metrics::Metrics;
use dataplane::progress::Progress;
use dataplane::publish::{PublishContext, Publisher, sinks};
use dataplane::removal::Removals;
use dataplane::shared::Shared;
use dataplane::sink::OpenSink;
use dataplane::store::Store;
use dataplane::store::message::{AcceptMessage, Acceptance, MessageRecord, NewMessage, OnUnconfirmed, Priority};
use dataplane::store::webhook::{RecordWebhook, dedupe_keys};
use jiff::Timestamp;
use messaging::clock::Clock;
use messaging::config::{ProviderAccount, TenantConfig};
use messaging::content::OutboundContent;
use messaging::id::{MessageId, SenderName, TenantId};
use messaging::lifecycle::MessageStatus;
use messaging::policy::Purpose;
use messaging::provider::webhook::WebhookRoute;
use messaging::provider::{MessagingProvider, WebhookEvent};
use messaging::routing::Route;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;
use url::Url;

use crate::config::bytes;
use crate::fake::{DrivenClock, FakeProvider, FakeWebhooks};
use crate::sink::Sink;

pub(crate) const CUSTOMER: &str = "+447700900123";

pub(crate) struct World {
    pub(crate) shared: Shared,
    /// The one of [`Self::shared`].
    pub(crate) clock: Arc<DrivenClock>,
    providers: Arc<Mutex<BTreeMap<String, Arc<FakeProvider>>>>,
    /// A new file for the lifetime of the value.
    _directory: TempDir,
    _committer: JoinSet<()>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (store, committer) = Store::sqlite(&directory.path().join("store.db")).await.unwrap();
        let mut running = JoinSet::new();
        running.spawn(committer.run());
        let providers: Arc<Mutex<BTreeMap<String, Arc<FakeProvider>>>> = Arc::default();
        let connected = Arc::clone(&providers);
        let connect = move |account: &ProviderAccount| {
            let mut connected = connected.lock().unwrap();
            let fake = connected.entry(account.account_key().to_owned()).or_default();
            Arc::clone(fake) as Arc<dyn MessagingProvider>
        };
        let (shared, clock) = shared(store, Arc::new(connect), Arc::new([Arc::new(FakeWebhooks) as _]));
        Self { shared, clock, providers, _directory: directory, _committer: running }
    }

    /// A world with the tenant `shop`: see [`Self::tenant`].
    pub(crate) async fn with_shop() -> Self {
        let world = Self::new().await;
        world.tenant("shop", |_| ());
        world
    }

    /// A world with the tenant `shop`, and the sink that its events go to.
    pub(crate) async fn with_sink() -> (Self, Sink) {
        let (world, sink) = (Self::new().await, Sink::start().await);
        world.tenant("shop", |sender| sender["events"] = json!([sink_config(&sink.url())]));
        (world, sink)
    }

    /// Configures a tenant with one sender, `support`, of an account of its own. `change` edits that sender.
    pub(crate) fn tenant(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut config: Value = serde_json::from_slice(&bytes(&crate::config::tenant_json(name))).unwrap();
        let sender = &mut config["senders"]["support"];
        sender["provider"]["twilio"]["accountSid"] = json!(account(name));
        change(sender);
        config["templates"] = json!({ "hello": {
            "category": "UTILITY",
            "fallbackLanguage": "en",
            "localizations": { "en": {
                "content": { "body": "Hello" },
                "accounts": { account(name): { "handle": "HX1", "approval": { "state": "approved" } } },
            }},
        }});
        assert_eq!(self.shared.configs.apply(&tenant(name), &bytes(&config)), Applied::New);
    }

    /// The fake account of the tenant at the provider.
    pub(crate) fn provider(&self, name: &str) -> Arc<FakeProvider> {
        Arc::clone(&self.providers.lock().unwrap()[&account(name)])
    }

    pub(crate) fn dispatching(&self, change: impl FnOnce(&mut DispatchOptions)) -> DispatchContext {
        let mut options = DispatchOptions::new("replica-a");
        change(&mut options);
        DispatchContext { shared: self.shared.clone(), brakes: self.brakes(), options }
    }

    fn brakes(&self) -> Arc<Brakes> {
        Arc::new(Brakes::new(Arc::clone(&self.shared.metrics)))
    }

    /// What another replica on the same store shares, which learns what is held by asking.
    pub(crate) async fn replica(&self) -> Shared {
        let holds = Arc::new(Holds::new(self.shared.store.clone(), Arc::clone(&self.shared.clock)));
        holds.refresh().await.unwrap();
        Shared { holds, ..self.shared.clone() }
    }

    /// What applies events beside a dispatch with these brakes, or with none.
    pub(crate) fn applying(&self, dispatch: Option<&DispatchContext>) -> ApplyContext {
        let brakes = dispatch.map_or_else(|| self.brakes(), |dispatch| Arc::clone(&dispatch.brakes));
        ApplyContext { shared: self.shared.clone(), brakes, ask_after: Duration::from_secs(600) }
    }

    pub(crate) fn dispatcher(&self) -> Dispatcher {
        Dispatcher::new(self.dispatching(|_| ()))
    }

    pub(crate) fn settler(&self) -> Settler {
        Settler::new(self.dispatching(|_| ()))
    }

    pub(crate) fn publisher(&self) -> Publisher {
        Publisher::new(self.publishing())
    }

    pub(crate) fn publishing(&self) -> PublishContext {
        PublishContext { shared: self.shared.clone(), owner: "replica-a".into(), lease: Duration::from_secs(30) }
    }

    /// Accepts the template `hello` for [`CUSTOMER`]. `change` edits it.
    pub(crate) async fn accept(&self, name: &str, change: impl FnOnce(&mut NewMessage)) -> MessageId {
        let now = self.clock.now();
        let mut message = NewMessage {
            id: MessageId::new(now, &rand::random()),
            tenant: tenant(name),
            route: Route::direct(support()),
            to: CUSTOMER.parse().unwrap(),
            content: hello(),
            purpose: Purpose::Message,
            priority: Priority::Utility,
            from: None,
            reply_to: None,
            served_language: None,
            metadata: BTreeMap::new(),
            on_unconfirmed: OnUnconfirmed::Fail,
            created_at: now,
            scheduled_at: None,
            expires_at: None,
        };
        change(&mut message);
        let id = message.id;
        let accepted = self.shared.store.write(AcceptMessage { message, idempotency: None }).await.unwrap();
        assert!(matches!(accepted, Acceptance::New(_)), "{accepted:?}");
        id
    }

    /// Lets a dispatcher hand a message of the tenant `shop` over. Answers also with the provider's id of it.
    pub(crate) async fn hand_over(&self, dispatcher: &mut Dispatcher) -> (MessageId, String) {
        let id = self.accept("shop", |_| ()).await;
        dispatch(dispatcher, &self.clock).await;
        (id, self.record("shop", id).await.message.provider_message_id.unwrap())
    }

    /// Logs a webhook of a tenant, and lets it take effect beside a dispatch with these brakes, or with none.
    pub(crate) async fn hears(&self, name: &str, events: Vec<WebhookEvent>, dispatch: Option<&DispatchContext>) {
        let count = events.len();
        let webhook = webhook(&tenant(name), self.clock.now(), &events);
        self.shared.store.record_webhook(webhook).await.unwrap();
        let (mut applier, _) = Applier::new(self.applying(dispatch));
        assert_eq!(applier.turn().await.unwrap(), count);
    }

    pub(crate) async fn record(&self, name: &str, id: MessageId) -> MessageRecord {
        self.shared.store.message(&tenant(name), id).await.unwrap().unwrap()
    }

    pub(crate) async fn status(&self, name: &str, id: MessageId) -> MessageStatus {
        self.record(name, id).await.message.status
    }

    /// The reason of the message's latest status.
    pub(crate) async fn reason(&self, name: &str, id: MessageId) -> String {
        self.record(name, id).await.message.reason.unwrap().text
    }

    /// How often messages were passed over for this reason.
    pub(crate) fn deferred(&self, reason: &str) -> u64 {
        let text = self.shared.metrics.render().unwrap();
        let line = format!(r#"whatsapp_deferred_total{{reason="{reason}"}} "#);
        text.lines().find_map(|l| l.strip_prefix(&line)).unwrap().parse().unwrap()
    }

    pub(crate) fn metric(&self, line: &str) {
        let text = self.shared.metrics.render().unwrap();
        assert!(text.lines().any(|l| l == line), "{line} is missing from\n{text}");
    }
}

/// What a process would share, with a clock that only the test moves.
pub(crate) fn shared(store: Store, connect: Connect, adapters: Adapters) -> (Shared, Arc<DrivenClock>) {
    let clock = DrivenClock::new();
    let metrics = Arc::new(Metrics::new().unwrap());
    let configs = Arc::new(Configs::new(connect, adapters, open_sink(), Arc::clone(&metrics)));
    let holds = Arc::new(Holds::new(store.clone(), Arc::clone(&clock) as _));
    let clock_check = Arc::new(ClockCheck::new(store.clone(), Arc::clone(&clock) as _, Arc::clone(&metrics)));
    let progress = Arc::new(Progress::new(Arc::clone(&metrics)));
    let removals = Arc::new(Removals::new(Duration::from_secs(24 * 60 * 60)));
    let clock_of = Arc::clone(&clock) as _;
    (Shared { store, configs, clock: clock_of, clock_check, metrics, holds, progress, removals }, clock)
}

/// Opens sinks that may be on this machine.
pub(crate) fn open_sink() -> OpenSink {
    sinks::opener(true).unwrap()
}

/// Takes turns until nothing more can leave now, and waits for every call. Returns when to look again.
pub(crate) async fn dispatch(dispatcher: &mut Dispatcher, clock: &DrivenClock) -> Option<Timestamp> {
    loop {
        let next = dispatcher.turn().await.unwrap();
        dispatcher.settle_down().await;
        if next.is_none_or(|at| at > clock.now()) {
            return next;
        }
    }
}

/// Asks about every message that is due for a question, and waits for the answers.
pub(crate) async fn settle(settler: &mut Settler) {
    settler.turn().await.unwrap();
    settler.settle_down().await;
}

/// A deadline for what should happen at once, far beyond what a loaded machine needs.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.unwrap()
}

/// Asks a process or a server, which has no way to tell, until something is so; within the time of [`soon`].
pub(crate) async fn until(mut so: impl AsyncFnMut() -> bool) {
    let mut look = tokio::time::interval(Duration::from_millis(50));
    soon(async {
        while !so().await {
            look.tick().await;
        }
    })
    .await;
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

pub(crate) fn support() -> SenderName {
    SenderName::new("support").unwrap()
}

pub(crate) fn hello() -> OutboundContent {
    serde_json::from_value(json!({ "template": { "name": "hello" } })).unwrap()
}

/// A webhook of the sender `support` that says in its body what is in it.
pub(crate) fn webhook(tenant: &TenantId, received_at: Timestamp, events: &[WebhookEvent]) -> RecordWebhook {
    RecordWebhook {
        tenant: tenant.clone(),
        sender: support(),
        id: MessageId::new(received_at, &rand::random()).to_string(),
        received_at,
        url: "https://hooks.example/".into(),
        route: WebhookRoute::request("twilio", "POST", "inbound"),
        headers: "{}".into(),
        body: serde_json::to_vec(events).unwrap().into(),
        dedupe_keys: dedupe_keys(events),
        left_to_others_at: received_at,
    }
}

pub(crate) fn sink_config(url: &Url) -> Value {
    json!({ "http": { "url": url, "signingSecrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] } })
}

/// An account SID that is the tenant's own.
fn account(name: &str) -> String {
    format!("AC{:0>32}", hex::encode(name))
}

/// What [`World`]'s configs read as.
pub(crate) fn config_of(world: &World, name: &str) -> TenantConfig {
    world.shared.configs.get(&tenant(name)).unwrap().config.clone()
}
