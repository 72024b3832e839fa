//! Accepts connections on one socket, and closes those that take too long.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::connection::Connection;
use crate::places::Place;
use crate::{Closed, Listener};

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
        let mut open = Open::default();
        let mut logged_at = None::<Instant>;
        loop {
            tokio::select! {
                accepted = socket.accept() => match accepted {
                    Ok((tcp, peer)) => {
                        if let Some(connection) = self.admit(peer, &open) {
                            open.start(connection, tcp, router.clone(), stop.clone());
                        }
                    }
                    Err(error) if is_about_one_connection(&error) => {}
                    Err(error) => {
                        if logged_at.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
                            logged_at = Some(Instant::now());
                            tracing::warn!(%error, "connections cannot be accepted; those that wait make room");
                        }
                        open.make_room(self.places.to_free());
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                Some(ended) = open.running.join_next_with_id() => open.forget(ended),
                _ = look.tick() => open.close_overdue(),
                () = stop.cancelled() => break,
            }
        }
        drop(socket);
        open.close_what_delays_the_stop();
        while !open.running.is_empty() {
            tokio::select! {
                Some(ended) = open.running.join_next_with_id() => open.forget(ended),
                _ = look.tick() => open.close_what_delays_the_stop(),
            }
        }
    }

    /// Failure policy: shed load. Whoever keeps us waiting makes room for a newcomer; if nobody does, it is refused.
    fn admit(self: &Arc<Self>, peer: SocketAddr, open: &Open) -> Option<Arc<Connection>> {
        if self.places.are_full() && !open.make_room(self.places.to_free()) {
            self.witness.closed(Closed::Full);
            return None;
        }
        Place::take(self, peer.ip()).map(Connection::new).map_err(|why| self.witness.closed(why)).ok()
    }
}

/// The connections of one socket.
#[derive(Default)]
struct Open {
    running: JoinSet<()>,
    connections: HashMap<Id, Arc<Connection>>,
}

impl Open {
    fn start(&mut self, connection: Arc<Connection>, tcp: TcpStream, router: Router, stop: CancellationToken) {
        let task = self.running.spawn(Arc::clone(&connection).run(tcp, router, stop));
        self.connections.insert(task.id(), connection);
    }

    fn forget(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                tracing::error!(%error, "a connection ended in a panic");
                error.id()
            }
        };
        self.connections.remove(&id);
    }

    /// Closes those that have waited longest, as many as needed. `false` if none waits.
    fn make_room(&self, needed: usize) -> bool {
        let mut waiting: Vec<_> = self
            .connections
            .values()
            .filter(|connection| !connection.is_cut())
            .filter_map(|connection| Some((connection.waits_since()?, connection)))
            .collect();
        if waiting.len() > needed {
            waiting.select_nth_unstable_by_key(needed, |(since, _)| *since);
            waiting.truncate(needed);
        }
        waiting.iter().for_each(|(_, connection)| connection.cut(Some(Closed::MadeRoom)));
        !waiting.is_empty()
    }

    fn close_overdue(&self) {
        let now = Instant::now();
        for connection in self.connections.values() {
            if let Some(why) = connection.overdue(now) {
                connection.cut(Some(why));
            }
        }
    }

    fn close_what_delays_the_stop(&self) {
        let now = Instant::now();
        self.connections.values().filter(|c| c.delays_stop(now)).for_each(|connection| connection.cut(None));
    }
}

/// Whether an error of `accept` says nothing about the next connection.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
