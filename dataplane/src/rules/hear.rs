//! A stop keyword counts from its webhook's answer on, although its other effects come later.

use jiff::Timestamp;
use messaging::config::TenantConfig;
use messaging::id::{SenderName, TenantId};
use messaging::opt_out::OptChange;
use messaging::provider::WebhookEvent;
use messaging::routing::Route;

use super::{Operation, consequence, contact};
use crate::store::Command;
use crate::store::contact::Contact;
use crate::store::group::Halt;
use crate::store::group::rows::Rows;
use crate::store::person::{all, person_in_pool};
use crate::store::webhook::{HearStop, dedupe_key};

impl HearStop {
    /// What is to be heard in an event, if it is a stop keyword.
    pub fn of(
        event: &WebhookEvent,
        config: &TenantConfig,
        sender: &SenderName,
        received_at: Timestamp,
    ) -> Option<Self> {
        let WebhookEvent::Inbound(message) = event else { return None };
        let own = config.senders.get(sender)?;
        let (OptChange::Stop, keyword) = consequence::opt_change(message, Some(own))? else { return None };
        Some(Self {
            tenant: config.tenant.clone(),
            sender: sender.clone(),
            dedupe_key: dedupe_key(event),
            received_at,
            said_at: message.said_at.map(|_| message.said_at(received_at)),
            contacts: consequence::contacts(message),
            keyword: keyword.to_owned(),
            others_in_pool: config.others_in_pool(&Route::direct(sender.clone())),
        })
    }
}

impl Command for HearStop {
    type Answer = ();
}

impl Operation for HearStop {
    fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<(), Halt> {
        let Self { tenant, sender, dedupe_key, received_at, said_at, contacts, keyword, others_in_pool } = self;
        let logged = rows.logged.get(&(tenant.clone(), sender.clone(), dedupe_key.clone()));
        let waits = logged.map(|row| row.is_some_and(|row| row.available_at.is_some()));
        let keys: Vec<_> = contacts.iter().map(|address| (tenant.clone(), sender.clone(), address.clone())).collect();
        let people: Vec<_> = keys.iter().map(|key| person_in_pool(rows, key, others_in_pool)).collect();
        let known: Vec<_> = keys.iter().map(|key| contact::known(rows, key)).collect();
        if !waits? {
            return Ok(());
        }
        let person = Contact::of_person(all(people)?).state;
        for (key, known) in keys.iter().zip(known) {
            let known = known?;
            let state = match said_at {
                Some(said_at) => known.state.clone().heard_stop_said_at(*said_at, keyword),
                None => known.state.clone().heard_stop(&person, *received_at, keyword),
            };
            contact::save(rows, key, &known, state, *received_at);
        }
        Ok(())
    }
}
