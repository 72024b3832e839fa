//! Messages whose outcome is awaited: claimed as the queue is, and settled by what is found out.

use messaging::lifecycle::LifecycleEvent;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::codec::{corrupt, message, micros, parse, select_message, small, time};
use super::committer::{Operation, Tx};
use super::contacts;
use super::lifecycle::{self, Evidence};
use crate::store::StoreError;
use crate::store::message::Message;
use crate::store::queue::{ClaimUnsettled, Fenced, Settle, Settlement, Unsettled};

impl Operation for ClaimUnsettled {
    type Answer = Vec<Unsettled>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Unsettled>, StoreError> {
        let due = sqlx::query(select_message!(
            ", u.fence, u.asked, a.id, a.started_at
             FROM unsettled u
             JOIN messages m ON m.tenant = u.tenant AND m.id = u.message
             JOIN attempts a ON a.tenant = m.tenant AND a.id = m.attempt
             WHERE u.available_at <= $1 ORDER BY u.available_at LIMIT $2"
        ))
        .bind(micros(self.now))
        .bind(self.limit)
        .fetch_all(&mut *tx.connection)
        .await?;
        let mut claims = Vec::with_capacity(due.len());
        for row in &due {
            sqlx::query(
                "UPDATE unsettled SET fence = fence + 1, owner = $3, available_at = $4
                 WHERE tenant = $1 AND message = $2",
            )
            .bind(row.try_get::<&str, _>(0)?)
            .bind(row.try_get::<&str, _>(1)?)
            .bind(&self.owner)
            .bind(micros(self.lease_until))
            .execute(&mut *tx.connection)
            .await?;
            match claim(row) {
                Ok(claim) => claims.push(claim),
                Err(error) => tracing::error!(%error, "an unsettled message cannot be read"),
            }
        }
        Ok(claims)
    }
}

fn claim(row: &SqliteRow) -> Result<Unsettled, StoreError> {
    let message = message(row)?;
    Ok(Unsettled {
        fence: row.try_get::<i64, _>(20)? + 1,
        asked: small(row.try_get(21)?),
        attempt: parse("an attempt id", row.try_get(22)?)?,
        attempt_started_at: time(row.try_get(23)?)?,
        content: message.content.clone(),
        message,
    })
}

/// Whether another message is known by this id at the provider.
async fn belongs_to_another(tx: &mut Tx<'_>, message: &Message, provider_message_id: &str) -> Result<bool, StoreError> {
    let owner = lifecycle::message_of_provider(tx.connection, &message.tenant, provider_message_id).await?;
    Ok(owner.is_some_and(|owner| owner.id != message.id))
}

impl Operation for Settle {
    type Answer = Fenced;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Fenced, StoreError> {
        let Self { claim, now, settlement, sinks } = self;
        let (tenant, id) = (claim.tenant.as_str(), claim.message.to_string());
        let fence: Option<i64> = sqlx::query_scalar("SELECT fence FROM unsettled WHERE tenant = $1 AND message = $2")
            .bind(tenant)
            .bind(&id)
            .fetch_optional(&mut *tx.connection)
            .await?;
        if fence != Some(claim.fence) {
            return Ok(Fenced::LeaseLost);
        }
        let mut message = lifecycle::load(tx.connection, &claim.tenant, &id)
            .await?
            .ok_or_else(|| corrupt("an unsettled message", "it is missing"))?;
        let ask_at = match settlement {
            Settlement::AskAgain { at } => Some(*at),
            Settlement::Ended { status, reason } => {
                lifecycle::advance(tx, &mut message, &Evidence::end(*status, reason.clone(), *now), sinks).await?;
                None
            }
            Settlement::Found { provider_message_id, ask_at, .. }
                if belongs_to_another(tx, &message, provider_message_id).await? =>
            {
                Some(*ask_at)
            }
            Settlement::Found { provider_message_id, status, reason, suppress, ask_at } => {
                let event = LifecycleEvent::Reported {
                    attempt: message.attempt,
                    provider_message_id: provider_message_id.clone(),
                    status: *status,
                    failure: None,
                };
                let found = Evidence { reason: reason.clone(), ..Evidence::event(event, *now) };
                lifecycle::advance(tx, &mut message, &found, sinks).await?;
                if let Some(attempt) = message.attempt {
                    lifecycle::learn_provider_id(tx, &claim.tenant, attempt, provider_message_id).await?;
                }
                lifecycle::adopt_parked(tx, &mut message, provider_message_id, sinks).await?;
                if let Some(suppression) = suppress {
                    contacts::suppress(tx, &message.tenant, &message.sender, &message.to, suppression).await?;
                }
                Some(*ask_at)
            }
        };
        if let Some(ask_at) = ask_at.filter(|_| !message.status.is_terminal()) {
            sqlx::query(
                "UPDATE unsettled SET available_at = $3, asked = asked + 1, fence = fence + 1, owner = NULL
                 WHERE tenant = $1 AND message = $2",
            )
            .bind(tenant)
            .bind(&id)
            .bind(micros(ask_at))
            .execute(&mut *tx.connection)
            .await?;
        }
        Ok(Fenced::Done)
    }
}
