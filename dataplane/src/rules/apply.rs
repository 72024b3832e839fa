//! Events of the log take effect, each once: that one has is written together with what follows from it.

use jiff::Timestamp;
use messaging::address::Address;
use messaging::contact::{ContactState, Suppression};
use messaging::event::CloudEvent;
use messaging::failure::NewAttempts;
use messaging::id::{MessageId, TenantId};
use messaging::lifecycle::MessageStatus;
use messaging::opt_out::OptChange;
use messaging::provider::{InboundMessage, StatusUpdate, UserIdChange};

use super::known::known_as;
use super::lifecycle::{self, Adopted, publish};
use super::{Operation, accept, contact, event};
use crate::store::Command;
use crate::store::adopted::Adopting;
use crate::store::contact::{Contact, ContactKey};
use crate::store::group::Halt;
use crate::store::group::rows::Rows;
use crate::store::message::{NewMessage, SinkId};
use crate::store::person;
use crate::store::tables::inbound_messages::InboundRow;
use crate::store::tables::parked_statuses::ParkedRow;
use crate::store::tables::webhook_events::EventRow;
use crate::store::webhook::LoggedEventRef;

/// Lets an event take effect.
#[derive(Debug, Clone)]
pub struct ApplyEvent {
    pub event: LoggedEventRef,
    /// When it takes effect, for the record.
    pub now: Timestamp,
    /// When the webhook came: what the window and timelines count from.
    pub received_at: Timestamp,
    pub consequence: Consequence,
    pub sinks: Vec<SinkId>,
}

/// What follows from an event, as far as it can be decided without the store.
#[derive(Debug, Clone)]
pub enum Consequence {
    /// A customer wrote: the window opens, perhaps they opted out or in, and an event is published.
    Received(Box<Received>),
    /// A step of a message of ours. When the message is not known yet, the update is parked until it is.
    ///
    /// Unless it ends the message, the outcome is asked for at `ask_at`.
    Status {
        update: Box<StatusUpdate>,
        suppress: Option<Suppression>,
        ask_at: Timestamp,
        /// `None` while the sender has no config: its messages get no more attempts.
        new_attempts: Option<NewAttempts>,
    },
    /// A customer has another id at this account: both are one person's.
    UserIdChange { account: String, change: UserIdChange },
    /// Nothing follows, for this reason.
    Nothing { reason: String },
}

#[derive(Debug, Clone)]
pub struct Received {
    pub id: MessageId,
    pub message: InboundMessage,
    /// Every address that the provider knows the customer by.
    pub contacts: Vec<Address>,
    /// It was written to the sender itself, not to another number of its pool.
    pub opens_window: bool,
    /// The provider account whose ids the customer's are; `None` while the sender has no config.
    pub account: Option<String>,
    pub event: CloudEvent,
    pub keyword: Option<Keyword>,
}

impl Received {
    /// The account, number and id that the message names as one person's.
    fn link(&self) -> Option<(&str, &Address, &Address)> {
        match (&self.account, &self.message.from, &self.message.from_user_id) {
            (Some(account), phone @ Address::Phone(_), Some(user @ Address::User(_))) => Some((account, phone, user)),
            _ => None,
        }
    }
}

/// The message was a stop or start keyword.
#[derive(Debug, Clone)]
pub struct Keyword {
    pub change: OptChange,
    /// The customer's own words.
    pub text: String,
    /// Published when the keyword changed something.
    pub event: CloudEvent,
    /// Queued when the keyword changed something.
    pub reply: Option<NewMessage>,
}

/// What became of applying an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// It took effect now.
    Now {
        /// The statuses that messages reached by it.
        reached: Vec<messaging::lifecycle::MessageStatus>,
        /// The message that a status was about.
        message: Option<messaging::id::MessageId>,
    },
    /// It waits for its message to become known.
    Parked,
    /// It had taken effect before.
    Before,
}

impl Command for ApplyEvent {
    type Answer = Adopting<Applied>;
}

