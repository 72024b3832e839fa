//! The tenants' listener, request by request.

mod any_bytes;
mod contacts;
mod contract;
mod description;
mod events;
mod messages;
mod permission;
mod replies;
mod text;
