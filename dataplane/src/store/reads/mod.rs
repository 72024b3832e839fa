//! What is read without waiting for writes, as it is committed.

mod messages;
mod outbox;
mod queue;
mod senders;
mod webhooks;

pub(crate) use queue::Due;

use super::tables::value::Value;

/// Nothing is counted any further, so that looking costs the same however much there is.
const COUNTED: u32 = 100_000;

/// Conditions of a statement, each with its parameter.
struct Conditions {
    sql: String,
    parameters: Vec<Value>,
}

impl Conditions {
    fn new(select: &str, column: &str, value: impl Into<Value>) -> Self {
        Self { sql: format!("{select} WHERE {column} = $1"), parameters: vec![value.into()] }
    }

    fn and(&mut self, condition: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.parameters.push(value.into());
            self.sql.push_str(&format!(" AND {condition} ${}", self.parameters.len()));
        }
    }

    /// Behind a row, in the order of two columns.
    fn behind(&mut self, columns: &str, row: Vec<Value>) {
        let n = self.parameters.len();
        self.sql.push_str(&format!(" AND ({columns}) > (${}, ${})", n + 1, n + 2));
        self.parameters.extend(row);
    }

    /// One more than asked for, which tells whether there is another page.
    fn ordered(&mut self, order: &str, limit: u32) {
        self.parameters.push((i64::from(limit) + 1).into());
        self.sql.push_str(&format!(" ORDER BY {order} LIMIT ${}", self.parameters.len()));
    }
}
