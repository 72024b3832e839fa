//! Brings a database's schema up to date, from the same files as every other database's.

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr, SqliteConnection};

use crate::store::StoreError;

/// In order. A file that was released is never changed.
const FILES: &[(i64, &str, &str)] = &[(1, "first", include_str!("../../../migrations/0001_first.sql"))];

pub(super) async fn run(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let migrations = FILES.iter().map(|(version, description, sql)| {
        let sql = AssertSqlSafe(for_sqlite(sql)).into_sql_str();
        Migration::new(*version, (*description).into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(migrations.collect())
        .run_direct(None, connection, false)
        .await
        .map_err(|e| StoreError::Failed(format!("migrating the schema: {e}")))
}

/// Lets SQLite see what is written for it alone: `/*sqlite: … */`.
fn for_sqlite(sql: &str) -> String {
    let mut parts = sql.split("/*sqlite:");
    let mut own = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (inner, rest) = part.split_once("*/").unwrap_or((part, ""));
        own.push_str(inner);
        own.push_str(rest);
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_for_sqlite_is_shown_to_it() {
        assert_eq!(for_sqlite("CREATE (a) /*sqlite: X */; -- y"), "CREATE (a)  X ; -- y");
    }
}
