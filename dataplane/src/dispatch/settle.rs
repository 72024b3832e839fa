//! Settles messages that no callback brought to an end, by asking the provider.
//!
//! A message whose attempt has no known outcome is looked for in the provider's log. One that the provider has accepted
//! is looked up by its id. Nothing is sent from here: a message that is to be sent again goes back into the queue. No
//! account is asked more often than its budget allows; without budget, the question is asked later.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messaging::address::Address;
use messaging::clock::after;
use messaging::failure::NewAttempts;
use messaging::lifecycle::MessageStatus;
use messaging::provider::{MessageFilter, ProviderMessage};
use tokio::task::{JoinError, JoinSet};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::DispatchContext;
use super::brakes::{Destination, Stopped};
use super::evidence::{Said, Trace, Unclear, Verdict, judge};
use super::settlement::{Answer, Awaited, Decision, decide};
use crate::budget::{Budget, Exhausted};
use crate::config::{Sender, Tenant};
use crate::progress::Task;
use crate::rules::validity;
use crate::shared::Shared;
use crate::store::StoreError;
use crate::store::adopted::Adopting;
use crate::store::message::{self, Message, MessageRecord, OnUnconfirmed};
use crate::store::queue::{ClaimUnsettled, Settle, Settled, Settlement, Unsettled};

/// Each look is one indexed read when there is nothing to do.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Questions to providers at once. A provider that does not answer holds up only questions about its own messages.
const AT_ONCE: usize = 64;
/// A question may take the provider's whole time-out, and it reads every page of the answer.
pub(crate) const LEASE: Duration = Duration::from_secs(5 * 60);
/// How often a question is asked at most when the store fails before the answer is written.
const TRIES: u32 = 3;
/// The pause while the sender is missing from the configs and may be put back: short for one that is back within
/// seconds, and long enough for thousands of messages of one that is not.
const WITHOUT_CONFIG: Duration = Duration::from_secs(60);
const WHY_STOPPED: &str = "the provider's log says that a message failed because of it";
/// How many messages to one recipient are searched for other attempts without an outcome. More than WhatsApp lets
/// through to one person.
const RIVALS_AMONG: u32 = 200;

/// Settles unsettled messages.
pub struct Settler {
    inquirer: Arc<Inquirer>,
    questions: JoinSet<()>,
}

struct Inquirer {
    context: DispatchContext,
    budget: Arc<Budget>,
}

impl Settler {
    pub fn new(context: DispatchContext) -> Self {
        Self::with_budget(context, Arc::default())
    }

    /// Shares a budget with other tasks that ask the same accounts.
    pub fn with_budget(context: DispatchContext, budget: Arc<Budget>) -> Self {
        Self { inquirer: Arc::new(Inquirer { context, budget }), questions: JoinSet::new() }
    }

    /// Settles until `stop`. Questions that are open then are given up: nothing is lost by asking again.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = look.tick() => {}
                Some(ended) = self.questions.join_next() => question_ended(ended),
            }
            match self.turn().await {
                Ok(()) => {
                    let Shared { clock, progress, .. } = &self.inquirer.context.shared;
                    progress.did(Task::Settle, clock.now());
                }
                Err(error) => {
                    tracing::error!(%error, "unsettled messages cannot be settled while the store fails");
                }
            }
        }
    }

    /// Starts a question about each message that is due for one.
    pub async fn turn(&mut self) -> Result<(), StoreError> {
        let DispatchContext { shared: Shared { store, clock, .. }, options, .. } = &self.inquirer.context;
        let now = clock.now();
        let limit = u32::try_from(AT_ONCE.saturating_sub(self.questions.len())).unwrap_or(0);
        if limit == 0 {
            return Ok(());
        }
        let lease_until = after(now, LEASE);
        let claim = ClaimUnsettled { now, owner: options.owner.clone(), lease_until, limit };
        for unsettled in store.write(claim).await? {
            let inquirer = Arc::clone(&self.inquirer);
            self.questions.spawn(async move { inquirer.answer(&unsettled, lease_until).await });
        }
        Ok(())
    }

    /// Waits until no question is open.
    pub async fn settle_down(&mut self) {
        while let Some(ended) = self.questions.join_next().await {
            question_ended(ended);
        }
    }
}

/// A question that panicked wrote nothing. It is asked again when its lease ends.
fn question_ended(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a question about a message panicked; it is asked again");
    }
}

impl Inquirer {
    /// Settles a message. If the store fails, the question is asked again as soon as the store is back, because no
    /// other replica asks before the lease ends.
    async fn answer(&self, unsettled: &Unsettled, lease_until: Timestamp) {
        for tried in 1..=TRIES {
            let Err(error) = self.settle(unsettled).await else { return };
            let message = unsettled.message.id;
            tracing::warn!(%message, %error, tried, "an unsettled message could not be settled; it is asked about again");
            if tried < TRIES && !self.store_is_back(lease_until).await {
                return;
            }
        }
    }