impl Operation for ApplyEvent {
    fn tenant(&self) -> &TenantId {
        &self.event.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<Adopting<Applied>, Halt> {
        let Self { event, now: _, received_at: _, consequence, sinks: _ } = self;
        let key = (event.tenant.clone(), event.sender.clone(), event.dedupe_key.clone());
        // What its consequence looks at is asked for together with the event itself.
        let waits = rows.logged.get(&key).map(|row| row.is_some_and(|row| row.available_at.is_some()));
        let applied = match consequence {
            Consequence::Nothing { .. } => {
                let applied = Applied::Now { reached: Vec::new(), message: None };
                waits.map(|waits| if waits { applied } else { Applied::Before }.into())
            }
            Consequence::Received(received) => self.receive(rows, waits, received).map(Adopting::from),
            Consequence::UserIdChange { account, change } => {
                self.change_user_id(rows, waits, account, change).map(Adopting::from)
            }
            Consequence::Status { update, suppress, ask_at, new_attempts } => {
                self.report(rows, waits, update, suppress.as_ref(), *ask_at, new_attempts.as_ref())
            }
        }?;
        if applied.answer != Applied::Before
            && let Some(row) = rows.logged.get(&key)?.cloned()
        {
            rows.logged.put(key, EventRow { available_at: None, ..row });
        }
        Ok(applied)
    }
}

impl ApplyEvent {
    fn receive(&self, rows: &mut Rows, waits: Result<bool, Halt>, received: &Received) -> Result<Applied, Halt> {
        let (tenant, sender) = (&self.event.tenant, &self.event.sender);
        let keys: Vec<_> =
            received.contacts.iter().map(|address| (tenant.clone(), sender.clone(), address.clone())).collect();
        // All rows are asked for at once. Only a keyword is judged by the whole person.
        let before = received.keyword.as_ref().map(|_| person(rows, &keys)).transpose();
        let known: Vec<_> = keys.iter().map(|key| contact::known(rows, key)).collect();
        let link = received.link();
        let linked = link.map(|(_, phone, user)| contact::links(rows, tenant, phone, user)).transpose();
        let in_reply_to = match &received.message.in_reply_to {
            Some(quoted) => known_as(rows, tenant, sender, quoted),
            None => Ok(None),
        };
        if !waits? {
            return Ok(Applied::Before);
        }
        let (before, in_reply_to) = (before?, in_reply_to?);
        let known = known.into_iter().collect::<Result<Vec<_>, _>>()?;
        linked?;

        let inbound = InboundRow {
            sender: sender.clone(),
            contact: received.message.from.clone(),
            provider_message_id: received.message.provider_message_id.clone(),
            received_at: self.received_at,
        };
        rows.receive(tenant, received.id, inbound);
        let event = in_reply_to.map(|id| event::answering(received.event.clone(), id));
        publish(rows, sender, event.as_ref().unwrap_or(&received.event), &self.sinks)?;
        let change = received.keyword.as_ref().map(|k| k.change);
        let said_at = received.message.said_at(self.received_at);
        let text = received.keyword.as_ref().map_or("", |k| k.text.as_str());
        for (key, contact) in keys.iter().zip(&known) {
            let state = contact.state.clone();
            let after = match received.opens_window {
                true => state.after_message(said_at, change, text),
                false => state.after_message_elsewhere(said_at, change, text),
            };
            contact::save(rows, key, contact, after, self.now);
        }
        if let Some((account, phone, user)) = link {
            contact::link(rows, tenant, account, phone, user, said_at)?;
        }
        if let (Some(keyword), Some(before)) = (&received.keyword, before)
            && changed_by_keyword(&before, &person(rows, &keys)?, self.now)
        {
            publish(rows, sender, &keyword.event, &self.sinks)?;
            if let Some(reply) = &keyword.reply {
                accept::insert(rows, reply, None);
            }
        }
        Ok(Applied::Now { reached: Vec::new(), message: None })
    }

    fn change_user_id(
        &self,
        rows: &mut Rows,
        waits: Result<bool, Halt>,
        account: &str,
        UserIdChange { previous, current, number }: &UserIdChange,
    ) -> Result<Applied, Halt> {
        if !waits? {
            return Ok(Applied::Before);
        }
        let tenant = &self.event.tenant;
        let [previous, current] = [previous, current].map(|id| Address::User(id.clone()));
        if previous != current {
            contact::link(rows, tenant, account, &previous, &current, self.received_at)?;
        }
        if let Some(number) = number {
            contact::link(rows, tenant, account, &Address::Phone(number.clone()), &current, self.received_at)?;
        }
        Ok(Applied::Now { reached: Vec::new(), message: None })
    }

