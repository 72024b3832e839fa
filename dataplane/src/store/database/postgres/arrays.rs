//! Rows as arrays, one for each column, and values as PostgreSQL takes and gives them.

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::store::StoreError;
use crate::store::tables::value::{Kind, Lend, Lent, Row, Value};

/// A column of many rows.
#[derive(Debug)]
pub(super) enum Column<'a> {
    Int(Vec<Option<i64>>),
    Text(Vec<Option<&'a str>>),
    Blob(Vec<Option<&'a [u8]>>),
}

impl Column<'_> {
    pub(super) fn as_parameter(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Int(column) => column,
            Self::Text(column) => column,
            Self::Blob(column) => column,
        }
    }
}

/// Turns rows into columns.
pub(super) fn columns<'a, V: Lend + 'a>(
    kinds: &[(&'static str, Kind)],
    rows: &'a [impl AsRef<[V]>],
) -> Vec<Column<'a>> {
    let column = |i: usize, kind: Kind| {
        let values = rows.iter().map(move |row| row.as_ref().get(i).and_then(Lend::lend));
        match kind {
            Kind::Int => Column::Int(values.map(|v| if let Some(Lent::Int(n)) = v { Some(n) } else { None }).collect()),
            Kind::Text => {
                Column::Text(values.map(|v| if let Some(Lent::Text(t)) = v { Some(t) } else { None }).collect())
            }
            Kind::Blob => {
                Column::Blob(values.map(|v| if let Some(Lent::Blob(b)) = v { Some(b) } else { None }).collect())
            }
        }
    };
    kinds.iter().enumerate().map(|(i, (_, kind))| column(i, *kind)).collect()
}

/// `unnest($1::text[], $2::bigint[], …)`, its parameters numbered from `first`: a table that can be joined.
pub(super) fn unnest(kinds: &[(&'static str, Kind)], first: usize) -> String {
    let arrays: Vec<_> = (first..).zip(kinds).map(|(i, (_, kind))| array(i, *kind)).collect();
    format!("unnest({})", arrays.join(", "))
}

/// `SELECT unnest($1::text[]) AS tenant, …`, its parameters numbered from `first`. What is only read from end to end
/// takes half the time so: the server keeps no copy of each column.
pub(super) fn select(kinds: &[(&'static str, Kind)], first: usize) -> String {
    let columns: Vec<_> =
        (first..).zip(kinds).map(|(i, (name, kind))| format!("unnest({}) AS {name}", array(i, *kind))).collect();
    format!("SELECT {}", columns.join(", "))
}

fn array(number: usize, kind: Kind) -> String {
    let kind = match kind {
        Kind::Int => "bigint",
        Kind::Text => "text",
        Kind::Blob => "bytea",
    };
    format!("${number}::{kind}[]")
}

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(number) if *ty == Type::INT4 => i32::try_from(*number)?.to_sql(ty, out),
            Self::Int(number) => number.to_sql(ty, out),
            Self::Text(text) => text.as_str().to_sql(ty, out),
            Self::Blob(bytes) => (&bytes[..]).to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT8 | Type::INT4 | Type::TEXT | Type::VARCHAR | Type::BYTEA)
    }

    to_sql_checked!();
}

pub(super) fn read(row: &tokio_postgres::Row) -> Result<Row, StoreError> {
    let unreadable = |e: tokio_postgres::Error| StoreError::Corrupt { what: "a row", reason: e.to_string() };
    let value = |(i, column): (usize, &tokio_postgres::Column)| {
        Ok(match *column.type_() {
            Type::INT8 => row.try_get::<_, Option<i64>>(i).map_err(unreadable)?.into(),
            Type::INT4 => row.try_get::<_, Option<i32>>(i).map_err(unreadable)?.map(i64::from).into(),
            Type::BOOL => row.try_get::<_, Option<bool>>(i).map_err(unreadable)?.map(i64::from).into(),
            Type::BYTEA => {
                let bytes = row.try_get::<_, Option<&[u8]>>(i).map_err(unreadable)?;
                bytes.map(bytes::Bytes::copy_from_slice).into()
            }
            _ => row.try_get::<_, Option<&str>>(i).map_err(unreadable)?.into(),
        })
    };
    Ok(Row(row.columns().iter().enumerate().map(value).collect::<Result<_, StoreError>>()?))
}