    /// Waits until the store answers again, at most until `until`.
    async fn store_is_back(&self, until: Timestamp) -> bool {
        let Shared { store, clock, .. } = &self.context.shared;
        let mut look = tokio::time::interval(LOOK_EVERY);
        while clock.now() < until {
            look.tick().await;
            if store.works().await {
                return true;
            }
        }
        false
    }

    async fn settle(&self, unsettled: &Unsettled) -> Result<(), StoreError> {
        let DispatchContext { shared, brakes, options } = &self.context;
        let Shared { store, configs, clock, metrics, holds, .. } = shared;
        let tenant = configs.get(&unsettled.message.tenant);
        let configured =
            tenant.as_deref().and_then(|tenant| Some((tenant, tenant.sender(unsettled.message.sender())?)));
        let (decision, new_attempts, sinks) = match configured {
            // Nobody can be asked, so a callback settles it, or its deadline.
            None if shared.removals.is_removed(&unsettled.message.tenant, unsettled.message.sender()) => {
                let awaited = Awaited {
                    status: unsettled.message.status,
                    attempt_started_at: unsettled.attempt_started_at,
                    asked: unsettled.asked,
                    on_unconfirmed: OnUnconfirmed::Fail,
                    attempts: unsettled.message.attempts,
                    expires_at: clock.now(),
                };
                let answer = Answer::Silent("its sender was removed from the config".to_owned());
                (decide(awaited, &answer, options, clock.now()), None, Vec::new())
            }
            None => {
                let settlement = Settlement::NotAsked { again_at: after(clock.now(), WITHOUT_CONFIG) };
                (Decision { settlement, repair: None, stop: None }, None, Vec::new())
            }
            Some((tenant, sender)) => {
                let asked = self.ask(unsettled, tenant, &sender).await?;
                let awaited = Awaited {
                    status: unsettled.message.status,
                    attempt_started_at: unsettled.attempt_started_at,
                    asked: unsettled.asked,
                    on_unconfirmed: unsettled.message.on_unconfirmed,
                    attempts: unsettled.message.attempts,
                    expires_at: validity::ends_at(&unsettled.message, &sender.config.validity),
                };
                let new_attempts = NewAttempts { validity: sender.config.validity, jitter: rand::random() };
                (decide(awaited, &asked.answer(), options, clock.now()), Some(new_attempts), sender.sinks())
            }
        };
        let Decision { settlement, repair, stop } = decision;
        let settle = Settle { claim: unsettled.reference(), now: clock.now(), settlement, new_attempts, sinks };
        // A lost lease means that a callback came in the meantime and settled it.
        let Adopting { answer, failures } = store.write(settle).await?;
        if let Settled::Done { reached } = answer {
            if let Some((tenant, sender)) = configured {
                let (to, content) = (&unsettled.message.to, unsettled.content.as_ref());
                let of = Stopped { tenant, sender: &sender, to, content };
                brakes.stop_adopted(holds, &failures, &of, clock.now()).await;
                if let Some(stop) = stop {
                    brakes.carry_out(holds, stop, &of, clock.now(), WHY_STOPPED).await;
                }
            }
            if let Some(repair) = repair {
                metrics.repaired(repair);
                tracing::info!(message = %unsettled.message.id, ?repair, "settled a message that no callback settled");
            }
            if let Some(status) = reached {
                metrics.message_reached(status);
            }
        }
        Ok(())
    }

