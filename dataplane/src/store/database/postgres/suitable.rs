//! Recognises a database that this cannot work with, before anything is written to it.

use super::PostgresConnection;
use crate::store::StoreError;

/// Checks that the database keeps any text, and that each of these connections has a server process of its own:
/// settings, prepared statements and locks belong to the process.
pub(crate) async fn check_is_suitable(
    connection: &mut PostgresConnection,
    others: &mut [PostgresConnection],
) -> Result<(), StoreError> {
    let mut processes = Vec::new();
    // Twice, because a pooler may lend each statement another process.
    for _ in 0..2 {
        let mut round = Vec::new();
        for connection in std::iter::once(&mut *connection).chain(&mut *others) {
            let encoding = connection.ask("SHOW server_encoding").await?;
            if encoding != "UTF8" {
                return Err(StoreError::Unsuitable(format!(
                    "its encoding is {encoding}: expected UTF8, as in CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'"
                )));
            }
            round.push(connection.ask("SELECT pg_backend_pid()").await?);
        }
        processes.push(round);
    }
    if are_lent(&processes) {
        return Err(StoreError::Unsuitable(
            "connections share its server processes, as behind a pooler in transaction mode (PgBouncer's pool_mode = \
             transaction): expected a direct connection, or a pooler in session mode"
                .into(),
        ));
    }
    Ok(())
}

/// Of the processes that served each connection, in two rounds.
fn are_lent(rounds: &[Vec<String>]) -> bool {
    rounds.iter().any(|round| {
        let is_shared = round.iter().enumerate().any(|(n, process)| round.iter().skip(n + 1).any(|p| p == process));
        is_shared || Some(round) != rounds.first()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_serves_two_connections_or_a_connection_that_two_processes_serve_is_a_poolers() {
        let lent = |rounds: [&[&str]; 2]| {
            are_lent(&rounds.map(|round| round.iter().map(|process| (*process).to_owned()).collect()))
        };
        assert!(!lent([&["1", "2", "3"], &["1", "2", "3"]]));
        assert!(lent([&["1", "1", "1"], &["1", "1", "1"]]), "one process for all");
        assert!(lent([&["1", "2", "3"], &["2", "3", "1"]]), "in turns");
        assert!(lent([&["1", "2", "1"], &["1", "2", "1"]]));
    }
}
