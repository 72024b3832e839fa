//! Our ids of messages by the provider's.

use messaging::id::{MessageId, SenderName, TenantId};

use super::event;
use crate::store::group::Halt;
use crate::store::group::rows::Rows;
use crate::store::{Store, StoreError};

impl Store {
    /// Our id of a message that the provider knows by this id, sent or received; `None` when there is none.
    pub async fn id_of(
        &self,
        tenant: &TenantId,
        sender: &SenderName,
        provider_message_id: &str,
    ) -> Result<Option<MessageId>, StoreError> {
        self.read_rows(|rows| known_as(rows, tenant, sender, provider_message_id)).await
    }
}

/// As [`Store::id_of`], amid an operation.
pub(crate) fn known_as(
    rows: &mut Rows,
    tenant: &TenantId,
    sender: &SenderName,
    provider_message_id: &str,
) -> Result<Option<MessageId>, Halt> {
    let attempt = rows.attempt_of_provider_id(tenant, provider_message_id);
    let received = (tenant.clone(), sender.clone(), format!("in:{provider_message_id}"));
    let received = rows.logged.get(&received).map(|row| row.map(|row| row.received_at));
    let (attempt, received) = (attempt?, received?);
    let sent = match attempt {
        Some(attempt) => rows.attempts.get(&(tenant.clone(), attempt))?.map(|row| row.message),
        None => None,
    };
    Ok(sent.or_else(|| received.map(|at| event::received_id(tenant, sender, provider_message_id, at))))
}
