//! Promises about replaying the log: what had no effect takes effect, what had one has none again.

use dataplane::store::WebhookLog as _;
use std::sync::Arc;

use clap::Parser;
use dataplane::replay::progress::Silent;
use dataplane::replay::{Counts, Kind, Progress, Replay, ReplayError, Summary, Wanted, command};
use dataplane::rules::event;
use dataplane::store::message::MessageFilter;
use dataplane::store::webhook::RecordWebhook;
use jiff::{SignedDuration, Timestamp};
use messaging::clock::Clock;
use messaging::id::MessageId;
use messaging::provider::WebhookEvent;
use messaging::provider::webhook::WebhookRoute;
use serde_json::json;

use crate::listeners::Listeners;
use crate::store::{accepted, finished, submitted, unapplied};
use crate::world::{CUSTOMER, sink_config, support, tenant, webhook};

const INBOUND: &str = "https://hooks.example.com/webhooks/shop/support/twilio/inbound";
const STATUS: &str = "https://hooks.example.com/webhooks/shop/support/twilio/status";

fn says(id: &str, words: &str) -> String {
    let from = format!("whatsapp:{CUSTOMER}");
    let fields = [("MessageSid", id), ("From", &from), ("To", "whatsapp:+14155238886"), ("Body", words)];
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn reports(id: &str, status: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("MessageSid", id), ("MessageStatus", status)])
        .finish()
}

/// What the adapter understood of a webhook when it came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Understood,
    NotUnderstood,
}

async fn shop() -> Listeners {
    let listeners = Listeners::new().await;
    listeners.tenant("shop", |config| {
        let sink = url::Url::parse("https://app.example/events").unwrap();
        config["senders"]["support"]["events"] = json!([sink_config(&sink)]);
    });
    listeners
}

/// A webhook in the log, which came now.
async fn came(listeners: &Listeners, url: &str, body: &str, then: Then) {
    let route = if url == INBOUND { "inbound" } else { "status" };
    let adapter = listeners.shared.configs.webhook_adapter("twilio").unwrap();
    let events = match then {
        Then::Understood => adapter.translate(route, body.as_bytes()),
        Then::NotUnderstood => {
            vec![WebhookEvent::Unreadable { reason: "a defect".into(), dedupe_key: body.to_owned() }]
        }
    };
    let now = listeners.clock.now();
    let body = body.to_owned().into();
    let webhook = RecordWebhook {
        url: url.to_owned(),
        route: WebhookRoute::request("twilio", "POST", route),
        body,
        ..webhook(&tenant("shop"), now, &events)
    };
    listeners.database.store().record_webhook(webhook).await.unwrap();
}

fn everything() -> Wanted {
    Wanted { sender: support(), since: None, until: None, kind: None, message: None, dry_run: false }
}

async fn try_replay(listeners: &Listeners, wanted: &Wanted) -> Result<Summary, ReplayError> {
    // The log is read up to now.
    listeners.clock.advance(SignedDuration::from_secs(1));
    let tenant = listeners.shared.configs.get(&tenant("shop")).unwrap();
    let clock: &dyn Clock = listeners.clock.as_ref();
    Replay { store: listeners.database.store(), configs: &listeners.shared.configs, tenant, clock }
        .run(wanted, &mut Silent)
        .await
}

async fn replay(listeners: &Listeners, wanted: &Wanted) -> Summary {
    try_replay(listeners, wanted).await.unwrap()
}

async fn delivered(listeners: &Listeners) -> u64 {
    listeners.database.store().outbox_counts().await.unwrap().waiting
}

fn counts(new: u64, duplicates: u64) -> Counts {
    Counts { new, duplicates }
}

#[tokio::test]
async fn an_event_that_was_not_understood_takes_effect_once_under_the_ids_it_would_have_had() {
    let shop = shop().await;
    let received_at = shop.clock.now();
    came(&shop, INBOUND, &says("SM1", "STOP"), Then::NotUnderstood).await;
    shop.apply().await;
    assert_eq!(delivered(&shop).await, 0);
    shop.clock.advance(SignedDuration::from_hours(2));
    let summary = replay(&shop, &everything()).await;
    assert_eq!((summary.read, summary.inbound, summary.unreadable), (1, counts(1, 0), 0));
    assert_eq!(delivered(&shop).await, 0, "it is recorded, and takes effect where it is applied");
    shop.apply().await;
    let store = shop.database.store();
    let id = event::received_id(&tenant("shop"), &support(), "SM1", received_at);
    assert_eq!(store.answerable(&tenant("shop"), id).await.unwrap().unwrap().provider_message_id, "SM1");
    let contact = store.contact(&tenant("shop"), &support(), &CUSTOMER.parse().unwrap()).await.unwrap().state;
    assert_eq!(
        (contact.last_inbound_at, contact.suppression(received_at).map(|s| s.at)),
        (Some(received_at), Some(received_at))
    );
    assert_eq!(delivered(&shop).await, 2, "the message, and that they opted out");
    for _ in 0..2 {
        let again = replay(&shop, &everything()).await;
        assert_eq!((again.read, again.inbound), (1, counts(0, 1)), "the log did not grow");
        assert!(unapplied(store).await.is_empty());
    }
    came(&shop, INBOUND, &says("SM1", "STOP"), Then::Understood).await;
    assert!(unapplied(store).await.is_empty(), "the provider's own retry is known as well");
}

