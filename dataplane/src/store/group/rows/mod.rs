//! The rows that a group of writes works on: each read once, changed in memory, and written once.

mod journal;
mod set;

use jiff::Timestamp;
use messaging::address::Address;
use messaging::id::{AttemptId, EventId, MessageId, SenderName, TenantId};

use self::journal::Journal;
pub(crate) use self::set::Set;
use super::Halt;
use crate::store::StoreError;
use crate::store::database::{Change, Lookup};
use crate::store::message::{Priority, SinkId};
use crate::store::signals::Bells;
use crate::store::tables::attempts::{self, AttemptRow};
use crate::store::tables::consent_records::ConsentRow;
use crate::store::tables::contact_links::{self, LinkRow};
use crate::store::tables::contacts::Contact;
use crate::store::tables::holds::HoldRow;
use crate::store::tables::idempotency_keys::UsedKeyRow;
use crate::store::tables::inbound_messages::InboundRow;
use crate::store::tables::message_timeline::StepRow;
use crate::store::tables::messages::MessageRow;
use crate::store::tables::outbox::OutboxRow;
use crate::store::tables::parked_statuses::{self, ParkedRow};
use crate::store::tables::queue::QueueRow;
use crate::store::tables::rate_buckets::BucketRow;
use crate::store::tables::senders::SenderRow;
use crate::store::tables::sweeps::SweepRow;
use crate::store::tables::unsettled::UnsettledRow;
use crate::store::tables::value::{Row, Value, values};
use crate::store::tables::webhook_events::EventRow;
use crate::store::tables::{Record, lanes, outbox_lanes, sink_lanes};

/// An event that goes into the outbox.
#[derive(Debug)]
pub(crate) struct NewEvent {
    pub(crate) tenant: TenantId,
    pub(crate) sender: SenderName,
    pub(crate) sink: SinkId,
    pub(crate) event: EventId,
    pub(crate) subject: String,
    pub(crate) body: String,
    pub(crate) created_at: Timestamp,
}

/// The events of one subject reach a sink one after the other.
pub(crate) type SubjectKey = (TenantId, SenderName, SinkId, String);

/// A link with its key.
pub(crate) type Linked = (<LinkRow as Record>::Key, LinkRow);

/// Everything that a group looked at and changed.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) messages: Set<MessageRow>,
    pub(crate) attempts: Set<AttemptRow>,
    pub(crate) idempotency: Set<UsedKeyRow>,
    pub(crate) queue: Set<QueueRow>,
    pub(crate) unsettled: Set<UnsettledRow>,
    pub(crate) contacts: Set<Contact>,
    pub(crate) logged: Set<EventRow>,
    pub(crate) outbox: Set<OutboxRow>,
    pub(crate) holds: Set<HoldRow>,
    pub(crate) buckets: Set<BucketRow>,
    pub(crate) senders: Set<SenderRow>,
    pub(crate) sweeps: Set<SweepRow>,
    pub(crate) parked: Set<ParkedRow>,
    links: Set<LinkRow>,
    /// The links of an address, which is a number or an id.
    links_of: Journal<(TenantId, Address), Vec<<LinkRow as Record>::Key>>,
    missing_links: Vec<(TenantId, Address)>,
    attempts_by_provider_id: Journal<(TenantId, String), Option<AttemptId>>,
    missing_provider_ids: Vec<(TenantId, String)>,
    parked_by_provider_id: Journal<(TenantId, String), Vec<<ParkedRow as Record>::Key>>,
    missing_parked: Vec<(TenantId, String)>,
    timeline: Vec<((TenantId, MessageId, u32), StepRow)>,
    consents: Vec<((TenantId, SenderName, Address, u64), ConsentRow)>,
    inbound: Vec<((TenantId, MessageId), InboundRow)>,
    events: Vec<NewEvent>,
    /// Subjects of which an event has left, so that the next may go.
    released: Journal<SubjectKey, Timestamp>,
    lanes: Journal<(TenantId, SenderName), Vec<Priority>>,
    pub(crate) bells: Bells,
    /// What the appended rows and the bells were when the current write began.
    begun: Begun,
}

#[derive(Debug, Clone, Copy, Default)]
struct Begun {
    timeline: usize,
    consents: usize,
    inbound: usize,
    events: usize,
    bells: Bells,
}

/// Calls a method of every set.
macro_rules! each_set {
    ($rows:ident.$method:ident($($argument:expr),*)) => {
        each_set!($rows, $method, ($($argument),*), [
            messages idempotency attempts queue unsettled contacts links logged parked outbox holds buckets senders sweeps
        ])
    };
    ($rows:ident, $method:ident, $arguments:tt, [$($set:ident)*]) => {
        $(each_set!(@call $rows $set $method $arguments);)*
    };
    (@call $rows:ident $set:ident $method:ident ($($argument:expr),*)) => { $rows.$set.$method($($argument),*) };
}

