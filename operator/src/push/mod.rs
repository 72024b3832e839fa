//! Template events: the provider tells of an approval, and the template is looked at then instead of at the next poll.
//!
//! Of the senders of one account in a namespace that ask for it, one acts, as [`wish`] decides. [`mod@observe`] sees
//! what the provider has of it, [`mod@plan`] decides the next step, and [`mod@act`] does it and tells where it stands.
//! What the events hint at comes through the [`board`], which [`mod@follow`] keeps current.
//!
//! Nothing depends on it: whatever is lost, polling finds.

pub mod act;
pub mod board;
pub mod follow;
pub mod observe;
mod pace;
pub mod plan;
#[cfg(test)]
mod tests;
pub mod wish;

use std::sync::Arc;

use self::board::{Board, EnsureObject};

/// What senders need for their template events.
pub struct Push {
    pub board: Arc<Board>,
    pub object: Arc<dyn EnsureObject>,
}
