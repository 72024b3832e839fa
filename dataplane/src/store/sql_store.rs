//! The store over a database: reads go to its readers, writes to its committers.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::join_all;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use messaging::address::Address;
use messaging::id::{MessageId, SenderName, TenantId};
use tokio_util::sync::CancellationToken;

use super::adopted::Adopting;
use super::contact::{Contact, LiftSuppression, PutConsent, PutSuppression};
use super::database::migrations::{self, Dialect};
use super::database::postgres::{PostgresConnection, PostgresReaders, Target};
use super::database::sqlite::{Options, SqliteConnection, SqliteReaders};
use super::database::{Connection, Readers};
use super::engine::committer::{self, Committer, Submit};
use super::engine::job::Statements;
use super::hold::{Hold, LiftHold, PutHold};
use super::message::{
    AcceptMessage, Acceptance, CancelMessage, Cancellation, Idempotency, Message, MessageFilter, MessageRecord, Page,
    StatusCount,
};
use super::operations::events::DeferLogged;
use super::operations::outbox::EventDelivered;
use super::operations::queue::RenewClaim;
use super::outbox::{
    ClaimEvents, DeadEvent, DeadEventFilter, DeferEvent, EndEvent, EventClaim, EventRef, OutboxCounts, OutboxLane,
    RedriveEvent,
};
use super::queue::{
    Began, BeginAttempt, ClaimDue, ClaimRef, ClaimUnsettled, Claimed, DeferClaim, EndMessage, ExpireMessage,
    ExpiredRef, Fenced, FinishAttempt, Lane, QueueCounts, Settle, Unsettled,
};
use super::reads::{self, Due};
use super::statements::{ForgetUnaddressed, Nothing, OfTenants, RecordReplayed, UNADDRESSED_KEPT_FOR, partitions};
use super::sweep::{ClaimSweep, FinishSweep, SweepClaim, SweepCursor};
use super::webhook::{
    self, Applied, ApplyEvent, DayMade, Forget, LoggedEventRef, RecordRequest, RecordWebhook, Recorded, ReplayFilter,
    StoredWebhook, WaitingEvent,
};
use super::{PostgresUrl, Signals, Store, StoreError, WebhookLog};

/// Connections that add to the log, on PostgreSQL.
const LOGS: usize = 2;

/// A store over SQLite or PostgreSQL.
#[derive(Debug)]
pub struct SqlStore {
    readers: Box<dyn Readers>,
    /// Webhooks that are only added to the log. On PostgreSQL they have connections of their own, so that nothing but
    /// other webhooks stands before them.
    log: Arc<Submit>,
    /// Everything else.
    changes: Arc<Submit>,
    /// Where the log's days are made and dropped, on a connection of their own; `None` where they are not kept apart.
    days: Option<Target>,
    signals: Arc<Signals>,
}

/// Those who write. Spawn [`Writers::run`] where its end ends the process.
pub struct Writers {
    committers: Vec<Committer>,
    /// Whether writing keeps the thread, as it does where there is no server to wait for.
    blocking: bool,
}

impl std::fmt::Debug for Writers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writers").finish_non_exhaustive()
    }
}

impl Writers {
    /// Writes until the store is closed.
    pub async fn run(self) {
        if !self.blocking {
            join_all(self.committers.into_iter().map(Committer::run)).await;
            return;
        }
        let runtime = tokio::runtime::Handle::current();
        // Whoever drops this future stops the thread as well.
        let dropped = CancellationToken::new();
        let _guard = dropped.clone().drop_guard();
        let written = tokio::task::spawn_blocking(move || {
            runtime.block_on(async move {
                tokio::select! {
                    biased;
                    () = dropped.cancelled() => {}
                    _ = join_all(self.committers.into_iter().map(Committer::run)) => {}
                }
            });
        });
        if let Err(error) = written.await {
            tracing::error!(%error, "the store's writer ended abnormally");
        }
    }
}

impl SqlStore {
    /// Opens the SQLite database in a file, creating it and bringing its schema up to date where needed. Nothing can be
    /// written until the [`Writers`] run.
    pub async fn sqlite(file: &Path) -> Result<(Self, Writers), StoreError> {
        // Before SQLite creates it for everybody to read: it holds what people say to each other.
        let created = tokio::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(file).await;
        drop(created.map_err(|e| StoreError::Failed(e.to_string()))?);
        Self::sqlite_with(Options { file: file.to_owned(), pragmas: Vec::new() }).await
    }

