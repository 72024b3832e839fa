//! The queue: claimed under a lease, one attempt at a time, and every write fenced.

use jiff::Timestamp;
use messaging::failure::AfterFailure;
use messaging::lifecycle::{LifecycleEvent, MessageStatus};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::codec::{corrupt, message, micros, parse, priority_code, select_message, time};
use super::committer::{Operation, Tx};
use super::contacts;
use super::lifecycle::{self, Evidence};
use crate::store::StoreError;
use crate::store::contact::Contact;
use crate::store::message::Reason;
use crate::store::queue::{
    AttemptResult, Began, BeginAttempt, Claim, ClaimDue, ClaimRef, DeferClaim, EndMessage, Fenced, FinishAttempt,
};

/// Prolongs a lease.
pub(super) struct RenewClaim {
    pub(super) claim: ClaimRef,
    pub(super) until: Timestamp,
}

impl Operation for ClaimDue {
    type Answer = Vec<Claim>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Claim>, StoreError> {
        // The same rows in the same order in both statements, because there is one writer.
        const SELECT: &str = select_message!(
            ", q.fence, q.due_at, c.version, c.state, a.id
             FROM queue q
             JOIN messages m ON m.tenant = q.tenant AND m.id = q.message
             LEFT JOIN contacts c ON c.tenant = m.tenant AND c.sender = m.sender AND c.contact = m.contact
             LEFT JOIN attempts a ON a.tenant = m.tenant AND a.id = m.attempt AND a.finished_at IS NULL
             WHERE q.tenant = $1 AND q.message IN (
               SELECT message FROM queue
               WHERE tenant = $1 AND sender = $2 AND priority = $3 AND available_at <= $4
               ORDER BY available_at, message LIMIT $5)
             ORDER BY q.available_at, q.message"
        );
        const UPDATE: &str = "UPDATE queue SET fence = fence + 1, owner = $6, available_at = $7
             WHERE tenant = $1 AND message IN (
               SELECT message FROM queue
               WHERE tenant = $1 AND sender = $2 AND priority = $3 AND available_at <= $4
               ORDER BY available_at, message LIMIT $5)";
        let mut claims = Vec::new();
        for (lane, limit) in &self.shares {
            let due = sqlx::query(SELECT)
                .bind(lane.tenant.as_str())
                .bind(lane.sender.as_str())
                .bind(priority_code(lane.priority))
                .bind(micros(self.now))
                .bind(limit)
                .fetch_all(&mut *tx.connection)
                .await?;
            if due.is_empty() {
                continue;
            }
            sqlx::query(UPDATE)
                .bind(lane.tenant.as_str())
                .bind(lane.sender.as_str())
                .bind(priority_code(lane.priority))
                .bind(micros(self.now))
                .bind(limit)
                .bind(&self.owner)
                .bind(micros(self.lease_until))
                .execute(&mut *tx.connection)
                .await?;
            for row in &due {
                match claim(row, self.lease_until) {
                    Ok(claim) => claims.push(claim),
                    // It stays claimed until its lease ends, so that it does not stand before the others.
                    Err(error) => tracing::error!(%error, lane = ?lane, "a queued message cannot be read"),
                }
            }
        }
        Ok(claims)
    }
}

fn claim(row: &SqliteRow, lease_until: Timestamp) -> Result<Claim, StoreError> {
    let message = message(row)?;
    let content = message.content.clone().ok_or_else(|| corrupt("a queued message", "it has no content"))?;
    let contact = match (row.try_get::<Option<i64>, _>(22)?, row.try_get::<Option<&str>, _>(23)?) {
        (Some(version), Some(state)) => contacts::read(version, state)?,
        _ => Contact::default(),
    };
    let open_attempt = row.try_get::<Option<&str>, _>(24)?.map(|id| parse("an attempt id", id)).transpose()?;
    Ok(Claim {
        fence: row.try_get::<i64, _>(20)? + 1,
        lease_until,
        due_at: time(row.try_get(21)?)?,
        message,
        content,
        contact,
        open_attempt,
    })
}

