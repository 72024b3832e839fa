//! What a column holds, and what is read of a row.

use bytes::Bytes;

use crate::store::StoreError;

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Text(String),
    Blob(Bytes),
}

/// A value where it is: what is written once need not be copied first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lent<'a> {
    Int(i64),
    Text(&'a str),
    Blob(&'a [u8]),
}

/// What can be looked at as a value; `None` is null.
pub(crate) trait Lend {
    fn lend(&self) -> Option<Lent<'_>>;
}

impl Lend for Value {
    fn lend(&self) -> Option<Lent<'_>> {
        match self {
            Self::Null => None,
            Self::Int(number) => Some(Lent::Int(*number)),
            Self::Text(text) => Some(Lent::Text(text)),
            Self::Blob(bytes) => Some(Lent::Blob(bytes)),
        }
    }
}

impl Lend for Lent<'_> {
    fn lend(&self) -> Option<Lent<'_>> {
        Some(*self)
    }
}

/// What a column may hold besides nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Text,
    Blob,
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Int(i64::from(value))
    }
}
impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}
impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}
impl From<Bytes> for Value {
    fn from(value: Bytes) -> Self {
        Self::Blob(value)
    }
}
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Makes a row, or a list of parameters, of anything that is a [`Value`].
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::database::value::Value::from($value)),*] };
}
pub(crate) use values;

/// A row that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row(pub(crate) Vec<Value>);

impl Row {
    pub(crate) fn text(&self, column: usize) -> Result<&str, StoreError> {
        self.maybe_text(column)?.ok_or_else(|| unexpected(column, "a text", None))
    }

    pub(crate) fn maybe_text(&self, column: usize) -> Result<Option<&str>, StoreError> {
        match self.0.get(column) {
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Null) => Ok(None),
            other => Err(unexpected(column, "a text", other)),
        }
    }

    pub(crate) fn int(&self, column: usize) -> Result<i64, StoreError> {
        self.maybe_int(column)?.ok_or_else(|| unexpected(column, "a number", None))
    }

    pub(crate) fn maybe_int(&self, column: usize) -> Result<Option<i64>, StoreError> {
        match self.0.get(column) {
            Some(Value::Int(number)) => Ok(Some(*number)),
            Some(Value::Null) => Ok(None),
            other => Err(unexpected(column, "a number", other)),
        }
    }

    pub(crate) fn blob(&self, column: usize) -> Result<Bytes, StoreError> {
        match self.0.get(column) {
            Some(Value::Blob(bytes)) => Ok(bytes.clone()),
            other => Err(unexpected(column, "bytes", other)),
        }
    }

    /// The row without its first columns.
    pub(crate) fn from(&self, column: usize) -> Self {
        Self(self.0.get(column..).unwrap_or_default().to_vec())
    }
}

fn unexpected(column: usize, wanted: &str, found: Option<&Value>) -> StoreError {
    let found = match found {
        None => "nothing",
        Some(Value::Null) => "null",
        Some(Value::Int(_)) => "a number",
        Some(Value::Text(_)) => "a text",
        Some(Value::Blob(_)) => "bytes",
    };
    StoreError::Corrupt { what: "a row", reason: format!("its column {column} holds {found} instead of {wanted}") }
}
