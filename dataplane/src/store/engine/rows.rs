//! The rows that a group of writes works on: each read once, changed in memory, and written once.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use jiff::Timestamp;
use messaging::address::Address;
use messaging::id::{AttemptId, EventId, MessageId, SenderName, TenantId};

use super::Halt;
use super::records::{
    Attempt, Bucket, ConsentRow, EventRow, Hold, InboundRow, OutboxRow, ParkedRow, Queued, Record, Step, Sweep, Used,
    Waiting,
};
use crate::store::StoreError;
use crate::store::codec::MessageRow;
use crate::store::contact::Contact;
use crate::store::database::schema::{ATTEMPT_BY_PROVIDER_ID, LANES, OUTBOX_LANES, PARKED_BY_PROVIDER_ID};
use crate::store::database::value::{Row, Value, values};
use crate::store::database::{Change, Lookup};
use crate::store::message::{Priority, SinkId};
use crate::store::signals::Bells;

/// Rows of one table by their keys.
#[derive(Debug)]
pub(in crate::store) struct Set<R: Record> {
    held: HashMap<R::Key, Held<R>>,
    missing: Vec<R::Key>,
}

#[derive(Debug)]
struct Held<R> {
    row: Option<R>,
    /// Whether the database has it.
    stored: bool,
    changed: bool,
}

impl<R: Record> Default for Set<R> {
    fn default() -> Self {
        Self { held: HashMap::new(), missing: Vec::new() }
    }
}

impl<R: Record> Set<R> {
    /// The row of a key, or that there is none.
    pub(in crate::store) fn get(&mut self, key: &R::Key) -> Result<Option<&R>, Halt> {
        match self.held.get(key) {
            Some(held) => Ok(held.row.as_ref()),
            None => {
                self.missing.push(key.clone());
                Err(Halt::Missing)
            }
        }
    }

    /// Writes a row over the one that was looked at, or where there was none.
    pub(in crate::store) fn put(&mut self, key: R::Key, row: R) {
        let held = self.held.entry(key).or_insert(Held { row: None, stored: false, changed: false });
        held.row = Some(row);
        held.changed = true;
    }

    /// Takes away a row that was looked at.
    pub(in crate::store) fn remove(&mut self, key: &R::Key) {
        if let Some(held) = self.held.get_mut(key).filter(|held| held.row.is_some()) {
            held.row = None;
            held.changed = true;
        }
    }

    fn lookup(&mut self) -> Option<(Lookup, Vec<R::Key>)> {
        let mut keys = std::mem::take(&mut self.missing);
        keys.retain(|key| !self.held.contains_key(key));
        keys.sort_unstable();
        keys.dedup();
        let lookup = Lookup { finder: R::finder(), keys: keys.iter().map(R::key).collect() };
        (!keys.is_empty()).then_some((lookup, keys))
    }

    fn found(&mut self, keys: Vec<R::Key>, rows: &[Row]) -> Result<(), StoreError> {
        for key in keys {
            self.held.insert(key, Held { row: None, stored: false, changed: false });
        }
        for row in rows {
            let (key, row) = R::read(row)?;
            self.held.insert(key, Held { row: Some(row), stored: true, changed: false });
        }
        Ok(())
    }

    /// What has to be written, in the order of the keys: deletions, changes, new rows.
    fn changes(&mut self, into: &mut Vec<Change>) -> Result<(), StoreError> {
        let mut changed: Vec<_> = self.held.iter().filter(|(_, held)| held.changed).collect();
        changed.sort_unstable_by(|a, b| a.0.cmp(b.0));
        let (mut deleted, mut updated, mut inserted) = (Vec::new(), Vec::new(), Vec::new());
        for (key, held) in changed {
            match (&held.row, held.stored) {
                (None, true) => deleted.push(R::key(key)),
                (None, false) => {}
                (Some(row), true) => {
                    let mut columns = R::key(key);
                    columns.extend(row.changes()?);
                    updated.push(columns);
                }
                (Some(row), false) => inserted.push(row.values(key)?),
            }
        }
        let table = R::finder().table;
        into.extend((!deleted.is_empty()).then_some(Change::Delete(R::finder(), deleted)));
        into.extend((!updated.is_empty()).then_some(Change::Update(table, updated)));
        into.extend((!inserted.is_empty()).then_some(Change::Insert(table, inserted)));
        Ok(())
    }
}

/// An event that goes into the outbox.
#[derive(Debug)]
pub(in crate::store) struct NewEvent {
    pub(in crate::store) tenant: TenantId,
    pub(in crate::store) sender: SenderName,
    pub(in crate::store) sink: SinkId,
    pub(in crate::store) event: EventId,
    pub(in crate::store) subject: String,
    pub(in crate::store) body: String,
    pub(in crate::store) created_at: Timestamp,
}

