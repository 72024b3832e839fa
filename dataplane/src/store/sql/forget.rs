//! Deletes what retention no longer keeps, a bounded step at a time, so that no step blocks other writes for long.

use async_trait::async_trait;
use messaging::id::TenantId;

use crate::store::database::Connection;
use crate::store::group::job::Statements;
use crate::store::signals::Bells;
use crate::store::tables::value::values;
use crate::store::webhook::{Forget, ForgetRemoved};
use crate::store::{Command, StoreError};

/// Messages that have ended.
macro_rules! ended {
    ($column:literal) => {
        concat!(
            "(SELECT ",
            $column,
            " FROM (SELECT id, idempotency_key FROM messages
               WHERE tenant = $1 AND sender = $2 AND created_at < $3
                 AND status IN ('canceled', 'expired', 'suppressed', 'rejected', 'failed', 'delivered', 'read')
               ORDER BY created_at, id LIMIT $4) AS ended)"
        )
    };
}

/// Tenant, sender, before, limit, as all of them. Each finds its rows in an index's order, so that it stops at the
/// limit instead of collecting everything that is over. The webhooks that do not leave with their day; what has not
/// taken effect stays, however old.
const WEBHOOKS: &[&str] = &["DELETE FROM webhooks WHERE tenant = $1 AND sender = $2 AND (received_at, id) IN (
       SELECT received_at, id FROM webhooks WHERE tenant = $1 AND sender = $2 AND received_at < $3
         AND received_at < (SELECT COALESCE(MIN(received_at), $3) FROM webhook_events
           WHERE available_at IS NOT NULL AND tenant || '' = $1 AND sender = $2)
       ORDER BY received_at, id LIMIT $4)"];

/// What follows from the bodies' retention besides.
const BODIES: &[&str] = &[
    "UPDATE messages SET content = NULL WHERE tenant = $1 AND id IN (
       SELECT id FROM messages WHERE tenant = $1 AND sender = $2 AND created_at < $3 AND content IS NOT NULL
         AND status IN ('canceled', 'expired', 'suppressed', 'rejected', 'failed', 'delivered', 'read')
       ORDER BY created_at LIMIT $4)",
    "DELETE FROM outbox WHERE tenant = $1 AND sender = $2 AND (sink, event) IN (
       SELECT sink, event FROM outbox WHERE tenant = $1 AND sender = $2 AND dead_at < $3
       ORDER BY dead_at LIMIT $4)",
];

/// What follows from the metadata's retention. A message's rows in other tables go first, while it can still be found;
/// the same messages each time.
const METADATA: &[&str] = &[
    "DELETE FROM webhook_events WHERE tenant = $1 AND sender = $2 AND dedupe_key IN (
       SELECT dedupe_key FROM webhook_events
       WHERE tenant = $1 AND sender = $2 AND received_at < $3 AND available_at IS NULL
       ORDER BY received_at LIMIT $4)",
    "DELETE FROM inbound_messages WHERE tenant = $1 AND id IN (
       SELECT id FROM inbound_messages WHERE tenant = $1 AND sender = $2 AND received_at < $3
       ORDER BY received_at LIMIT $4)",
    concat!("DELETE FROM message_timeline WHERE tenant = $1 AND message IN ", ended!("id")),
    concat!("DELETE FROM attempts WHERE tenant = $1 AND message IN ", ended!("id")),
    concat!("DELETE FROM idempotency_keys WHERE tenant = $1 AND idempotency_key IN ", ended!("idempotency_key")),
    concat!("DELETE FROM messages WHERE tenant = $1 AND id IN ", ended!("id")),
];

const PARKED: &[&str] =
    &["DELETE FROM parked_statuses WHERE tenant = $1 AND (provider_message_id, webhook, position) IN (
       SELECT provider_message_id, webhook, position FROM parked_statuses
       WHERE tenant = $1 AND sender = $2 AND received_at < $3 ORDER BY received_at LIMIT $4)"];

impl Command for Forget {
    type Answer = u64;
}

#[async_trait]
impl Statements for Forget {
    fn tenants(&self) -> Vec<TenantId> {
        vec![self.tenant.clone()]
    }

    async fn run(&self, connection: &mut dyn Connection, _: &mut Bells) -> Result<u64, StoreError> {
        let mut gone = 0;
        let Self { webhooks_before, bodies_before, metadata_before, parked_before, .. } = *self;
        for (statements, before) in
            [(WEBHOOKS, webhooks_before), (BODIES, bodies_before), (METADATA, metadata_before), (PARKED, parked_before)]
        {
            for sql in statements {
                let list = values![&self.tenant, &self.sender, before, self.limit];
                gone += connection.execute(sql, list).await?;
            }
        }
        Ok(gone)
    }
}

