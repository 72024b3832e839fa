//! The days of the log, where the database keeps them apart: made ahead, and dropped whole.
//!
//! A day is a partition of `webhooks` from midnight to midnight in UTC. What comes on a day that has none goes into
//! `webhooks_at_other_times`, so that nothing depends on a day having been made; only its rows then leave one by one.
//!
//! Both steps need a lock that blocks writers of the log, so neither waits for it long. A step that does not get the
//! lock fails, and its caller tries again.

use std::collections::BTreeSet;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::store::StoreError;
use crate::store::database::{Connection, Readers};
use crate::store::tables::value::{Row, values};
use crate::store::webhook::DayMade;

/// How a day's partition is called, before its date.
const PREFIX: &str = "webhooks_of_";
const DATE: &str = "%Y%m%d";
/// One replica at a time. The numbers are a lock's, beside the tenants'.
const LOCK: &str = "SELECT pg_advisory_xact_lock(1466527076, -1)";
/// While this waits for its lock, writers wait behind it.
const BRIEFLY: &str = "SET LOCAL lock_timeout = '250ms'";
const LIST: &str = "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'webhooks'::regclass";
/// From, until.
const ROWS_ELSEWHERE: &str =
    "SELECT 1::bigint FROM webhooks_at_other_times WHERE received_at >= $1 AND received_at < $2 LIMIT 1";

/// Until. Events of the log that have not been applied.
const WAITING: &str =
    "SELECT 1::bigint FROM webhook_events WHERE available_at IS NOT NULL AND received_at < $1 LIMIT 1";

/// When a day begins and ends.
fn bounds(day: Date) -> Result<(Timestamp, Timestamp), StoreError> {
    let midnight = |day: Date| day.to_zoned(TimeZone::UTC).map(|midnight| midnight.timestamp());
    let next = day.checked_add(1.day());
    let bounds = next.and_then(|next| Ok((midnight(day)?, midnight(next)?)));
    bounds.map_err(|error| StoreError::Failed(format!("the day {day} cannot be reckoned: {error}")))
}

fn name(day: Date) -> String {
    format!("{PREFIX}{}", day.strftime(DATE))
}

fn days(rows: &[Row]) -> Result<BTreeSet<Date>, StoreError> {
    let mut days = BTreeSet::new();
    for row in rows {
        // The other partitions are not a day's.
        let name: String = row.read()?;
        days.extend(name.strip_prefix(PREFIX).and_then(|date| Date::strptime(DATE, date).ok()));
    }
    Ok(days)
}

/// The days that have a partition.
pub(crate) async fn made(readers: &dyn Readers) -> Result<BTreeSet<Date>, StoreError> {
    days(&readers.query(LIST, Vec::new()).await?)
}

/// Those of them that were over by then, oldest first.
pub(crate) fn over(days: &BTreeSet<Date>, before: Timestamp) -> impl Iterator<Item = Date> {
    days.iter().copied().filter(move |day| bounds(*day).is_ok_and(|(_, end)| end <= before))
}

/// Makes the partition of a day.
pub(crate) async fn make(connection: &mut dyn Connection, day: Date) -> Result<DayMade, StoreError> {
    connection.begin(&BTreeSet::new()).await?;
    let made = make_in_transaction(connection, day).await;
    end(connection, made).await
}

async fn make_in_transaction(connection: &mut dyn Connection, day: Date) -> Result<DayMade, StoreError> {
    connection.execute(LOCK, Vec::new()).await?;
    let listed = connection.query(LIST, vec![Vec::new()]).await?;
    if days(&listed.concat())?.contains(&day) {
        return Ok(DayMade::WasThere);
    }
    let (from, until) = bounds(day)?;
    connection.script(BRIEFLY).await?;
    // Or rows of the day could come in between looking and attaching.
    connection.script("LOCK TABLE webhooks_at_other_times IN ACCESS EXCLUSIVE MODE").await?;
    let elsewhere = connection.query(ROWS_ELSEWHERE, vec![values![from, until]]).await?;
    if !elsewhere.concat().is_empty() {
        return Ok(DayMade::Taken);
    }
    let name = name(day);
    // Made beside the log and then attached to it: the other way round would lock the whole log.
    connection
        .script(&format!(
            "CREATE TABLE {name} (LIKE webhooks INCLUDING ALL);
             ALTER TABLE webhooks ATTACH PARTITION {name} FOR VALUES FROM ({}) TO ({})",
            from.as_microsecond(),
            until.as_microsecond()
        ))
        .await?;
    Ok(DayMade::Made)
}

/// Drops the partition of a day, unless something of it has not taken effect; harmless when it is gone already.
pub(crate) async fn drop_day(connection: &mut dyn Connection, day: Date) -> Result<bool, StoreError> {
    connection.begin(&BTreeSet::new()).await?;
    let dropped = async {
        connection.execute(LOCK, Vec::new()).await?;
        let (_, until) = bounds(day)?;
        if !connection.query(WAITING, vec![values![until]]).await?.concat().is_empty() {
            return Ok(false);
        }
        connection.script(BRIEFLY).await?;
        connection.script(&format!("DROP TABLE IF EXISTS {}", name(day))).await?;
        Ok(true)
    };
    let dropped = dropped.await;
    end(connection, dropped).await
}

async fn end<T>(connection: &mut dyn Connection, result: Result<T, StoreError>) -> Result<T, StoreError> {
    match result {
        Ok(answer) => {
            connection.commit().await?;
            Ok(answer)
        }
        Err(error) => {
            connection.rollback().await;
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::store::tables::value::Value;

    use super::*;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_is_known_by_its_partition_and_the_rest_of_the_log_is_no_day() {
        let names = ["webhooks_at_other_times".to_owned(), name(day("2026-11-01")), "webhooks_of_x".to_owned()];
        let rows: Vec<_> = names.map(|name| Row(vec![Value::Text(name)])).into();
        assert_eq!(days(&rows).unwrap(), BTreeSet::from([day("2026-11-01")]));
    }

    #[test]
    fn a_day_is_over_at_midnight_in_utc_and_not_before() {
        let known = BTreeSet::from([day("2026-10-31"), day("2026-11-01"), day("2026-11-02")]);
        let over = |before: &str| over(&known, before.parse().unwrap()).collect::<Vec<_>>();
        assert_eq!(over("2026-11-01T23:59:59Z"), [day("2026-10-31")]);
        assert_eq!(over("2026-11-02T00:00:00Z"), [day("2026-10-31"), day("2026-11-01")]);
    }
}