const RENEW: &str = "UPDATE queue SET available_at = $4 WHERE tenant = $1 AND message = $2 AND fence = $3";
/// The fence moves on, so that who gave it back can't change its mind.
const GIVE_BACK: &str = "UPDATE queue SET available_at = $4, fence = fence + 1, owner = NULL
     WHERE tenant = $1 AND message = $2 AND fence = $3";
const REQUEUE: &str = "UPDATE queue SET due_at = $4, available_at = $4, fence = fence + 1, owner = NULL
     WHERE tenant = $1 AND message = $2 AND fence = $3";

/// Changes the place of a claimed message in the queue, if it is still held.
async fn update_held(
    tx: &mut Tx<'_>,
    claim: &ClaimRef,
    update: &'static str,
    until: Timestamp,
) -> Result<Fenced, StoreError> {
    let updated = sqlx::query(update)
        .bind(claim.tenant.as_str())
        .bind(claim.message.to_string())
        .bind(claim.fence)
        .bind(micros(until))
        .execute(&mut *tx.connection)
        .await?;
    Ok(if updated.rows_affected() == 1 { Fenced::Done } else { Fenced::LeaseLost })
}

/// The fence that the message has now; `None` when it is not in the queue.
async fn fence(tx: &mut Tx<'_>, claim: &ClaimRef) -> Result<Option<i64>, StoreError> {
    Ok(sqlx::query_scalar("SELECT fence FROM queue WHERE tenant = $1 AND message = $2")
        .bind(claim.tenant.as_str())
        .bind(claim.message.to_string())
        .fetch_optional(&mut *tx.connection)
        .await?)
}

impl Operation for RenewClaim {
    type Answer = Fenced;
    async fn run(&self, tx: &mut Tx<'_>) -> Result<Fenced, StoreError> {
        update_held(tx, &self.claim, RENEW, self.until).await
    }
}

impl Operation for DeferClaim {
    type Answer = Fenced;
    async fn run(&self, tx: &mut Tx<'_>) -> Result<Fenced, StoreError> {
        tx.bells.queue = true;
        update_held(tx, &self.claim, GIVE_BACK, self.until).await
    }
}

impl Operation for BeginAttempt {
    type Answer = Began;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Began, StoreError> {
        let Self { claim, attempt, now, contact_version } = self;
        if fence(tx, claim).await? != Some(claim.fence) {
            return Ok(Began::LeaseLost);
        }
        let Some(mut message) = lifecycle::load(tx.connection, &claim.tenant, &claim.message.to_string()).await? else {
            return Ok(Began::LeaseLost);
        };
        // Anything but queued has been handed over, or may have been: there must be no second call.
        if message.status != MessageStatus::Queued {
            return Ok(Began::LeaseLost);
        }
        let contact = contacts::load(tx.connection, &message.tenant, &message.sender, &message.to).await?;
        if contact.version != *contact_version {
            return Ok(Began::ContactChanged);
        }
        sqlx::query("INSERT INTO attempts (tenant, id, message, started_at) VALUES ($1, $2, $3, $4)")
            .bind(claim.tenant.as_str())
            .bind(attempt.to_string())
            .bind(claim.message.to_string())
            .bind(micros(*now))
            .execute(&mut *tx.connection)
            .await?;
        let claimed = Evidence::event(LifecycleEvent::Claimed { attempt: *attempt }, *now);
        lifecycle::advance(tx, &mut message, &claimed, &[]).await?;
        Ok(Began::Begun)
    }
}

