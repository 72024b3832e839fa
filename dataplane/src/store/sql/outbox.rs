//! How events go into the outbox, and how the next of a subject is let go.

use jiff::Timestamp;

/// `available_at` of an event that waits for an older one of its subject.
pub(crate) const NEVER: Timestamp = Timestamp::MAX;

/// Tenant, sender, sink, event, subject, body, time, [`NEVER`]. An event goes behind those of its subject.
pub(crate) const INSERT: &str = "INSERT INTO outbox
     (tenant, sender, sink, event, subject, body, created_at, position, available_at, fence, tries)
     SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS TEXT),
            CAST($6 AS TEXT), CAST($7 AS BIGINT), COALESCE(MAX(position), 0) + 1,
            CASE WHEN COUNT(*) = 0 THEN CAST($7 AS BIGINT) ELSE CAST($8 AS BIGINT) END, 0, 0
     FROM outbox WHERE tenant = $1 AND sender = $2 AND sink = $3 AND subject = $5 AND dead_at IS NULL
     ON CONFLICT DO NOTHING";

/// Tenant, sender, sink, subject, time, [`NEVER`]. The event before it has left.
pub(crate) const RELEASE: &str = "UPDATE outbox SET available_at = $5
     WHERE tenant = $1 AND sender = $2 AND sink = $3 AND subject = $4 AND dead_at IS NULL AND available_at = $6
       AND position = (SELECT MIN(position) FROM outbox
         WHERE tenant = $1 AND sender = $2 AND sink = $3 AND subject = $4 AND dead_at IS NULL)";
