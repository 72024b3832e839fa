//! Ports on loopback for processes that tests start, stop and start again.
//!
//! A port that was asked of the kernel and given back may belong to anybody by the time a process listens on it. These
//! are below the range from which the kernel serves such requests and outgoing connections, and no other process that
//! asks here gets them while this one lives.

use std::io::{Error, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};

/// Linux takes ports from 32768 on, unless it is told otherwise.
const FIRST: u16 = 10_000;
const END: u16 = 30_000;
/// How many ports a process claims at once.
const BLOCK: u16 = 100;

static OURS: Mutex<Ours> = Mutex::new(Ours { claims: Vec::new(), next: 0, end: 0 });

/// What this process has claimed.
struct Ours {
    /// A block is claimed by a datagram socket on its first port, which no listener competes for. It goes with the
    /// process.
    claims: Vec<UdpSocket>,
    next: u16,
    end: u16,
}

/// A port that nothing listens on. This process never gets it again.
pub fn free() -> Result<u16> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner).free()
}

/// The address of a port that nothing listens on.
pub fn free_address() -> Result<SocketAddr> {
    Ok((Ipv4Addr::LOCALHOST, free()?).into())
}

impl Ours {
    fn free(&mut self) -> Result<u16> {
        loop {
            if self.next == self.end {
                self.claim()?;
            }
            let port = self.next;
            self.next += 1;
            // Somebody may listen there who did not ask here.
            if is_free(TcpListener::bind((Ipv4Addr::LOCALHOST, port)))?.is_some() {
                return Ok(port);
            }
        }
    }

    fn claim(&mut self) -> Result<()> {
        for first in (FIRST..END).step_by(BLOCK.into()) {
            if let Some(claim) = is_free(UdpSocket::bind((Ipv4Addr::LOCALHOST, first)))? {
                self.claims.push(claim);
                (self.next, self.end) = (first, first + BLOCK);
                return Ok(());
            }
        }
        bail!("every port from {FIRST} to {} is claimed", END - 1)
    }
}

fn is_free<T>(bound: Result<T, Error>) -> Result<Option<T>> {
    match bound {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(None),
        Err(error) => Err(error).context("looking for a free port"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_are_equal_and_the_kernel_gives_none_of_them_to_others() {
        let ports: Vec<u16> = (0..3 * BLOCK).map(|_| free().unwrap()).collect();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), ports.len());
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
        let first: u16 = range.split_whitespace().next().unwrap().parse().unwrap();
        assert!(ports.iter().all(|port| *port < first), "the kernel gives ports from {first} on");
    }

    #[test]
    fn a_block_that_another_process_claims_is_left_to_it() {
        let new = || Ours { claims: Vec::new(), next: 0, end: 0 };
        let (mut one, mut other) = (new(), new());
        let ports = |ours: &mut Ours| (0..BLOCK / 2).map(|_| ours.free().unwrap()).collect::<BTreeSet<_>>();
        assert!(ports(&mut one).is_disjoint(&ports(&mut other)));
    }

    #[test]
    fn a_port_that_is_listened_on_is_passed_over() {
        let mut ours = Ours { claims: Vec::new(), next: 0, end: 0 };
        let before = ours.free().unwrap();
        let Ok(_listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, before + 1)) else {
            return; // Somebody else listens there, which serves as well.
        };
        assert!(ours.free().unwrap() > before + 1);
    }
}
