//! Due messages are claimed, lane by lane and no more than the rates let pass, with everything that is needed to hand them over.

use std::collections::HashMap;

use messaging::id::{AttemptId, MessageId, TenantId};

use super::rates::Rates;
use crate::store::codec::{corrupt, message, micros, parse, priority_code, time};
use crate::store::contact::Contact;
use crate::store::database::schema::{ATTEMPT, CONTACT, MESSAGE};
use crate::store::database::value::values;
use crate::store::database::{Connection, Lookup};
use crate::store::engine::job::{BoxFuture, Statements};
use crate::store::engine::records::{Attempt, Record};
use crate::store::message::Message;
use crate::store::queue::{Claim, ClaimDue, Claimed, Share};
use crate::store::signals::Bells;
use crate::store::{Command, StoreError};

/// Tenant, sender, priority, now, limit, owner, end of the lease.
const CLAIM: &str = "UPDATE queue SET fence = fence + 1, owner = $6, available_at = $7
     FROM (SELECT tenant AS of, message AS due FROM queue
       WHERE tenant = $1 AND sender = $2 AND priority = $3 AND available_at <= $4
       ORDER BY available_at, message LIMIT $5) AS due
     WHERE tenant = due.of AND message = due.due
     RETURNING tenant, message, fence, due_at";

/// A place in the queue that was claimed.
#[derive(Clone, Copy)]
struct Place {
    fence: i64,
    due_at: jiff::Timestamp,
}

type OfLane = (TenantId, MessageId, Place);

impl Command for ClaimDue {
    type Answer = Claimed;
}

impl Statements for ClaimDue {
    fn tenants(&self) -> Vec<TenantId> {
        let of_shares = self.shares.iter().map(|share| share.lane.tenant.clone());
        of_shares.chain(self.rates.iter().map(|rate| rate.tenant.clone())).collect()
    }

    fn run<'a>(
        &'a self,
        connection: &'a mut dyn Connection,
        _: &'a mut Bells,
    ) -> BoxFuture<'a, Result<Claimed, StoreError>> {
        Box::pin(async move {
            let rates = Rates::read(connection, &self.rates).await?;
            let granted = rates.grant(&self.shares, self.now);
            let lanes = self.places(connection, &granted).await?;
            let counts: Vec<usize> = lanes.iter().map(Vec::len).collect();
            let buckets = rates.write(connection, &self.shares, &counts, self.now).await?;
            let places: Vec<_> = lanes.into_iter().flatten().collect();
            if places.is_empty() {
                return Ok(Claimed { claims: Vec::new(), buckets });
            }
            let keys = places.iter().map(|(tenant, id, _)| values![tenant.as_str(), id.to_string()]).collect();
            let found = connection.find(vec![Lookup { finder: &MESSAGE, keys }]).await?;
            let mut messages: HashMap<(TenantId, MessageId), Message> = HashMap::new();
            for row in found.iter().flatten() {
                match message(row) {
                    Ok(row) => drop(messages.insert((row.message.tenant.clone(), row.message.id), row.message)),
                    // It stays claimed until its lease ends, so that it does not stand before the others.
                    Err(error) => tracing::error!(%error, "a queued message cannot be read"),
                }
            }
            let (contacts, open) = surroundings(connection, messages.values()).await?;
            let mut claims = Vec::with_capacity(places.len());
            for (tenant, id, place) in places {
                let Some(message) = messages.remove(&(tenant, id)) else { continue };
                match self.claim(place, message, &contacts, &open) {
                    Ok(claim) => claims.push(claim),
                    Err(error) => tracing::error!(%error, message = %id, "a queued message cannot be read"),
                }
            }
            Ok(Claimed { claims, buckets })
        })
    }
}

type Contacts = HashMap<<Contact as Record>::Key, Contact>;
type Open = HashMap<<Attempt as Record>::Key, Attempt>;

impl ClaimDue {
    /// What was claimed of each share, oldest first.
    async fn places(&self, connection: &mut dyn Connection, granted: &[u32]) -> Result<Vec<Vec<OfLane>>, StoreError> {
        let mut lanes = vec![Vec::new(); self.shares.len()];
        let (mut indices, mut lists) = (Vec::new(), Vec::new());
        for (index, (Share { lane, .. }, limit)) in self.shares.iter().zip(granted).enumerate() {
            if *limit > 0 {
                indices.push(index);
                lists.push(values![
                    lane.tenant.as_str(),
                    lane.sender.as_str(),
                    priority_code(lane.priority),
                    micros(self.now),
                    *limit,
                    self.owner.as_str(),
                    micros(self.lease_until)
                ]);
            }
        }
        if lists.is_empty() {
            return Ok(lanes);
        }
        for (index, rows) in indices.into_iter().zip(connection.query(CLAIM, lists).await?) {
            let mut lane = Vec::with_capacity(rows.len());
            for row in &rows {
                let place = Place { fence: row.int(2)?, due_at: time(row.int(3)?)? };
                lane.push((parse("a tenant", row.text(0)?)?, parse("a message id", row.text(1)?)?, place));
            }
            lane.sort_by_key(|(_, id, place): &OfLane| (place.due_at, *id));
            lanes[index] = lane;
        }
        Ok(lanes)
    }

    fn claim(&self, place: Place, message: Message, contacts: &Contacts, open: &Open) -> Result<Claim, StoreError> {
        let content = message.content.clone().ok_or_else(|| corrupt("a queued message", "it has no content"))?;
        let key = (message.tenant.clone(), message.sender().clone(), message.to.clone());
        let is_open = |attempt: &AttemptId| {
            open.get(&(message.tenant.clone(), *attempt)).is_some_and(|attempt| attempt.finished_at.is_none())
        };
        Ok(Claim {
            fence: place.fence,
            lease_until: self.lease_until,
            due_at: place.due_at,
            contact: contacts.get(&key).cloned().unwrap_or_default(),
            open_attempt: message.attempt.filter(is_open),
            content,
            message,
        })
    }
}

/// The contacts of messages, and their newest attempts.
async fn surroundings(
    connection: &mut dyn Connection,
    messages: impl Iterator<Item = &Message>,
) -> Result<(Contacts, Open), StoreError> {
    let (mut contacts, mut attempts) = (Vec::new(), Vec::new());
    for message in messages {
        contacts.push(values![message.tenant.as_str(), message.sender().as_str(), message.to.as_str()]);
        attempts.extend(message.attempt.map(|attempt| values![message.tenant.as_str(), attempt.to_string()]));
    }
    contacts.sort_unstable();
    contacts.dedup();
    let lookups = vec![Lookup { finder: &CONTACT, keys: contacts }, Lookup { finder: &ATTEMPT, keys: attempts }];
    let found = connection.find(lookups).await?;
    let mut found = found.into_iter();
    let contacts = found.next().unwrap_or_default().iter().map(Contact::read).collect::<Result<_, _>>()?;
    let attempts = found.next().unwrap_or_default().iter().map(Attempt::read).collect::<Result<_, _>>()?;
    Ok((contacts, attempts))
}
