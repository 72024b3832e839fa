//! The retries and time-outs of a webhook.

use std::time::Duration;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Patience {
    /// Attempts after the first.
    pub(crate) retries: u32,
    /// What is retried.
    pub(crate) retried: Vec<Trouble>,
    /// For one answer.
    pub(crate) read_timeout: Duration,
    /// For all attempts combined.
    pub(crate) total_timeout: Duration,
}

/// Why an attempt did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    Connect,
    Timeout,
    Answer4xx,
    Answer5xx,
}

impl Patience {
    /// One attempt of at most 15 s.
    pub(crate) fn once() -> Self {
        const TIMEOUT: Duration = Duration::from_secs(15);
        Self { retries: 0, retried: Vec::new(), read_timeout: TIMEOUT, total_timeout: TIMEOUT }
    }

    pub(crate) fn retries(&self, trouble: Trouble) -> bool {
        self.retried.contains(&trouble)
    }
}
