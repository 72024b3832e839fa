//! Out to the tenants: events carried from the outbox to each sink, at least once, in order per message.

pub mod guard;
pub mod signature;
pub mod transport;
