//! The seam between the publisher and the places that a tenant's events go. The kinds of sink are in
//! [`crate::publish::sinks`]; a tenant's config opens each of its sinks once and keeps it until the config changes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use messaging::config::SinkConfig;
use messaging::id::EventId;

use crate::metrics::PublishResult;
use crate::store::message::SinkId;

/// A place that takes a sender's events.
#[async_trait]
pub trait Sink: Send + Sync {
    fn id(&self) -> &SinkId;

    /// Differs between any two configs of one sink, and reveals nothing about its secrets.
    fn fingerprint(&self) -> &str;

    /// No delivery takes longer than this; a claim outlasts it.
    fn time_limit(&self) -> Duration;

    /// Delivers one event, once. Retrying is the publisher's affair.
    async fn deliver(&self, event: &OutgoingEvent, now: Timestamp) -> Delivery;
}

/// What a sink receives.
#[derive(Debug, Clone)]
pub struct OutgoingEvent {
    /// The same at every delivery, so that the receiver can recognise a repetition.
    pub id: EventId,
    /// The CloudEvent in JSON, the same bytes at every delivery.
    pub body: Bytes,
}

/// The outcome of one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The sink has the event.
    Delivered,
    /// Another try may succeed. `retry_after` is the pause that the sink asked for.
    Later { reason: String, retry_after: Option<Duration> },
    /// No further try can succeed, so the event becomes a dead letter. `counted` is the metric's label for it.
    Refused { reason: String, counted: PublishResult },
    /// The sink wants no further events.
    Gone,
}

/// Why a sink cannot run as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidSink {
    /// The path of the field within the sink's config, such as `http.url`.
    pub field: String,
    /// What is wrong and what would be right, without secrets.
    pub problem: String,
}

/// Opens a sink from its config. It does no I/O, so a sink that is down never makes a config invalid.
pub type OpenSink = Arc<dyn Fn(SinkId, &SinkConfig) -> Result<Arc<dyn Sink>, InvalidSink> + Send + Sync>;
