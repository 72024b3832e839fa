//! The places that connections take, across all threads of a listener.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::{Closed, Listener};

/// The open connections of a listener.
#[derive(Default)]
pub(crate) struct Places(Mutex<Taken>);

#[derive(Default)]
struct Taken {
    next: u64,
    connections: HashMap<u64, (IpAddr, Arc<Connection>)>,
    /// How many each network has.
    peers: HashMap<IpAddr, usize>,
}

impl Taken {
    fn remove(&mut self, id: u64) -> Option<Arc<Connection>> {
        let (network, connection) = self.connections.remove(&id)?;
        if let Some(count) = self.peers.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                self.peers.remove(&network);
            }
        }
        Some(connection)
    }

    /// Those that have waited longest, as many as needed.
    fn longest_waiting(&self, needed: usize) -> Vec<u64> {
        let waits_since = |(id, (_, connection)): (&u64, &(_, Arc<Connection>))| Some((connection.waits_since()?, *id));
        let mut waiting: Vec<_> = self.connections.iter().filter_map(waits_since).collect();
        if waiting.len() > needed {
            waiting.select_nth_unstable(needed);
            waiting.truncate(needed);
        }
        waiting.into_iter().map(|(_, id)| id).collect()
    }
}

/// One connection's place, which is free again when this is dropped.
pub(crate) struct Place {
    listener: Arc<Listener>,
    id: u64,
    pub(crate) connection: Arc<Connection>,
}

impl Place {
    pub(crate) fn header_bytes(&self) -> usize {
        self.listener.limits.header_bytes
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let left = self.listener.places.0.lock().remove(self.id);
        if left.is_some() {
            self.listener.witness.opened(-1);
        }
    }
}

impl Listener {
    /// Failure policy: shed load. Whoever keeps us waiting makes room for a newcomer; if nobody does, it is refused.
    pub(crate) fn admit(self: &Arc<Self>, peer: IpAddr) -> Result<Place, Closed> {
        let network = network(peer);
        if self.places.0.lock().connections.len() >= self.limits.connections && !self.make_room() {
            return Err(Closed::Full);
        }
        let mut taken = self.places.0.lock();
        let count = taken.peers.entry(network).or_default();
        if self.limits.per_peer.is_some_and(|most| *count >= most) {
            return Err(Closed::PeerLimit);
        }
        *count += 1;
        let id = taken.next;
        taken.next += 1;
        let connection = Connection::new(&self.limits);
        taken.connections.insert(id, (network, Arc::clone(&connection)));
        self.witness.opened(1);
        Ok(Place { listener: Arc::clone(self), id, connection })
    }

    /// Closes the connections that have waited longest: several, so that they are not looked through for each newcomer.
    /// `false` if none waits.
    pub(crate) fn make_room(&self) -> bool {
        let several = (self.limits.connections / 64).max(1);
        self.close(|taken| taken.longest_waiting(several).into_iter().map(|id| (id, Some(Closed::MadeRoom))).collect())
    }

    pub(crate) fn close_overdue(&self) {
        let now = Instant::now();
        self.close(|taken| {
            let overdue = taken.connections.iter();
            overdue.filter_map(|(id, (_, connection))| Some((*id, Some(connection.overdue(now)?)))).collect()
        });
    }

    pub(crate) fn close_what_delays_the_stop(&self) {
        let now = Instant::now();
        self.close(|taken| {
            let waiting = taken.connections.iter().filter(|(_, (_, connection))| connection.delays_stop(now));
            waiting.map(|(id, _)| (*id, None)).collect()
        });
    }

    /// Closes connections. Their places are free at once.
    fn close(&self, which: impl FnOnce(&Taken) -> Vec<(u64, Option<Closed>)>) -> bool {
        let mut taken = self.places.0.lock();
        let closed = which(&taken);
        for (id, why) in &closed {
            if let Some(connection) = taken.remove(*id) {
                connection.cut();
                self.witness.opened(-1);
            }
            if let Some(why) = why {
                self.witness.closed(*why);
            }
        }
        !closed.is_empty()
    }
}

/// One customer of a provider of IPv6 has at least a /64.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_an_address_or_a_64_of_ipv6() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
