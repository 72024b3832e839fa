//! What must survive a crash, behind one handle ([`Store`]): the log of webhooks, messages and their timelines,
//! contacts, the queue and the outbox.
//!
//! A store keeps and orders; it decides nothing about messaging. Whatever belongs together commits together: an event
//! with its dedupe record, an applied event with its consequences, a status with its place in the timeline and its
//! publication. Every write is a [`Command`] and answers after it is on disk. Time and identifiers are arguments.
//!
//! Several replicas may share one store, so nothing here is true in memory only: work is claimed under a lease, each
//! claim has a fencing token, and a holder whose claim has passed to another can finish nothing.
//!
//! Reading order: the rows and commands ([`webhook`], [`message`], [`contact`], [`queue`], [`hold`], [`outbox`],
//! [`sweep`], [`senders`]), the handle, then how it is kept: [`tables`] names every table's columns; [`group`] makes
//! groups of writes, which are decided in [`crate::rules`] or are statements of their own, in [`sql`]; [`reads`] are
//! the reads; and [`database`] is where SQLite and PostgreSQL differ.

pub mod adopted;
mod command;
pub mod contact;
mod database;
mod error;
pub(crate) mod group;
mod handle;
pub mod hold;
pub mod message;
pub mod outbox;
pub mod overlong;
pub(crate) mod person;
mod postgres_url;
pub mod queue;
mod reads;
pub mod senders;
mod signals;
mod sql;
pub mod sweep;
pub(crate) mod tables;
pub mod webhook;

pub use command::{Command, DropDay, ForgetOldUnaddressed, MakeDay, WriteTo};
pub use error::StoreError;
pub use handle::{Store, Tap, WebhookLog, Writers};
pub use postgres_url::PostgresUrl;
pub use signals::Signals;
pub use sql::RecordReplayed;
