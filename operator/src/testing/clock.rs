//! A clock that a test drives.

use jiff::Timestamp;
use messaging::clock::Clock;
use parking_lot::Mutex;

/// It stands still until the test moves it.
#[derive(Debug, Default)]
pub(crate) struct TestClock(pub(crate) Mutex<Timestamp>);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }
}
