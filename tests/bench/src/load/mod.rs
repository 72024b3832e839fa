//! The load generator: raw HTTP/1.1 over keep-alive connections, one request at a time on each, from a thread of its
//! own with its own runtime. Requests are bytes that are prepared before the clock starts.
//!
//! [`closed`] sends as fast as responses arrive, which measures throughput. [`open`] sends at a fixed rate whatever the
//! responses do, which measures latency. [`hostile`] does so among clients that mean harm.

pub(crate) mod closed;
mod connection;
pub(crate) mod hostile;
pub(crate) mod open;

use std::time::Duration;

use anyhow::{Context, Result};

use crate::statistics::Latencies;

/// Requests, back to back in one allocation.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Requests {
    pub(crate) fn push(&mut self, request: &[u8]) {
        self.bytes.extend_from_slice(request);
        self.ends.push(self.bytes.len());
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn get(&self, n: usize) -> Option<&[u8]> {
        let end = *self.ends.get(n)?;
        let start = if n == 0 { 0 } else { self.ends[n - 1] };
        Some(&self.bytes[start..end])
    }
}

/// The result of a run in which every response was a success. Any other response fails the run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) elapsed: Duration,
    pub(crate) latencies: Latencies,
}

impl Outcome {
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// Runs on a thread of its own, so that nothing else of this process delays it.
async fn on_own_thread<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::spawn_blocking(move || runtime.block_on(work)).await.context("the load generator")?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_out_as_they_went_in() {
        let mut requests = Requests::default();
        for request in ["one", "", "three"] {
            requests.push(request.as_bytes());
        }
        assert_eq!(requests.len(), 3);
        let all: Vec<_> = (0..4).map(|n| requests.get(n)).collect();
        assert_eq!(all, [Some(&b"one"[..]), Some(b""), Some(b"three"), None]);
    }
}