impl Rows {
    /// Runs one write under an overlay of its own. Its changes are merged when it succeeds, and undone when it fails or
    /// must run again.
    pub(super) fn overlay<T>(&mut self, write: impl FnOnce(&mut Self) -> Result<T, Halt>) -> Result<T, Halt> {
        self.begun = Begun {
            timeline: self.timeline.len(),
            consents: self.consents.len(),
            inbound: self.inbound.len(),
            events: self.events.len(),
            bells: self.bells,
        };
        let outcome = write(self);
        if outcome.is_ok() {
            self.keep();
        } else {
            self.undo();
        }
        outcome
    }

    /// The links of a number in its canonical spelling, or of an id.
    pub(crate) fn links_of(&mut self, tenant: &TenantId, address: &Address) -> Result<Vec<Linked>, Halt> {
        let key = (tenant.clone(), address.clone());
        let Some(links) = self.links_of.get(&key) else {
            self.missing_links.push(key);
            return Err(Halt::Missing);
        };
        let mut rows = Vec::new();
        for key in links {
            rows.extend(self.links.get(key)?.map(|row| (key.clone(), row.clone())));
        }
        Ok(rows)
    }

    /// Takes away a link, which was looked at.
    pub(crate) fn remove_link(&mut self, key: &<LinkRow as Record>::Key) {
        for address in [&key.1, &key.3] {
            let by = (key.0.clone(), address.clone());
            if let Some(mut links) = self.links_of.get(&by).cloned() {
                links.retain(|link| link != key);
                self.links_of.set(by, links);
            }
        }
        self.links.remove(key);
    }

    /// Writes a link; the links of both its addresses were looked at before.
    pub(crate) fn put_link(&mut self, key: <LinkRow as Record>::Key, row: LinkRow) {
        for address in [&key.1, &key.3] {
            let by = (key.0.clone(), address.clone());
            let mut links = self.links_of.get(&by).cloned().unwrap_or_default();
            if !links.contains(&key) {
                links.push(key.clone());
                self.links_of.set(by, links);
            }
        }
        self.links.put(key, row);
    }

    /// The attempt that the provider knows by this id.
    pub(crate) fn attempt_of_provider_id(
        &mut self,
        tenant: &TenantId,
        provider_message_id: &str,
    ) -> Result<Option<AttemptId>, Halt> {
        let key = (tenant.clone(), provider_message_id.to_owned());
        match self.attempts_by_provider_id.get(&key) {
            Some(found) => Ok(*found),
            None => {
                self.missing_provider_ids.push(key);
                Err(Halt::Missing)
            }
        }
    }

    /// The provider knows an attempt, which was looked at, by this id.
    pub(crate) fn provider_knows(&mut self, tenant: &TenantId, provider_message_id: &str, attempt: AttemptId) {
        self.attempts_by_provider_id.set((tenant.clone(), provider_message_id.to_owned()), Some(attempt));
    }

    /// Statuses that wait for a message that the provider knows by this id.
    pub(crate) fn parked_for(&mut self, tenant: &TenantId, provider_message_id: &str) -> Result<Vec<ParkedRow>, Halt> {
        let key = (tenant.clone(), provider_message_id.to_owned());
        let Some(parked) = self.parked_by_provider_id.get(&key) else {
            self.missing_parked.push(key);
            return Err(Halt::Missing);
        };
        let mut rows = Vec::new();
        for key in parked {
            rows.extend(self.parked.get(key)?.cloned());
        }
        Ok(rows)
    }

    pub(crate) fn park(&mut self, key: <ParkedRow as Record>::Key, row: ParkedRow) {
        let by = (key.0.clone(), key.1.clone());
        let mut parked = self.parked_by_provider_id.get(&by).cloned().unwrap_or_default();
        parked.push(key.clone());
        self.parked_by_provider_id.set(by, parked);
        self.parked.put(key, row);
    }

    /// Takes away what waited; [`Rows::parked_for`] was asked before.
    pub(crate) fn unpark(&mut self, tenant: &TenantId, provider_message_id: &str) {
        let by = (tenant.clone(), provider_message_id.to_owned());
        for key in self.parked_by_provider_id.set(by, Vec::new()).unwrap_or_default() {
            self.parked.remove(&key);
        }
    }

    pub(crate) fn add_step(&mut self, tenant: &TenantId, message: MessageId, position: u32, step: StepRow) {
        self.timeline.push(((tenant.clone(), message, position), step));
    }

    pub(crate) fn record_consent(&mut self, key: (TenantId, SenderName, Address, u64), row: ConsentRow) {
        self.consents.push((key, row));
    }

