//! Open load: a fixed rate, whatever the responses do. A request's latency counts from the moment at which it was
//! due, so a request that waits for earlier ones is charged for the wait, as a customer's would be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::connection::Connection;
use super::{Outcome, Requests, on_own_thread};
use crate::statistics::Latencies;

/// When each request is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schedule {
    per_second: u32,
}

impl Schedule {
    pub(crate) fn new(per_second: u32) -> Self {
        Self { per_second: per_second.max(1) }
    }

    /// How long after the start the nth request, counted from 0, is due.
    fn due(self, n: usize) -> Duration {
        let nanoseconds = n as u128 * 1_000_000_000 / u128::from(self.per_second);
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    /// How many requests are due after `elapsed`.
    fn due_after(self, elapsed: Duration) -> usize {
        let whole = elapsed.as_nanos() * u128::from(self.per_second) / 1_000_000_000;
        usize::try_from(whole).unwrap_or(usize::MAX).saturating_add(1)
    }
}

/// Sends every request once, on time. `connections` bounds the requests in flight. A request that finds none free
/// waits, and its wait counts.
pub(crate) async fn run(
    address: SocketAddr,
    connections: usize,
    schedule: Schedule,
    requests: &Arc<Requests>,
) -> Result<Outcome> {
    let requests = Arc::clone(requests);
    on_own_thread(async move {
        let mut open = Vec::new();
        for _ in 0..connections {
            open.push(Connection::open(address).await?);
        }
        let (next, due) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let began = Instant::now();
        let pacer = Pacer::start(began, schedule, requests.len(), Arc::clone(&due))?;
        let mut clients = JoinSet::new();
        for mut connection in open {
            let (requests, next, due) = (Arc::clone(&requests), Arc::clone(&next), Arc::clone(&due));
            clients.spawn(async move {
                let mut latencies = Vec::new();
                // Closed when everything is due. Workers then take what is left.
                while let Ok(permit) = due.acquire().await {
                    permit.forget();
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(request) = requests.get(n) else { break };
                    connection.call(request).await?;
                    latencies.push(began.elapsed().saturating_sub(schedule.due(n)));
                }
                anyhow::Ok(latencies)
            });
        }
        let mut latencies = Vec::with_capacity(requests.len());
        while let Some(done) = clients.join_next().await {
            latencies.extend(done??);
        }
        let elapsed = began.elapsed();
        pacer.end()?;
        ensure!(
            latencies.len() == requests.len(),
            "only {} of {} requests were answered",
            latencies.len(),
            requests.len()
        );
        Ok(Outcome { elapsed, latencies: Latencies::new(latencies) })
    })
    .await
}

/// Says when a request is due, from a thread of its own: a runtime's timers tick in milliseconds, a thread's do not.
struct Pacer {
    /// Dropping it ends the thread.
    stop: std::sync::mpsc::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Pacer {
    fn start(began: Instant, schedule: Schedule, count: usize, due: Arc<Semaphore>) -> Result<Self> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("pacer".to_owned()).spawn(move || {
            let mut released = 0;
            while released < count {
                let reached = schedule.due_after(began.elapsed()).min(count);
                due.add_permits(reached - released);
                released = reached;
                let wait = schedule.due(released).saturating_sub(began.elapsed());
                if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
            // Waiting workers find that nothing more is due.
            due.add_permits(Semaphore::MAX_PERMITS / 2);
        });
        Ok(Self { stop, thread: thread.context("starting the pacer")? })
    }

    fn end(self) -> Result<()> {
        drop(self.stop);
        self.thread.join().map_err(|_| anyhow::anyhow!("the pacer panicked"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_even_distances() {
        let schedule = Schedule::new(500);
        assert_eq!(schedule.due(0), Duration::ZERO);
        assert_eq!(schedule.due(1), Duration::from_millis(2));
        assert_eq!(schedule.due(5000), Duration::from_secs(10));
        // A rate that does not divide a second does not drift.
        assert_eq!(Schedule::new(3).due(3_000_000), Duration::from_secs(1_000_000));
    }

    #[test]
    fn requests_are_released_when_due_and_not_before() {
        let schedule = Schedule::new(1000);
        assert_eq!(schedule.due_after(Duration::ZERO), 1);
        assert_eq!(schedule.due_after(Duration::from_micros(999)), 1);
        for n in 0..10_000 {
            assert_eq!(schedule.due_after(schedule.due(n)), n + 1);
        }
    }

    /// A server that stalls delays every request that falls due meanwhile, not only one.
    #[tokio::test]
    async fn a_stall_of_the_server_counts_for_every_request_due_during_it() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        const PAUSE: Duration = Duration::from_millis(300);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 64];
            let mut first = true;
            while stream.read(&mut buffer).await.unwrap() > 0 {
                if std::mem::take(&mut first) {
                    tokio::time::sleep(PAUSE).await;
                }
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            }
        });
        let mut requests = Requests::default();
        for _ in 0..60 {
            requests.push(b"GET / HTTP/1.1\r\n\r\n");
        }
        let outcome = run(address, 1, Schedule::new(100), &Arc::new(requests)).await.unwrap();
        assert_eq!(outcome.latencies.len(), 60);
        // 30 were due in the pause; a generator that waits for answers before it counts would see one slow one.
        assert!(outcome.latencies.percentile_ms(60) > 50.0, "{}", outcome.latencies.percentile_ms(60));
        assert!(outcome.elapsed >= Duration::from_millis(590), "{:?}", outcome.elapsed);
    }
}
