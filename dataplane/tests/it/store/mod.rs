//! What every store promises, as functions over any [`Store`], and each run on each database.

mod contacts;
mod healing;
mod holds;
mod hopeless;
mod messages;
mod outbox;
mod overlong;
mod partitions;
mod queue;
mod rates;
mod removal;
mod retention;
mod sqlite;
mod upgrade;
mod webhooks;

use dataplane::store::WebhookLog as _;
use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane::rules::apply::{Applied, ApplyEvent, Consequence, Received};
use dataplane::rules::event;
use dataplane::store::message::{
    AcceptMessage, Acceptance, Message, NewMessage, OnUnconfirmed, Priority, Reason, SinkId, Sinks,
};
use dataplane::store::queue::{
    AttemptResult, Began, BeginAttempt, Claim, ClaimDue, Fenced, FinishAttempt, LaneRef, Share,
};
use dataplane::store::webhook::{ClaimUnapplied, RecordWebhook, Recorded, WaitingEvent, dedupe_key};
use dataplane::store::{PostgresUrl, Store};
use jiff::{SignedDuration, Timestamp};
use messaging::address::Address;
use messaging::config::Validity;
use messaging::content::{InboundContent, OutboundContent};
use messaging::failure::NewAttempts;
use messaging::id::{AttemptId, MessageId, SenderName, TenantId};
use messaging::lifecycle::MessageStatus;
use messaging::policy::Purpose;
use messaging::provider::{InboundMessage, StatusUpdate, WebhookEvent};
use messaging::routing::Route;
use tempfile::TempDir;
use tokio::task::JoinSet;

/// Makes a test of each promise for each database.
macro_rules! promises {
    ($($promise:ident),* $(,)?) => {
        mod on_sqlite {
            $(
                #[tokio::test]
                async fn $promise() {
                    let database = crate::store::Sqlite::new().await;
                    super::$promise(database.store()).await;
                }
            )*
        }
        mod on_postgres {
            $(
                #[tokio::test]
                async fn $promise() {
                    let database = crate::store::Postgres::new().await;
                    super::$promise(database.store()).await;
                }
            )*
        }
    };
}
pub(crate) use promises;

/// A SQLite database in a new file, and its writer.
pub(crate) struct Sqlite {
    pub(crate) store: Arc<Store>,
    pub(crate) directory: TempDir,
    pub(crate) writer: JoinSet<()>,
}

impl Sqlite {
    pub(crate) async fn new() -> Self {
        Self::open(tempfile::tempdir().unwrap()).await
    }

    pub(crate) async fn open(directory: TempDir) -> Self {
        let (store, writers) = Store::sqlite(&directory.path().join("store.db")).await.unwrap();
        let mut writer = JoinSet::new();
        writer.spawn(writers.run());
        Self { store: Arc::new(store), directory, writer }
    }

    pub(crate) fn store(&self) -> &Store {
        self.store.as_ref()
    }

    /// Drops everything at once, as a crash does, and opens what is on disk.
    pub(crate) async fn crash(mut self) -> Self {
        self.writer.shutdown().await;
        drop(self.store);
        Self::open(self.directory).await
    }
}

/// A replica on a new PostgreSQL database of the server that all tests share.
pub(crate) struct Postgres {
    pub(crate) store: Arc<Store>,
    /// As any client writes it.
    pub(crate) address: String,
    _writers: JoinSet<()>,
}

impl Postgres {
    pub(crate) async fn new() -> Self {
        let server = postgres_cluster::shared().await.unwrap();
        let database = format!("test_{}", uuid::Uuid::new_v4().simple());
        server.create_database(&database).await.unwrap();
        Self::open(server.url(&database)).await
    }

    /// Another replica on the same database.
    pub(crate) async fn another(&self) -> Self {
        Self::open(self.address.clone()).await
    }

    async fn open(address: String) -> Self {
        let url: PostgresUrl = address.parse().unwrap();
        let (store, writers) = Store::postgres(&url).await.unwrap();
        let mut running = JoinSet::new();
        running.spawn(writers.run());
        Self { store: Arc::new(store), address, _writers: running }
    }

    pub(crate) fn store(&self) -> &Store {
        self.store.as_ref()
    }
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).unwrap()
}

