//! The tenants' listener, request by request.

mod any_bytes;
mod contacts;
mod contract;
mod description;
mod events;
mod messages;
mod replies;
mod text;
