//! The data plane against real files, sockets and databases, and against providers that a test drives.

#![expect(clippy::unwrap_used, reason = "in a test, what must not happen may panic")]

mod auth;
mod config;
mod crash;
mod dispatch;
mod expiry;
mod fake;
mod http;
mod mortal;
mod publish;
mod replay;
mod sink;
mod store;
mod sweep;
mod world;
