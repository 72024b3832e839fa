//! How writes are made: those that wait are taken together, decided on rows in memory, and committed as one group.
//!
//! A write is a pure function over [`rows`], under an overlay that is merged when it succeeds. A write that looks at a
//! row that has not been read yet is put aside, and its changes are undone. The rows that all writes miss are then read
//! in one round trip, and the writes run again. At the end everything that changed is written, many rows in one
//! statement, and committed once for all. So a group of five hundred writes costs a handful of statements on either
//! database, and no write knows that there is a database at all.
//!
//! [`commit_queue`] holds the [`job`]s that wait; [`committer`] runs groups of them; [`rows`] is what a group works on.

pub(crate) mod commit_queue;
pub(crate) mod committer;
pub(crate) mod job;
pub(crate) mod operation;
pub(crate) mod rows;

use super::StoreError;

/// Why a write did not come to an answer.
#[derive(Debug)]
pub(crate) enum Halt {
    /// It looked at rows that have to be read first. What it changed is taken back, and it runs again.
    Missing,
    Failed(StoreError),
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}