    pub(crate) fn receive(&mut self, tenant: &TenantId, id: MessageId, row: InboundRow) {
        self.inbound.push(((tenant.clone(), id), row));
    }

    pub(crate) fn publish(&mut self, event: NewEvent) {
        self.bells.outbox = true;
        self.events.push(event);
    }

    pub(crate) fn release(&mut self, subject: SubjectKey, at: Timestamp) {
        self.bells.outbox = true;
        self.released.set(subject, at);
    }

    pub(crate) fn open_lane(&mut self, tenant: &TenantId, sender: &SenderName, priority: Priority) {
        let key = (tenant.clone(), sender.clone());
        let mut lanes = self.lanes.get(&key).cloned().unwrap_or_default();
        if !lanes.contains(&priority) {
            lanes.push(priority);
            self.lanes.set(key, lanes);
        }
    }

    fn keep(&mut self) {
        each_set!(self.keep());
        self.links_of.keep();
        self.attempts_by_provider_id.keep();
        self.parked_by_provider_id.keep();
        self.released.keep();
        self.lanes.keep();
    }

    fn undo(&mut self) {
        each_set!(self.undo());
        self.links_of.undo();
        self.attempts_by_provider_id.undo();
        self.parked_by_provider_id.undo();
        self.released.undo();
        self.lanes.undo();
        let Begun { timeline, consents, inbound, events, bells } = self.begun;
        self.timeline.truncate(timeline);
        self.consents.truncate(consents);
        self.inbound.truncate(inbound);
        self.events.truncate(events);
        self.bells = bells;
    }

    /// What was looked at and is not here yet.
    pub(in crate::store) fn missing(&mut self) -> Missing {
        let mut missing = Missing::default();
        macro_rules! sets {
            ($($set:ident),*) => {
                $(if let Some((lookup, keys)) = self.$set.lookup() {
                    missing.lookups.push(lookup);
                    missing.takers.push(Box::new(move |rows: &mut Rows, found: &[Row]| rows.$set.found(keys, found)));
                })*
            };
        }
        sets!(
            messages,
            attempts,
            idempotency,
            queue,
            unsettled,
            contacts,
            links,
            logged,
            outbox,
            holds,
            buckets,
            senders,
            sweeps,
            parked
        );
        self.missing_links(&mut missing);
        let by_provider_id = |keys: Vec<(TenantId, String)>, known: &dyn Fn(&(TenantId, String)) -> bool| {
            let mut keys: Vec<_> = keys.into_iter().filter(|key| !known(key)).collect();
            keys.sort_unstable();
            keys.dedup();
            let values = keys.iter().map(|(tenant, id)| values![tenant, id]).collect();
            (keys, values)
        };
        let ids = std::mem::take(&mut self.missing_provider_ids);
        let (keys, values): (_, Vec<_>) = by_provider_id(ids, &|key| self.attempts_by_provider_id.get(key).is_some());
        if !values.is_empty() {
            missing.lookups.push(Lookup { finder: &attempts::BY_PROVIDER_ID, keys: values });
            missing.takers.push(Box::new(move |rows, found| rows.found_attempts(keys, found)));
        }
        let ids = std::mem::take(&mut self.missing_parked);
        let (keys, values): (_, Vec<_>) = by_provider_id(ids, &|key| self.parked_by_provider_id.get(key).is_some());
        if !values.is_empty() {
            missing.lookups.push(Lookup { finder: &parked_statuses::BY_PROVIDER_ID, keys: values });
            missing.takers.push(Box::new(move |rows, found| rows.found_parked(keys, found)));
        }
        missing
    }

    fn missing_links(&mut self, missing: &mut Missing) {
        let mut keys = std::mem::take(&mut self.missing_links);
        keys.retain(|key| self.links_of.get(key).is_none());
        keys.sort_unstable();
        keys.dedup();
        // An id may also stand where a number does, in front of the id that came after it.
        let users = keys.iter().filter(|(_, address)| matches!(address, Address::User(_))).cloned().collect();
        for (finder, keys) in [(&contact_links::BY_PHONE, keys), (&contact_links::BY_USER, users)] {
            if keys.is_empty() {
                continue;
            }
            let values = keys.iter().map(|(tenant, address)| values![tenant, address]).collect();
            missing.lookups.push(Lookup { finder, keys: values });
            missing.takers.push(Box::new(move |rows, found| rows.found_links(&keys, found)));
        }
    }

    fn found_links(&mut self, keys: &[(TenantId, Address)], found: &[Row]) -> Result<(), StoreError> {
        for key in keys {
            self.links_of.learn(key.clone());
        }
        for row in found {
            let (key, link) = LinkRow::read(row)?;
            for address in [&key.1, &key.3] {
                let by = (key.0.clone(), address.clone());
                if keys.binary_search(&by).is_ok() {
                    let links = self.links_of.learn(by);
                    if !links.contains(&key) {
                        links.push(key.clone());
                    }
                }
            }
            self.links.learn(key, link);
        }
        Ok(())
    }

