//! The holds in force now, read from the store every second and answered from memory.
//!
//! A hold is placed by an operator (pause, drain) or by a worker of any replica (breaker, gone). It is kept in the
//! store, so it outlives this process and counts for every replica. Another replica's hold is known here within a
//! second, one of this process at once.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use messaging::clock::{Clock, after};
use messaging::failure::{LONGEST_REST, Rest, next_rest};
use messaging::id::{SenderName, TenantId};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::progress::{Progress, Task};
use crate::store::hold::{Hold, HoldKind, LiftHold, PutHold, Scope};
use crate::store::message::SinkId;
use crate::store::{Store, StoreError};

/// How often the store is read.
pub(crate) const EVERY: Duration = Duration::from_secs(1);

/// The holds of every tenant.
pub struct Holds {
    store: Store,
    clock: Arc<dyn Clock>,
    current: ArcSwap<HoldsByTenant>,
    /// The last rest of each sender from starting conversations: how long the next one is depends on it.
    rests: parking_lot::Mutex<HashMap<(TenantId, SenderName), Rest>>,
    /// One read at a time, so that an earlier read never replaces a later one.
    asking: Mutex<()>,
}

impl fmt::Debug for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holds").field("current", &self.current.load()).finish_non_exhaustive()
    }
}

impl Holds {
    /// Starts without holds; [`Holds::refresh`] reads them.
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, current: ArcSwap::default(), rests: parking_lot::Mutex::default(), asking: Mutex::new(()) }
    }

    /// Reads the holds again and again until `stop`.
    ///
    /// Failure policy: fail static. While the store cannot be read, the known holds stay in force until they end.
    pub async fn run(&self, progress: &Progress, stop: CancellationToken) {
        let mut fails = false;
        loop {
            match self.refresh().await {
                Ok(()) => {
                    fails = false;
                    progress.did(Task::Holds, self.clock.now());
                }
                Err(error) => {
                    if !fails {
                        tracing::warn!(%error, "the holds cannot be read; the known ones stay in force");
                    }
                    fails = true;
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Reads the holds from the store.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let _asking = self.asking.lock().await;
        let now = self.clock.now();
        let holds = self.store.holds(now).await?;
        self.note_rests(&holds, now);
        self.current.store(Arc::new(HoldsByTenant::of(holds)));
        Ok(())
    }

    /// Places a hold. It is in force on this replica when this returns.
    pub async fn put(&self, hold: Hold) -> Result<(), StoreError> {
        self.store.write(PutHold { hold }).await?;
        self.refresh().await
    }

    /// Lifts a hold, on this replica before this returns; `false` when there was no such hold.
    pub async fn lift(&self, lift: LiftHold) -> Result<bool, StoreError> {
        let was_held = self.store.write(lift).await?;
        self.refresh().await?;
        // A dispatcher woken by the write itself may have looked before the refresh.
        self.store.signals().queue.notify_one();
        Ok(was_held)
    }

    /// The hold that keeps a sender's queued messages from leaving now; of several, the longest.
    pub fn blocks_dispatch(&self, tenant: &TenantId, sender: &SenderName, now: Timestamp) -> Option<Arc<Hold>> {
        self.current.load().blocks_dispatch(tenant, sender, now).cloned()
    }

    /// When the breaker on a template ends.
    pub fn template_stopped_until(&self, tenant: &TenantId, handle: &str, now: Timestamp) -> Option<Timestamp> {
        let is_it = |scope: &Scope| matches!(scope, Scope::Template(held) if held == handle);
        self.current.load().longest(tenant, now, |kind| kind == HoldKind::Breaker, is_it).map(|hold| hold.until)
    }

    /// Until when the sender starts no conversations, if it rests from that.
    pub fn starts_none_until(&self, tenant: &TenantId, sender: &SenderName, now: Timestamp) -> Option<Timestamp> {
        let is_it = |scope: &Scope| matches!(scope, Scope::Conversations(held) if held == sender);
        self.current.load().longest(tenant, now, |kind| kind == HoldKind::Breaker, is_it).map(|hold| hold.until)
    }

    /// Until when the sender rests from starting conversations, after its limit was met once more: longer each time, as
    /// far as this process knows of the rests before.
    pub(crate) fn rest(&self, tenant: &TenantId, sender: &SenderName, reported_at: Timestamp) -> Timestamp {
        let mut rests = self.rests.lock();
        let last = rests.get(&(tenant.clone(), sender.clone())).copied();
        let rest = next_rest(last, reported_at);
        rests.insert((tenant.clone(), sender.clone()), rest);
        rest.until
    }

    /// When the sender's last rest from starting conversations ended, as far as it still matters.
    pub(crate) fn rest_ended_at(&self, tenant: &TenantId, sender: &SenderName, now: Timestamp) -> Option<Timestamp> {
        let rests = self.rests.lock();
        // Nearly always empty: this avoids the key's allocation.
        if rests.is_empty() {
            return None;
        }
        rests.get(&(tenant.clone(), sender.clone())).map(|rest| rest.until).filter(|ended| *ended <= now)
    }

    /// The templates with a breaker, by the provider's handle.
    pub(crate) fn stopped_templates(&self, now: Timestamp) -> Vec<(TenantId, String)> {
        let current = self.current.load();
        let stopped = current.0.values().flatten().filter(|hold| hold.kind == HoldKind::Breaker && hold.until > now);
        let templates = stopped.filter_map(|hold| match &hold.scope {
            Scope::Template(handle) => Some((hold.tenant.clone(), handle.clone())),
            Scope::Tenant | Scope::Sender(_) | Scope::Conversations(_) | Scope::Sink(..) => None,
        });
        templates.collect()
    }

    /// Notes the rests that other replicas began, and forgets those that no longer matter.
    fn note_rests(&self, holds: &[Hold], now: Timestamp) {
        let mut rests = self.rests.lock();
        rests.retain(|_, rest| now < after(rest.until, LONGEST_REST * 2));
        for hold in holds {
            if let Scope::Conversations(sender) = &hold.scope {
                let rest = Rest { since: hold.created_at, until: hold.until };
                let known = rests.entry((hold.tenant.clone(), sender.clone())).or_insert(rest);
                if known.until < rest.until {
                    *known = rest;
                }
            }
        }
    }

    /// The hold on a sink that wants no events.
    pub(crate) fn gone(
        &self,
        tenant: &TenantId,
        sender: &SenderName,
        sink: &SinkId,
        now: Timestamp,
    ) -> Option<Arc<Hold>> {
        let is_it = |scope: &Scope| matches!(scope, Scope::Sink(of, held) if of == sender && held == sink);
        self.current.load().longest(tenant, now, |kind| kind == HoldKind::Gone, is_it).cloned()
    }

    /// Places a breaker, which the other replicas obey within a second. Returns whether it is stored.
    pub(crate) async fn stop(&self, tenant: &TenantId, scope: Scope, until: Timestamp, reason: &str) -> bool {
        let now = self.clock.now();
        if until <= now || self.is_stored(tenant, &scope, until, now) {
            return true;
        }
        let (tenant, reason) = (tenant.clone(), reason.to_owned());
        let hold = Hold { tenant, scope, kind: HoldKind::Breaker, until, reason, created_at: now };
        let what = format!("{} of {}", hold.scope, hold.tenant);
        match self.put(hold).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%what, %error, "a stop on this replica could not be stored; other replicas do not know of it");
                false
            }
        }
    }

    /// Whether a breaker that lasts nearly as long is known. Many messages that fail together need only one.
    fn is_stored(&self, tenant: &TenantId, scope: &Scope, until: Timestamp, now: Timestamp) -> bool {
        let current = self.current.load();
        let Some(holds) = current.0.get(tenant) else { return false };
        holds.iter().any(|hold| {
            let lasts = hold.until.duration_since(now);
            hold.kind == HoldKind::Breaker && hold.scope == *scope && lasts + lasts / 4 >= until.duration_since(now)
        })
    }

    /// The senders with a breaker.
    pub(crate) fn stopped_senders(&self, now: Timestamp) -> HashSet<(TenantId, SenderName)> {
        let current = self.current.load();
        let stopped = current.0.values().flatten().filter(|hold| hold.kind == HoldKind::Breaker && hold.until > now);
        let senders = stopped.filter_map(|hold| match &hold.scope {
            Scope::Sender(sender) => Some((hold.tenant.clone(), sender.clone())),
            Scope::Tenant | Scope::Template(_) | Scope::Conversations(_) | Scope::Sink(..) => None,
        });
        senders.collect()
    }

    /// The hold that keeps new messages of a sender from being accepted now; of several, the longest.
    pub fn refuses_sends(&self, tenant: &TenantId, sender: &SenderName, now: Timestamp) -> Option<Arc<Hold>> {
        self.current.load().refuses_sends(tenant, sender, now).cloned()
    }

    /// How many holds of each kind are in force now.
    pub fn count(&self, now: Timestamp) -> Vec<(HoldKind, usize)> {
        let current = self.current.load();
        HoldKind::ALL.into_iter().map(|kind| (kind, current.count(kind, now))).collect()
    }
}