    async fn sqlite_with(options: Options) -> Result<(Self, Writers), StoreError> {
        let mut connection = SqliteConnection::open(options.clone())?;
        migrations::run(&mut connection, Dialect::Sqlite).await?;
        let signals = Arc::new(Signals::default());
        let (submit, committers) = committer::new(vec![Box::new(connection)], &signals);
        let submit = Arc::new(submit);
        let readers = Box::new(SqliteReaders::new(options));
        let store = Self { readers, log: Arc::clone(&submit), changes: submit, days: None, signals };
        Ok((store, Writers { committers, blocking: true }))
    }

    /// Connects to a PostgreSQL database, bringing its schema up to date where needed. Any number of replicas may.
    pub async fn postgres(url: &PostgresUrl) -> Result<(Self, Writers), StoreError> {
        let target = Target::new(url.config.clone(), url.tls.clone());
        let mut connection = PostgresConnection::open(target.clone()).await?;
        warn_of_narrowed_promises(&mut connection).await?;
        migrations::run(&mut connection, Dialect::Postgres).await?;
        let signals = Arc::new(Signals::default());
        let (changes, mut committers) = committer::new(vec![Box::new(connection)], &signals);
        let mut connections: Vec<Box<dyn Connection>> = Vec::new();
        for _ in 0..LOGS {
            connections.push(Box::new(PostgresConnection::open(target.clone()).await?));
        }
        let (log, of_log) = committer::new(connections, &signals);
        committers.extend(of_log);
        let readers = Box::new(PostgresReaders::new(target.clone()));
        let (log, changes) = (Arc::new(log), Arc::new(changes));
        let store = Self { readers, log, changes, days: Some(target), signals };
        Ok((store, Writers { committers, blocking: false }))
    }
}

impl SqlStore {
    /// Those whom writes are handed to, each once.
    fn submits(&self) -> impl Iterator<Item = &Submit> {
        let log = (!Arc::ptr_eq(&self.log, &self.changes)).then_some(self.log.as_ref());
        log.into_iter().chain([self.changes.as_ref()])
    }

    /// Claims from the tenants of whom something is due. While there are none, finding that out costs no write.
    async fn claim_of_tenants<Claim, Claimed>(
        &self,
        due: Due,
        now: Timestamp,
        limit: u32,
        claim: Claim,
    ) -> Result<Vec<Claimed>, StoreError>
    where
        OfTenants<Claim>: Statements<Answer = Vec<Claimed>>,
    {
        let tenants = reads::tenants_due(self.readers.as_ref(), due, now, limit).await?;
        if tenants.is_empty() {
            return Ok(Vec::new());
        }
        self.changes.statements(OfTenants { claim, tenants }).await
    }
}

/// A server that does not keep what it says is committed narrows the first promise, and whoever runs it should know.
async fn warn_of_narrowed_promises(connection: &mut PostgresConnection) -> Result<(), StoreError> {
    let durability = connection.durability().await?;
    for setting in &durability.narrowed_by {
        tracing::warn!(
            setting,
            "the database may lose what it has committed when it crashes: a webhook that was answered with a 2xx and a \
             message that was accepted can be lost, and a message can be sent twice"
        );
    }
    if let Some(setting) = &durability.failover_narrowed_by {
        tracing::warn!(
            setting,
            standbys = durability.synchronous_standbys,
            "the database says that something is committed before it is on the disk of its standbys, so a failover to one \
             of them can lose the newest of it: expected synchronous_commit = on or remote_apply"
        );
    }
    if durability.synchronous_standbys.is_empty() {
        tracing::info!(
            "the database has no synchronous standby: what it has committed is as safe as its disk, and a failover to \
             an asynchronous standby can lose the newest of it"
        );
    }
    Ok(())
}

#[async_trait]
impl WebhookLog for SqlStore {
    async fn record(&self, request: RecordRequest) -> Result<Vec<Recorded>, StoreError> {
        self.log.webhook(request).await
    }
}

#[async_trait]
impl Store for SqlStore {
    fn signals(&self) -> &Signals {
        &self.signals
    }

    async fn record_replayed(&self, webhook: RecordWebhook) -> Result<Recorded, StoreError> {
        self.log.statements(RecordReplayed(webhook)).await
    }

    async fn known_dedupe_keys(
        &self,
        tenant: &TenantId,
        sender: &SenderName,
        keys: &[String],
    ) -> Result<HashSet<String>, StoreError> {
        reads::known_dedupe_keys(self.readers.as_ref(), tenant, sender, keys).await
    }

