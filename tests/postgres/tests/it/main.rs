//! Really starts, crashes and promotes servers, and really breaks connections.

#![expect(clippy::unwrap_used, reason = "in a test, what must not happen may panic")]

mod failover;
mod life;
mod proxy;
