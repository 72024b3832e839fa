//! The schema's versions: the files in `migrations/`, in their order, each applied once.
//!
//! They are written in the SQL that both databases read, with marks for what only one of them should see.

use super::Connection;
use super::value::values;
use crate::store::StoreError;

/// Which database a migration is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Dialect {
    Sqlite,
    Postgres,
}

/// Each version's number is its place, from 1.
const ALL: &[&str] = &[include_str!("../../../migrations/0001_first.sql")];

/// Applies what is missing, one transaction for each version. The connection runs each text whole.
pub(in crate::store) async fn run(connection: &mut dyn Connection, dialect: Dialect) -> Result<(), StoreError> {
    // Every replica may start at once: the lock of a transaction orders them.
    connection.begin(&std::collections::BTreeSet::new()).await?;
    let result = apply(connection, dialect).await;
    match result {
        Ok(()) => connection.commit().await,
        Err(error) => {
            connection.rollback().await;
            Err(error)
        }
    }
}

async fn apply(connection: &mut dyn Connection, dialect: Dialect) -> Result<(), StoreError> {
    if dialect == Dialect::Postgres {
        connection.execute("SELECT pg_advisory_xact_lock(1466527076, 0)", Vec::new()).await?;
    }
    connection.script("CREATE TABLE IF NOT EXISTS schema_versions (version BIGINT NOT NULL PRIMARY KEY)").await?;
    let applied = connection.query("SELECT COALESCE(MAX(version), 0) FROM schema_versions", vec![Vec::new()]).await?;
    let applied = applied.first().and_then(|rows| rows.first()).map_or(Ok(0), |row| row.int(0))?;
    let newest = i64::try_from(ALL.len()).unwrap_or(i64::MAX);
    if applied > newest {
        let reason = format!("its version is {applied}, and this build knows {newest}: run a newer build");
        return Err(StoreError::Corrupt { what: "a schema", reason });
    }
    for (version, sql) in (1..).zip(ALL).filter(|(version, _)| *version > applied) {
        let sql = seen_by(dialect, sql);
        let failed = |e: StoreError| StoreError::Failed(format!("migrating the schema to version {version}: {e}"));
        connection.script(&sql).await.map_err(failed)?;
        connection.execute("INSERT INTO schema_versions (version) VALUES ($1)", values![version]).await?;
        tracing::info!(version, "the database's schema is migrated");
    }
    Ok(())
}

/// Shows a database what is written for it alone, and hides what is for the other. PostgreSQL compares texts by their
/// bytes, as SQLite does: identifiers have no language, and it is faster.
fn seen_by(dialect: Dialect, sql: &str) -> String {
    let (own, other) = match dialect {
        Dialect::Sqlite => ("/*sqlite:", "/*postgres:"),
        Dialect::Postgres => ("/*postgres:", "/*sqlite:"),
    };
    let shown = without_marks(sql, own, |inner| inner.to_owned());
    let sql = without_marks(&shown, other, |_| String::new());
    match dialect {
        Dialect::Sqlite => sql,
        Dialect::Postgres => keys_last(&sql).replace(" TEXT", " TEXT COLLATE \"C\""),
    }
}

/// Makes the primary keys after all other indexes. Of indexes that seem equally good to PostgreSQL's planner it takes
/// the newest, and in a table that was never analysed every index seems so that begins with the tenant: what is found
/// by its key would be searched among everything that the tenant has.
fn keys_last(sql: &str) -> String {
    let (mut table, mut keys) = (String::new(), String::new());
    let mut lines: Vec<String> = Vec::new();
    for line in sql.lines() {
        if let Some(rest) = line.strip_prefix("CREATE TABLE ") {
            table = rest.split_whitespace().next().unwrap_or_default().to_owned();
        }
        let Some(key) = line.strip_prefix("    PRIMARY KEY ") else {
            lines.push(line.to_owned());
            continue;
        };
        keys.push_str(&format!("ALTER TABLE {table} ADD PRIMARY KEY {key};\n"));
        // The column before has nothing behind it now.
        if let Some(column) = lines.last_mut() {
            column.truncate(column.trim_end_matches(',').len());
        }
    }
    format!("{}\n{keys}", lines.join("\n"))
}

fn without_marks(sql: &str, mark: &str, inner: impl Fn(&str) -> String) -> String {
    let mut parts = sql.split(mark);
    let mut seen = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (marked, rest) = part.split_once("*/").unwrap_or((part, ""));
        seen.push_str(&inner(marked));
        seen.push_str(rest);
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_database_sees_what_is_written_for_it() {
        let sql = "CREATE (a TEXT) /*sqlite: X */ /*postgres: Y */; -- z";
        assert_eq!(seen_by(Dialect::Sqlite, sql), "CREATE (a TEXT)  X  ; -- z");
        assert_eq!(seen_by(Dialect::Postgres, sql), "CREATE (a TEXT COLLATE \"C\")   Y ; -- z\n");
    }

    #[test]
    fn a_primary_key_is_the_newest_index_of_its_table() {
        let sql = "CREATE TABLE a (\n    b BIGINT NOT NULL,\n    PRIMARY KEY (b)\n);\nCREATE INDEX c ON a (b);";
        assert_eq!(
            keys_last(sql),
            "CREATE TABLE a (\n    b BIGINT NOT NULL\n);\nCREATE INDEX c ON a (b);\nALTER TABLE a ADD PRIMARY KEY (b);\n"
        );
    }
}