    async fn claim_unapplied(&self, claim: webhook::ClaimUnapplied) -> Result<Vec<WaitingEvent>, StoreError> {
        self.claim_of_tenants(Due::Events, claim.now, claim.limit, claim).await
    }

    async fn apply_event(&self, apply: ApplyEvent) -> Result<Adopting<Applied>, StoreError> {
        self.changes.operation(apply).await
    }

    async fn defer_unapplied(&self, event: LoggedEventRef, until: Timestamp) -> Result<(), StoreError> {
        self.changes.operation(DeferLogged { event, until }).await
    }

    async fn webhooks(&self, filter: &ReplayFilter) -> Result<Vec<StoredWebhook>, StoreError> {
        reads::webhooks(self.readers.as_ref(), filter).await
    }

    async fn count_webhooks(&self, filter: &ReplayFilter) -> Result<u64, StoreError> {
        reads::count_webhooks(self.readers.as_ref(), filter).await
    }

    async fn accept_message(&self, accept: AcceptMessage) -> Result<Acceptance, StoreError> {
        self.changes.check_room_for_requests()?;
        self.changes.operation(accept).await
    }

    async fn replayed(&self, tenant: &TenantId, idempotency: &Idempotency) -> Result<Option<Acceptance>, StoreError> {
        reads::replayed(self.readers.as_ref(), tenant, idempotency).await
    }

    async fn cancel_message(&self, cancel: CancelMessage) -> Result<Cancellation, StoreError> {
        self.changes.operation(cancel).await
    }

    async fn message(&self, tenant: &TenantId, id: MessageId) -> Result<Option<MessageRecord>, StoreError> {
        reads::message(self.readers.as_ref(), tenant, id).await
    }

    async fn messages(&self, tenant: &TenantId, filter: &MessageFilter) -> Result<Page<Message>, StoreError> {
        reads::messages(self.readers.as_ref(), tenant, filter).await
    }

    async fn provider_message_id(&self, tenant: &TenantId, id: MessageId) -> Result<Option<String>, StoreError> {
        reads::provider_message_id(self.readers.as_ref(), tenant, id).await
    }

    async fn known_provider_message_ids(&self, tenant: &TenantId, ids: &[String]) -> Result<Vec<String>, StoreError> {
        reads::known_provider_message_ids(self.readers.as_ref(), tenant, ids).await
    }

    async fn count_by_status(&self, tenant: &TenantId) -> Result<Vec<StatusCount>, StoreError> {
        reads::count_by_status(self.readers.as_ref(), tenant).await
    }

    async fn contact(&self, tenant: &TenantId, sender: &SenderName, contact: &Address) -> Result<Contact, StoreError> {
        reads::contact(self.readers.as_ref(), tenant, sender, contact).await
    }

    async fn put_consent(&self, put: PutConsent) -> Result<Contact, StoreError> {
        self.changes.operation(put).await
    }

    async fn put_suppression(&self, put: PutSuppression) -> Result<Contact, StoreError> {
        self.changes.operation(put).await
    }

    async fn lift_suppression(&self, lift: LiftSuppression) -> Result<Contact, StoreError> {
        self.changes.operation(lift).await
    }

    async fn lanes(&self) -> Result<Vec<Lane>, StoreError> {
        reads::lanes(self.readers.as_ref()).await
    }

    async fn claim_due(&self, claim: ClaimDue) -> Result<Claimed, StoreError> {
        self.changes.statements(claim).await
    }

    async fn renew_claim(&self, claim: ClaimRef, until: Timestamp) -> Result<Fenced, StoreError> {
        self.changes.operation(RenewClaim { claim, until }).await
    }

    async fn defer_claim(&self, defer: DeferClaim) -> Result<Fenced, StoreError> {
        self.changes.operation(defer).await
    }

    async fn begin_attempt(&self, begin: BeginAttempt) -> Result<Began, StoreError> {
        self.changes.operation(begin).await
    }

    async fn finish_attempt(&self, finish: FinishAttempt) -> Result<Adopting<Fenced>, StoreError> {
        self.changes.operation(finish).await
    }

    async fn end_message(&self, end: EndMessage) -> Result<Fenced, StoreError> {
        self.changes.operation(end).await
    }

    async fn expired(&self, now: Timestamp, limit: u32) -> Result<Vec<ExpiredRef>, StoreError> {
        reads::expired(self.readers.as_ref(), now, limit).await
    }

    async fn expire_message(&self, expire: ExpireMessage) -> Result<bool, StoreError> {
        self.changes.operation(expire).await
    }

