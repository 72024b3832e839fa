//! Contacts of senders: read, and changed one version at a time.

use jiff::Timestamp;
use messaging::address::Address;
use messaging::contact::{ContactState, Suppression};
use messaging::id::{SenderName, TenantId};
use sqlx::{Row, SqliteConnection};

use super::codec::{count, from_json, json, micros};
use super::committer::{Operation, Tx};
use crate::store::StoreError;
use crate::store::contact::{Contact, LiftSuppression, PutConsent, PutSuppression};

pub(super) async fn load(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    sender: &SenderName,
    contact: &Address,
) -> Result<Contact, StoreError> {
    let row = sqlx::query("SELECT version, state FROM contacts WHERE tenant = $1 AND sender = $2 AND contact = $3")
        .bind(tenant.as_str())
        .bind(sender.as_str())
        .bind(contact.as_str())
        .fetch_optional(connection)
        .await?;
    match row {
        None => Ok(Contact::default()),
        Some(row) => read(row.try_get(0)?, row.try_get(1)?),
    }
}

pub(super) fn read(version: i64, state: &str) -> Result<Contact, StoreError> {
    Ok(Contact { version: count(version), state: from_json("a contact's state", state)? })
}

/// Writes the next version.
pub(super) async fn save(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    sender: &SenderName,
    contact: &Address,
    version: u64,
    state: &ContactState,
    now: Timestamp,
) -> Result<Contact, StoreError> {
    let version = version.saturating_add(1);
    sqlx::query(
        "INSERT INTO contacts (tenant, sender, contact, version, updated_at, state) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (tenant, sender, contact)
         DO UPDATE SET version = excluded.version, updated_at = excluded.updated_at, state = excluded.state",
    )
    .bind(tenant.as_str())
    .bind(sender.as_str())
    .bind(contact.as_str())
    .bind(i64::try_from(version).unwrap_or(i64::MAX))
    .bind(micros(now))
    .bind(json(state)?)
    .execute(&mut *tx.connection)
    .await?;
    Ok(Contact { state: state.clone(), version })
}

/// Stops everything to a contact, unless something stops it already: the first reason stays.
pub(super) async fn suppress(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    sender: &SenderName,
    contact: &Address,
    suppression: &Suppression,
) -> Result<Contact, StoreError> {
    let known = load(tx.connection, tenant, sender, contact).await?;
    if known.state.suppression.is_some() {
        return Ok(known);
    }
    let state = ContactState { suppression: Some(suppression.clone()), ..known.state };
    save(tx, tenant, sender, contact, known.version, &state, suppression.at).await
}

impl Operation for PutConsent {
    type Answer = Contact;
    async fn run(&self, tx: &mut Tx<'_>) -> Result<Contact, StoreError> {
        let Self { tenant, sender, contact, consent } = self;
        let known = load(tx.connection, tenant, sender, contact).await?;
        let state = ContactState { consent: Some(consent.clone()), ..known.state };
        let saved = save(tx, tenant, sender, contact, known.version, &state, consent.recorded_at).await?;
        sqlx::query(
            "INSERT INTO consent_records (tenant, sender, contact, version, recorded_at, record)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(tenant.as_str())
        .bind(sender.as_str())
        .bind(contact.as_str())
        .bind(i64::try_from(saved.version).unwrap_or(i64::MAX))
        .bind(micros(consent.recorded_at))
        .bind(json(consent)?)
        .execute(&mut *tx.connection)
        .await?;
        Ok(saved)
    }
}

impl Operation for PutSuppression {
    type Answer = Contact;
    async fn run(&self, tx: &mut Tx<'_>) -> Result<Contact, StoreError> {
        suppress(tx, &self.tenant, &self.sender, &self.contact, &self.suppression).await
    }
}

impl Operation for LiftSuppression {
    type Answer = Contact;
    async fn run(&self, tx: &mut Tx<'_>) -> Result<Contact, StoreError> {
        let Self { tenant, sender, contact, now } = self;
        let known = load(tx.connection, tenant, sender, contact).await?;
        if known.state.suppression.is_none() {
            return Ok(known);
        }
        let state = ContactState { suppression: None, ..known.state };
        save(tx, tenant, sender, contact, known.version, &state, *now).await
    }
}
