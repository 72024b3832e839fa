//! Meta's Cloud API, of which only the webhooks are here ([`MetaWebhooks`]). Nothing registers them yet, because no account
//! in a config is Meta's.
//!
//! What is said here about Meta comes from its documentation pages and its OpenAPI document (2026); where those disagree,
//! the code accepts either.

mod codes;
mod webhook;

pub use webhook::MetaWebhooks;

/// Meta's name in URLs, metrics and routes.
const PROVIDER: &str = "meta";