/// What a sink hears of one after the other.
pub(in crate::store) type SubjectKey = (TenantId, SenderName, SinkId, String);

/// Everything that a group looked at and changed.
#[derive(Debug, Default)]
pub(in crate::store) struct Rows {
    pub(in crate::store) messages: Set<MessageRow>,
    pub(in crate::store) attempts: Set<Attempt>,
    pub(in crate::store) idempotency: Set<Used>,
    pub(in crate::store) queue: Set<Queued>,
    pub(in crate::store) unsettled: Set<Waiting>,
    pub(in crate::store) contacts: Set<Contact>,
    pub(in crate::store) logged: Set<EventRow>,
    pub(in crate::store) outbox: Set<OutboxRow>,
    pub(in crate::store) holds: Set<Hold>,
    pub(in crate::store) buckets: Set<Bucket>,
    pub(in crate::store) sweeps: Set<Sweep>,
    pub(in crate::store) parked: Set<ParkedRow>,
    attempts_by_provider_id: HashMap<(TenantId, String), Option<AttemptId>>,
    missing_provider_ids: Vec<(TenantId, String)>,
    parked_by_provider_id: HashMap<(TenantId, String), Vec<<ParkedRow as Record>::Key>>,
    missing_parked: Vec<(TenantId, String)>,
    timeline: Vec<((TenantId, MessageId, u32), Step)>,
    consents: Vec<((TenantId, SenderName, Address, u64), ConsentRow)>,
    inbound: Vec<((TenantId, MessageId), InboundRow)>,
    events: Vec<NewEvent>,
    /// Subjects of which an event has left, so that the next may go.
    released: BTreeMap<SubjectKey, Timestamp>,
    lanes: BTreeMap<(TenantId, SenderName), Vec<Priority>>,
    pub(in crate::store) bells: Bells,
}

