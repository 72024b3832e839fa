//! The provider's stream of events about an account: where it sends them, and which ones.

use async_trait::async_trait;

use super::Listed;
use crate::provider::ProviderError;
use crate::provider::webhook::WebhookHome;

/// The streams of one account. Only events about the approval of templates are subscribed to.
#[async_trait]
pub trait StreamAdmin: Send + Sync {
    /// Where the data plane takes the events, exactly as [`StreamAdmin::create_stream`] takes it and an observation
    /// then reports it.
    fn stream_url(&self, home: &WebhookHome<'_>) -> String;

    /// Every stream of the account to a URL.
    async fn list_streams(&self) -> Result<Listed<Stream>, ProviderError>;

    /// Creates a stream to a URL, which nothing is sent to before [`StreamAdmin::subscribe`]. Names are not unique:
    /// look the name up in [`StreamAdmin::list_streams`] first.
    async fn create_stream(&self, name: &str, url: &str) -> Result<Stream, ProviderError>;

    /// Has the provider send a test event with an id, after which the stream carries nothing until
    /// [`StreamAdmin::confirm_stream`].
    async fn test_stream(&self, id: &str) -> Result<(), ProviderError>;

    /// Tells the provider the id in the last test event that arrived. Refused if it is another one's.
    async fn confirm_stream(&self, id: &str, test: &str) -> Result<(), ProviderError>;

    /// Deletes a stream without subscriptions; succeeds even if there is none.
    async fn delete_stream(&self, id: &str) -> Result<(), ProviderError>;

    /// Every subscription to a stream.
    async fn list_subscriptions(&self, stream: &str) -> Result<Listed<Subscription>, ProviderError>;

    /// Subscribes an active stream to the events.
    async fn subscribe(&self, stream: &str, name: &str) -> Result<Subscription, ProviderError>;

    /// Deletes a subscription; succeeds even if there is none.
    async fn unsubscribe(&self, id: &str) -> Result<(), ProviderError>;
}

/// A stream as the provider reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    pub id: String,
    pub name: String,
    pub url: String,
    pub state: StreamState,
}

/// Whether a stream carries events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamState {
    Active,
    /// It was tested, and is not confirmed.
    Validating,
    /// The provider has given it up.
    Failed,
}

/// A subscription as the provider reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    pub id: String,
    pub name: String,
    /// Whether it is to the events about the approval of templates.
    pub has_approvals: bool,
}
