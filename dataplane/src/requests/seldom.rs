//! Log lines that anybody could cause: one now and then, with the number of those that were left out.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The pause between two lines.
const PAUSE: Duration = Duration::from_secs(10);

/// One kind of line.
#[derive(Debug)]
pub(crate) struct Seldom(Mutex<Written>);

#[derive(Debug)]
struct Written {
    last: Option<Instant>,
    left_out: u64,
}

impl Seldom {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Written { last: None, left_out: 0 }))
    }

    /// Whether to write a line now: if so, how many were left out since the last one.
    pub(crate) fn turn(&self) -> Option<u64> {
        self.turn_at(Instant::now())
    }

    fn turn_at(&self, now: Instant) -> Option<u64> {
        let mut written = self.0.lock();
        if written.last.is_some_and(|last| now.saturating_duration_since(last) < PAUSE) {
            written.left_out += 1;
            return None;
        }
        written.last = Some(now);
        Some(std::mem::take(&mut written.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_many_were_left_out_before_it() {
        let (seldom, start) = (Seldom::new(), Instant::now());
        assert_eq!(seldom.turn_at(start), Some(0));
        assert_eq!((seldom.turn_at(start), seldom.turn_at(start + PAUSE / 2)), (None, None));
        assert_eq!(seldom.turn_at(start + PAUSE), Some(2));
        assert_eq!(seldom.turn_at(start + PAUSE * 2), Some(0));
    }
}
