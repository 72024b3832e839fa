//! The places that connections take, across all threads of a listener.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::{Closed, Listener};

pub(crate) struct Places {
    most: usize,
    most_per_peer: Option<usize>,
    taken: AtomicUsize,
    /// Empty without a limit for each peer; never longer than `taken`.
    peers: Mutex<HashMap<IpAddr, usize>>,
}

impl Places {
    pub(crate) fn new(most: usize, most_per_peer: Option<usize>) -> Self {
        Self { most, most_per_peer, taken: AtomicUsize::new(0), peers: Mutex::default() }
    }

    pub(crate) fn are_full(&self) -> bool {
        self.taken.load(Ordering::Relaxed) >= self.most
    }

    /// How many connections make room at once, so that they are not looked through for each newcomer.
    pub(crate) fn to_free(&self) -> usize {
        (self.most / 64).max(1)
    }

    fn take(&self, peer: IpAddr) -> Result<(), Closed> {
        if let Some(most) = self.most_per_peer {
            let mut peers = self.peers.lock();
            let count = peers.entry(network(peer)).or_default();
            if *count >= most {
                return Err(Closed::PeerLimit);
            }
            *count += 1;
        }
        self.taken.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn give_back(&self, peer: IpAddr) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
        if self.most_per_peer.is_some() {
            let mut peers = self.peers.lock();
            if let Some(count) = peers.get_mut(&network(peer)) {
                *count -= 1;
                if *count == 0 {
                    peers.remove(&network(peer));
                }
            }
        }
    }
}

/// One customer of a provider of IPv6 has at least a /64.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// One connection's place, until it is released or dropped.
pub(crate) struct Place {
    pub(crate) listener: Arc<Listener>,
    peer: IpAddr,
    released: AtomicBool,
}

impl Place {
    /// Takes a place, whether or not one is free.
    pub(crate) fn take(listener: &Arc<Listener>, peer: IpAddr) -> Result<Self, Closed> {
        listener.places.take(peer)?;
        listener.witness.opened(1);
        Ok(Self { listener: Arc::clone(listener), peer, released: AtomicBool::new(false) })
    }

    pub(crate) fn release(&self) {
        if !self.released.swap(true, Ordering::Relaxed) {
            self.listener.places.give_back(self.peer);
            self.listener.witness.opened(-1);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.release();
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
