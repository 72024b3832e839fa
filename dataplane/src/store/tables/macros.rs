//! The list of a table's columns, from which everything else about it follows.

/// Describes a table. The columns come in the order of the database, in groups:
///
/// - `key`: the primary key;
/// - `fixed`: written once, with the row;
/// - `elsewhere`: written and read by statements of their own, so that the row's struct does without them;
/// - `changing`: written whenever the row changes.
///
/// With a struct, the table gets a [`Record`](super::Record) of that name, whose key is a tuple, and `BY_KEY`. Without
/// one, it only gets `TABLE`.
macro_rules! table {
    (
        $(#[$attribute:meta])*
        $vis:vis struct $row:ident in $name:literal {
            key { $($key:ident: $key_type:ty),* $(,)? }
            $(fixed { $($(#[$fixed_attribute:meta])* $fixed:ident: $fixed_type:ty),* $(,)? })?
            $(elsewhere { $($elsewhere:ident: $elsewhere_type:ty),* $(,)? })?
            $(changing { $($(#[$changing_attribute:meta])* $changing:ident: $changing_type:ty),* $(,)? })?
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, PartialEq)]
        $vis struct $row {
            $($($(#[$fixed_attribute])* $vis $fixed: $fixed_type,)*)?
            $($($(#[$changing_attribute])* $vis $changing: $changing_type,)*)?
        }

        table! {
            $name {
                key { $($key: $key_type),* }
                fixed { $($($fixed: $fixed_type,)*)? $($($elsewhere: $elsewhere_type,)*)? }
                changing { $($($changing: $changing_type),*)? }
            }
        }

        pub(crate) static BY_KEY: $crate::store::tables::table::Finder =
            $crate::store::tables::table::Finder { table: &TABLE, by: &[$(stringify!($key)),*], index: None };

        impl $crate::store::tables::read::Read for $row {
            fn read(columns: &mut $crate::store::tables::read::Columns<'_>) -> Result<Self, $crate::store::StoreError> {
                $($(let $fixed = columns.next()?;)*)?
                $($(columns.skip(stringify!($elsewhere));)*)?
                $($(let $changing = columns.next()?;)*)?
                Ok(Self { $($($fixed,)*)? $($($changing,)*)? })
            }
        }

        impl $crate::store::tables::Record for $row {
            type Key = ($($key_type,)*);

            fn finder() -> &'static $crate::store::tables::table::Finder {
                &BY_KEY
            }

            fn key(key: &Self::Key) -> Vec<$crate::store::tables::value::Value> {
                let ($($key,)*) = key;
                $crate::store::tables::value::values![$($key),*]
            }

            fn read(
                row: &$crate::store::tables::value::Row,
            ) -> Result<(Self::Key, Self), $crate::store::StoreError> {
                row.read()
            }

            fn values(
                &self,
                key: &Self::Key,
            ) -> Result<Vec<$crate::store::tables::value::Value>, $crate::store::StoreError> {
                let mut values = <Self as $crate::store::tables::Record>::key(key);
                values.extend([
                    $($($crate::store::tables::stored::Stored::store(&self.$fixed)?,)*)?
                    // Nothing: the database refuses such a row, which only a statement of its own can write.
                    $($($crate::store::tables::value::null(stringify!($elsewhere)),)*)?
                    $($($crate::store::tables::stored::Stored::store(&self.$changing)?,)*)?
                ]);
                Ok(values)
            }

            fn changes(&self) -> Result<Vec<$crate::store::tables::value::Value>, $crate::store::StoreError> {
                Ok(vec![$($($crate::store::tables::stored::Stored::store(&self.$changing)?),*)?])
            }
        }
    };

    (
        $name:literal {
            key { $($key:ident: $key_type:ty),* $(,)? }
            $(fixed { $($fixed:ident: $fixed_type:ty),* $(,)? })?
            $(changing { $($changing:ident: $changing_type:ty),* $(,)? })?
        }
    ) => {
        pub(crate) static TABLE: $crate::store::tables::table::Table = $crate::store::tables::table::Table {
            name: $name,
            columns: &[
                $((stringify!($key), <$key_type as $crate::store::tables::stored::Stored>::KIND),)*
                $($((stringify!($fixed), <$fixed_type as $crate::store::tables::stored::Stored>::KIND),)*)?
                $($((stringify!($changing), <$changing_type as $crate::store::tables::stored::Stored>::KIND),)*)?
            ],
            key: <[&str]>::len(&[$(stringify!($key)),*]),
            changing: <[&str]>::len(&[$($(stringify!($changing)),*)?]),
        };
    };
}