    fn found_attempts(&mut self, keys: Vec<(TenantId, String)>, found: &[Row]) -> Result<(), StoreError> {
        for key in keys {
            self.attempts_by_provider_id.learn(key);
        }
        for row in found {
            let (key, attempt) = AttemptRow::read(row)?;
            if let Some(id) = &attempt.provider_message_id {
                *self.attempts_by_provider_id.learn((key.0.clone(), id.clone())) = Some(key.1);
            }
            self.attempts.learn(key, attempt);
        }
        Ok(())
    }

    fn found_parked(&mut self, keys: Vec<(TenantId, String)>, found: &[Row]) -> Result<(), StoreError> {
        for key in keys {
            self.parked_by_provider_id.learn(key);
        }
        for row in found {
            let (key, parked) = ParkedRow::read(row)?;
            self.parked_by_provider_id.learn((key.0.clone(), key.1.clone())).push(key.clone());
            self.parked.learn(key, parked);
        }
        Ok(())
    }

    /// Everything that is to be written, in an order in which it can be.
    pub(super) fn changes(&mut self) -> Result<Vec<Change>, StoreError> {
        let mut changes = Vec::new();
        macro_rules! sets {
            ($($set:ident),*) => { $(self.$set.changes(&mut changes)?;)* };
        }
        sets!(
            messages,
            idempotency,
            attempts,
            queue,
            unsettled,
            contacts,
            links,
            logged,
            parked,
            outbox,
            holds,
            buckets,
            senders,
            sweeps
        );
        append(&mut changes, &self.timeline)?;
        append(&mut changes, &self.consents)?;
        append(&mut changes, &self.inbound)?;
        self.lane_changes(&mut changes);
        self.outbox_changes(&mut changes);
        Ok(changes)
    }

    fn lane_changes(&self, changes: &mut Vec<Change>) {
        let lanes = self.lanes.iter().flat_map(|((tenant, sender), priorities)| {
            priorities.iter().map(move |priority| values![tenant, sender, priority])
        });
        let lanes: Vec<Vec<Value>> = lanes.collect();
        changes.extend((!lanes.is_empty()).then_some(Change::Insert(&lanes::TABLE, lanes)));
    }

    fn outbox_changes(&self, changes: &mut Vec<Change>) {
        use crate::store::sql::outbox::{INSERT, NEVER, RELEASE};
        let (mut by_name, mut by_address): (Vec<Vec<Value>>, Vec<Vec<Value>>) = Default::default();
        let mut inserted: Vec<Vec<Value>> = Vec::new();
        for event in &self.events {
            let NewEvent { tenant, sender, sink, event, subject, body, created_at } = event;
            let lane = values![tenant, sender, sink];
            let lanes = if sink.is_address() { &mut by_address } else { &mut by_name };
            if !lanes.contains(&lane) {
                lanes.push(lane);
            }
            inserted.push(values![tenant, sender, sink, event, subject, body, created_at, NEVER]);
        }
        let released = self
            .released
            .iter()
            .map(|((tenant, sender, sink, subject), at)| values![tenant, sender, sink, subject, at, NEVER]);
        let released: Vec<Vec<Value>> = released.collect();
        changes.extend((!by_name.is_empty()).then_some(Change::Insert(&sink_lanes::TABLE, by_name)));
        changes.extend((!by_address.is_empty()).then_some(Change::Insert(&outbox_lanes::TABLE, by_address)));
        changes.extend((!released.is_empty()).then_some(Change::Run(RELEASE, released)));
        changes.extend((!inserted.is_empty()).then_some(Change::Run(INSERT, inserted)));
    }
}

fn append<R: Record>(changes: &mut Vec<Change>, rows: &[(R::Key, R)]) -> Result<(), StoreError> {
    let rows: Vec<Vec<Value>> = rows.iter().map(|(key, row)| row.values(key)).collect::<Result<_, _>>()?;
    changes.extend((!rows.is_empty()).then_some(Change::Insert(R::finder().table, rows)));
    Ok(())
}

type Taker = Box<dyn FnOnce(&mut Rows, &[Row]) -> Result<(), StoreError> + Send>;

/// Rows to read, and where each goes.
#[derive(Default)]
pub(in crate::store) struct Missing {
    pub(in crate::store) lookups: Vec<Lookup>,
    takers: Vec<Taker>,
}

impl Missing {
    pub(in crate::store) fn take(self, rows: &mut Rows, found: &[Vec<Row>]) -> Result<(), StoreError> {
        for (taker, found) in self.takers.into_iter().zip(found) {
            taker(rows, found)?;
        }
        Ok(())
    }
}
