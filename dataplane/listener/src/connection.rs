//! One connection: what it waits for, and its requests.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use http::{HeaderValue, Request, header};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use crate::body::{Arriving, Rest};
use crate::places::Place;
use crate::stream::Stream;
use crate::{Closed, Limits, ReceivedAt};

/// How long a connection may keep us waiting once the listener stops.
const STOPPED_WITHIN: Duration = Duration::from_secs(1);
/// As much of what follows the last answer is read, so that the client gets to read that answer.
const LINGERING_BYTES: usize = 1024 * 1024;
const LINGERING: Duration = Duration::from_secs(1);

pub(crate) struct Connection {
    header_within: Duration,
    body_within: Duration,
    idle: Duration,
    waiting: Mutex<Waiting>,
    cut: CancellationToken,
    /// Whether it ends before its client has sent everything.
    ends_early: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    /// Whether the client keeps us waiting, and not we the client.
    now: bool,
    /// Since when: its acceptance, its last answer, or the header of the request whose body is missing.
    since: Instant,
    /// Until when it may. `None` for a body, which has a time of its own.
    until: Option<Instant>,
    /// Whether a part of a request has arrived.
    begun: bool,
}

impl Connection {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        let Limits { header_within, body_within, idle, .. } = *limits;
        let since = Instant::now();
        let waiting = Waiting { now: true, since, until: Some(since + header_within), begun: true };
        Arc::new(Self {
            header_within,
            body_within,
            idle,
            waiting: Mutex::new(waiting),
            cut: CancellationToken::new(),
            ends_early: AtomicBool::new(false),
        })
    }

    /// A byte of a request has arrived.
    pub(crate) fn begins(&self) {
        let mut waiting = self.waiting.lock();
        if waiting.now && !waiting.begun {
            waiting.begun = true;
            waiting.until = Some(Instant::now() + self.header_within);
        }
    }

    /// The header of a request has arrived. Returns when its body is late.
    fn works(&self) -> Instant {
        let since = Instant::now();
        *self.waiting.lock() = Waiting { now: false, since, until: None, begun: true };
        since + self.body_within
    }

    /// The handler needs more of the body than has arrived.
    pub(crate) fn waits_for_body(&self) {
        self.waiting.lock().now = true;
    }

    /// The handler has what it needs.
    pub(crate) fn goes_on(&self) {
        self.waiting.lock().now = false;
    }

    /// A request is answered.
    fn rests(&self) {
        let since = Instant::now();
        *self.waiting.lock() = Waiting { now: true, since, until: Some(since + self.idle), begun: false };
    }

    /// Since when it waits.
    pub(crate) fn waits_since(&self) -> Option<Instant> {
        let waiting = *self.waiting.lock();
        waiting.now.then_some(waiting.since)
    }

    /// Why it must be closed now, if it must.
    pub(crate) fn overdue(&self, now: Instant) -> Option<Closed> {
        let waiting = *self.waiting.lock();
        let why = if waiting.begun { Closed::Slow } else { Closed::Idle };
        (waiting.now && waiting.until.is_some_and(|until| until <= now)).then_some(why)
    }

    /// Whether it keeps a listener waiting that wants to stop.
    pub(crate) fn delays_stop(&self, now: Instant) -> bool {
        self.waits_since().is_some_and(|since| since + STOPPED_WITHIN <= now)
    }

    pub(crate) fn cut(&self) {
        self.cut.cancel();
    }

    async fn answer(
        self: Arc<Self>,
        mut router: Router,
        received_at: ReceivedAt,
        request: Request<Incoming>,
    ) -> Result<Response, Infallible> {
        let late_at = self.works();
        let (mut parts, incoming) = request.into_parts();
        parts.extensions.insert(ConnectInfo(received_at));
        // Such a client sends its body only when it is asked to.
        let waits_to_send = parts.headers.contains_key(header::EXPECT);
        let rest = Rest::default();
        let body = if incoming.is_end_stream() {
            Body::empty()
        } else {
            Body::new(Arriving::new(incoming, Arc::clone(&self), late_at, rest.clone()))
        };
        let mut response = router.call(Request::from_parts(parts, body)).await?;
        if rest.is_some() && (waits_to_send || !rest.discard(&self, late_at).await) {
            self.ends_early.store(true, Ordering::Relaxed);
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        self.rests();
        Ok(response)
    }
}

/// Serves it until it ends, is cut, or has answered its last request after `stop`.
pub(crate) async fn run(place: Place, tcp: TcpStream, router: Router, stop: CancellationToken) {
    let connection = &place.connection;
    let received_at = ReceivedAt::of(&tcp);
    // Answers are small, and clients wait for them.
    drop(tcp.set_nodelay(true));
    let stream = TokioIo::new(Stream { tcp, connection: Arc::clone(connection) });
    let answering = Arc::clone(connection);
    let service =
        service_fn(move |request| Box::pin(Arc::clone(&answering).answer(router.clone(), received_at, request)));
    let mut http = http1::Builder::new()
        // Its timer does not tell an idle connection from a slow header.
        .header_read_timeout(None)
        .max_buf_size(place.header_bytes())
        .max_header_size(place.header_bytes())
        .serve_connection(stream, service);
    let mut stopping = false;
    let ended = loop {
        tokio::select! {
            ended = poll_fn(|cx| http.poll_without_shutdown(cx)) => break ended,
            () = connection.cut.cancelled() => return,
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                Pin::new(&mut http).graceful_shutdown();
            }
        }
    };
    if connection.ends_early.load(Ordering::Relaxed) || ended.is_err_and(|error| error.is_parse()) {
        let tcp = http.into_parts().io.into_inner().tcp;
        connection.rests();
        tokio::select! {
            () = linger(tcp) => {}
            () = connection.cut.cancelled() => {}
        }
    }
}

/// Reads a bounded rest of what the client sends. A socket that is closed with unread bytes resets the connection, and
/// the client may then lose the answer.
async fn linger(mut tcp: TcpStream) {
    let reading = async {
        tcp.shutdown().await?;
        let mut buffer = [0; 4096];
        let mut left = LINGERING_BYTES;
        while left > 0 {
            match tcp.read(&mut buffer).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        Ok::<_, std::io::Error>(())
    };
    drop(tokio::time::timeout(LINGERING, reading).await);
}