#[tokio::test]
async fn what_is_replayed_before_its_first_recording_was_applied_is_not_lost() {
    let shop = shop().await;
    came(&shop, INBOUND, &says("SM1", "Hello"), Then::NotUnderstood).await;
    assert_eq!(replay(&shop, &everything()).await.inbound, counts(1, 0));
    shop.apply().await;
    assert_eq!(delivered(&shop).await, 1);
}

#[tokio::test]
async fn what_took_effect_has_no_effect_again() {
    let shop = shop().await;
    let (claim, attempt) = submitted(shop.database.store(), 0).await;
    finished(shop.database.store(), &claim, attempt, 1, accepted("SM9")).await;
    for n in 0..450 {
        came(&shop, INBOUND, &says(&format!("SM1{n}"), "Hello"), Then::Understood).await;
    }
    came(&shop, STATUS, &reports("SM9", "delivered"), Then::Understood).await;
    shop.apply().await;
    let before = delivered(&shop).await;
    let summary = replay(&shop, &everything()).await;
    assert_eq!((summary.read, summary.inbound, summary.status), (451, counts(0, 450), counts(0, 1)));
    assert!(unapplied(shop.database.store()).await.is_empty());
    assert_eq!(delivered(&shop).await, before);
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_new_and_changes_nothing() {
    let shop = shop().await;
    came(&shop, INBOUND, &says("SM1", "Hello"), Then::NotUnderstood).await;
    // The provider sent it again, with something more in it.
    came(&shop, INBOUND, &format!("{}&More=1", says("SM1", "Hello")), Then::NotUnderstood).await;
    came(&shop, STATUS, &reports("SM2", "sent"), Then::NotUnderstood).await;
    came(&shop, STATUS, "nothing=useful", Then::NotUnderstood).await;
    came(&shop, INBOUND, &says("SM3", "Hello"), Then::Understood).await;
    shop.apply().await;
    let dry = Wanted { dry_run: true, ..everything() };
    let first = replay(&shop, &dry).await;
    assert_eq!((first.read, first.inbound, first.status, first.unreadable), (5, counts(1, 2), counts(1, 0), 1));
    assert!(first.to_string().contains("2 events would be new; nothing was written"), "{first}");
    assert!(unapplied(shop.database.store()).await.is_empty());
    let wet = replay(&shop, &everything()).await;
    assert_eq!((wet.inbound, wet.status, wet.unreadable), (first.inbound, first.status, first.unreadable));
    assert_eq!(unapplied(shop.database.store()).await.len(), 2);
}

#[tokio::test]
async fn only_what_was_asked_for_is_replayed() {
    let shop = shop().await;
    let begun = shop.clock.now();
    for n in 0..4 {
        came(&shop, INBOUND, &says(&format!("SM{n}"), "Hello"), Then::NotUnderstood).await;
        came(&shop, STATUS, &reports("SM9", ["queued", "sent", "delivered", "read"][n]), Then::NotUnderstood).await;
        shop.clock.advance(SignedDuration::from_mins(1));
    }
    let minute = |n: i64| Some(begun + SignedDuration::from_mins(n));
    let dry = Wanted { dry_run: true, ..everything() };
    let of_kind = |kind| Wanted { kind: Some(kind), ..dry.clone() };
    let inbound = replay(&shop, &of_kind(Kind::Inbound)).await;
    assert_eq!((inbound.inbound, inbound.status, inbound.passed_over), (counts(4, 0), counts(0, 0), 4));
    assert_eq!(replay(&shop, &of_kind(Kind::Status)).await.status.new, 4);
    let between = Wanted { since: minute(1), until: minute(3), ..dry.clone() };
    assert_eq!(replay(&shop, &between).await.read, 4);

    let (claim, attempt) = submitted(shop.database.store(), 0).await;
    finished(shop.database.store(), &claim, attempt, 1, accepted("SM9")).await;
    let about = |message| Wanted { message: Some(message), ..dry.clone() };
    let sent = replay(&shop, &about(claim.message.id)).await;
    assert_eq!((sent.status, sent.inbound, sent.passed_over), (counts(4, 0), counts(0, 0), 4));
    let stranger = MessageId::new(begun, &rand::random());
    let error = try_replay(&shop, &about(stranger)).await.unwrap_err();
    assert!(error.to_string().contains(&stranger.to_string()), "{error}");
    let unknown = Wanted { sender: "sales".parse().unwrap(), ..dry };
    let error = try_replay(&shop, &unknown).await.unwrap_err();
    assert_eq!(error.to_string(), "tenant shop has no sender sales: expected one of support");
}

#[tokio::test]
async fn what_took_effect_for_the_sender_that_was_called_does_not_for_one_configured_later() {
    let shop = shop().await;
    let to_sales = says("SM1", "Hello").replace("14155238886", "14155238887");
    came(&shop, INBOUND, &to_sales, Then::Understood).await;
    came(&shop, INBOUND, &to_sales.replace("SM1", "SM2"), Then::NotUnderstood).await;
    shop.apply().await;
    shop.tenant("shop", |config| {
        let mut sales = config["senders"]["support"].clone();
        sales["phoneNumber"] = json!("+14155238887");
        config["senders"]["sales"] = sales;
    });
    assert_eq!(replay(&shop, &everything()).await.inbound, counts(1, 1));
    let new = unapplied(shop.database.store()).await;
    assert_eq!(
        (new.len(), new[0].reference.sender.as_str()),
        (1, "sales"),
        "what had no effect has it where it belongs"
    );
}

#[tokio::test]
async fn nothing_is_replayed_from_a_time_whose_keys_are_forgotten() {
    let shop = shop().await;
    came(&shop, INBOUND, &says("SM1", "Hello"), Then::NotUnderstood).await;
    shop.clock.advance(SignedDuration::from_hours(401 * 24));
    let long_ago = Wanted { since: Some(Timestamp::UNIX_EPOCH), ..everything() };
    assert_eq!(replay(&shop, &long_ago).await.read, 0);
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: command::Options,
}

/// Remembers the progress that was reported.
#[derive(Default)]
struct Reported {
    of: u64,
    read: Vec<u64>,
}

impl Progress for Reported {
    fn begins(&mut self, webhooks: u64) {
        self.of = webhooks;
    }
    fn goes_on(&mut self, so_far: &Summary) {
        self.read.push(so_far.read);
    }
}

#[tokio::test]
async fn the_command_replays_beside_a_store_that_serves() {
    let shop = shop().await;
    for n in 0..250 {
        came(&shop, INBOUND, &says(&format!("SM{n}"), "Hello"), Then::NotUnderstood).await;
    }
    shop.apply().await;
    shop.clock.advance(SignedDuration::from_secs(1));
    let directory = shop.database.directory.path();
    let config = crate::config::bytes(&crate::config::tenant_json("shop"));
    std::fs::write(directory.join("shop.json"), config).unwrap();
    let options = |store: &str, tenant: &str| {
        let (store, config) = (format!("sqlite://{}/{store}", directory.display()), directory.display().to_string());
        let arguments =
            ["replay", "--store", &store, "--config-dir", &config, "--tenant", tenant, "--sender", "support"];
        Cli::parse_from(arguments.into_iter().chain(["--since", "2026-10-01T00:00:00Z"])).options
    };
    let clock: Arc<dyn Clock> = Arc::clone(&shop.clock) as _;
    let mut progress = Reported::default();
    let summary = command::run(options("store.db", "shop"), clock.as_ref(), &mut progress).await.unwrap();
    assert_eq!(summary.inbound, counts(250, 0));
    assert_eq!((progress.of, progress.read), (250, vec![200, 250]));
    // The one that serves lets it take effect.
    shop.apply().await;
    assert_eq!(delivered(&shop).await, 250);
    assert!(shop.database.store().messages(&tenant("shop"), &MessageFilter::default()).await.unwrap().items.is_empty());

    let error = command::run(options("other.db", "shop"), clock.as_ref(), &mut Silent).await.unwrap_err();
    assert!(error.to_string().contains("there is no database at") && !directory.join("other.db").exists(), "{error:#}");
    let error = command::run(options("store.db", "bank"), clock.as_ref(), &mut Silent).await.unwrap_err();
    assert_eq!(error.to_string(), "tenant bank is not configured there");
}