pub(crate) fn tenant() -> TenantId {
    TenantId::new("shop").unwrap()
}

pub(crate) fn sender() -> SenderName {
    SenderName::new("support").unwrap()
}

pub(crate) fn customer() -> Address {
    "+447700900123".parse().unwrap()
}

pub(crate) fn sinks() -> Vec<SinkId> {
    vec![SinkId::new("app")]
}

pub(crate) fn lane(priority: Priority) -> LaneRef {
    LaneRef { tenant: tenant(), sender: sender(), priority }
}

pub(crate) fn reason(text: &str) -> Reason {
    Reason::new(None, text)
}

pub(crate) fn attempt(seconds: i64) -> AttemptId {
    AttemptId::new(at(seconds), &rand::random())
}

pub(crate) fn new_message(seconds: i64) -> NewMessage {
    NewMessage {
        id: MessageId::new(at(seconds), &rand::random()),
        tenant: tenant(),
        route: Route::direct(sender()),
        to: customer(),
        content: OutboundContent::Text { body: "hello".into() },
        purpose: Purpose::Message,
        priority: Priority::Utility,
        from: None,
        reply_to: None,
        served_language: None,
        metadata: BTreeMap::from([("order".to_owned(), "1".to_owned())]),
        on_unconfirmed: OnUnconfirmed::Fail,
        created_at: at(seconds),
        scheduled_at: None,
        expires_at: None,
    }
}

