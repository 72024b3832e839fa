//! Places in the queue: prolonged, given back, and ended.

use jiff::Timestamp;
use messaging::id::TenantId;
use messaging::lifecycle::MessageStatus;

use super::Operation;
use super::lifecycle::{self, Evidence};
use crate::store::Command;
use crate::store::group::Halt;
use crate::store::group::rows::Rows;
use crate::store::queue::{ClaimRef, DeferClaim, EndMessage, ExpireMessage, Fenced};
use crate::store::tables::queue::QueueRow;

/// Prolongs a lease.
#[derive(Debug, Clone)]
pub struct RenewClaim {
    pub claim: ClaimRef,
    pub until: Timestamp,
}

/// The place of a message in the queue, if whoever asks still holds it.
pub(super) fn held(rows: &mut Rows, claim: &ClaimRef) -> Result<Option<QueueRow>, Halt> {
    let place = rows.queue.get(&(claim.tenant.clone(), claim.message))?;
    Ok(place.filter(|place| place.fence == claim.fence).cloned())
}

/// The place as it is when it is given back: the fence moves on, so that who gave it back can't change its mind.
pub(super) fn given_back(place: QueueRow, until: Timestamp) -> QueueRow {
    QueueRow { available_at: until, fence: place.fence + 1, owner: None, ..place }
}

impl Command for RenewClaim {
    type Answer = Fenced;
}

impl Operation for RenewClaim {
    fn tenant(&self) -> &TenantId {
        &self.claim.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<Fenced, Halt> {
        let Some(place) = held(rows, &self.claim)? else { return Ok(Fenced::LeaseLost) };
        rows.queue.put((self.claim.tenant.clone(), self.claim.message), QueueRow { available_at: self.until, ..place });
        Ok(Fenced::Done)
    }
}

impl Command for DeferClaim {
    type Answer = Fenced;
}

impl Operation for DeferClaim {
    fn tenant(&self) -> &TenantId {
        &self.claim.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<Fenced, Halt> {
        let Some(place) = held(rows, &self.claim)? else { return Ok(Fenced::LeaseLost) };
        rows.queue.put((self.claim.tenant.clone(), self.claim.message), given_back(place, self.until));
        rows.bells.queue = true;
        Ok(Fenced::Done)
    }
}

impl Command for EndMessage {
    type Answer = Fenced;
}

impl Operation for EndMessage {
    fn tenant(&self) -> &TenantId {
        &self.claim.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<Fenced, Halt> {
        let Self { claim, now, status, reason, sinks } = self;
        let place = held(rows, claim);
        let known = lifecycle::look(rows, &claim.tenant, claim.message, None);
        let (Some(_), Some(mut known)) = (place?, known?) else { return Ok(Fenced::LeaseLost) };
        // What was handed over is not ended by policy; an open attempt has to be finished first.
        if known.status() != MessageStatus::Queued {
            return Ok(Fenced::LeaseLost);
        }
        known.advance(rows, &Evidence::end(*status, reason.clone(), *now), sinks)?;
        Ok(Fenced::Done)
    }
}

impl Command for ExpireMessage {
    type Answer = bool;
}

impl Operation for ExpireMessage {
    fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<bool, Halt> {
        let Self { tenant, id, now, reason, sinks } = self;
        let Some(mut known) = lifecycle::look(rows, tenant, *id, None)? else { return Ok(false) };
        let over = known.row.message.expires_at.is_some_and(|at| at <= *now);
        if known.status() != MessageStatus::Queued || !over {
            return Ok(false);
        }
        // Whoever holds it cannot begin an attempt any more, because its place in the queue goes.
        known.advance(rows, &Evidence::end(MessageStatus::Expired, reason.clone(), *now), sinks)?;
        Ok(true)
    }
}
