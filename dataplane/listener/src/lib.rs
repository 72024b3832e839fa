//! Accepts HTTP connections for every listener of the operator and of the data plane, within [`Limits`].
//!
//! A connection that keeps us waiting (for the next request, for the rest of a header or of a body) is never worth more
//! than one that does not: when all places are taken, those that have waited longest make room. A newcomer is refused
//! only while every other connection is being answered.

mod accept;
mod body;
mod connection;
pub mod descriptors;
mod places;
mod stream;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

pub use body::TooSlow;

use places::Places;

/// What a listener's clients may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The longest request line and header, in bytes; at least 8192. A longer one gets a 431.
    pub header_bytes: usize,
    /// How long a new connection may take for its whole first header, and a used one from the next header's first byte.
    pub header_within: Duration,
    /// How long a body may take after its header. A handler then gets [`TooSlow`].
    pub body_within: Duration,
    /// How long a connection stays open without another request.
    pub idle: Duration,
    /// The most connections at once.
    pub connections: usize,
    /// The most connections at once from one address, or from one /64 of IPv6. None where a gateway is every peer.
    pub per_peer: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 32 * 1024,
            header_within: Duration::from_secs(10),
            body_within: Duration::from_secs(10),
            idle: Duration::from_secs(120),
            connections: 64,
            per_peer: None,
        }
    }
}

/// Why the listener closed a connection that its client may still have wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// Refused: every place was taken by a connection that was being answered.
    Full,
    /// Refused: its peer has as many as it may.
    PeerLimit,
    /// It had waited longest when a place was needed.
    MadeRoom,
    /// Its header took too long.
    Slow,
    /// It made no request for too long.
    Idle,
}

/// Hears what happens to connections, for metrics.
pub trait Witness: Send + Sync {
    /// This many more connections are open.
    fn opened(&self, by: i64);
    fn closed(&self, why: Closed);
}

/// For a listener whose connections nobody counts.
impl Witness for () {
    fn opened(&self, _: i64) {}
    fn closed(&self, _: Closed) {}
}

/// A listener, which may accept on several sockets and threads. Its limits hold for all of them together.
pub struct Listener {
    limits: Limits,
    places: Places,
    witness: Arc<dyn Witness>,
}

impl Listener {
    pub fn new(limits: Limits, witness: Arc<dyn Witness>) -> Arc<Self> {
        Arc::new(Self { limits, places: Places::default(), witness })
    }
}

/// The local address of a connection; `None` where it is not known. Handlers get it as `ConnectInfo<ReceivedAt>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceivedAt(pub Option<IpAddr>);

impl ReceivedAt {
    fn of(connection: &TcpStream) -> Self {
        Self(connection.local_addr().ok().map(|address| address.ip().to_canonical()))
    }
}
