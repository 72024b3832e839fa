//! A request's body while it arrives. A handler may leave its rest unread: the rest is then discarded, so that the next
//! request of the connection is found, or the client is told that there will be none.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use crate::connection::Connection;

/// As much of an unread body is discarded, and no more.
const DISCARDED_BYTES: u64 = 64 * 1024;
/// How long the answer waits for the rest of an unread body.
const DISCARDED_WITHIN: Duration = Duration::from_secs(1);

/// The body did not arrive whole within [`crate::Limits::body_within`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body arrived too slowly")]
pub struct TooSlow;

/// What a handler has left of a body.
#[derive(Clone, Default)]
pub(crate) struct Rest(Arc<Mutex<Option<Incoming>>>);

impl Rest {
    /// Discards the rest. `false` if there is too much of it, or too slowly.
    pub(crate) async fn discard(&self, connection: &Connection, late_at: Instant) -> bool {
        let Some(mut incoming) = self.0.lock().take() else { return true };
        let mut left = DISCARDED_BYTES;
        if incoming.size_hint().lower() > left {
            return false;
        }
        connection.waits_for_body();
        let discarding = async {
            while let Some(frame) = incoming.frame().await {
                let bytes = frame.map(|frame| frame.data_ref().map_or(0, Bytes::len));
                match bytes.ok().and_then(|bytes| left.checked_sub(bytes as u64)) {
                    Some(less) => left = less,
                    None => return false,
                }
            }
            true
        };
        timeout_at(late_at.min(Instant::now() + DISCARDED_WITHIN), discarding).await.unwrap_or(false)
    }

    /// Whether there is any.
    pub(crate) fn is_some(&self) -> bool {
        self.0.lock().is_some()
    }
}

pub(crate) struct Arriving {
    /// `None` once it has ended.
    incoming: Option<Incoming>,
    connection: Arc<Connection>,
    late_at: Instant,
    /// Only for a body that is waited for.
    late: Option<Pin<Box<Sleep>>>,
    rest: Rest,
}

impl Arriving {
    pub(crate) fn new(incoming: Incoming, connection: Arc<Connection>, late_at: Instant, rest: Rest) -> Self {
        Self { incoming: Some(incoming), connection, late_at, late: None, rest }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let Some(incoming) = &mut this.incoming else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(incoming).poll_frame(cx) {
            this.connection.goes_on();
            if !matches!(frame, Some(Ok(_))) {
                this.incoming = None;
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        this.connection.waits_for_body();
        let late_at = this.late_at;
        ready!(this.late.get_or_insert_with(|| Box::pin(sleep_until(late_at))).as_mut().poll(cx));
        this.connection.goes_on();
        Poll::Ready(Some(Err(TooSlow.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take()
            && !incoming.is_end_stream()
        {
            *self.rest.0.lock() = Some(incoming);
        }
    }
}
