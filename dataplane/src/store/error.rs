//! Why a store could not do what it was asked for.

/// Nothing was changed when a store answers with one of these, unless the variant says otherwise.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Too many writes wait already. The caller should shed the work, and its own caller may try again.
    #[error("the store has too many writes waiting; try again")]
    Overloaded,
    #[error("the store is closed")]
    Closed,
    /// The database answered with an error. A write whose *commit* failed may or may not be on disk; every write here
    /// may be made again.
    #[error("the store failed: {0}")]
    Failed(String),
    /// A row does not read as what it should be; written by another version, or by hand.
    #[error("the store holds {what} that cannot be read: {reason}")]
    Corrupt { what: &'static str, reason: String },
}
