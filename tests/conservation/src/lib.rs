//! Conservation under faults: nothing acknowledged is lost, and nothing happens twice.
//!
//! A [`world`] has several replicas of the data plane as real processes, the sandbox in the provider's place, and an
//! application for each tenant. Clients [`drive`] it while [`chaos`] kills, cuts, delays and sets clocks, and
//! what is around it is [disturbed](disturb). When
//! everything has [settled](settle), the records of each side are [`collect`]ed into [`logs`], and the [`oracle`], a
//! pure function, reports what does not agree. Each violation is reported with its whole [`story`].
//!
//! All randomness comes from one seed, which is printed. It makes the clients and the chaos repeatable, as far as
//! several processes on one machine can be.

pub mod chaos;
pub mod collect;
pub mod customer;
pub mod database;
pub mod disturb;
pub mod drive;
pub mod faults;
pub mod fickle;
pub mod logs;
pub mod open;
pub mod oracle;
pub mod plan;
pub mod replica;
pub mod run;
pub mod settle;
pub mod signing;
pub mod story;
pub mod template;
pub mod tenant;
pub mod world;

pub use crate::plan::{Plan, Store};
pub use crate::run::run;
pub use crate::world::World;
pub use tests::balancer;

/// The clock that the clients, the customers, the applications and the provider share. The replicas have their own.
#[expect(clippy::disallowed_methods, reason = "the clock of everything but the data plane")]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
