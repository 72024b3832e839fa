//! The one clock of the binary. Everything else takes a [`Clock`], so that tests can drive it.

use jiff::Timestamp;
use messaging::clock::Clock;

/// The time of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the data plane asks the machine for the time")]
    fn now(&self) -> Timestamp {
        // In microseconds, as the store keeps it: what is answered now is what is read later.
        let now = Timestamp::now();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }
}
