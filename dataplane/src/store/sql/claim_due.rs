//! Claims due messages, lane by lane and no more than the rates allow, with everything that is needed to send them.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use jiff::Timestamp;
use messaging::id::{AttemptId, MessageId, TenantId};

use super::rates::Rates;
use crate::store::contact::{Contact, ContactKey};
use crate::store::database::{Connection, Lookup};
use crate::store::group::Halt;
use crate::store::group::job::Statements;
use crate::store::group::rows::Rows;
use crate::store::message::Message;
use crate::store::person::person;
use crate::store::queue::{Claim, ClaimDue, Claimed, LaneRef, Share};
use crate::store::signals::Bells;
use crate::store::tables::Record;
use crate::store::tables::attempts::AttemptRow;
use crate::store::tables::messages::{self, MessageRow};
use crate::store::tables::stored::corrupt;
use crate::store::tables::value::values;
use crate::store::{Command, StoreError};

/// Tenant, sender, priority, now, limit, owner, end of the lease.
const CLAIM: &str = "UPDATE queue SET fence = fence + 1, owner = $6, available_at = $7
     FROM (SELECT tenant AS of, message AS due FROM queue
       WHERE tenant = $1 AND sender = $2 AND priority = $3 AND available_at <= $4
       ORDER BY available_at, message LIMIT $5) AS due
     WHERE tenant = due.of AND message = due.due
     RETURNING tenant, message, fence, due_at";

/// The same, without scheduled messages and those that have expired by `now`. It passes over them row by row, which is
/// acceptable because it is for a replica with a fault.
const CLAIM_UNTIMED: &str = "UPDATE queue SET fence = fence + 1, owner = $6, available_at = $7
     FROM (SELECT q.tenant AS of, q.message AS due FROM queue q
       WHERE q.tenant = $1 AND q.sender = $2 AND q.priority = $3 AND q.available_at <= $4
         AND (q.expires_at IS NULL OR q.expires_at > $4)
         AND NOT EXISTS (SELECT 1 FROM messages m
           WHERE m.tenant = q.tenant AND m.id = q.message AND m.scheduled_at IS NOT NULL)
       ORDER BY q.available_at, q.message LIMIT $5) AS due
     WHERE tenant = due.of AND message = due.due
     RETURNING tenant, message, fence, due_at";

/// A row of the queue that was claimed.
type Row = (TenantId, MessageId, Lease);

/// A claim's fence, and when the message was due.
#[derive(Clone, Copy)]
struct Lease {
    fence: i64,
    due_at: Timestamp,
}

impl Command for ClaimDue {
    type Answer = Claimed;
}

#[async_trait]
impl Statements for ClaimDue {
    fn tenants(&self) -> Vec<TenantId> {
        let of_shares = self.shares.iter().map(|share| share.lane.tenant.clone());
        of_shares.chain(self.rates.iter().map(|rate| rate.tenant.clone())).collect()
    }

    async fn run(&self, connection: &mut dyn Connection, _: &mut Bells) -> Result<Claimed, StoreError> {
        let rates = Rates::read(connection, &self.rates).await?;
        let granted = rates.grant(&self.shares, self.now);
        let lanes = self.claim_lanes(connection, &granted).await?;
        let counts: Vec<usize> = lanes.iter().map(Vec::len).collect();
        let buckets = rates.write(connection, &self.shares, &counts, self.now).await?;
        let claimed: Vec<_> = lanes.into_iter().flatten().collect();
        if claimed.is_empty() {
            return Ok(Claimed { claims: Vec::new(), buckets });
        }
        let keys = claimed.iter().map(|(tenant, id, _)| values![tenant, id]).collect();
        let found = connection.find(vec![Lookup { finder: &messages::BY_KEY, keys }]).await?;
        let mut messages: HashMap<(TenantId, MessageId), Message> = HashMap::new();
        for row in found.iter().flatten() {
            match MessageRow::read(row) {
                Ok((key, row)) => drop(messages.insert(key, row.message)),
                // It stays claimed until its lease ends, so that it does not block the messages behind it.
                Err(error) => tracing::error!(%error, "a queued message cannot be read"),
            }
        }
        let (contacts, open) = surroundings(connection, messages.values()).await?;
        let mut claims = Vec::with_capacity(claimed.len());
        for (tenant, id, lease) in claimed {
            let Some(message) = messages.remove(&(tenant, id)) else { continue };
            match self.claim(lease, message, &contacts, &open) {
                Ok(claim) => claims.push(claim),
                Err(error) => tracing::error!(%error, message = %id, "a queued message cannot be read"),
            }
        }
        Ok(Claimed { claims, buckets })
    }
}

