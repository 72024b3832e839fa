//! Why a store could not do what it was asked for.

/// Nothing was changed when a store answers with one of these, unless the variant says otherwise.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Too many writes wait already. The caller should shed the work, and its own caller may try again.
    #[error("the store has too many writes waiting; try again")]
    Overloaded,
    #[error("the store is closed")]
    Closed,
    /// The database refused, or cannot be reached. Nothing was written.
    #[error("the store failed: {0}")]
    Failed(String),
    /// The database's disk is full. Nothing was written.
    #[error("the store has no room: {0}")]
    Full(String),
    /// The database did not answer. What was to be written may be on disk or not, now or later; every write here may be
    /// made again.
    #[error("the store did not answer: {0}")]
    Unanswered(String),
    /// The database is not one that this can work with, and trying again would not change that.
    #[error("the database cannot be used: {0}")]
    Unsuitable(String),
    /// A row does not read as what it should be; written by another version, or by hand.
    #[error("the store holds {what} that cannot be read: {reason}")]
    Corrupt { what: &'static str, reason: String },
}
