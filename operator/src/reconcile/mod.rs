//! What every kind shares: a reconcile of one object from its trigger to its status.
//!
//! Reading order: a [`kind::Kind`] observes, decides and acts; [`progress`] records its findings on the way; [`error`]
//! says what a failure calls for; [`drive`] runs it all with its [`machinery`], turns the result into [`conditions`],
//! writes the [`status`] and publishes [`events`]. An [`intent`] is recorded before what must not be done twice.
//! [`backoff`] and [`freshness`] decide when the next reconcile may begin, and [`listings`] when the first may.
//! [`redact`] keeps secrets out of everything that a tenant reads.

pub mod backoff;
pub mod conditions;
pub mod drive;
pub mod error;
pub mod events;
pub mod freshness;
pub mod intent;
pub mod kind;
pub mod listings;
pub mod live;
pub mod machinery;
pub mod progress;
pub mod redact;
#[cfg(test)]
mod states;
pub mod status;
