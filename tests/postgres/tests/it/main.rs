//! Servers that are really started, crashed and promoted.

mod failover;
mod life;
