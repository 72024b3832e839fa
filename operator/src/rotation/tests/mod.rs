//! Promises about rotations: with a provider, a cluster and a data plane in memory, through whole reconciles of the
//! senders.

mod crashes;
mod held;
mod model;
mod plans;
mod world;
