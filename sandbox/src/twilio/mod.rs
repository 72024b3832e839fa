//! The simulated Twilio.
//!
//! Reading order: [`provider`] is the interface to the sandbox. A request goes to [`api`], a control call to
//! [`control`]; both change the [`state`]. [`traffic`] is what follows by itself: a message's lifecycle, and the
//! webhooks that report it.

mod api;
mod client;
mod content_types;
mod control;
mod desk;
mod errors;
mod overrides;
mod provider;
mod setup;
pub mod signature;
mod state;
mod traffic;
pub mod types;

pub use self::api::operations;
pub(crate) use self::provider::open;
