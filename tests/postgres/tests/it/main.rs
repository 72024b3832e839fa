//! Servers that are really started, crashed and promoted, and connections that are really broken.

#![expect(clippy::unwrap_used, reason = "in a test, what must not happen may panic")]

mod failover;
mod life;
mod proxy;
