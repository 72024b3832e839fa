//! The values of columns and rows, before they are given a type of ours.

use bytes::Bytes;

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Text(String),
    Blob(Bytes),
}

/// A borrowed value: what is written once is not copied first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lent<'a> {
    Int(i64),
    Text(&'a str),
    Blob(&'a [u8]),
}

/// What can be borrowed as a value; `None` is null.
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

/// The type of a column. Null is allowed in all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Text,
    Blob,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Int => "a number",
            Self::Text => "text",
            Self::Blob => "bytes",
        }
    }
}

impl Value {
    pub(crate) fn kind_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Int(_) => Kind::Int.name(),
            Self::Text(_) => Kind::Text.name(),
            Self::Blob(_) => Kind::Blob.name(),
        }
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
impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Makes a row, or a list of parameters, of anything that converts into a [`Value`].
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::tables::value::Value::from($value)),*] };
}
pub(crate) use values;

/// A row that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row(pub(crate) Vec<Value>);

/// Null in a column whose name only says which one it is.
pub(crate) fn null(_: &'static str) -> Value {
    Value::Null
}