    async fn claim_unsettled(&self, claim: ClaimUnsettled) -> Result<Vec<Unsettled>, StoreError> {
        self.claim_of_tenants(Due::Unsettled, claim.now, claim.limit, claim).await
    }

    async fn settle(&self, settle: Settle) -> Result<Adopting<Fenced>, StoreError> {
        self.changes.operation(settle).await
    }

    async fn queue_counts(&self, now: Timestamp) -> Result<QueueCounts, StoreError> {
        reads::queue_counts(self.readers.as_ref(), now).await
    }

    async fn holds(&self, now: Timestamp) -> Result<Vec<Hold>, StoreError> {
        reads::holds(self.readers.as_ref(), now).await
    }

    async fn put_hold(&self, put: PutHold) -> Result<(), StoreError> {
        self.changes.operation(put).await
    }

    async fn lift_hold(&self, lift: LiftHold) -> Result<bool, StoreError> {
        self.changes.operation(lift).await
    }

    async fn claim_sweep(&self, claim: ClaimSweep) -> Result<Option<SweepClaim>, StoreError> {
        // Most are not due, which costs no write to find out.
        let due = reads::sweep_is_due(self.readers.as_ref(), &claim.tenant, &claim.account, claim.now).await?;
        if due { self.changes.operation(claim).await } else { Ok(None) }
    }

    async fn sweeps(&self) -> Result<Vec<SweepCursor>, StoreError> {
        reads::sweeps(self.readers.as_ref()).await
    }

    async fn finish_sweep(&self, finish: FinishSweep) -> Result<Fenced, StoreError> {
        self.changes.operation(finish).await
    }

    async fn outbox_lanes(&self) -> Result<Vec<OutboxLane>, StoreError> {
        reads::outbox_lanes(self.readers.as_ref()).await
    }

    async fn claim_events(&self, claim: ClaimEvents) -> Result<Vec<EventClaim>, StoreError> {
        self.changes.statements(claim).await
    }

    async fn event_delivered(&self, event: EventRef, at: Timestamp) -> Result<Fenced, StoreError> {
        self.changes.operation(EventDelivered { event, at }).await
    }

    async fn defer_event(&self, defer: DeferEvent) -> Result<Fenced, StoreError> {
        self.changes.operation(defer).await
    }

    async fn end_event(&self, end: EndEvent) -> Result<Fenced, StoreError> {
        self.changes.operation(end).await
    }

    async fn outbox_counts(&self, _now: Timestamp) -> Result<OutboxCounts, StoreError> {
        reads::outbox_counts(self.readers.as_ref()).await
    }

    async fn dead_events(&self, tenant: &TenantId, filter: &DeadEventFilter) -> Result<Vec<DeadEvent>, StoreError> {
        reads::dead_events(self.readers.as_ref(), tenant, filter).await
    }

    async fn redrive_event(&self, redrive: RedriveEvent) -> Result<bool, StoreError> {
        self.changes.operation(redrive).await
    }

    async fn forget(&self, forget: Forget) -> Result<u64, StoreError> {
        self.changes.statements(forget).await
    }

    async fn forget_unaddressed(&self, now: Timestamp) -> Result<u64, StoreError> {
        let before = SignedDuration::try_from(UNADDRESSED_KEPT_FOR).ok().and_then(|kept| now.checked_sub(kept).ok());
        let Some(before) = before else { return Ok(0) };
        self.changes.statements(ForgetUnaddressed { before }).await
    }

    async fn make_day(&self, day: Date) -> Result<DayMade, StoreError> {
        let Some(target) = &self.days else { return Ok(DayMade::NotApart) };
        if partitions::made(self.readers.as_ref()).await?.contains(&day) {
            return Ok(DayMade::WasThere);
        }
        let mut connection = PostgresConnection::open(target.clone()).await?;
        partitions::make(&mut connection, day).await
    }

    async fn drop_day(&self, before: Timestamp) -> Result<Option<Date>, StoreError> {
        let Some(target) = &self.days else { return Ok(None) };
        let made = partitions::made(self.readers.as_ref()).await?;
        let Some(day) = partitions::over(&made, before).next() else { return Ok(None) };
        let mut connection = PostgresConnection::open(target.clone()).await?;
        Ok(partitions::drop_day(&mut connection, day).await?.then_some(day))
    }

    fn waiting(&self) -> usize {
        self.submits().map(Submit::waiting).sum()
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.log.statements(Nothing).await
    }

    async fn close(&self) {
        // Writers last: as the last of all connections SQLite's folds the log into the file.
        self.readers.close().await;
        for submit in self.submits() {
            submit.close().await;
        }
    }
}