impl Rows {
    /// The attempt that the provider knows by this id.
    pub(in crate::store) fn attempt_of_provider_id(
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
    pub(in crate::store) fn provider_knows(
        &mut self,
        tenant: &TenantId,
        provider_message_id: &str,
        attempt: AttemptId,
    ) {
        self.attempts_by_provider_id.insert((tenant.clone(), provider_message_id.to_owned()), Some(attempt));
    }

    /// Statuses that wait for a message that the provider knows by this id.
    pub(in crate::store) fn parked_for(
        &mut self,
        tenant: &TenantId,
        provider_message_id: &str,
    ) -> Result<Vec<ParkedRow>, Halt> {
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

    pub(in crate::store) fn park(&mut self, key: <ParkedRow as Record>::Key, row: ParkedRow) {
        let by = (key.0.clone(), key.1.clone());
        self.parked_by_provider_id.entry(by).or_default().push(key.clone());
        self.parked.put(key, row);
    }

    /// Takes away what waited; [`Rows::parked_for`] was asked before.
    pub(in crate::store) fn unpark(&mut self, tenant: &TenantId, provider_message_id: &str) {
        let by = (tenant.clone(), provider_message_id.to_owned());
        for key in self.parked_by_provider_id.insert(by, Vec::new()).unwrap_or_default() {
            self.parked.remove(&key);
        }
    }

    pub(in crate::store) fn tell(&mut self, tenant: &TenantId, message: MessageId, position: u32, step: Step) {
        self.timeline.push(((tenant.clone(), message, position), step));
    }

    pub(in crate::store) fn record_consent(&mut self, key: (TenantId, SenderName, Address, u64), row: ConsentRow) {
        self.consents.push((key, row));
    }

    pub(in crate::store) fn receive(&mut self, tenant: &TenantId, id: MessageId, row: InboundRow) {
        self.inbound.push(((tenant.clone(), id), row));
    }

    pub(in crate::store) fn publish(&mut self, event: NewEvent) {
        self.bells.outbox = true;
        self.events.push(event);
    }

    pub(in crate::store) fn release(&mut self, subject: SubjectKey, at: Timestamp) {
        self.bells.outbox = true;
        self.released.insert(subject, at);
    }

    pub(in crate::store) fn open_lane(&mut self, tenant: &TenantId, sender: &SenderName, priority: Priority) {
        let lanes = self.lanes.entry((tenant.clone(), sender.clone())).or_default();
        if !lanes.contains(&priority) {
            lanes.push(priority);
        }
    }

    /// What was looked at and is not here yet.
    pub(super) fn missing(&mut self) -> Missing {
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
            logged,
            outbox,
            holds,
            buckets,
            sweeps,
            parked
        );
        let by_provider_id = |keys: Vec<(TenantId, String)>, known: &dyn Fn(&(TenantId, String)) -> bool| {
            let mut keys: Vec<_> = keys.into_iter().filter(|key| !known(key)).collect();
            keys.sort_unstable();
            keys.dedup();
            let values = keys.iter().map(|(tenant, id)| values![tenant.as_str(), id.as_str()]).collect();
            (keys, values)
        };
        let ids = std::mem::take(&mut self.missing_provider_ids);
        let (keys, values): (_, Vec<_>) = by_provider_id(ids, &|key| self.attempts_by_provider_id.contains_key(key));
        if !values.is_empty() {
            missing.lookups.push(Lookup { finder: &ATTEMPT_BY_PROVIDER_ID, keys: values });
            missing.takers.push(Box::new(move |rows, found| rows.found_attempts(keys, found)));
        }
        let ids = std::mem::take(&mut self.missing_parked);
        let (keys, values): (_, Vec<_>) = by_provider_id(ids, &|key| self.parked_by_provider_id.contains_key(key));
        if !values.is_empty() {
            missing.lookups.push(Lookup { finder: &PARKED_BY_PROVIDER_ID, keys: values });
            missing.takers.push(Box::new(move |rows, found| rows.found_parked(keys, found)));
        }
        missing
    }

    fn found_attempts(&mut self, keys: Vec<(TenantId, String)>, found: &[Row]) -> Result<(), StoreError> {
        self.attempts_by_provider_id.extend(keys.into_iter().map(|key| (key, None)));
        for row in found {
            let (key, attempt) = Attempt::read(row)?;
            if let Some(id) = &attempt.provider_message_id {
                self.attempts_by_provider_id.insert((key.0.clone(), id.clone()), Some(key.1));
            }
            // What the group has changed of it stands.
            self.attempts.held.entry(key).or_insert(Held { row: Some(attempt), stored: true, changed: false });
        }
        Ok(())
    }

    fn found_parked(&mut self, keys: Vec<(TenantId, String)>, found: &[Row]) -> Result<(), StoreError> {
        for key in keys {
            self.parked_by_provider_id.entry(key).or_default();
        }
        for row in found {
            let (key, parked) = ParkedRow::read(row)?;
            self.parked_by_provider_id.entry((key.0.clone(), key.1.clone())).or_default().push(key.clone());
            self.parked.held.entry(key).or_insert(Held { row: Some(parked), stored: true, changed: false });
        }
        Ok(())
    }

    /// Everything that has to be written, in an order in which it can be.
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
            logged,
            parked,
            outbox,
            holds,
            buckets,
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
            priorities.iter().map(move |priority| {
                values![tenant.as_str(), sender.as_str(), crate::store::codec::priority_code(*priority)]
            })
        });
        let lanes: Vec<Vec<Value>> = lanes.collect();
        changes.extend((!lanes.is_empty()).then_some(Change::Insert(&LANES, lanes)));
    }

    fn outbox_changes(&self, changes: &mut Vec<Change>) {
        use crate::store::operations::outbox::{INSERT, RELEASE, never};
        let mut lanes: Vec<Vec<Value>> = Vec::new();
        let mut inserted: Vec<Vec<Value>> = Vec::new();
        for event in &self.events {
            let NewEvent { tenant, sender, sink, event, subject, body, created_at } = event;
            let lane = values![tenant.as_str(), sender.as_str(), sink.0.as_str()];
            if !lanes.contains(&lane) {
                lanes.push(lane);
            }
            let at = created_at.as_microsecond();
            inserted.push(values![
                tenant.as_str(),
                sender.as_str(),
                sink.0.as_str(),
                event.to_string(),
                subject.as_str(),
                body.as_str(),
                at,
                never()
            ]);
        }
        let released = self.released.iter().map(|((tenant, sender, sink, subject), at)| {
            values![tenant.as_str(), sender.as_str(), sink.0.as_str(), subject.as_str(), at.as_microsecond(), never()]
        });
        let released: Vec<Vec<Value>> = released.collect();
        changes.extend((!lanes.is_empty()).then_some(Change::Insert(&OUTBOX_LANES, lanes)));
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
pub(super) struct Missing {
    pub(super) lookups: Vec<Lookup>,
    takers: Vec<Taker>,
}

impl Missing {
    pub(super) fn take(self, rows: &mut Rows, found: &[Vec<Row>]) -> Result<(), StoreError> {
        for (taker, found) in self.takers.into_iter().zip(found) {
            taker(rows, found)?;
        }
        Ok(())
    }
}

/// What can be a key of a [`Set`].
pub(in crate::store) trait Key: Clone + Eq + Ord + Hash + Send + 'static {}
impl<K: Clone + Eq + Ord + Hash + Send + 'static> Key for K {}
