//! Tests the adapter against the sandbox, which behaves like Twilio and shares no code with the adapter.

mod alerts;
mod credentials;
mod inbound;
mod pools;
mod registrations;
mod senders;
mod sending;
mod templates;

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use messaging::config::TwilioAccount;
use messaging::id::PoolId;
use messaging::lifecycle::MessageStatus;
use messaging::provider::admin::{
    FoundPool, PoolAdmin as _, PoolObservation, SenderAdmin as _, TemplateRevision, WebhookTargets,
};
use messaging::provider::webhook::{WebhookHome, WebhookRejected, WebhookRequest};
use messaging::provider::{OutboundMessage, SendOutcome, WebhookAdapter as _, WebhookEvent};
use messaging::secret::Secret;
use messaging::template::{LocalizedContent, TemplateCategory};
use providers::HttpSettings;
use providers::twilio::{Twilio, TwilioWebhooks};
use sandbox::seed::{EXAMPLE_ACCOUNT_SID, EXAMPLE_AUTH_TOKEN, EXAMPLE_SENDER, EXAMPLE_SERVICE_SID, Seed};
use sandbox::types::{Reply, WebhookFilter, WebhookRecord};
use sandbox::{Config, Running, Sandbox};

use crate::account;

const CUSTOMER: &str = "+447700900123";
/// Nothing listens there: the sandbox records what it would have delivered.
const NOWHERE: &str = "http://127.0.0.1:1";

/// A sandbox, an adapter for its account, and its control API.
pub(crate) struct World {
    pub(crate) sandbox: Running,
    http: reqwest::Client,
    pub(crate) twilio: Twilio,
}

impl World {
    pub(crate) async fn new(seed: Seed) -> Self {
        let sandbox = Sandbox::start(Config { seed, ..Config::default() }).await.expect("a sandbox");
        let http = providers::http_client(HttpSettings::default()).expect("a client");
        let twilio = adapter(&sandbox, &http, EXAMPLE_AUTH_TOKEN);
        Self { sandbox, http, twilio }
    }

    /// Opens the 24-hour window; the SID of the message.
    async fn customer_writes(&self) -> String {
        let reply = Reply { body: "hello".into(), profile_name: Some("Ava".into()), ..Reply::default() };
        self.sandbox.control().reply(CUSTOMER, &reply).await.expect("a reply").message_sid
    }

    async fn webhooks(&self) -> Vec<WebhookRecord> {
        self.sandbox.control().webhooks(&WebhookFilter::default()).await.expect("webhooks")
    }
}

fn adapter(sandbox: &Running, http: &reqwest::Client, password: &str) -> Twilio {
    Twilio::new(&TwilioAccount { password: Secret::new(password), ..account_of(sandbox) }, http)
}

fn account_of(sandbox: &Running) -> TwilioAccount {
    TwilioAccount {
        account_sid: EXAMPLE_ACCOUNT_SID.into(),
        username: EXAMPLE_ACCOUNT_SID.into(),
        password: Secret::new(EXAMPLE_AUTH_TOKEN),
        webhook_keys: vec![Secret::new("ffffffffffffffffffffffffffffffff"), Secret::new(EXAMPLE_AUTH_TOKEN)],
        messaging_service_sid: None,
        base_url: Some(sandbox.base_url().parse().expect("a URL")),
    }
}

/// Asks until there is an answer.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let poll = async {
        loop {
            ticks.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), poll).await.unwrap_or_else(|_| panic!("never: {what}"))
}

fn text() -> OutboundMessage {
    OutboundMessage { from: EXAMPLE_SENDER.parse().expect("a number"), ..account::text() }
}

fn accepted(outcome: SendOutcome) -> String {
    match outcome {
        SendOutcome::Accepted { provider_message_id, status: MessageStatus::Accepted } => provider_message_id,
        other => panic!("{other:?}"),
    }
}

/// A sender's webhook targets below a base URL.
fn targets(twilio: &Twilio, base: &str) -> WebhookTargets {
    let (base, tenant, sender) =
        (base.parse().expect("a URL"), "shop".parse().expect("a tenant"), "support".parse().expect("a sender"));
    twilio.webhook_targets(&WebhookHome { public_base_url: &base, tenant: &tenant, sender: &sender })
}

/// Verifies and translates what the sandbox sent.
fn understand(record: &WebhookRecord, route: &str) -> WebhookEvent {
    let headers: BTreeMap<String, String> =
        record.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    let url = record.url.split('#').next().unwrap_or_default();
    let request =
        WebhookRequest { route, method: &record.method, url, headers: &headers, body: record.body.as_bytes() };
    let endpoint = TwilioWebhooks.endpoint(&[Secret::new(EXAMPLE_AUTH_TOKEN)], &[]);
    let forged = WebhookRequest { body: b"MessageSid=SM1&MessageStatus=read", ..request };
    assert_eq!(endpoint.receive(&forged), Err(WebhookRejected::WrongSignature));
    let events = endpoint.receive(&request).expect("signed").parts.remove(0).events;
    assert_eq!(TwilioWebhooks.translate(route, request.body), events);
    events.into_iter().next().expect("one event")
}

/// The service of the example, whose senders are on one page.
async fn the_service(twilio: &Twilio) -> PoolObservation {
    let FoundPool { pool, requests } = twilio.find_pool(&PoolId::new(EXAMPLE_SERVICE_SID)).await.expect("an answer");
    assert_eq!(requests, 2, "the service, and its senders");
    pool.expect("the service")
}

pub(crate) fn revision(name: &str) -> TemplateRevision {
    TemplateRevision {
        name: name.into(),
        language: "en".into(),
        category: TemplateCategory::Utility,
        content: LocalizedContent {
            body: "Hi {{1}}, your order is on its way.".into(),
            header: None,
            footer: Some("Thank you".into()),
            buttons: vec![],
        },
        examples: [("1".to_owned(), "Ava".to_owned())].into(),
    }
}