/// Whether a contact's state says something against writing to them.
macro_rules! speaks_against {
    () => {
        "(state LIKE '%\"causes\"%' OR state LIKE '%\"suppression\"%' OR state LIKE '%\"heard\"%'
          OR state LIKE '%\"revoked\"%')"
    };
}

/// Tenant, sender, before, limit.
const PEOPLE: &[&str] = &[
    "DELETE FROM consent_records WHERE tenant = $1 AND sender = $2 AND (contact, version) IN (
       SELECT contact, version FROM consent_records WHERE tenant = $1 AND sender = $2 AND recorded_at < $3
       ORDER BY contact, version LIMIT $4)",
    concat!(
        "DELETE FROM contacts WHERE tenant = $1 AND sender = $2 AND contact IN (
           SELECT contact FROM contacts WHERE tenant = $1 AND sender = $2 AND updated_at < $3 AND NOT ",
        speaks_against!(),
        " ORDER BY contact LIMIT $4)"
    ),
];

/// The same, of a tenant that has no other sender.
const ALL_PEOPLE: &str = "DELETE FROM contacts WHERE tenant = $1 AND sender = $2 AND contact IN (
       SELECT contact FROM contacts WHERE tenant = $1 AND sender = $2 AND updated_at < $3 ORDER BY contact LIMIT $4)";
/// Tenant, before, limit.
const LINKS: &str = "DELETE FROM contact_links WHERE tenant = $1 AND (phone, account, user_id) IN (
       SELECT phone, account, user_id FROM contact_links WHERE tenant = $1 AND last_seen < $2
       ORDER BY phone, account, user_id LIMIT $3)";

/// Tenant, sender. What is remembered of the sender itself goes last, when nothing is left that it is needed for.
const REMNANTS: &[&str] = &[
    "DELETE FROM senders WHERE tenant = $1 AND sender = $2
       AND NOT EXISTS (SELECT 1 FROM messages WHERE tenant = $1 AND sender = $2)
       AND NOT EXISTS (SELECT 1 FROM contacts WHERE tenant = $1 AND sender = $2)
       AND NOT EXISTS (SELECT 1 FROM inbound_messages WHERE tenant = $1 AND sender = $2)
       AND NOT EXISTS (SELECT 1 FROM parked_statuses WHERE tenant = $1 AND sender = $2)
       AND NOT EXISTS (SELECT 1 FROM outbox WHERE tenant = $1 AND sender = $2)
       AND NOT EXISTS (SELECT 1 FROM webhook_events WHERE tenant = $1 AND sender = $2)",
    "DELETE FROM lanes WHERE tenant = $1 AND sender = $2
       AND NOT EXISTS (SELECT 1 FROM senders WHERE tenant = $1 AND sender = $2)",
    "DELETE FROM sink_lanes WHERE tenant = $1 AND sender = $2
       AND NOT EXISTS (SELECT 1 FROM senders WHERE tenant = $1 AND sender = $2)",
    "DELETE FROM outbox_lanes WHERE tenant = $1 AND sender = $2
       AND NOT EXISTS (SELECT 1 FROM senders WHERE tenant = $1 AND sender = $2)",
];

impl Command for ForgetRemoved {
    type Answer = u64;
}

#[async_trait]
impl Statements for ForgetRemoved {
    fn tenants(&self) -> Vec<TenantId> {
        vec![self.tenant.clone()]
    }

    async fn run(&self, connection: &mut dyn Connection, _: &mut Bells) -> Result<u64, StoreError> {
        let Self { tenant, sender, before, others_are_left, limit } = self;
        let mut gone = 0;
        for sql in PEOPLE {
            gone += connection.execute(sql, values![tenant, sender, before, limit]).await?;
        }
        if !others_are_left {
            gone += connection.execute(ALL_PEOPLE, values![tenant, sender, before, limit]).await?;
            gone += connection.execute(LINKS, values![tenant, before, limit]).await?;
        }
        if gone == 0 {
            for sql in REMNANTS {
                connection.execute(sql, values![tenant, sender]).await?;
            }
        }
        Ok(gone)
    }
}

#[cfg(test)]
mod tests {
    use messaging::lifecycle::MessageStatus;

    use super::*;

    #[test]
    fn a_message_is_forgotten_from_every_status_that_ends_it_and_from_no_other() {
        for sql in BODIES.iter().chain(METADATA).filter(|sql| sql.contains("status IN")) {
            for status in MessageStatus::ALL {
                assert_eq!(sql.contains(&format!("'{status}'")), status.is_terminal(), "{status} in {sql}");
            }
        }
    }
}