impl Operation for FinishAttempt {
    type Answer = Fenced;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Fenced, StoreError> {
        let Self { claim, attempt, now, result, suppress, sinks } = self;
        let Some(mut message) = lifecycle::message_of_attempt(tx, &claim.tenant, *attempt).await? else {
            return Ok(Fenced::LeaseLost);
        };
        let is_newest = message.attempt == Some(*attempt);
        match fence(tx, claim).await? {
            Some(fence) if fence == claim.fence => {}
            // A callback told before we could, and took it out of the queue. What we know adds to that.
            None if is_newest && message.status >= MessageStatus::Accepted => {}
            // That the provider took it is true whoever holds the message now, and only moves it forward.
            _ if is_newest && matches!(result, AttemptResult::Accepted { .. }) => {}
            _ => return Ok(Fenced::LeaseLost),
        }
        let (outcome, provider_message_id) = match result {
            AttemptResult::Accepted { provider_message_id, .. } => ("accepted", Some(provider_message_id.as_str())),
            AttemptResult::Retry { .. } => ("retry", None),
            AttemptResult::Unconfirmed { .. } => ("unconfirmed", None),
            AttemptResult::Ended { .. } => ("ended", None),
        };
        // An attempt that is known to be accepted stays so for whoever only knows that it was begun.
        sqlx::query(
            "UPDATE attempts SET finished_at = $3, outcome = $4
             WHERE tenant = $1 AND id = $2 AND (outcome IS NULL OR outcome <> 'accepted')",
        )
        .bind(claim.tenant.as_str())
        .bind(attempt.to_string())
        .bind(micros(*now))
        .bind(outcome)
        .execute(&mut *tx.connection)
        .await?;

        let failed = |then, reason: &Reason| {
            let event = LifecycleEvent::AttemptFailed { attempt: *attempt, then, reason: reason.text.clone() };
            Evidence { reason: Some(reason.clone()), ..Evidence::event(event, *now) }
        };
        let is_unresolved = matches!(message.status, MessageStatus::Submitted | MessageStatus::Unconfirmed);
        let evidence = match result {
            AttemptResult::Accepted { provider_message_id, status, ask_at: _ } => Some(Evidence::event(
                LifecycleEvent::Accepted {
                    attempt: *attempt,
                    provider_message_id: provider_message_id.clone(),
                    status: *status,
                },
                *now,
            )),
            AttemptResult::Retry { at, reason } => Some(failed(AfterFailure::RetryAt(*at), reason)),
            AttemptResult::Unconfirmed { reason, ask_at } => {
                Some(failed(AfterFailure::AwaitConfirmation { until: *ask_at }, reason))
            }
            // Its status says why it ended. Nothing is ended that is known to have been taken.
            AttemptResult::Ended { status, reason } => {
                (is_unresolved && is_newest).then(|| Evidence::end(*status, reason.clone(), *now))
            }
        };
        if let Some(evidence) = evidence {
            lifecycle::advance(tx, &mut message, &evidence, sinks).await?;
        }
        if let Some(id) = provider_message_id {
            lifecycle::learn_provider_id(tx, &claim.tenant, *attempt, id).await?;
            lifecycle::adopt_parked(tx, &mut message, id, sinks).await?;
        }
        match result {
            AttemptResult::Retry { at, .. } if message.status == MessageStatus::Queued => {
                let _held = update_held(tx, claim, REQUEUE, *at).await?;
                tx.bells.queue = true;
            }
            // Where a callback has told more than the answer did, it stands.
            AttemptResult::Retry { .. } | AttemptResult::Ended { .. } => lifecycle::leave_queue(tx, &message).await?,
            AttemptResult::Accepted { ask_at, .. } | AttemptResult::Unconfirmed { ask_at, .. } => {
                lifecycle::leave_queue(tx, &message).await?;
                if !message.status.is_terminal() {
                    lifecycle::await_settlement(tx, &message, *ask_at).await?;
                }
            }
        }
        if let Some(suppression) = suppress {
            contacts::suppress(tx, &message.tenant, &message.sender, &message.to, suppression).await?;
        }
        Ok(Fenced::Done)
    }
}

impl Operation for EndMessage {
    type Answer = Fenced;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Fenced, StoreError> {
        let Self { claim, now, status, reason, sinks } = self;
        if fence(tx, claim).await? != Some(claim.fence) {
            return Ok(Fenced::LeaseLost);
        }
        let Some(mut message) = lifecycle::load(tx.connection, &claim.tenant, &claim.message.to_string()).await? else {
            return Ok(Fenced::LeaseLost);
        };
        // What was handed over is not ended by policy; an open attempt has to be finished first.
        if message.status != MessageStatus::Queued {
            return Ok(Fenced::LeaseLost);
        }
        lifecycle::advance(tx, &mut message, &Evidence::end(*status, reason.clone(), *now), sinks).await?;
        Ok(Fenced::Done)
    }
}
