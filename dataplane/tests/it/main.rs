//! The data plane against real files, sockets and databases, and against providers that a test drives.

#![expect(clippy::unwrap_used, reason = "in a test, what must not happen may panic")]

mod admin;
mod api;
mod auth;
mod batch;
mod clock;
mod config;
mod crash;
mod dispatch;
mod expiry;
mod fake;
mod hanging;
mod keywords;
mod listeners;
mod mortal;
mod publish;
mod readiness;
mod removal;
mod replay;
mod serve;
mod sink;
mod sockets;
mod store;
mod sweep;
mod webhooks;
mod world;
