//! Accepts connections on one socket, and closes those that take too long.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{Listener, connection};

/// How often the longest waits are looked for, unless a limit is shorter.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The pause after an error that will come again, such as that there are no descriptors.
const PAUSE: Duration = Duration::from_millis(50);
/// How often such errors are logged.
const LOG_EVERY: Duration = Duration::from_secs(10);

impl Listener {
    /// Serves until `stop`, then finishes the requests in flight. What is dropped is cut off at once.
    pub async fn serve(self: Arc<Self>, socket: TcpListener, router: Router, stop: CancellationToken) {
        let shortest = self.limits.header_within.min(self.limits.idle);
        let mut look = interval(LOOK_EVERY.min(shortest).max(Duration::from_millis(1)));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut running = JoinSet::new();
        let mut logged_at = None::<Instant>;
        loop {
            tokio::select! {
                accepted = socket.accept() => match accepted {
                    Ok((tcp, peer)) => {
                        match self.admit(peer.ip()) {
                            Ok(place) => drop(running.spawn(connection::run(place, tcp, router.clone(), stop.clone()))),
                            Err(why) => self.witness.closed(why),
                        }
                        // A flood waits in the kernel while those that were accepted are served.
                        tokio::task::yield_now().await;
                    }
                    Err(error) if is_about_one_connection(&error) => {}
                    Err(error) => {
                        if logged_at.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
                            logged_at = Some(Instant::now());
                            tracing::warn!(%error, "connections cannot be accepted; those that wait make room");
                        }
                        self.make_room();
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                Some(ended) = running.join_next() => note(ended),
                _ = look.tick() => self.close_overdue(),
                () = stop.cancelled() => break,
            }
        }
        drop(socket);
        self.close_what_delays_the_stop();
        while !running.is_empty() {
            tokio::select! {
                Some(ended) = running.join_next() => note(ended),
                _ = look.tick() => self.close_what_delays_the_stop(),
            }
        }
    }
}

fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection ended in a panic");
    }
}

/// Whether an error of `accept` says nothing about the next connection.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