/// The holds of each tenant. Most tenants have none.
#[derive(Debug, Default)]
struct HoldsByTenant(HashMap<TenantId, Vec<Arc<Hold>>>);

impl HoldsByTenant {
    fn of(holds: Vec<Hold>) -> Self {
        let mut by_tenant: HashMap<TenantId, Vec<Arc<Hold>>> = HashMap::new();
        for hold in holds {
            by_tenant.entry(hold.tenant.clone()).or_default().push(Arc::new(hold));
        }
        Self(by_tenant)
    }

    fn blocks_dispatch(&self, tenant: &TenantId, sender: &SenderName, now: Timestamp) -> Option<&Arc<Hold>> {
        let counts = |kind| match kind {
            HoldKind::Pause | HoldKind::Breaker => true,
            // A drain lets queued messages leave, and only a sink is ever gone.
            HoldKind::Drain | HoldKind::Gone => false,
        };
        self.longest(tenant, now, counts, |scope| covers(scope, sender))
    }

    fn refuses_sends(&self, tenant: &TenantId, sender: &SenderName, now: Timestamp) -> Option<&Arc<Hold>> {
        let counts = |kind| match kind {
            HoldKind::Drain => true,
            // Messages of a paused or stopped sender are accepted and wait.
            HoldKind::Pause | HoldKind::Breaker | HoldKind::Gone => false,
        };
        self.longest(tenant, now, counts, |scope| covers(scope, sender))
    }