    fn report(
        &self,
        rows: &mut Rows,
        waits: Result<bool, Halt>,
        update: &StatusUpdate,
        suppress: Option<&Suppression>,
        ask_at: Timestamp,
        new_attempts: Option<&NewAttempts>,
    ) -> Result<Adopting<Applied>, Halt> {
        let tenant = &self.event.tenant;
        let id = update.provider_message_id.as_str();
        let by_attempt = match update.attempt {
            Some(attempt) => {
                rows.attempts.get(&(tenant.clone(), attempt)).map(|row| row.map(|row| (attempt, row.message)))
            }
            None => Ok(None),
        };
        let by_id = rows.attempt_of_provider_id(tenant, id);
        if !waits? {
            return Ok(Applied::Before.into());
        }
        let (by_attempt, by_id) = (by_attempt?, by_id?);
        let by_id = match by_id {
            Some(attempt) => rows.attempts.get(&(tenant.clone(), attempt))?.map(|row| (attempt, row.message)),
            None => None,
        };
        let found = by_attempt.or(by_id);
        let known = match found {
            Some((_, message)) => lifecycle::look(rows, tenant, message, Some(id))?,
            None => {
                // Looked at before it is parked, so that the row set knows what else waits for this id.
                rows.parked_for(tenant, id)?;
                None
            }
        };
        let Some(mut known) = known else {
            let parked = ParkedRow {
                sender: self.event.sender.clone(),
                received_at: self.received_at,
                status_update: update.clone(),
                suppression: suppress.cloned(),
            };
            rows.park((tenant.clone(), id.to_owned(), self.event.webhook.clone(), self.event.position), parked);
            return Ok(Applied::Parked.into());
        };
        let mut reached: Vec<MessageStatus> = Vec::new();
        let update = StatusUpdate { attempt: found.map(|(attempt, _)| attempt), ..update.clone() };
        reached.extend(known.report(rows, &update, self.received_at, new_attempts, &self.sinks)?);
        let adopted = match by_attempt {
            Some((attempt, _)) => known.learn_provider_id(rows, attempt, new_attempts, &self.sinks)?,
            None => Adopted::default(),
        };
        reached.extend(adopted.reached);
        // It was handed over, so it leaves the queue however the attempt that did it ended.
        if known.status() >= MessageStatus::Accepted {
            known.leave_queue(rows);
            known.await_settlement(rows, ask_at)?;
        }
        if let Some(suppression) = suppress {
            known.suppress(rows, suppression)?;
        }
        let answer = Applied::Now { reached, message: Some(known.row.message.id) };
        Ok(Adopting { answer, failures: adopted.failures })
    }
}

/// What is known under all addresses of a customer together.
fn person(rows: &mut Rows, keys: &[ContactKey]) -> Result<ContactState, Halt> {
    let found: Vec<_> = keys.iter().map(|key| person::person(rows, key)).collect();
    let found = found.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(Contact::of_person(found).state)
}

/// Whether the contact may be written to before and not after, or the other way round.
fn changed_by_keyword(before: &ContactState, after: &ContactState, now: Timestamp) -> bool {
    let reason = |state: &ContactState| state.clone().without_heard().suppression(now).map(|s| s.reason);
    reason(before) != reason(after)
}

/// An event is not applied now; it is tried again later.
#[derive(Debug, Clone)]
pub struct DeferLogged {
    pub event: LoggedEventRef,
    pub until: Timestamp,
    /// Whether applying it failed. Otherwise it was not tried.
    pub failed: bool,
}

impl Command for DeferLogged {
    type Answer = ();
}

impl Operation for DeferLogged {
    fn tenant(&self) -> &TenantId {
        &self.event.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<(), Halt> {
        let key = (self.event.tenant.clone(), self.event.sender.clone(), self.event.dedupe_key.clone());
        if let Some(row) = rows.logged.get(&key)?.filter(|row| row.available_at.is_some()).cloned() {
            rows.logged.put(
                key,
                EventRow { available_at: Some(self.until), tries: row.tries + u32::from(self.failed), ..row },
            );
        }
        Ok(())
    }
}
