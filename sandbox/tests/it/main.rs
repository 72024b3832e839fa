//! Tests the sandbox over HTTP, as a client of the provider and as the receiver of its webhooks.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is how a failure is reported")]

mod credentials;
mod events;
mod faults;
mod fuzz;
mod messages;
mod openapi;
mod pages;
mod reference;
mod sdks;
mod services;
mod signatures;
mod support;
mod templates;
mod try_out;
mod webhooks;
