//! The one clock of the binary. Everything else takes a [`Clock`], so that tests can drive it.

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use messaging::clock::Clock;

/// The offset of this process's clock from the machine's, such as `3s` or `-2500ms`. Only for tests: they run replicas
/// whose clocks differ, or restart one after its clock was set.
const OFFSET: &str = "WHATSAPP_CLOCK_OFFSET";

static OFFSET_OF_THIS_PROCESS: LazyLock<SignedDuration> = LazyLock::new(|| {
    let Ok(text) = std::env::var(OFFSET) else { return SignedDuration::ZERO };
    match text.parse() {
        Ok(offset) => {
            tracing::warn!(%offset, "this clock differs from the machine's because {OFFSET} says so");
            offset
        }
        Err(error) => {
            tracing::error!(%error, "{OFFSET} is not a duration such as 3s or -2500ms; using the machine's time");
            SignedDuration::ZERO
        }
    }
});

/// The time of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the data plane asks the machine for the time")]
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        let now = now.checked_add(*OFFSET_OF_THIS_PROCESS).unwrap_or(now);
        // In microseconds, like the store: a time in an answer equals the one that is read back later.
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }
}
