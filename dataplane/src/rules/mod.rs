//! The rules of messaging over the rows that the store keeps. All of it is pure: rows in, rows out.
//!
//! A message is accepted ([`accept`]), claimed and handed over ([`queue`], [`attempt`]), and settled ([`settle`]). What
//! providers report is heard at once where it must be ([`hear`]); it takes effect ([`consequence`], [`apply`]) on
//! messages ([`lifecycle`]) and on contacts ([`contact`]). Tenants learn of it ([`event`], [`outbox`]), by our own ids
//! ([`known`]). [`validity`] says until when a message is tried, and [`removal`] when its sender is gone. [`hold`] and
//! [`sweep`] are what replicas share with each other.
//!
//! An operation that looks at all the rows it needs before it changes any runs again less often.

pub mod accept;
pub mod apply;
pub mod attempt;
pub mod consequence;
pub mod contact;
pub mod event;
pub mod hear;
pub mod hold;
pub(crate) mod known;
pub(crate) mod lifecycle;
pub mod outbox;
pub mod queue;
pub mod removal;
pub mod settle;
pub mod sweep;
pub(crate) mod validity;

use crate::store::group::operation::Operation;
