//! The data plane: takes providers' webhooks, sends messages, and publishes events to the tenants' applications.

pub mod admin;
pub mod api;
pub mod apply;
pub mod auth;
pub mod bounds;
pub mod budget;
pub mod clock;
pub mod clock_check;
pub mod config;
pub mod dispatch;
pub mod expiry;
pub mod holds;
pub mod metrics;
pub mod progress;
pub mod publish;
pub mod removal;
pub mod replay;
mod requests;
pub mod retention;
pub mod rules;
pub mod serve;
pub mod settings;
pub mod shared;
pub mod sink;
pub mod store;
pub mod sweep;
pub mod webhooks;
