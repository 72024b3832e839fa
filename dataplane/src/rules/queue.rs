//! Claims on queued messages: renewed, given back, and ended.

use jiff::Timestamp;
use messaging::id::TenantId;
use messaging::lifecycle::MessageStatus;

use super::lifecycle::{self, Evidence};
use super::{Operation, validity};
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

/// A message's row in the queue, if the claim still holds it.
pub(super) fn held(rows: &mut Rows, claim: &ClaimRef) -> Result<Option<QueueRow>, Halt> {
    let queued = rows.queue.get(&(claim.tenant.clone(), claim.message))?;
    Ok(queued.filter(|queued| queued.fence == claim.fence).cloned())
}

/// The row as it is given back: the fence moves on, so that the claim that held it can change nothing after.
pub(super) fn given_back(queued: QueueRow, until: Timestamp) -> QueueRow {
    QueueRow { available_at: until, fence: queued.fence + 1, owner: None, ..queued }
}

impl Command for RenewClaim {
    type Answer = Fenced;
}

impl Operation for RenewClaim {
    fn tenant(&self) -> &TenantId {
        &self.claim.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<Fenced, Halt> {
        let Some(queued) = held(rows, &self.claim)? else { return Ok(Fenced::LeaseLost) };
        rows.queue
            .put((self.claim.tenant.clone(), self.claim.message), QueueRow { available_at: self.until, ..queued });
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
        let Some(queued) = held(rows, &self.claim)? else { return Ok(Fenced::LeaseLost) };
        rows.queue.put((self.claim.tenant.clone(), self.claim.message), given_back(queued, self.until));
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
        let queued = held(rows, claim);
        let known = lifecycle::look(rows, &claim.tenant, claim.message, None);
        let (Some(_), Some(mut known)) = (queued?, known?) else { return Ok(Fenced::LeaseLost) };
        // Policy does not end a message that was handed over; an open attempt must be finished first.
        if known.status() != MessageStatus::Queued {
            return Ok(Fenced::LeaseLost);
        }
        let reason = match status {
            MessageStatus::Expired => validity::expired(reason.clone(), known.row.message.reason.as_ref()),
            _ => reason.clone(),
        };
        known.advance(rows, &Evidence::end(*status, reason, *now), sinks)?;
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
        // A claim on it can no longer begin an attempt, because its row in the queue is gone.
        let reason = validity::expired(reason.clone(), known.row.message.reason.as_ref());
        let sinks = sinks.of(rows, tenant, known.row.message.sender())?;
        known.advance(rows, &Evidence::end(MessageStatus::Expired, reason, *now), &sinks)?;
        Ok(true)
    }
}
