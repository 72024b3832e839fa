//! What slows a sender down besides its rates: its calls in flight, stops after failures, a provider that is away, and
//! how often it may write to one recipient.
//!
//! All of it is in this replica's memory. Whether a provider is away stays there: each replica has its own way to it,
//! and finds its end within seconds. Each stop is also put into [`Holds`], where the other replicas and this one's
//! successor find it. From then on only the hold counts, so when an operator lifts it, sending goes on here too.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use messaging::address::Address;
use messaging::breaker::{Breaker, MOST_UNANSWERED, Passage};
use messaging::clock::{after, is_overlong};
use messaging::config::{Limits, ProviderAccount};
use messaging::content::OutboundContent;
use messaging::failure::{
    self, FailureScope, LONGEST_REST, LONGEST_TEMPLATE_REST, RESTART, RetryLimits, Stop, approval_of, handle_to_stop,
    may_start,
};
use messaging::id::{SenderName, TenantId};
use messaging::provider::SendOutcome;
use messaging::rate::Rate;
use messaging::template::Approval;
use parking_lot::{Mutex, MutexGuard};

use super::schedule::SenderKey;
use super::schedule::pairs::Pairs;
use crate::config::{Configs, Sender, Tenant};
use crate::holds::Holds;
use crate::metrics::{DeferReason, Metrics};
use crate::store::adopted::AdoptedFailure;
use crate::store::hold::{HoldKind, LiftHold, Scope};
use crate::store::message::Priority;

/// A campaign leaves one in so many of a sender's calls to more urgent messages.
const CAMPAIGN_LEAVES_ONE_IN: u32 = 8;

/// The reason of a stop that follows from a reported status.
pub(crate) const WHY_REPORTED: &str = "a status says that a message failed because of it";

/// The brakes of every sender. Dispatch stops a sender or a template after a provider's answer; the applier does so
/// after a status.
#[derive(Debug)]
pub struct Brakes {
    state: Mutex<State>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct State {
    /// A sender without calls has no entry.
    in_flight: HashMap<SenderKey, u32>,
    /// What is stopped until when, while its hold is not stored yet.
    stopped: HashMap<(TenantId, Scope), Timestamp>,
    /// Stopped templates that the config has shown as not approved since.
    unapproved: HashSet<(TenantId, String)>,
    /// When each sender's rest from starting conversations ended, and how many it has started since.
    restarts: HashMap<SenderKey, (Timestamp, u32)>,
    pairs: Pairs,
    /// A destination whose calls are all answered has no entry.
    breakers: HashMap<Destination, Breaker>,
}

/// A provider account, and the address that replaces its provider's own: see [`ProviderAccount::destination`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Destination {
    account: String,
    base_url: Option<String>,
}

impl Destination {
    pub(super) fn of(account: &ProviderAccount) -> Self {
        let (account, base_url) = account.destination();
        Self { account: account.to_owned(), base_url: base_url.map(ToString::to_string) }
    }
}

impl State {
    fn stopped_until(&self, tenant: &TenantId, scope: impl FnOnce() -> Scope, now: Timestamp) -> Option<Timestamp> {
        // Nearly always empty: this avoids the key's allocation.
        if self.stopped.is_empty() {
            return None;
        }
        self.stopped.get(&(tenant.clone(), scope())).copied().filter(|until| *until > now)
    }
}

/// Whose failure stops something.
pub(crate) struct Stopped<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) sender: &'a Sender<'a>,
    pub(crate) to: &'a Address,
    pub(crate) content: Option<&'a OutboundContent>,
}

/// What a failure that was reported at `reported_at` stops; `None` when it stops nothing or the stop is over.
pub(crate) fn stop_reported(scope: FailureScope, reported_at: Timestamp, now: Timestamp) -> Option<Stop> {
    failure::stop(scope, RetryLimits::default().sender_pause, reported_at).filter(|stop| match stop {
        Stop::Sender { until } | Stop::Template { until } | Stop::Pair { until } => *until > now,
        Stop::Conversations { reported_at } => after(*reported_at, LONGEST_REST) > now,
    })
}

/// A sender whose provider is away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Away {
    pub(crate) tenant: TenantId,
    pub(crate) sender: SenderName,
    pub(crate) since: Timestamp,
    /// When it is asked again.
    pub(crate) until: Timestamp,
}

