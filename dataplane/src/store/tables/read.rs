//! How a row that was read becomes a struct, or a tuple of what a statement selects.

use super::stored::Stored;
use super::value::{Row, Value};
use crate::store::StoreError;

/// The columns of a row, read one after the other.
pub(crate) struct Columns<'a> {
    row: &'a [Value],
    position: usize,
}

impl Columns<'_> {
    pub(crate) fn next<T: Stored>(&mut self) -> Result<T, StoreError> {
        let position = self.position;
        self.position += 1;
        T::load(self.row.get(position).unwrap_or(&Value::Null)).map_err(|wrong| StoreError::Corrupt {
            what: T::NAME,
            reason: format!("column {position} of the row {wrong}"),
        })
    }

    /// Passes over a column, whose name only says which one it is.
    pub(crate) fn skip(&mut self, _: &'static str) {
        self.position += 1;
    }
}

/// What is read from one or more columns.
pub(crate) trait Read: Sized {
    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError>;
}

impl<T: Stored> Read for T {
    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        columns.next()
    }
}

macro_rules! tuples {
    ($($($part:ident)*;)*) => {
        $(impl<$($part: Read),*> Read for ($($part,)*) {
            fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
                Ok(($($part::read(columns)?,)*))
            }
        })*
    };
}
tuples! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
    A B C D E F G H I;
}

impl Row {
    /// Reads the row from its first column on. What follows the columns of `T` is left alone.
    pub(crate) fn read<T: Read>(&self) -> Result<T, StoreError> {
        T::read(&mut Columns { row: &self.0, position: 0 })
    }
}