type Contacts = HashMap<ContactKey, Contact>;
type Open = HashMap<<AttemptRow as Record>::Key, AttemptRow>;

impl ClaimDue {
    /// What was claimed of each share, oldest first.
    async fn claim_lanes(&self, connection: &mut dyn Connection, granted: &[u32]) -> Result<Vec<Vec<Row>>, StoreError> {
        let mut lanes = vec![Vec::new(); self.shares.len()];
        let (mut indices, mut lists) = (Vec::new(), Vec::new());
        for (index, (Share { lane, .. }, limit)) in self.shares.iter().zip(granted).enumerate() {
            if *limit > 0 {
                indices.push(index);
                let LaneRef { tenant, sender, priority } = lane;
                lists.push(values![tenant, sender, priority, self.now, limit, &self.owner, self.lease_until]);
            }
        }
        if lists.is_empty() {
            return Ok(lanes);
        }
        let sql = if self.leave_timed { CLAIM_UNTIMED } else { CLAIM };
        for (index, rows) in indices.into_iter().zip(connection.query(sql, lists).await?) {
            let mut lane = Vec::with_capacity(rows.len());
            for row in &rows {
                let (tenant, id, fence, due_at) = row.read()?;
                lane.push((tenant, id, Lease { fence, due_at }));
            }
            lane.sort_by_key(|(_, id, lease): &Row| (lease.due_at, *id));
            lanes[index] = lane;
        }
        Ok(lanes)
    }

    fn claim(&self, lease: Lease, message: Message, contacts: &Contacts, open: &Open) -> Result<Claim, StoreError> {
        let content = message.content.clone().ok_or_else(|| corrupt("a queued message", "it has no content"))?;
        let key = (message.tenant.clone(), message.sender().clone(), message.to.clone());
        let is_open = |attempt: &AttemptId| {
            open.get(&(message.tenant.clone(), *attempt)).is_some_and(|attempt| attempt.finished_at.is_none())
        };
        Ok(Claim {
            fence: lease.fence,
            lease_until: self.lease_until,
            due_at: lease.due_at,
            contact: contacts.get(&key).cloned().unwrap_or_default(),
            open_attempt: message.attempt.filter(is_open),
            content,
            message,
        })
    }
}

/// The contacts of the people whom messages are to, and the newest attempts.
async fn surroundings(
    connection: &mut dyn Connection,
    messages: impl Iterator<Item = &Message>,
) -> Result<(Contacts, Open), StoreError> {
    let (mut people, mut attempts) = (HashSet::new(), HashSet::new());
    for message in messages {
        people.insert((message.tenant.clone(), message.sender().clone(), message.to.clone()));
        attempts.extend(message.attempt.map(|attempt| (message.tenant.clone(), attempt)));
    }
    let mut rows = Rows::default();
    loop {
        let contacts: Vec<_> = people.iter().map(|key| person(&mut rows, key).map(|row| (key.clone(), row))).collect();
        let open: Vec<_> =
            attempts.iter().map(|key| rows.attempts.get(key).map(|row| Some((key.clone(), row?.clone())))).collect();
        let contacts: Result<Contacts, Halt> = contacts.into_iter().collect();
        let open: Result<Vec<_>, Halt> = open.into_iter().collect();
        match contacts.and_then(|contacts| Ok((contacts, open?))) {
            Ok((contacts, open)) => return Ok((contacts, open.into_iter().flatten().collect())),
            Err(Halt::Failed(error)) => return Err(error),
            Err(Halt::Missing) => {}
        }
        let mut missing = rows.missing();
        let found = connection.find(std::mem::take(&mut missing.lookups)).await?;
        missing.take(&mut rows, &found)?;
    }
}
