//! Events on their way to the tenants' sinks. Of one subject only the oldest is available, so that a sink hears of a
//! message's steps in their order.

use jiff::Timestamp;
use messaging::id::TenantId;

use super::Operation;
use crate::store::engine::Halt;
use crate::store::engine::records::OutboxRow;
use crate::store::engine::rows::Rows;
use crate::store::outbox::{DeferEvent, EndEvent, EventRef, RedriveEvent};
use crate::store::queue::Fenced;

/// `available_at` of an event that waits for an older one of its subject.
pub(in crate::store) fn never() -> i64 {
    Timestamp::MAX.as_microsecond()
}

/// Tenant, sender, sink, event, subject, body, time, [`never`]. An event goes behind those of its subject.
pub(in crate::store) const INSERT: &str = "INSERT INTO outbox
     (tenant, sender, sink, event, subject, body, created_at, position, available_at, fence, tries)
     SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS TEXT),
            CAST($6 AS TEXT), CAST($7 AS BIGINT), COALESCE(MAX(position), 0) + 1,
            CASE WHEN COUNT(*) = 0 THEN CAST($7 AS BIGINT) ELSE CAST($8 AS BIGINT) END, 0, 0
     FROM outbox WHERE tenant = $1 AND sender = $2 AND sink = $3 AND subject = $5 AND dead_at IS NULL
     ON CONFLICT DO NOTHING";

/// Tenant, sender, sink, subject, time, [`never`]. The one before is out of the way.
pub(in crate::store) const RELEASE: &str = "UPDATE outbox SET available_at = $5
     WHERE tenant = $1 AND sender = $2 AND sink = $3 AND subject = $4 AND dead_at IS NULL AND available_at = $6
       AND position = (SELECT MIN(position) FROM outbox
         WHERE tenant = $1 AND sender = $2 AND sink = $3 AND subject = $4 AND dead_at IS NULL)";

/// The sink has taken the event.
pub(in crate::store) struct EventDelivered {
    pub(in crate::store) event: EventRef,
    pub(in crate::store) at: Timestamp,
}

type Key = (TenantId, messaging::id::SenderName, crate::store::message::SinkId, messaging::id::EventId);

fn key(event: &EventRef) -> Key {
    (event.tenant.clone(), event.sender.clone(), event.sink.clone(), event.event)
}

/// The event, if whoever asks still holds it.
fn held(rows: &mut Rows, event: &EventRef) -> Result<Option<OutboxRow>, Halt> {
    let row = rows.outbox.get(&key(event))?;
    Ok(row.filter(|row| row.fence == event.fence && row.dead_at.is_none()).cloned())
}

fn release_next(rows: &mut Rows, event: &EventRef, subject: String, at: Timestamp) {
    rows.release((event.tenant.clone(), event.sender.clone(), event.sink.clone(), subject), at);
}

impl Operation for EventDelivered {
    type Answer = Fenced;

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

impl Operation for DeferEvent {
    type Answer = Fenced;

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

impl Operation for EndEvent {
    type Answer = Fenced;

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

impl Operation for RedriveEvent {
    type Answer = bool;

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
