//! What every kind shares: a reconcile of one object from its trigger to its status.
//!
//! Reading order: a [`kind::Kind`] observes, decides and acts; [`progress`] records what it finds as it goes; [`error`]
//! says what a failure asks for; [`drive`] runs it all with its [`machinery`], turns the result into [`conditions`], writes the [`status`] and
//! publishes [`events`]. [`backoff`] and [`freshness`] say when the next reconcile may begin, and [`listings`] when the first; [`redact`] keeps secrets
//! out of everything that a tenant reads.

pub mod backoff;
pub mod conditions;
pub mod drive;
pub mod error;
pub mod events;
pub mod freshness;
pub mod kind;
pub mod listings;
pub mod machinery;
pub mod progress;
pub mod redact;
pub mod status;
