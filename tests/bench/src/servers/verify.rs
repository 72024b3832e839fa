//! The same server that only verifies: the data plane's own router, config and adapter, with a store that takes
//! everything at once and keeps nothing. What is between its figures and the data plane's is what durability costs.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use dataplane::auth::Authenticator;
use dataplane::clock::SystemClock;
use dataplane::config::{Applied as ConfigApplied, Configs};
use dataplane::holds::Holds;
use dataplane::http::{self, HttpContext};
use dataplane::metrics::Metrics;
use dataplane::serve::listen::{Ends, on_every_core};
use dataplane::store::contact::{Contact, LiftSuppression, PutConsent, PutSuppression};
use dataplane::store::hold::{Hold, LiftHold, PutHold};
use dataplane::store::message::{
    AcceptMessage, Acceptance, CancelMessage, Cancellation, Idempotency, Message, MessageFilter, MessageRecord, Page,
    StatusCount,
};
use dataplane::store::outbox::{
    ClaimEvents, DeadEvent, DeadEventFilter, DeferEvent, EndEvent, EventClaim, EventRef, OutboxCounts, OutboxLane,
    RedriveEvent,
};
use dataplane::store::queue::{
    Began, BeginAttempt, ClaimDue, ClaimRef, ClaimUnsettled, Claimed, DeferClaim, EndMessage, ExpireMessage,
    ExpiredRef, Fenced, FinishAttempt, Lane, QueueCounts, Settle, Unsettled,
};
use dataplane::store::sweep::{ClaimSweep, FinishSweep, SweepClaim, SweepCursor};
use dataplane::store::webhook::{
    Applied, ApplyEvent, ClaimUnapplied, DayMade, Forget, LoggedEventRef, RecordWebhook, Recorded, ReplayFilter,
    StoredWebhook, WaitingEvent,
};
use dataplane::store::{Signals, Store, StoreError};
use jiff::Timestamp;
use jiff::civil::Date;
use messaging::address::Address;
use messaging::clock::Clock;
use messaging::id::{MessageId, SenderName, TenantId};
use providers::HttpSettings;
use tests::process::Process;
use tokio::task::JoinSet;

use super::{Server, free_address, listens};
use crate::cost::cpu_of_family;
use crate::tenant::{self, TENANT};

/// The process, from outside.
pub(crate) struct VerifyOnly {
    process: Process,
    address: SocketAddr,
}

impl VerifyOnly {
    pub(crate) async fn start(directory: &Path) -> Result<Self> {
        tenant::write(directory, "HX0123456789abcdef0123456789abcdef")?;
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve-verify", "--listen", &address.to_string(), "--config"]).arg(directory);
        let mut process = Process::start("verify-only", directory, &mut command)?;
        listens(&mut process, address).await?;
        Ok(Self { process, address })
    }
}

impl Server for VerifyOnly {
    fn webhooks(&self) -> SocketAddr {
        self.address
    }

    fn processes_cpu(&self) -> Result<Duration> {
        cpu_of_family(self.process.id())
    }
}

/// The process itself; it ends when it is killed. Its runtime is the one that the data plane's binary starts.
#[tokio::main]
pub(crate) async fn serve(listen: SocketAddr, config: &Path) -> Result<()> {
    tests::install_crypto();
    let metrics = Arc::new(Metrics::new()?);
    let client = providers::http_client(HttpSettings::default())?;
    let connect = Arc::new(move |account: &_| providers::connect(account, &client));
    let configs = Arc::new(Configs::new(connect, Arc::clone(&metrics)));
    let path = config.join(format!("{TENANT}.json"));
    let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let applied = configs.apply(&TenantId::new(TENANT)?, &bytes);
    ensure!(applied == ConfigApplied::New, "the config is {applied:?}");
    configs.mark_ready();
    let store: Arc<dyn Store> = Arc::new(Nowhere::default());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let context = Arc::new(HttpContext {
        fresh: None,
        holds: Arc::new(Holds::new(Arc::clone(&store), Arc::clone(&clock))),
        store,
        configs: Arc::clone(&configs),
        clock,
        metrics: Arc::clone(&metrics),
        authenticator: Authenticator::new(configs, None, metrics),
    });
    // As the data plane listens.
    let mut parts = JoinSet::new();
    on_every_core(&mut parts, "webhooks", listen, &http::webhooks(context), &Ends::default())?;
    while let Some(ended) = parts.join_next().await {
        ended?;
    }
    Ok(())
}

