//! Rows as arrays, one for each column, and values as PostgreSQL takes and gives them.

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::store::StoreError;
use crate::store::database::value::{Kind, Row, Value};

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
pub(super) fn columns<'a>(kinds: &[(&'static str, Kind)], rows: &'a [Vec<Value>]) -> Vec<Column<'a>> {
    let column = |i: usize, kind: Kind| {
        let values = rows.iter().map(move |row| row.get(i));
        match kind {
            Kind::Int => {
                Column::Int(values.map(|v| if let Some(Value::Int(n)) = v { Some(*n) } else { None }).collect())
            }
            Kind::Text => Column::Text(
                values.map(|v| if let Some(Value::Text(t)) = v { Some(t.as_str()) } else { None }).collect(),
            ),
            Kind::Blob => {
                Column::Blob(values.map(|v| if let Some(Value::Blob(b)) = v { Some(&b[..]) } else { None }).collect())
            }
        }
    };
    kinds.iter().enumerate().map(|(i, (_, kind))| column(i, *kind)).collect()
}

/// `unnest($1::text[], $2::bigint[], …)`, its parameters numbered from `first`.
pub(super) fn unnest(kinds: &[(&'static str, Kind)], first: usize) -> String {
    let arrays: Vec<_> = kinds
        .iter()
        .enumerate()
        .map(|(i, (_, kind))| {
            let kind = match kind {
                Kind::Int => "bigint",
                Kind::Text => "text",
                Kind::Blob => "bytea",
            };
            format!("${}::{kind}[]", i + first)
        })
        .collect();
    format!("unnest({})", arrays.join(", "))
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
