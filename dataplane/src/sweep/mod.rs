//! Finds customers' messages that no webhook brought, by reading each account's message log at the provider.
//!
//! ```text
//! turn: accounts of the tenants ─> claim ─> plan (from when to when) ─> pages of the log ─> what is unknown ─┐
//!                                                                                                         v
//!                                      finish (how far it was read) <─ recorded as a webhook would be, oldest first
//! ```
//!
//! A found message takes the way of every webhook: into the log under its webhook's key, so that the second of the two
//! has no effect, and from there to the tenant under one id. It carries the time at which the provider received it, so
//! the 24-hour window opens at the right time. Fields that the provider's log lacks are missing from it: see the
//! adapter, such as `providers/src/twilio/inbound_log.rs`.
//!
//! Messages that we sent are not looked for here: [`crate::dispatch::settle`] asks about each.

mod account;
mod plan;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messaging::clock::{after, is_overlong};
use messaging::id::TenantId;
use tokio::task::{JoinError, JoinSet};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

pub use self::plan::SweepOptions;
use crate::budget::Budget;
use crate::progress::Task;
use crate::shared::Shared;

/// How often to look for accounts that are due. Costs nothing while none is.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Accounts that are swept at once. One that does not answer takes up one place only.
const AT_ONCE: usize = 8;
/// How often each replica tries an account within its interval, so that another soon takes over from a replica that
/// stopped.
const TRIES: u32 = 4;

/// What sweeping needs of the rest of the process.
#[derive(Clone)]
pub struct SweepContext {
    pub shared: Shared,
    /// Shared with the other tasks that ask the accounts.
    pub budget: Arc<Budget>,
    pub options: SweepOptions,
}

/// An account as one tenant sees it. Tenants that share an account each have their own senders there.
type AccountKey = (TenantId, String);

/// Sweeps the accounts of every tenant, taking turns with the other replicas.
pub struct Sweeper {
    context: SweepContext,
    /// When this replica tries an account next.
    next: HashMap<AccountKey, Timestamp>,
    /// Accounts to try now, in order.
    waiting: VecDeque<AccountKey>,
    sweeps: JoinSet<()>,
}

impl Sweeper {
    pub fn new(context: SweepContext) -> Self {
        Self { context, next: HashMap::new(), waiting: VecDeque::new(), sweeps: JoinSet::new() }
    }

    /// Sweeps until `stop`. Sweeps that are running then are given up: what they recorded stays, and the next sweep
    /// begins where the last finished one ended.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = look.tick() => self.turn(),
                Some(ended) = self.sweeps.join_next() => {
                    sweep_ended(ended);
                    self.begin();
                }
            }
        }
    }

    /// Begins to sweep the accounts that this replica has not tried for a while.
    pub fn turn(&mut self) {
        if self.waiting.is_empty() {
            self.look();
        }
        if self.waiting.is_empty() {
            let Shared { progress, clock, .. } = &self.context.shared;
            progress.found_nothing(Task::Sweep, clock.now());
        }
        self.begin();
    }

    /// Finds the accounts to try. The one that waited longest goes first.
    fn look(&mut self) {
        let SweepContext { shared: Shared { configs, clock, .. }, options, .. } = &self.context;
        let now = clock.now();
        let pause = options.every / TRIES;
        let mut accounts: Vec<AccountKey> = Vec::new();
        for tenant in configs.all() {
            let with_log = tenant.senders().filter(|sender| sender.provider.message_log().is_some());
            let of_tenant = with_log.map(|sender| sender.config.provider.account_key().to_owned());
            accounts.extend(of_tenant.map(|account| (tenant.config.tenant.clone(), account)));
        }
        accounts.sort();
        accounts.dedup();
        self.next.retain(|key, _| accounts.binary_search(key).is_ok());
        // A pause that is longer was set by a clock that was ahead.
        let is_due = |at: &Timestamp| *at <= now || is_overlong(*at, pause, now);
        accounts.retain(|key| self.next.get(key).is_none_or(is_due));
        accounts.sort_by_key(|key| self.next.get(key).copied().unwrap_or(Timestamp::MIN));
        self.waiting = accounts.into();
    }

    /// Begins as many sweeps as there is room for.
    fn begin(&mut self) {
        while self.sweeps.len() < AT_ONCE
            && let Some(key) = self.waiting.pop_front()
        {
            let SweepContext { shared: Shared { clock, .. }, options, .. } = &self.context;
            self.next.insert(key.clone(), after(clock.now(), options.every / TRIES));
            let context = self.context.clone();
            self.sweeps.spawn(async move {
                let (tenant, account) = key;
                let Shared { progress, clock, .. } = &context.shared;
                match account::sweep(&context, &tenant, &account).await {
                    Ok(()) => progress.did(Task::Sweep, clock.now()),
                    Err(error) => {
                        progress.failed(Task::Sweep, clock.now());
                        let error = anyhow::Error::new(error);
                        tracing::warn!(%tenant, %account, error = format!("{error:#}"), "an account could not be swept; it is tried again");
                    }
                }
            });
        }
    }

    /// Waits until every waiting or running sweep has ended.
    pub async fn settle_down(&mut self) {
        while let Some(ended) = self.sweeps.join_next().await {
            sweep_ended(ended);
            self.begin();
        }
    }
}

/// A sweep that panicked recorded no progress. Its account is swept again from the same place when the lease ends.
fn sweep_ended(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a sweep panicked; its account is swept again");
    }
}
