//! Meta's Cloud API: its webhooks only ([`MetaWebhooks`]). They are not registered yet, because no account in a config
//! can be Meta's.
//!
//! The facts about Meta are from its documentation and its OpenAPI document (2026); where those disagree, the code
//! accepts either.

mod codes;
mod webhook;

pub use webhook::MetaWebhooks;

/// Meta's name in URLs, metrics and routes.
const PROVIDER: &str = "meta";
