//! Tests the adapter against the sandbox, which behaves like Twilio and shares no code with the adapter.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use messaging::address::PhoneNumber;
use messaging::config::TwilioAccount;
use messaging::failure::FailureClass;
use messaging::id::{AttemptId, PoolId};
use messaging::lifecycle::MessageStatus;
use messaging::provider::admin::{
    AccountAdmin as _, AlertAdmin as _, BusinessProfile, CodeBy, FoundPool, Joined, KeyAdmin as _, Listed,
    PoolAdmin as _, PoolMember, PoolObservation, Registered, Registration, RegistrationAdmin as _, SenderAdmin as _,
    Stage, TemplateAdmin as _, TemplateRevision, TokenAdmin as _, Verified, WebhookTargets, senders,
};
use messaging::provider::webhook::{WebhookHome, WebhookRejected, WebhookRequest};
use messaging::provider::{
    Direction, InboundQuery, MessageFilter, MessageLog as _, MessagingProvider as _, OutboundMessage, RenderedContent,
    SendOutcome, WebhookAdapter as _, WebhookEvent,
};
use messaging::secret::Secret;
use messaging::template::Approval;
use messaging::template::{LocalizedContent, TemplateCategory};
use providers::HttpSettings;
use providers::twilio::{Twilio, TwilioWebhooks};
use sandbox::seed::{EXAMPLE_ACCOUNT_SID, EXAMPLE_AUTH_TOKEN, EXAMPLE_SENDER, EXAMPLE_SERVICE_SID, Seed};
use sandbox::twilio::types::{NewAlert, NewService, NewVerification};
use sandbox::types::{
    ErrorShape, FaultRules, Reply, ReplyMedia, RequestEffect, RequestFault, WebhookFilter, WebhookRecord,
};
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

    /// A world in which creating a message goes wrong in this way, once.
    async fn failing(effect: RequestEffect) -> Self {
        let rule = RequestFault {
            method: Some("POST".into()),
            path: Some("Messages.json$".into()),
            count: Some(1),
            ..RequestFault::new(effect)
        };
        let world =
            Self::new(Seed { faults: FaultRules { requests: vec![rule], webhooks: vec![] }, ..Seed::example() }).await;
        world.customer_writes().await;
        world
    }

    /// Opens the 24-hour window; the SID of the message.
    async fn customer_writes(&self) -> String {
        let reply = Reply { body: "hello".into(), profile_name: Some("Ava".into()), ..Reply::default() };
        self.sandbox.control().reply(CUSTOMER, &reply).await.expect("a reply").message_sid
    }

    async fn webhooks(&self) -> Vec<WebhookRecord> {
        self.sandbox.control().webhooks(&WebhookFilter::default()).await.expect("webhooks")
    }

    async fn log_since(&self, since: jiff::Timestamp) -> Vec<messaging::provider::ProviderMessage> {
        let filter = MessageFilter { from: None, to: Some(CUSTOMER.parse().expect("an address")), since };
        self.twilio.list(&filter).await.expect("the log")
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

#[tokio::test]
async fn a_message_is_sent_followed_by_its_attempts_callbacks_and_found_in_the_log() {
    let world = World::new(Seed::example()).await;
    world.customer_writes().await;
    let attempt = AttemptId::new(jiff::Timestamp::UNIX_EPOCH, &[3; 10]);
    let callback = format!("{NOWHERE}/webhooks/shop/support/twilio/status/{attempt}");
    let message = OutboundMessage { attempt, status_callback: Some(callback.parse().expect("a URL")), ..text() };
    let sid = accepted(world.twilio.send(&message).await.outcome);

    let callback_record = eventually("a delivered callback", async || {
        world.webhooks().await.into_iter().find(|w| w.message_sid == sid && w.message_status == "delivered")
    })
    .await;
    assert_eq!(callback_record.url, format!("{callback}#rc=5&rp=all"));
    match understand(&callback_record, &format!("status/{attempt}")) {
        WebhookEvent::Status(update) => {
            assert_eq!((update.provider_message_id.as_str(), update.attempt), (sid.as_str(), Some(attempt)));
            assert_eq!(update.status, MessageStatus::Delivered);
        }
        other => panic!("{other:?}"),
    }

    let found = world.twilio.lookup(&sid).await.expect("an answer").expect("the message");
    assert_eq!((found.status, found.body.as_deref()), (MessageStatus::Delivered, Some("hello")));
    assert_eq!(world.twilio.lookup(&format!("SM{}", "0".repeat(32))).await, Ok(None));
    let log = world.log_since(found.created_at.expect("a date")).await;
    assert!(log.iter().any(|logged| logged.provider_message_id == sid && logged.direction == Direction::Outbound));
    world.sandbox.shutdown().await;
}

/// The service of the example, whose senders are on one page.
async fn the_service(twilio: &Twilio) -> PoolObservation {
    let FoundPool { pool, requests } = twilio.find_pool(&PoolId::new(EXAMPLE_SERVICE_SID)).await.expect("an answer");
    assert_eq!(requests, 2, "the service, and its senders");
    pool.expect("the service")
}

#[tokio::test]
async fn a_customers_message_is_verified_and_understood() {
    let world = World::new(Seed::example()).await;
    let sender =
        world.twilio.find_sender(&EXAMPLE_SENDER.parse().expect("a number")).await.expect("an answer").expect("it");
    let service = the_service(&world.twilio).await;
    let targets = targets(&world.twilio, NOWHERE);
    world.twilio.configure_webhooks(&sender, Some(&service), &targets).await.expect("configured");
    let sid = world.customer_writes().await;
    let record = eventually("an inbound webhook", async || {
        world.webhooks().await.into_iter().find(|webhook| webhook.message_sid == sid)
    })
    .await;
    match understand(&record, "inbound") {
        WebhookEvent::Inbound(message) => {
            assert_eq!((message.provider_message_id, message.from.as_str()), (sid, CUSTOMER));
            assert_eq!(message.content.words().collect::<Vec<_>>(), ["hello"]);
            assert_eq!(message.profile_name.as_deref(), Some("Ava"));
        }
        other => panic!("{other:?}"),
    }
    world.sandbox.shutdown().await;
}

#[tokio::test]
async fn a_customers_message_reads_the_same_from_the_log_as_from_its_webhook() {
    let world = World::new(Seed::example()).await;
    let since = jiff::Timestamp::UNIX_EPOCH;
    let own = EXAMPLE_SENDER.parse().expect("a number");
    let sender = world.twilio.find_sender(&own).await.expect("an answer").expect("it");
    let service = the_service(&world.twilio).await;
    let targets = targets(&world.twilio, NOWHERE);
    world.twilio.configure_webhooks(&sender, Some(&service), &targets).await.expect("configured");
    let with_file = Reply {
        body: "look".into(),
        media: vec![ReplyMedia { content_type: "image/png".into(), data: "aGVsbG8=".into() }],
        ..Reply::default()
    };
    let picture = world.sandbox.control().reply(CUSTOMER, &with_file).await.expect("a reply").message_sid;
    // From us, and so not from a customer.
    accepted(world.twilio.send(&text()).await.outcome);
    let words = world.customer_writes().await;

    let query = InboundQuery { to: EXAMPLE_SENDER.parse().expect("an address"), since, page: None };
    let page = world.twilio.inbound(&query).await.expect("the log");
    assert_eq!(page.next, None);
    let sids: Vec<&str> = page.entries.iter().map(|entry| entry.provider_message_id.as_str()).collect();
    assert_eq!(sids, [words.as_str(), picture.as_str()], "newest first");

    for entry in page.entries {
        let entry = if entry.is_incomplete { world.twilio.complete(entry).await.expect("its files") } else { entry };
        let webhook = eventually("its webhook", async || {
            world.webhooks().await.into_iter().find(|webhook| webhook.message_sid == entry.provider_message_id)
        })
        .await;
        let by_webhook = understand(&webhook, "inbound");
        let by_log = world.twilio.read(entry.body.as_bytes());
        assert_eq!(by_log.dedupe_key(), by_webhook.dedupe_key());
        match (by_log, by_webhook) {
            (WebhookEvent::Inbound(log), WebhookEvent::Inbound(webhook)) => {
                assert_eq!((&log.from, &log.to, &log.content), (&webhook.from, &webhook.to, &webhook.content));
            }
            other => panic!("{other:?}"),
        }
    }
    let later = InboundQuery { since: "2999-01-01T00:00:00Z".parse().expect("a time"), ..query };
    assert_eq!(world.twilio.inbound(&later).await.expect("the log").entries, []);
    world.sandbox.shutdown().await;
}

#[tokio::test]
async fn every_page_of_customers_messages_names_the_next() {
    let world = World::new(Seed::example()).await;
    for _ in 0..201 {
        world.customer_writes().await;
    }
    let to = EXAMPLE_SENDER.parse().expect("an address");
    let mut query = InboundQuery { to, since: jiff::Timestamp::UNIX_EPOCH, page: None };
    let first = world.twilio.inbound(&query).await.expect("a page");
    query.page = first.next;
    assert!(query.page.is_some(), "there is more than one page");
    let second = world.twilio.inbound(&query).await.expect("a page");
    assert_eq!((first.entries.len(), second.entries.len(), second.next), (200, 1, None));
    world.sandbox.shutdown().await;
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

#[tokio::test]
async fn a_template_is_created_submitted_approved_sent_and_deleted() {
    let world = World::new(Seed::example()).await;
    let twilio = &world.twilio;
    let revision = revision("shop-order-shipped-en-1");
    let handle = twilio.create_template(&revision).await.expect("created");
    let standing = async || {
        let templates = twilio.list_templates().await.expect("a list").rows;
        templates.into_iter().find(|template| template.handle == handle)
    };
    let created = standing().await.expect("listed");
    assert_eq!((created.name.as_str(), created.approval), (revision.name.as_str(), Approval::Unsubmitted));
    twilio.submit_template(&handle, &revision).await.expect("submitted");
    twilio.submit_template(&handle, &revision).await.expect("submitting again is not an error");
    let approved =
        eventually("an approval", async || standing().await.filter(|template| template.approval == Approval::Approved))
            .await;
    assert_eq!(approved.category, Some(TemplateCategory::Utility));

    let values = [("1".to_owned(), "Ava".to_owned())].into();
    let content = RenderedContent::Template { handle: handle.to_string(), language: "en".into(), values };
    let sid = accepted(twilio.send(&OutboundMessage { content, ..text() }).await.outcome);
    eventually("delivery outside the window", async || {
        let found = twilio.lookup(&sid).await.expect("an answer").expect("the message");
        (found.status == MessageStatus::Delivered).then_some(())
    })
    .await;

    twilio.delete_template(&handle).await.expect("deleted");
    twilio.delete_template(&handle).await.expect("deleting again is not an error");
    assert_eq!(standing().await, None);
    world.sandbox.shutdown().await;
}

#[tokio::test]
async fn what_was_created_twice_under_one_name_is_found_twice() {
    let world = World::new(Seed::example()).await;
    let revision = revision("shop-order-shipped-en-2");
    let mut created = vec![
        world.twilio.create_template(&revision).await.expect("created"),
        world.twilio.create_template(&revision).await.expect("created"),
    ];
    let templates = world.twilio.list_templates().await.expect("a list").rows;
    let mut found: Vec<_> = templates
        .into_iter()
        .filter(|template| template.name == revision.name)
        .map(|template| template.handle)
        .collect();
    created.sort();
    found.sort();
    assert_eq!(created, found);
    world.sandbox.shutdown().await;
}

#[tokio::test]
async fn a_sender_is_found_on_any_page_and_every_page_is_counted() {
    let numbers: Vec<String> = (0..45).map(|n| format!("+1415555{n:04}")).collect();
    let world = World::new(Seed::one_account(EXAMPLE_ACCOUNT_SID, EXAMPLE_AUTH_TOKEN, &numbers)).await;
    let Listed { rows, requests } = world.twilio.list_senders().await.expect("a list");
    assert_eq!((rows.len(), requests), (45, 3));
    let mut handles = std::collections::HashSet::new();
    for number in &numbers {
        let found = senders::find(&rows, &number.parse().expect("a number")).expect("a readable sender");
        let sender = found.unwrap_or_else(|| panic!("{number} is not found"));
        assert!(sender.online, "{sender:?}");
        handles.insert(sender.handle);
    }
    assert_eq!(handles.len(), numbers.len());
    assert_eq!(world.twilio.find_sender(&"+14150000000".parse().expect("a number")).await, Ok(None));
    world.sandbox.shutdown().await;
}

#[tokio::test]
async fn configured_webhooks_are_observed_as_configured() {
    let mut seed = Seed::example();
    seed.accounts[0].services[0].use_inbound_webhook_on_number = false;
    let world = World::new(seed).await;
    let twilio = &world.twilio;
    let number = EXAMPLE_SENDER.parse().expect("a number");
    let sender = twilio.find_sender(&number).await.expect("an answer").expect("the sender");
    let service = the_service(twilio).await;
    assert_eq!(service.senders, [PoolMember { handle: sender.handle.clone(), number: Some(number.clone()) }]);
    assert_eq!(twilio.list_pools().await, Ok(Listed { rows: vec![service.clone()], requests: 2 }));
    assert!(service.decides_webhooks_of(&sender.handle));

    let targets = targets(twilio, "https://hooks.example.com");
    assert!(!service.webhooks.same_as(&targets) && !sender.webhooks.same_as(&targets));
    twilio.configure_webhooks(&sender, Some(&service), &targets).await.expect("configured");
    let service = the_service(twilio).await;
    assert!(service.webhooks.same_as(&targets), "{service:?}");

    twilio.configure_webhooks(&sender, None, &targets).await.expect("configured");
    eventually("the sender's webhooks", async || {
        let sender = twilio.find_sender(&number).await.expect("an answer").expect("the sender");
        assert!(sender.online, "{sender:?}");
        sender.webhooks.same_as(&targets).then_some(())
    })
    .await;
    let unknown = twilio.find_pool(&PoolId::new(format!("MG{}", "0".repeat(32)))).await;
    assert_eq!(unknown, Ok(FoundPool { pool: None, requests: 1 }));
    world.sandbox.shutdown().await;
}

#[tokio::test]
async fn a_message_whose_answer_was_lost_is_ambiguous_and_in_the_log_once() {
    for effect in [RequestEffect::DropResponse, RequestEffect::StatusAfter { status: 500 }] {
        let world = World::failing(effect).await;
        let before = world.log_since(jiff::Timestamp::UNIX_EPOCH).await.len();
        let outcome = world.twilio.send(&text()).await.outcome;
        assert!(matches!(outcome, SendOutcome::Ambiguous { .. }), "{outcome:?}");
        assert_eq!(world.log_since(jiff::Timestamp::UNIX_EPOCH).await.len(), before + 1);
        world.sandbox.shutdown().await;
    }
}

#[tokio::test]
async fn a_rate_limit_is_refused_with_its_pause_and_nothing_is_sent() {
    let limit = RequestEffect::Status {
        status: 429,
        retry_after: Some(2),
        code: None,
        message: None,
        shape: ErrorShape::Classic,
    };
    let world = World::failing(limit).await;
    match world.twilio.send(&text()).await.outcome {
        SendOutcome::Refused(error) => {
            assert_eq!((error.failure.class, error.retry_after), (FailureClass::Retry, Some(Duration::from_secs(2))));
        }
        other => panic!("{other:?}"),
    }
    accepted(world.twilio.send(&text()).await.outcome);
    world.sandbox.shutdown().await;
}

#[tokio::test]
async fn every_format_of_error_is_understood() {
    for (shape, code) in [
        (ErrorShape::Classic, Some("63007")),
        (ErrorShape::Problem, Some("63007")),
        (ErrorShape::V1, Some("63007")),
        (ErrorShape::Html, None),
        (ErrorShape::Empty, None),
    ] {
        let message = Some("no channel with this From address".to_owned());
        let refusal = RequestEffect::Status { status: 400, retry_after: None, code: Some(63007), message, shape };
        let world = World::failing(refusal).await;
        match world.twilio.send(&text()).await.outcome {
            SendOutcome::Refused(error) => {
                assert_eq!(error.failure.code.as_deref(), code, "{shape:?}");
                let class = if code.is_some() { FailureClass::Sender } else { FailureClass::Request };
                assert_eq!(error.failure.class, class, "{shape:?}");
                assert_eq!(
                    error.failure.message.contains("no channel with this From address"),
                    code.is_some(),
                    "{error}"
                );
            }
            other => panic!("{other:?}"),
        }
        world.sandbox.shutdown().await;
    }
}

#[tokio::test]
async fn wrong_credentials_are_distinguished_from_other_failures() {
    let world = World::new(Seed::example()).await;
    assert_eq!(world.twilio.check_credentials().await, Ok(()));
    let wrong = adapter(&world.sandbox, &world.http, "00000000000000000000000000000000");
    let error = wrong.check_credentials().await.expect_err("wrong");
    assert!(error.is_unauthorized(), "{error}");
    world.sandbox.shutdown().await;
    let gone = world.twilio.check_credentials().await.expect_err("nothing listens there");
    assert!(!gone.is_unauthorized() && gone.failure.class == FailureClass::Retry, "{gone}");
}

#[tokio::test]
async fn a_key_is_minted_found_used_and_revoked_and_manages_no_keys_itself() {
    let world = World::new(Seed::example()).await;
    let name = "whatsapp-operator/01234567-89ab-cdef-0123-456789abcdef/1";
    let key = world.twilio.mint_key(name).await.expect("a key");
    assert_eq!(world.twilio.verify_key(&key).await, Ok(()));
    let listed = world.twilio.list_keys().await.expect("the keys").rows;
    assert!(listed.iter().any(|listed| (listed.id.as_str(), listed.name.as_str()) == (&key.id, name)));

    let account =
        TwilioAccount { username: key.id.clone(), password: key.secret.clone(), ..account_of(&world.sandbox) };
    let with_key = Twilio::new(&account, &world.http);
    assert_eq!(with_key.check_webhook_key(&Secret::new(EXAMPLE_AUTH_TOKEN)).await, Ok(()));
    let typo = with_key.check_webhook_key(&Secret::new("ffffffffffffffffffffffffffffffff")).await;
    assert!(typo.is_err_and(|error| error.is_unauthorized()), "the key works, and no webhook could be verified");
    for refused in [with_key.mint_key("another").await.map(drop), with_key.create_next_token().await.map(drop)] {
        assert!(refused.is_err_and(|error| error.is_unauthorized()));
    }
    // What the operator does with it.
    with_key.list_senders().await.expect("the senders");
    with_key.list_templates().await.expect("the templates");
    with_key.list_pools().await.expect("the Messaging Services");

    for _ in 0..2 {
        assert_eq!(world.twilio.revoke_key(&key.id).await, Ok(()));
    }
    let revoked = world.twilio.verify_key(&key).await.expect_err("revoked");
    assert!(revoked.is_unauthorized(), "{revoked}");
    world.sandbox.shutdown().await;
}

#[tokio::test]
async fn the_next_token_calls_at_once_and_the_promotion_ends_the_one_before() {
    let world = World::new(Seed::example()).await;
    let first = world.twilio.create_next_token().await.expect("a token");
    assert_eq!(adapter(&world.sandbox, &world.http, first.expose()).check_credentials().await, Ok(()));
    for _ in 0..2 {
        assert_eq!(world.twilio.discard_next_token().await, Ok(()));
    }
    let discarded = adapter(&world.sandbox, &world.http, first.expose()).check_credentials().await;
    assert!(discarded.is_err_and(|error| error.is_unauthorized()));

    let next = world.twilio.create_next_token().await.expect("a token");
    assert_eq!(world.twilio.promote_next_token().await.as_ref(), Ok(&next));
    let before = world.twilio.check_credentials().await.expect_err("it ended");
    assert!(before.is_unauthorized(), "{before}");
    let now = adapter(&world.sandbox, &world.http, next.expose());
    assert_eq!(now.check_credentials().await, Ok(()));
    now.promote_next_token().await.expect_err("there is none");
    world.sandbox.shutdown().await;
}

#[tokio::test]
async fn the_debuggers_alerts_are_read_the_newest_first_and_no_more_than_three_pages_of_them() {
    let world = World::new(Seed::example()).await;
    let control = world.sandbox.control();
    let begin = control.health().await.expect("health").now;
    let alert = |code: &str| NewAlert {
        account: EXAMPLE_ACCOUNT_SID.to_owned(),
        error_code: code.to_owned(),
        request_url: Some("https://wa.example.com/webhooks/shop/support/twilio/inbound".to_owned()),
        alert_text: Some("Msg=hush".to_owned()),
        ..NewAlert::default()
    };
    control.add_alert(&alert("12300")).await.expect("an alert");
    control.advance_clock(Duration::from_secs(60)).await.expect("a minute");
    let newest = control.add_alert(&alert("11200")).await.expect("an alert").sid;
    let since = begin - jiff::SignedDuration::from_secs(2);
    let listed = world.twilio.list_alerts(since).await.expect("a list");
    assert_eq!(listed.rows.iter().map(|alert| alert.code.as_str()).collect::<Vec<_>>(), ["11200", "12300"]);
    assert_eq!((listed.rows[0].id.as_str(), listed.requests), (newest.as_str(), 1));
    assert!(!format!("{listed:?}").contains("hush"));
    let recent = world.twilio.list_alerts(begin + jiff::SignedDuration::from_secs(30)).await.expect("a list");
    assert_eq!(recent.rows.len(), 1);

    for _ in 0..300 {
        control.add_alert(&alert("11200")).await.expect("an alert");
    }
    let listed = world.twilio.list_alerts(since).await.expect("a list");
    assert_eq!((listed.rows.len(), listed.requests), (300, 3));
}

#[tokio::test]
async fn the_debugger_is_read_with_the_auth_token_where_a_key_makes_the_calls() {
    let world = World::new(Seed::example()).await;
    let minted = world.twilio.mint_key("data plane").await.expect("a key");
    let with_key = TwilioAccount {
        username: minted.id,
        password: minted.secret,
        webhook_keys: vec![Secret::new(EXAMPLE_AUTH_TOKEN)],
        ..account_of(&world.sandbox)
    };
    let since = jiff::Timestamp::UNIX_EPOCH;
    Twilio::new(&with_key, &world.http).list_alerts(since).await.expect("a list");
    let without_token = TwilioAccount { webhook_keys: vec![], ..with_key };
    let refused = Twilio::new(&without_token, &world.http).list_alerts(since).await.expect_err("no permission");
    assert!(refused.is_unauthorized(), "{refused}");
}

#[tokio::test]
async fn a_sender_is_added_to_one_service_and_removed_however_often_that_is_asked_also_where_a_key_makes_the_calls() {
    let world = World::new(Seed::example()).await;
    let service = PoolId::new(EXAMPLE_SERVICE_SID);
    let number = EXAMPLE_SENDER.parse().expect("a number");
    let handle = world.twilio.find_sender(&number).await.expect("a sender").expect("it exists").handle;
    let is_in = async || {
        let found = world.twilio.find_pool(&service).await.expect("an answer").pool;
        found.is_some_and(|pool| pool.holds(&handle))
    };
    assert!(is_in().await);
    assert_eq!(world.twilio.add_member(&service, &handle).await, Ok(Joined::WasIn));
    // A restricted key may not do it, and the auth token does.
    let minted = world.twilio.mint_key("data plane").await.expect("a key");
    let webhook_keys = vec![Secret::new(EXAMPLE_AUTH_TOKEN)];
    let with_key =
        TwilioAccount { username: minted.id, password: minted.secret, webhook_keys, ..account_of(&world.sandbox) };
    let only_key = Twilio::new(&TwilioAccount { webhook_keys: vec![], ..with_key.clone() }, &world.http);
    let refused = only_key.remove_member(&service, &handle).await.expect_err("it lacks the permission");
    assert!(refused.is_unauthorized() && is_in().await, "{refused}");
    let with_key = Twilio::new(&with_key, &world.http);
    for _ in 0..2 {
        assert_eq!(with_key.remove_member(&service, &handle).await, Ok(()));
        assert!(!is_in().await);
    }
    for joined in [Joined::Added, Joined::WasIn] {
        assert_eq!(with_key.add_member(&service, &handle).await, Ok(joined));
        assert!(is_in().await);
    }
    let nowhere = PoolId::new("MG00000000000000000000000000000000");
    let refused = world.twilio.add_member(&nowhere, &handle).await.expect_err("there is none");
    assert!(refused.is_not_found(), "{refused}");
    world.sandbox.shutdown().await;
}

#[tokio::test]
async fn a_number_is_registered_and_verified_with_its_code_also_where_a_key_makes_the_calls() {
    let world = World::new(Seed::example()).await;
    let number: PhoneNumber = "+447700900777".parse().expect("a number");
    let code = world.sandbox.control().verify(number.as_str(), &NewVerification::default()).await.expect("a code").code;
    let webhooks = targets(&world.twilio, "https://wa.example.com");
    let registration = Registration {
        number: number.clone(),
        code_by: CodeBy::Sms,
        business_account: None,
        profile: BusinessProfile { name: "Shop".into(), ..BusinessProfile::default() },
        webhooks: webhooks.clone(),
    };
    let stage = async |stage| {
        eventually("the sender gets on", || async {
            let seen = world.twilio.find_sender(&number).await.expect("an answer").expect("it is there");
            (seen.stage == stage).then_some(seen)
        })
        .await
    };
    // A restricted key may not do it, and the auth token does.
    let minted = world.twilio.mint_key("data plane").await.expect("a key");
    let webhook_keys = vec![Secret::new(EXAMPLE_AUTH_TOKEN)];
    let with_key =
        TwilioAccount { username: minted.id, password: minted.secret, webhook_keys, ..account_of(&world.sandbox) };
    let only_key = Twilio::new(&TwilioAccount { webhook_keys: vec![], ..with_key.clone() }, &world.http);
    let refused = only_key.register(&registration).await.expect_err("it lacks the permission");
    assert!(refused.is_unauthorized(), "{refused}");
    let with_key = Twilio::new(&with_key, &world.http);
    assert_eq!(with_key.register(&registration).await, Ok(Registered::Begun));
    assert_eq!(with_key.register(&registration).await, Ok(Registered::IsTaken));
    let seen = stage(Stage::AwaitsCode).await;
    assert!(!seen.online && seen.webhooks.same_as(&webhooks), "{seen:?}");
    assert_eq!(with_key.verify(&seen.handle, &Secret::new(code)).await, Ok(Verified::Submitted));
    assert!(stage(Stage::Settled).await.online);
    world.sandbox.shutdown().await;
}

#[tokio::test]
async fn a_sender_of_another_service_and_a_full_service_are_told_apart_from_other_refusals() {
    let effect = RequestEffect::Status {
        status: 409,
        retry_after: None,
        code: Some(21714),
        message: None,
        shape: ErrorShape::Classic,
    };
    let full = RequestFault {
        method: Some("POST".into()),
        path: Some("ChannelSenders$".into()),
        count: Some(1),
        ..RequestFault::new(effect)
    };
    let other = PoolId::new("MG99999999999999999999999999999999");
    let empty = NewService { sid: Some(other.to_string()), senders: Some(vec![]), ..NewService::default() };
    let mut seed = Seed { faults: FaultRules { requests: vec![full], webhooks: vec![] }, ..Seed::example() };
    seed.accounts[0].services.push(empty);
    let world = World::new(seed).await;
    let number = EXAMPLE_SENDER.parse().expect("a number");
    let handle = world.twilio.find_sender(&number).await.expect("a sender").expect("it exists").handle;
    let service = PoolId::new(EXAMPLE_SERVICE_SID);
    assert_eq!(world.twilio.add_member(&service, &handle).await, Ok(Joined::IsFull));
    assert_eq!(world.twilio.add_member(&other, &handle).await, Ok(Joined::IsElsewhere));
    world.sandbox.shutdown().await;
}
