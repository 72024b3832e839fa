//! Events on their way to the tenants' sinks. Of one subject only the oldest is available, so that a sink hears of a
//! message's steps in their order.

use jiff::Timestamp;
use messaging::id::TenantId;

use super::Operation;
use crate::store::Command;
use crate::store::group::Halt;
use crate::store::group::rows::Rows;
use crate::store::outbox::{DeferEvent, EndEvent, EventRef, RedriveEvent};
use crate::store::queue::Fenced;
use crate::store::tables::outbox::OutboxRow;

/// The sink has taken the event.
#[derive(Debug, Clone)]
pub struct EventDelivered {
    pub event: EventRef,
    pub at: Timestamp,
}

type Key = (TenantId, messaging::id::SenderName, crate::store::message::SinkId, messaging::id::EventId);

fn key(event: &EventRef) -> Key {
    (event.tenant.clone(), event.sender.clone(), event.sink.clone(), event.event)
}

/// The event, if the claim still holds it.
fn held(rows: &mut Rows, event: &EventRef) -> Result<Option<OutboxRow>, Halt> {
    let row = rows.outbox.get(&key(event))?;
    Ok(row.filter(|row| row.fence == event.fence && row.dead_at.is_none()).cloned())
}

fn release_next(rows: &mut Rows, event: &EventRef, subject: String, at: Timestamp) {
    rows.release((event.tenant.clone(), event.sender.clone(), event.sink.clone(), subject), at);
}

impl Command for EventDelivered {
    type Answer = Fenced;
}

impl Operation for EventDelivered {
    fn tenant(&self) -> &TenantId {
        &self.event.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<Fenced, Halt> {
        let Some(row) = held(rows, &self.event)? else { return Ok(Fenced::LeaseLost) };
        rows.outbox.remove(&key(&self.event));
        release_next(rows, &self.event, row.subject, self.at);
        Ok(Fenced::Done)
    }
}

impl Command for DeferEvent {
    type Answer = Fenced;
}

impl Operation for DeferEvent {
    fn tenant(&self) -> &TenantId {
        &self.event.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<Fenced, Halt> {
        let Self { event, until, error } = self;
        let Some(row) = held(rows, event)? else { return Ok(Fenced::LeaseLost) };
        let deferred = OutboxRow {
            available_at: *until,
            fence: row.fence + 1,
            owner: None,
            tries: row.tries + u32::from(error.is_some()),
            last_error: error.clone().or(row.last_error),
            ..row
        };
        rows.outbox.put(key(event), deferred);
        rows.bells.outbox = true;
        Ok(Fenced::Done)
    }
}

impl Command for EndEvent {
    type Answer = Fenced;
}

impl Operation for EndEvent {
    fn tenant(&self) -> &TenantId {
        &self.event.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<Fenced, Halt> {
        let Self { event, now, error, keep } = self;
        let Some(row) = held(rows, event)? else { return Ok(Fenced::LeaseLost) };
        let subject = row.subject.clone();
        if *keep {
            let dead = OutboxRow { dead_at: Some(*now), last_error: Some(error.clone()), owner: None, ..row };
            rows.outbox.put(key(event), dead);
        } else {
            rows.outbox.remove(&key(event));
        }
        release_next(rows, event, subject, *now);
        Ok(Fenced::Done)
    }
}

impl Command for RedriveEvent {
    type Answer = bool;
}

impl Operation for RedriveEvent {
    fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<bool, Halt> {
        let Self { tenant, sender, sink, event, now } = self;
        let key = (tenant.clone(), sender.clone(), sink.clone(), *event);
        let Some(row) = rows.outbox.get(&key)?.filter(|row| row.dead_at.is_some()).cloned() else {
            return Ok(false);
        };
        // It goes alone: what came after it has gone before.
        let alive = OutboxRow { dead_at: None, available_at: *now, fence: row.fence + 1, tries: 0, owner: None, ..row };
        rows.outbox.put(key, alive);
        rows.bells.outbox = true;
        Ok(true)
    }
}