/// How many calls of a sender may begin now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    For {
        /// At least one.
        calls: u32,
        /// How many of them may be a campaign's.
        campaign: u32,
    },
    None {
        why: DeferReason,
        /// When there will be room; `None` when a call has to end first.
        again_at: Option<Timestamp>,
    },
}

impl Brakes {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { state: Mutex::default(), metrics }
    }

    /// Stops a sender or a template until `until`: at once on this replica, and everywhere once the hold is stored.
    pub(crate) async fn stop(&self, holds: &Holds, tenant: &TenantId, scope: Scope, until: Timestamp, why: &str) {
        self.stop_here(tenant, &scope, until);
        self.share(holds, tenant, scope, until, why).await;
    }

    /// Stops it on this replica only, until the stop is shared.
    pub(super) fn stop_here(&self, tenant: &TenantId, scope: &Scope, until: Timestamp) {
        tracing::warn!(%tenant, %scope, %until, "stopped: the provider takes no message of it");
        let mut state = self.lock();
        let stopped = state.stopped.entry((tenant.clone(), scope.clone())).or_insert(until);
        *stopped = until.max(*stopped);
    }

    /// Stores the stop as a hold, so that every replica obeys it.
    ///
    /// Failure policy: fail open. While the store cannot be written to, each replica finds out on its own.
    pub(super) async fn share(&self, holds: &Holds, tenant: &TenantId, scope: Scope, until: Timestamp, why: &str) {
        if holds.stop(tenant, scope.clone(), until, why).await {
            self.lock().stopped.remove(&(tenant.clone(), scope));
        }
    }

    /// Stops what failed according to statuses that arrived before their message: see [`AdoptedFailure`].
    pub(super) async fn stop_adopted(
        &self,
        holds: &Holds,
        failures: &[AdoptedFailure],
        of: &Stopped<'_>,
        now: Timestamp,
    ) {
        for AdoptedFailure { scope, reported_at } in failures {
            if let Some(stop) = stop_reported(*scope, *reported_at, now) {
                self.carry_out(holds, stop, of, now, WHY_REPORTED).await;
            }
        }
    }

    /// Carries out a stop that follows from the failure of a message: at once on this replica, and everywhere once the
    /// hold is stored.
    pub(crate) async fn carry_out(&self, holds: &Holds, stop: Stop, of: &Stopped<'_>, now: Timestamp, why: &str) {
        if let Some((scope, until)) = self.carry_out_here(holds, stop, of, now) {
            self.share(holds, &of.tenant.config.tenant, scope, until, why).await;
        }
    }

    /// Carries out a stop on this replica only. Returns what is to be shared: how fast a pair may write is each
    /// replica's own affair.
    pub(super) fn carry_out_here(
        &self,
        holds: &Holds,
        stop: Stop,
        of: &Stopped<'_>,
        now: Timestamp,
    ) -> Option<(Scope, Timestamp)> {
        let Stopped { tenant, sender, to, content } = of;
        let id = &tenant.config.tenant;
        let (scope, until) = match stop {
            Stop::Sender { until } => (Scope::Sender(sender.name.clone()), until),
            Stop::Template { until } => {
                let account = sender.config.provider.account_key();
                let handle = handle_to_stop((*content)?, &tenant.config.templates, account)?;
                (Scope::Template(handle.to_owned()), until)
            }
            Stop::Conversations { reported_at } => {
                (Scope::Conversations(sender.name.clone()), holds.rest(id, sender.name, reported_at))
            }
            Stop::Pair { until } => {
                self.lock().pairs.rest(&(id.clone(), sender.name.clone()), to, until, now);
                return None;
            }
        };
        self.stop_here(id, &scope, until);
        Some((scope, until))
    }

    /// Until when the sender starts no conversations, if it rests from that.
    pub(super) fn starts_none_until(
        &self,
        tenant: &TenantId,
        sender: &SenderName,
        now: Timestamp,
    ) -> Option<Timestamp> {
        self.lock().stopped_until(tenant, || Scope::Conversations(sender.clone()), now)
    }

    /// Counts a conversation that the sender starts, or returns when it may be started: after a rest they begin slowly.
    pub(super) fn starts_conversation(&self, holds: &Holds, key: &SenderKey, now: Timestamp) -> Result<(), Timestamp> {
        let Some(ended_at) = holds.rest_ended_at(&key.0, &key.1, now) else { return Ok(()) };
        if after(ended_at, RESTART) <= now {
            return Ok(());
        }
        let mut state = self.lock();
        let restart = state.restarts.entry(key.clone()).or_insert((ended_at, 0));
        if restart.0 != ended_at {
            *restart = (ended_at, 0);
        }
        may_start(ended_at, restart.1, now)?;
        restart.1 += 1;
        Ok(())
    }

    /// Lifts the stops of templates that the config shows approved again: since the stop it has shown that they were
    /// not.
    ///
    /// Failure policy: fail closed. A stop that cannot be lifted lasts until its time.
    pub(super) async fn lift_approved_again(&self, holds: &Holds, configs: &Configs, now: Timestamp) {
        let stopped = holds.stopped_templates(now);
        for (tenant, handle) in self.approved_again(stopped, configs) {
            let scope = Scope::Template(handle);
            tracing::info!(%tenant, %scope, "the template is approved again; messages with it leave");
            let lift = LiftHold { tenant, scope, kind: HoldKind::Breaker };
            if let Err(error) = holds.lift(lift).await {
                tracing::warn!(%error, "the stop of a template that is approved again could not be lifted; it ends by itself");
            }
        }
    }

    /// Which of the stopped templates the config shows approved, after it had shown them otherwise.
    fn approved_again(&self, stopped: Vec<(TenantId, String)>, configs: &Configs) -> Vec<(TenantId, String)> {
        let mut state = self.lock();
        if !state.unapproved.is_empty() {
            state.unapproved.retain(|template| stopped.contains(template));
        }
        let mut approved = Vec::new();
        for template in stopped {
            let tenant = configs.get(&template.0);
            match tenant.as_ref().and_then(|tenant| approval_of(&tenant.config.templates, &template.1)) {
                Some(Approval::Approved) if state.unapproved.remove(&template) => approved.push(template),
                Some(Approval::Approved) | None => {}
                Some(_) => drop(state.unapproved.insert(template)),
            }
        }
        approved
    }

    /// When the stop of the template ends, if it is stopped.
    pub(super) fn template_stopped_until(&self, tenant: &TenantId, handle: &str, now: Timestamp) -> Option<Timestamp> {
        self.lock().stopped_until(tenant, || Scope::Template(handle.to_owned()), now)
    }

    /// Counts a message to the recipient, or returns when it may leave.
    pub(super) fn pair(
        &self,
        sender: &SenderKey,
        to: &Address,
        priority: Priority,
        rate: Rate,
        now: Timestamp,
    ) -> Result<(), Timestamp> {
        self.lock().pairs.take(sender, to, priority, rate, now)
    }

    /// How many calls of the sender may begin now. Changes nothing: [`Brakes::take`] counts the calls that begin.
    pub(super) fn room(&self, key: &SenderKey, limits: &Limits, now: Timestamp) -> Room {
        let state = self.lock();
        if let Some(until) = state.stopped_until(&key.0, || Scope::Sender(key.1.clone()), now) {
            return Room::None { why: DeferReason::SenderStopped, again_at: Some(until) };
        }
        let most = limits.max_concurrency.max(1);
        match most.saturating_sub(state.in_flight.get(key).copied().unwrap_or(0)) {
            0 => Room::None { why: DeferReason::Concurrency, again_at: None },
            calls => Room::For { calls, campaign: calls.saturating_sub(most / CAMPAIGN_LEAVES_ONE_IN) },
        }
    }

    /// Counts one call until the returned value is dropped.
    pub(super) fn take(self: &Arc<Self>, key: &SenderKey, to: &Destination) -> InFlight {
        let mut state = self.lock();
        *state.in_flight.entry(key.clone()).or_default() += 1;
        state.breakers.entry(to.clone()).or_default().begins();
        drop(state);
        InFlight { brakes: Arc::clone(self), key: key.clone(), to: to.clone(), has_ended: false }
    }

    /// What may begin now at a destination.
    pub(super) fn passage(&self, to: &Destination, has_probe: bool, now: Timestamp) -> Passage {
        let state = self.lock();
        state.breakers.get(to).map_or(Passage::Calls(MOST_UNANSWERED), |breaker| breaker.passage(has_probe, now))
    }

    /// Until when no call to a destination may begin, if none may.
    pub(super) fn away_until(&self, to: &Destination, now: Timestamp) -> Option<Timestamp> {
        self.lock().breakers.get(to)?.open_until(now)
    }

    /// A probe of a destination is about to begin.
    pub(super) fn probe_begins(&self, to: &Destination, now: Timestamp) {
        self.with_breaker(to, now, |breaker| breaker.probe_begins(now));
    }

    /// A probe of a destination was answered.
    pub(super) fn probe_answered(&self, to: &Destination, now: Timestamp) {
        self.with_breaker(to, now, Breaker::probe_answered);
    }

    fn with_breaker(&self, to: &Destination, now: Timestamp, change: impl FnOnce(&mut Breaker)) {
        let mut state = self.lock();
        let mut breaker = state.breakers.remove(to).unwrap_or_default();
        let was_away = breaker.away_since().is_some();
        change(&mut breaker);
        match (was_away, breaker.away_since()) {
            (false, Some(_)) => {
                let account = &to.account;
                tracing::warn!(%account, "the provider does not answer; messages wait, and it is asked again every few seconds");
            }
            (true, None) => tracing::info!(account = %to.account, %now, "the provider answers again"),
            (true, Some(_)) | (false, None) => {}
        }
        if !breaker.is_new() {
            state.breakers.insert(to.clone(), breaker);
        }
    }

    /// The senders whose provider is away from this replica, since when, and until when no call begins.
    pub(crate) fn away(&self, configs: &Configs, now: Timestamp) -> Vec<Away> {
        let state = self.lock();
        if state.breakers.is_empty() {
            return Vec::new();
        }
        let mut away = Vec::new();
        for tenant in configs.all() {
            for sender in tenant.senders() {
                let breaker = state.breakers.get(&Destination::of(&sender.config.provider));
                if let Some((breaker, since)) = breaker.and_then(|breaker| Some((breaker, breaker.away_since()?))) {
                    let (tenant, sender) = (tenant.config.tenant.clone(), sender.name.clone());
                    away.push(Away { tenant, sender, since, until: breaker.open_until(now).unwrap_or(now) });
                }
            }
        }
        away
    }

    /// Each tenant's calls in flight.
    pub(super) fn in_flight(&self) -> HashMap<TenantId, u32> {
        let mut calls: HashMap<TenantId, u32> = HashMap::new();
        for ((tenant, _), in_flight) in &self.lock().in_flight {
            *calls.entry(tenant.clone()).or_default() += in_flight;
        }
        calls
    }

    /// Forgets stops that are over, and sets the metric of stopped senders.
    pub(super) fn tidy(&self, holds: &Holds, now: Timestamp) {
        self.forget_what_is_over(now);
        let mut state = self.lock();
        state.breakers.retain(|_, breaker| !breaker.is_stale(now));
        let away = state.breakers.values().filter(|breaker| breaker.away_since().is_some()).count();
        self.metrics.providers_away(away);
        let mut senders = holds.stopped_senders(now);
        senders.extend(state.stopped.keys().filter_map(|(tenant, scope)| match scope {
            Scope::Sender(sender) => Some((tenant.clone(), sender.clone())),
            Scope::Tenant | Scope::Template(_) | Scope::Conversations(_) | Scope::Sink(..) => None,
        }));
        self.metrics.senders_stopped(senders.len());
    }

    fn forget_what_is_over(&self, now: Timestamp) {
        let longest = |scope: &Scope| match scope {
            Scope::Template(_) => LONGEST_TEMPLATE_REST,
            Scope::Conversations(_) => LONGEST_REST,
            Scope::Tenant | Scope::Sender(_) | Scope::Sink(..) => RetryLimits::default().sender_pause,
        };
        let mut state = self.lock();
        // A stop that lasts longer was set by a clock that was ahead.
        state.stopped.retain(|(_, scope), until| *until > now && !is_overlong(*until, longest(scope), now));
        state.restarts.retain(|_, (ended_at, _)| after(*ended_at, RESTART) > now);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// One call in flight. Dropping it, also in a panic, ends the count.
#[derive(Debug)]
pub(super) struct InFlight {
    brakes: Arc<Brakes>,
    key: SenderKey,
    to: Destination,
    /// Whether the call was made and has ended.
    has_ended: bool,
}

impl InFlight {
    /// Whether the call may be made now, or when to try again: the provider may be away since the message was claimed.
    pub(super) fn may_begin(&self, now: Timestamp) -> Result<(), Timestamp> {
        self.brakes.away_until(&self.to, now).map_or(Ok(()), Err)
    }

    /// The call has ended.
    pub(super) fn ended(&mut self, outcome: &SendOutcome, now: Timestamp) {
        self.has_ended = true;
        self.brakes.with_breaker(&self.to, now, |breaker| match outcome {
            SendOutcome::Accepted { .. } | SendOutcome::Refused(_) => breaker.answered(),
            SendOutcome::NotSent { .. } => breaker.failed(false, now),
            SendOutcome::Ambiguous { .. } => breaker.failed(true, now),
        });
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.brakes.lock();
        if !self.has_ended
            && let Some(breaker) = state.breakers.get_mut(&self.to)
        {
            breaker.withdrawn();
            if breaker.is_new() {
                state.breakers.remove(&self.to);
            }
        }
        if let Some(in_flight) = state.in_flight.get_mut(&self.key) {
            *in_flight = in_flight.saturating_sub(1);
            if *in_flight == 0 {
                state.in_flight.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_790_000_000_000 + millis).unwrap()
    }

    fn brakes() -> (Arc<Brakes>, SenderKey) {
        let key = (TenantId::new("shop").unwrap(), SenderName::new("support").unwrap());
        (Arc::new(Brakes::new(Arc::new(Metrics::new().unwrap()))), key)
    }

    fn destination() -> Destination {
        Destination { account: "AC1".into(), base_url: None }
    }

    const LIMITS: Limits = Limits { messages_per_second: 10, interval_millis: None, burst: 3, max_concurrency: 4 };
    const ALL_FREE: Room = Room::For { calls: 4, campaign: 4 };
    const FULL: Room = Room::None { why: DeferReason::Concurrency, again_at: None };

    #[test]
    fn no_more_calls_are_in_flight_than_the_sender_allows() {
        let (brakes, key) = brakes();
        let calls: Vec<_> = (0..4).map(|_| brakes.take(&key, &destination())).collect();
        assert_eq!(brakes.room(&key, &LIMITS, at(0)), FULL);
        assert_eq!(brakes.in_flight(), HashMap::from([(key.0.clone(), 4)]));
        drop(calls);
        assert_eq!(brakes.room(&key, &LIMITS, at(0)), ALL_FREE);
        assert_eq!(brakes.in_flight(), HashMap::new());
    }

    #[test]
    fn a_campaign_leaves_some_of_the_senders_calls_to_more_urgent_messages() {
        let (brakes, key) = brakes();
        let limits = Limits { max_concurrency: 32, ..LIMITS };
        assert_eq!(brakes.room(&key, &limits, at(0)), Room::For { calls: 32, campaign: 28 });
        let campaign: Vec<_> = (0..28).map(|_| brakes.take(&key, &destination())).collect();
        assert_eq!(brakes.room(&key, &limits, at(0)), Room::For { calls: 4, campaign: 0 });
        drop(campaign);
    }

    #[test]
    fn a_stop_by_a_clock_that_was_ahead_is_over_once_the_clock_is_right() {
        let (brakes, key) = brakes();
        let scope = Scope::Sender(key.1.clone());
        brakes.stop_here(&key.0, &scope, at(180_000));
        brakes.forget_what_is_over(at(0));
        assert_eq!(brakes.room(&key, &LIMITS, at(0)), ALL_FREE);
    }

    #[test]
    fn a_stopped_sender_rests_until_its_time_and_others_go_on() {
        let (brakes, key) = brakes();
        let other = (key.0.clone(), SenderName::new("sales").unwrap());
        brakes.stop_here(&key.0, &Scope::Sender(key.1.clone()), at(1000));
        let stopped = Room::None { why: DeferReason::SenderStopped, again_at: Some(at(1000)) };
        assert_eq!(brakes.room(&key, &LIMITS, at(999)), stopped);
        assert_eq!(brakes.room(&other, &LIMITS, at(999)), ALL_FREE);
        assert_eq!(brakes.room(&key, &LIMITS, at(1000)), ALL_FREE);
    }

    #[test]
    fn a_reported_failure_stops_what_it_affects_counted_from_the_report() {
        let until = at(60_000);
        for (class, stopped) in [(FailureScope::Sender, Some(Stop::Sender { until })), (FailureScope::Message, None)] {
            assert_eq!(stop_reported(class, at(0), at(59_999)), stopped, "{class:?}");
            assert_eq!(stop_reported(class, at(0), until), None, "{class:?}");
        }
        let stopped = Some(Stop::Template { until: at(3_600_000) });
        assert_eq!(
            stop_reported(FailureScope::Template, at(0), until),
            stopped,
            "until it is seen to be approved again"
        );
        assert_eq!(stop_reported(FailureScope::Template, at(0), at(3_600_000)), None);
    }
}