    async fn ask(&self, unsettled: &Unsettled, tenant: &Tenant, sender: &Sender<'_>) -> Result<Asked, StoreError> {
        let Some(provider_log) = sender.provider.message_log() else { return Ok(Asked::NoLog) };
        let account = sender.config.provider.account_key();
        let (destination, now) = (Destination::of(&sender.config.provider), self.context.shared.clock.now());
        if let Some(again_at) = self.context.brakes.away_until(&destination, now) {
            return Ok(Asked::Not { again_at });
        }
        if let Err(Exhausted { again_at }) = self.budget.take(account, self.context.shared.clock.now()) {
            return Ok(Asked::Not { again_at });
        }
        let message = &unsettled.message;
        if let Some(id) = &message.provider_message_id {
            return Ok(match provider_log.lookup(id).await {
                Ok(found) => found.map_or(Asked::Absent, |found| Asked::Found(Box::new(found))),
                Err(error) => Asked::Silent(error.to_string()),
            });
        }
        let record = self.context.shared.store.message(&message.tenant, message.id).await?;
        let ended_at = record.and_then(|record| when(&record, MessageStatus::Unconfirmed));
        let trace = trace(message, unsettled.attempt_started_at, ended_at, tenant, Some(sender));
        let filter = MessageFilter { from: trace.from.clone(), to: Some(trace.to.clone()), since: trace.since() };
        let log = match provider_log.list(&filter).await {
            Ok(log) => log,
            Err(error) => return Ok(Asked::Silent(error.to_string())),
        };
        if judge(&trace, &log, |_| false, &[]) == Verdict::Absent {
            return Ok(Asked::Absent);
        }
        let (known, rivals) = self.others(message, &trace, &log, account).await?;
        let verdict = judge(&trace, &log, |id| known.iter().any(|known| known == id), &rivals);
        Ok(match verdict {
            Verdict::Ours(found) => Asked::Found(Box::new(found.clone())),
            Verdict::Absent => Asked::Absent,
            Verdict::Unclear(why) => Asked::Unclear(why),
        })
    }

    /// Looks at every tenant that shares the account. Returns which messages of the log belong to a known message, and
    /// which other attempts to the recipient may have produced one of them.
    async fn others(
        &self,
        message: &Message,
        trace: &Trace,
        log: &[ProviderMessage],
        account: &str,
    ) -> Result<(Vec<String>, Vec<Trace>), StoreError> {
        let store = &self.context.shared.store;
        let ids: Vec<String> = log.iter().map(|message| message.provider_message_id.clone()).collect();
        let to_them = message::MessageFilter {
            to: Some(message.to.clone()),
            until: Some(trace.until()),
            limit: RIVALS_AMONG,
            ..message::MessageFilter::default()
        };
        let (mut known, mut rivals) = (Vec::new(), Vec::new());
        for tenant in self.context.shared.configs.all() {
            if !tenant.senders().any(|sender| sender.config.provider.account_key() == account) {
                continue;
            }
            let id = &tenant.config.tenant;
            known.extend(store.known_provider_message_ids(id, &ids).await?);
            for other in store.messages(id, &to_them).await?.items {
                if other.id != message.id
                    && other.attempt.is_some()
                    && other.provider_message_id.is_none()
                    && let Some(record) = store.message(id, other.id).await?
                {
                    rivals.extend(trace_of_unknown(&record, &tenant));
                }
            }
        }
        Ok((known, rivals))
    }
}

/// What asking the provider found.
enum Asked {
    Found(Box<ProviderMessage>),
    Absent,
    Unclear(Unclear),
    Silent(String),
    NoLog,
    Not { again_at: Timestamp },
}

impl Asked {
    fn answer(&self) -> Answer<'_> {
        match self {
            Self::Found(found) => Answer::Has(found),
            Self::Absent => Answer::HasNot,
            Self::Unclear(why) => Answer::Unclear(*why),
            Self::Silent(reason) => Answer::Silent(reason.clone()),
            Self::NoLog => Answer::HasNoLog,
            Self::Not { again_at } => Answer::NotAsked { again_at: *again_at },
        }
    }
}

/// The trace of a message's attempt. Without the sender's config, any sender may have been used.
fn trace(
    message: &Message,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
    tenant: &Tenant,
    sender: Option<&Sender<'_>>,
) -> Trace {
    let from = sender.map(|sender| Address::Phone(sender.config.phone_number.clone()));
    Trace {
        to: message.to.clone(),
        from: from.filter(|_| message.route.via.is_none()),
        said: Said::of(message.content.as_ref(), &tenant.config.templates),
        started_at,
        ended_at,
    }
}

/// The newest attempt of another message, unless its outcome is known. A message that ended without proof still counts:
/// a message of the log may be its own.
fn trace_of_unknown(record: &MessageRecord, tenant: &Tenant) -> Option<Trace> {
    let MessageRecord { message, timeline: _ } = record;
    let started_at = when(record, MessageStatus::Submitted)?;
    let ended_at = when(record, MessageStatus::Unconfirmed);
    let is_unknown = ended_at.is_some() || message.status == MessageStatus::Submitted;
    is_unknown.then(|| trace(message, started_at, ended_at, tenant, tenant.sender(message.sender()).as_ref()))
}

/// When the newest attempt reached a status.
fn when(record: &MessageRecord, status: MessageStatus) -> Option<Timestamp> {
    let MessageRecord { message, timeline } = record;
    let of_attempt = |entry: &&message::TimelineEntry| entry.attempt.is_some() && entry.attempt == message.attempt;
    timeline.iter().filter(of_attempt).find(|entry| entry.status == status).map(|entry| entry.at)
}
