//! The part of a webhook's route that tells how its body is read.

use std::fmt;

const CHANGES: &str = "changes";

/// The route by which a change came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Route {
    /// The time of the change's entry, in seconds; an entry with messages has none.
    pub(super) entry_time: Option<i64>,
}

impl Route {
    pub(super) fn parse(route: &str) -> Self {
        let time = route.strip_prefix(CHANGES).and_then(|rest| rest.strip_prefix('/'));
        Self { entry_time: time.and_then(|time| time.parse().ok()) }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry_time {
            Some(time) => write!(f, "{CHANGES}/{time}"),
            None => f.write_str(CHANGES),
        }
    }
}
