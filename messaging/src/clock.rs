//! Where the time comes from: an argument, never a call.

use jiff::Timestamp;

/// Tells the time. The binaries pass the system's clock; tests pass one that they drive.
pub trait Clock: Send + Sync + std::fmt::Debug {
    fn now(&self) -> Timestamp;
}