    fn longest(
        &self,
        tenant: &TenantId,
        now: Timestamp,
        counts: impl Fn(HoldKind) -> bool,
        covers: impl Fn(&Scope) -> bool,
    ) -> Option<&Arc<Hold>> {
        let holds = self.0.get(tenant)?.iter();
        holds.filter(|hold| hold.until > now && counts(hold.kind) && covers(&hold.scope)).max_by_key(|hold| hold.until)
    }

    fn count(&self, kind: HoldKind, now: Timestamp) -> usize {
        self.0.values().flatten().filter(|hold| hold.kind == kind && hold.until > now).count()
    }
}

/// Whether a hold of this scope includes the sender.
fn covers(scope: &Scope, sender: &SenderName) -> bool {
    match scope {
        Scope::Tenant => true,
        Scope::Sender(held) => held == sender,
        Scope::Template(_) | Scope::Conversations(_) | Scope::Sink(..) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + seconds).unwrap()
    }

    fn name(name: &str) -> SenderName {
        SenderName::new(name).unwrap()
    }

    fn shop() -> TenantId {
        TenantId::new("shop").unwrap()
    }

    fn hold(scope: Scope, kind: HoldKind, until: Timestamp) -> Hold {
        Hold { tenant: shop(), scope, kind, until, reason: "a test".into(), created_at: at(0) }
    }

    fn blocked(holds: Vec<Hold>, sender: &str, now: i64) -> Option<Timestamp> {
        HoldsByTenant::of(holds).blocks_dispatch(&shop(), &name(sender), at(now)).map(|hold| hold.until)
    }

    #[test]
    fn a_pause_blocks_its_sender_until_it_ends() {
        let support = Scope::Sender(name("support"));
        for kind in [HoldKind::Pause, HoldKind::Breaker] {
            let holds = || vec![hold(support.clone(), kind, at(60))];
            assert_eq!(blocked(holds(), "support", 59), Some(at(60)));
            assert_eq!(blocked(holds(), "support", 60), None);
            assert_eq!(blocked(holds(), "sales", 0), None);
            assert_eq!(blocked(vec![hold(Scope::Tenant, kind, at(60))], "sales", 0), Some(at(60)));
        }
        let elsewhere = HoldsByTenant::of(vec![hold(Scope::Tenant, HoldKind::Pause, at(60))]);
        assert_eq!(elsewhere.blocks_dispatch(&TenantId::new("bakery").unwrap(), &name("support"), at(0)), None);
    }

    #[test]
    fn the_longest_of_several_pauses_counts() {
        let holds = vec![
            hold(Scope::Tenant, HoldKind::Pause, at(60)),
            hold(Scope::Sender(name("support")), HoldKind::Pause, Timestamp::MAX),
            hold(Scope::Sender(name("support")), HoldKind::Breaker, at(90)),
        ];
        assert_eq!(blocked(holds, "support", 0), Some(Timestamp::MAX));
    }

    #[test]
    fn a_drain_refuses_new_messages_and_lets_queued_ones_leave() {
        let holds = HoldsByTenant::of(vec![hold(Scope::Sender(name("support")), HoldKind::Drain, at(60))]);
        let refuses = |sender, now| holds.refuses_sends(&shop(), &name(sender), at(now)).is_some();
        assert!(refuses("support", 59) && !refuses("support", 60) && !refuses("sales", 0));
        assert_eq!(holds.blocks_dispatch(&shop(), &name("support"), at(0)), None);
    }

    #[test]
    fn a_pause_refuses_nothing() {
        let holds = HoldsByTenant::of(vec![hold(Scope::Tenant, HoldKind::Pause, at(60))]);
        assert_eq!(holds.refuses_sends(&shop(), &name("support"), at(0)), None);
    }

    #[test]
    fn a_hold_on_a_template_or_a_sink_does_not_hold_the_sender() {
        let sink = Scope::Sink(name("support"), SinkId::new("https://app.example/"));
        let holds = vec![
            hold(Scope::Template("HX1".into()), HoldKind::Breaker, at(60)),
            hold(sink, HoldKind::Gone, Timestamp::MAX),
        ];
        assert_eq!(blocked(holds, "support", 0), None);
    }

    #[test]
    fn holds_that_are_over_are_not_counted() {
        let holds = HoldsByTenant::of(vec![
            hold(Scope::Tenant, HoldKind::Pause, at(60)),
            hold(Scope::Sender(name("support")), HoldKind::Pause, at(30)),
        ]);
        assert_eq!(holds.count(HoldKind::Pause, at(0)), 2);
        assert_eq!(holds.count(HoldKind::Pause, at(30)), 1);
        assert_eq!(holds.count(HoldKind::Drain, at(0)), 0);
    }
}