/// Takes every webhook and keeps none; does nothing else.
#[derive(Debug, Default)]
struct Nowhere {
    signals: Signals,
}

macro_rules! nowhere {
    ($($name:ident($($type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Store for Nowhere {
            fn signals(&self) -> &Signals {
                &self.signals
            }
            async fn record_webhook(&self, webhook: RecordWebhook) -> Result<Recorded, StoreError> {
                Ok(Recorded { new: vec![true; webhook.dedupe_keys.len()] })
            }
            fn waiting(&self) -> usize {
                0
            }
            $(async fn $name(&self, $(_: $type),*) -> Result<$answer, StoreError> {
                Err(StoreError::Closed)
            })*
            async fn close(&self) {}
        }
    };
}
nowhere! {
    record_replayed(RecordWebhook) -> Recorded;
    known_dedupe_keys(&TenantId, &SenderName, &[String]) -> HashSet<String>;
    claim_unapplied(ClaimUnapplied) -> Vec<WaitingEvent>;
    apply_event(ApplyEvent) -> Applied;
    defer_unapplied(LoggedEventRef, Timestamp) -> ();
    webhooks(&ReplayFilter) -> Vec<StoredWebhook>;
    count_webhooks(&ReplayFilter) -> u64;
    accept_message(AcceptMessage) -> Acceptance;
    replayed(&TenantId, &Idempotency) -> Option<Acceptance>;
    cancel_message(CancelMessage) -> Cancellation;
    message(&TenantId, MessageId) -> Option<MessageRecord>;
    messages(&TenantId, &MessageFilter) -> Page<Message>;
    provider_message_id(&TenantId, MessageId) -> Option<String>;
    known_provider_message_ids(&TenantId, &[String]) -> Vec<String>;
    count_by_status(&TenantId) -> Vec<StatusCount>;
    contact(&TenantId, &SenderName, &Address) -> Contact;
    put_consent(PutConsent) -> Contact;
    put_suppression(PutSuppression) -> Contact;
    lift_suppression(LiftSuppression) -> Contact;
    lanes() -> Vec<Lane>;
    claim_due(ClaimDue) -> Claimed;
    renew_claim(ClaimRef, Timestamp) -> Fenced;
    defer_claim(DeferClaim) -> Fenced;
    begin_attempt(BeginAttempt) -> Began;
    finish_attempt(FinishAttempt) -> Fenced;
    end_message(EndMessage) -> Fenced;
    expired(Timestamp, u32) -> Vec<ExpiredRef>;
    expire_message(ExpireMessage) -> bool;
    claim_unsettled(ClaimUnsettled) -> Vec<Unsettled>;
    settle(Settle) -> Fenced;
    queue_counts(Timestamp) -> QueueCounts;
    holds(Timestamp) -> Vec<Hold>;
    put_hold(PutHold) -> ();
    lift_hold(LiftHold) -> bool;
    claim_sweep(ClaimSweep) -> Option<SweepClaim>;
    finish_sweep(FinishSweep) -> Fenced;
    sweeps() -> Vec<SweepCursor>;
    outbox_lanes() -> Vec<OutboxLane>;
    claim_events(ClaimEvents) -> Vec<EventClaim>;
    event_delivered(EventRef, Timestamp) -> Fenced;
    defer_event(DeferEvent) -> Fenced;
    end_event(EndEvent) -> Fenced;
    outbox_counts(Timestamp) -> OutboxCounts;
    dead_events(&TenantId, &DeadEventFilter) -> Vec<DeadEvent>;
    redrive_event(RedriveEvent) -> bool;
    forget(Forget) -> u64;
    make_day(Date) -> DayMade;
    drop_day(Timestamp) -> Option<Date>;
    check() -> ();
}