pub(crate) async fn accept(store: &Store, message: NewMessage) -> Message {
    match store.write(AcceptMessage { message, idempotency: None }).await.unwrap() {
        Acceptance::New(message) => *message,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn claim_some(store: &Store, now: i64, limit: u32) -> Vec<Claim> {
    let shares = Priority::ALL.map(|priority| Share { lane: lane(priority), limit, draws_on: Vec::new() }).to_vec();
    let claim = ClaimDue {
        now: at(now),
        owner: "test".into(),
        lease_until: at(now + 60),
        shares,
        rates: Vec::new(),
        leave_timed: false,
    };
    store.write(claim).await.unwrap().claims
}

/// Claims one message of a lane, whatever its rates.
pub(crate) fn claim_of(lane: LaneRef, now: Timestamp, lease_until: Timestamp) -> ClaimDue {
    let shares = vec![Share { lane, limit: 1, draws_on: Vec::new() }];
    ClaimDue { now, owner: "test".into(), lease_until, shares, rates: Vec::new(), leave_timed: false }
}

pub(crate) async fn claim_one(store: &Store, now: i64) -> Claim {
    let mut claims = claim_some(store, now, 10).await;
    assert_eq!(claims.len(), 1, "{claims:?}");
    claims.remove(0)
}

pub(crate) async fn begin(store: &Store, claim: &Claim, attempt: AttemptId, now: i64) -> Began {
    let (claim, contact_version) = (claim.reference(), claim.contact.version);
    let begin = BeginAttempt { claim, attempt, now: at(now), contact_version, others_in_pool: Vec::new() };
    store.write(begin).await.unwrap()
}

pub(crate) fn new_attempts() -> NewAttempts {
    NewAttempts { validity: Validity::default(), jitter: 0.5 }
}

pub(crate) async fn finish(
    store: &Store,
    claim: &Claim,
    attempt: AttemptId,
    now: i64,
    result: AttemptResult,
) -> Fenced {
    let (claim, now, sinks) = (claim.reference(), at(now), sinks());
    let new_attempts = new_attempts();
    store
        .write(FinishAttempt {
            claim,
            attempt,
            now,
            result,
            provider_request_id: None,
            suppress: None,
            new_attempts,
            sinks,
        })
        .await
        .unwrap()
        .answer
}

/// Finishes an attempt that is still held.
pub(crate) async fn finished(store: &Store, claim: &Claim, attempt: AttemptId, now: i64, result: AttemptResult) {
    assert_eq!(finish(store, claim, attempt, now, result).await, Fenced::Done);
}

/// A message that was accepted, claimed, and is being handed over.
pub(crate) async fn submitted(store: &Store, now: i64) -> (Claim, AttemptId) {
    accept(store, new_message(now)).await;
    let claim = claim_one(store, now).await;
    let id = attempt(now);
    assert_eq!(begin(store, &claim, id, now).await, Began::Begun);
    (claim, id)
}

pub(crate) fn accepted(provider_message_id: &str) -> AttemptResult {
    AttemptResult::Accepted {
        provider_message_id: provider_message_id.into(),
        status: MessageStatus::Accepted,
        ask_at: at(10_000),
    }
}

pub(crate) async fn status(store: &Store, id: MessageId) -> MessageStatus {
    store.message(&tenant(), id).await.unwrap().unwrap().message.status
}

pub(crate) async fn story(store: &Store, id: MessageId) -> Vec<MessageStatus> {
    store.message(&tenant(), id).await.unwrap().unwrap().timeline.into_iter().map(|entry| entry.status).collect()
}

pub(crate) fn inbound(provider_message_id: &str) -> WebhookEvent {
    WebhookEvent::Inbound(InboundMessage {
        provider_message_id: provider_message_id.into(),
        from: customer(),
        from_user_id: None,
        to: None,
        profile_name: None,
        content: InboundContent::Text { body: "hello".into() },
        opt_change: None,
        said_at: None,
        in_reply_to: None,
        extra: BTreeMap::new(),
    })
}

pub(crate) fn update(provider_message_id: &str, attempt: Option<AttemptId>, status: MessageStatus) -> StatusUpdate {
    StatusUpdate {
        provider_message_id: provider_message_id.into(),
        attempt,
        status,
        failure: None,
        extra: BTreeMap::new(),
    }
}

pub(crate) fn webhook(seconds: i64, events: &[WebhookEvent]) -> RecordWebhook {
    crate::world::webhook(&tenant(), at(seconds), events)
}

pub(crate) async fn record(store: &Store, seconds: i64, event: WebhookEvent) -> Recorded {
    store.record_webhook(webhook(seconds, &[event])).await.unwrap()
}

/// What follows from a logged event, without the config of a sender.
pub(crate) fn consequence(logged: &WaitingEvent) -> ApplyEvent {
    // These webhooks say in their bodies what is in them.
    let events: Vec<WebhookEvent> = serde_json::from_slice(&logged.webhook.as_ref().unwrap().body).unwrap();
    let event = events.into_iter().find(|event| dedupe_key(event) == logged.reference.dedupe_key);
    let consequence = match event.unwrap() {
        WebhookEvent::Inbound(message) => {
            let id = event::received_id(&tenant(), &sender(), &message.provider_message_id, logged.received_at);
            Consequence::Received(Box::new(Received {
                id,
                contacts: [Some(message.from.clone()), message.from_user_id.clone()].into_iter().flatten().collect(),
                opens_window: true,
                account: Some("AC1".into()),
                event: event::received(&tenant(), &sender(), id, &message, logged.received_at),
                message,
                keyword: None,
            }))
        }
        WebhookEvent::Status(update) => Consequence::Status {
            update: Box::new(update),
            suppress: None,
            ask_at: at(10_000),
            new_attempts: Some(new_attempts()),
        },
        WebhookEvent::UserIdChange(change) => Consequence::UserIdChange { account: "AC1".into(), change },
        WebhookEvent::OtherChannel { channel, .. } => Consequence::Nothing { reason: channel },
        WebhookEvent::Unreadable { reason, .. } => Consequence::Nothing { reason },
    };
    ApplyEvent {
        event: logged.reference.clone(),
        now: logged.received_at + SignedDuration::from_secs(1),
        received_at: logged.received_at,
        consequence,
        sinks: sinks(),
    }
}

/// What is in the log and has not taken effect; nothing is claimed by asking.
pub(crate) async fn unapplied(store: &Store) -> Vec<WaitingEvent> {
    let claim = ClaimUnapplied { now: at(1_000_000_000), lease_until: at(0), limit: 100 };
    store.write(claim).await.unwrap()
}

/// Applies everything in the log.
pub(crate) async fn apply_all(store: &Store) -> Vec<Applied> {
    let mut applied = Vec::new();
    for logged in unapplied(store).await {
        applied.push(store.write(consequence(&logged)).await.unwrap().answer);
    }
    applied
}

/// Logs a status and applies it.
pub(crate) async fn report(store: &Store, seconds: i64, update: StatusUpdate) -> Vec<Applied> {
    record(store, seconds, WebhookEvent::Status(update)).await;
    apply_all(store).await
}
