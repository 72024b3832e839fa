//! What a store can be asked to write. A command is defined once: by a decision over rows ([`Operation`]), or by SQL
//! ([`Statements`]).

use std::future::Future;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::database::postgres::PostgresConnection;
use super::group::job::Statements;
use super::group::operation::Operation;
use super::overlong::{MendTimes, StoredTime};
use super::queue::{ClaimUnsettled, Unsettled};
use super::reads::Due;
use super::sql::{ForgetUnaddressed, GiveUpOf, MendOf, OfTenants, UNADDRESSED_KEPT_FOR, partitions};
use super::webhook::{ClaimUnapplied, DayMade, GiveUpEvents, GivenUp, WaitingEvent};
use super::{Store, StoreError};

/// A write, and what it answers.
pub trait Command: Send + 'static {
    type Answer: Send + 'static;
}

/// How a command is written. `Kind` only distinguishes the implementations; no caller names it.
pub trait WriteTo<Kind>: Command {
    fn write_to(self, store: &Store) -> impl Future<Output = Result<Self::Answer, StoreError>> + Send;
}

/// Decided over rows.
#[derive(Debug)]
pub struct Decided;

impl<O: Operation> WriteTo<Decided> for O {
    async fn write_to(self, store: &Store) -> Result<O::Answer, StoreError> {
        if O::SHED_FIRST {
            store.changes.check_room_for_requests()?;
        }
        store.changes.operation(self).await
    }
}

/// Statements of its own.
#[derive(Debug)]
pub struct Direct;

impl<S: Statements> WriteTo<Direct> for S {
    async fn write_to(self, store: &Store) -> Result<S::Answer, StoreError> {
        store.changes.statements(self).await
    }
}

/// Statements over the tenants with due rows. While nothing is due, finding that out costs no write.
#[derive(Debug)]
pub struct OfTenantsDue;

async fn of_tenants_due<Claim, Claimed>(
    store: &Store,
    due: Due,
    now: Timestamp,
    limit: u32,
    claim: Claim,
) -> Result<Vec<Claimed>, StoreError>
where
    OfTenants<Claim>: Statements + Command<Answer = Vec<Claimed>>,
{
    let tenants = store.tenants_due(due, now, limit).await?;
    if tenants.is_empty() {
        return Ok(Vec::new());
    }
    store.changes.statements(OfTenants { claim, tenants }).await
}

impl Command for ClaimUnapplied {
    type Answer = Vec<WaitingEvent>;
}

impl WriteTo<OfTenantsDue> for ClaimUnapplied {
    async fn write_to(self, store: &Store) -> Result<Vec<WaitingEvent>, StoreError> {
        of_tenants_due(store, Due::Events, self.now, self.limit, self).await
    }
}

impl Command for ClaimUnsettled {
    type Answer = Vec<Unsettled>;
}

impl WriteTo<OfTenantsDue> for ClaimUnsettled {
    async fn write_to(self, store: &Store) -> Result<Vec<Unsettled>, StoreError> {
        of_tenants_due(store, Due::Unsettled, self.now, self.limit, self).await
    }
}

impl Command for MendTimes {
    type Answer = Vec<(StoredTime, u64)>;
}

impl WriteTo<OfTenantsDue> for MendTimes {
    async fn write_to(self, store: &Store) -> Result<Self::Answer, StoreError> {
        let mut mended = Vec::new();
        for bound in self.0 {
            let tenants = store.tenants_with_overlong(bound.time, bound.latest).await?;
            if !tenants.is_empty() {
                let count = store.changes.statements(MendOf { bound, tenants }).await?;
                mended.push((bound.time, count));
            }
        }
        Ok(mended)
    }
}

impl Command for GiveUpEvents {
    type Answer = Vec<GivenUp>;
}

impl WriteTo<OfTenantsDue> for GiveUpEvents {
    async fn write_to(self, store: &Store) -> Result<Vec<GivenUp>, StoreError> {
        let tenants = store.tenants_with_hopeless_events(&self).await?;
        if tenants.is_empty() {
            return Ok(Vec::new());
        }
        store.changes.statements(GiveUpOf { of: self, tenants }).await
    }
}

/// On a connection of its own.
#[derive(Debug)]
pub struct Apart;

/// Sees to it that what the log takes on a day can leave it at once, with that day. Any number of replicas may.
#[derive(Debug, Clone, Copy)]
pub struct MakeDay(pub Date);

impl Command for MakeDay {
    type Answer = DayMade;
}

impl WriteTo<Apart> for MakeDay {
    async fn write_to(self, store: &Store) -> Result<DayMade, StoreError> {
        let Some(target) = &store.days else { return Ok(DayMade::NotApart) };
        if partitions::made(store.readers.as_ref()).await?.contains(&self.0) {
            return Ok(DayMade::WasThere);
        }
        let mut connection = PostgresConnection::open(target.clone()).await?;
        partitions::make(&mut connection, self.0).await
    }
}

/// Lets the oldest day of the log that was over by then go, whosever its webhooks are. Answers which; `None` when there
/// is none.
#[derive(Debug, Clone, Copy)]
pub struct DropDay {
    pub before: Timestamp,
}

impl Command for DropDay {
    type Answer = Option<Date>;
}

impl WriteTo<Apart> for DropDay {
    async fn write_to(self, store: &Store) -> Result<Option<Date>, StoreError> {
        let Some(target) = &store.days else { return Ok(None) };
        let made = partitions::made(store.readers.as_ref()).await?;
        let Some(day) = partitions::over(&made, self.before).next() else { return Ok(None) };
        let mut connection = PostgresConnection::open(target.clone()).await?;
        Ok(partitions::drop_day(&mut connection, day).await?.then_some(day))
    }
}

/// Lets go of parts without an addressee that are older than they are kept.
#[derive(Debug, Clone, Copy)]
pub struct ForgetOldUnaddressed {
    pub now: Timestamp,
}

impl Command for ForgetOldUnaddressed {
    type Answer = u64;
}

impl WriteTo<Apart> for ForgetOldUnaddressed {
    async fn write_to(self, store: &Store) -> Result<u64, StoreError> {
        let kept = SignedDuration::try_from(UNADDRESSED_KEPT_FOR).ok();
        let Some(before) = kept.and_then(|kept| self.now.checked_sub(kept).ok()) else { return Ok(0) };
        store.changes.statements(ForgetUnaddressed { before }).await
    }
}
