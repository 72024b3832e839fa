//! The streams of events of the account in memory.

use async_trait::async_trait;
use messaging::failure::{Failure, FailureClass};
use messaging::provider::ProviderError;
use messaging::provider::admin::{Listed, Stream, StreamAdmin, StreamState, Subscription};
use messaging::provider::webhook::WebhookHome;

use super::FakeAdmin;

#[derive(Debug, Default)]
pub(super) struct Streams {
    made: usize,
    streams: Vec<Stream>,
    /// With the stream that each is to.
    subscriptions: Vec<(String, Subscription)>,
    /// Stream and id of each test event, oldest first.
    tests: Vec<(String, String)>,
    /// How many further times a write goes past either end of its way before one is held up.
    held_up_after: Option<usize>,
    /// Streams and subscriptions before the last write.
    before: (Vec<Stream>, Vec<(String, Subscription)>),
    /// Whether lists do not show the last write yet.
    lag: bool,
}

impl Streams {
    fn next(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}{}", self.made)
    }

    fn shown(&self) -> (&[Stream], &[(String, Subscription)]) {
        if self.lag { (&self.before.0, &self.before.1) } else { (&self.streams, &self.subscriptions) }
    }
}

#[expect(clippy::result_large_err, reason = "the fake returns what the trait's methods do")]
fn refused<T>(why: &str) -> Result<T, ProviderError> {
    let failure = Failure::new(FailureClass::Request, why);
    Err(ProviderError { failure, http_status: Some(400), retry_after: None })
}

impl FakeAdmin {
    pub(crate) fn all_streams(&self) -> Vec<Stream> {
        self.state().streams.streams.clone()
    }

    /// The stream of each subscription, and the subscription.
    pub(crate) fn all_subscriptions(&self) -> Vec<(String, Subscription)> {
        self.state().streams.subscriptions.clone()
    }

    /// The ids of the test events to a URL that were sent, oldest first.
    pub(crate) fn tests_to(&self, url: &str) -> Vec<String> {
        let state = self.state();
        let is_to = |id: &String| state.streams.streams.iter().any(|stream| stream.id == *id && stream.url == url);
        state.streams.tests.iter().filter(|(stream, _)| is_to(stream)).map(|(_, test)| test.clone()).collect()
    }

    /// Holds up the `nth` write from now, counted from 0, until [`FakeAdmin::go_on`]: an even one before its call
    /// arrives, an odd one before its answer does.
    pub(crate) fn hold_up_on_the_way(&self, nth: usize) {
        self.state().streams.held_up_after = Some(nth);
    }

    /// Whether lists do not show the last write.
    pub(crate) fn let_stream_lists_lag(&self, lag: bool) {
        self.state().streams.lag = lag;
    }

    /// One end of a write's way to the provider and back.
    async fn pass(&self) {
        let left = {
            let after = &mut self.state().streams.held_up_after;
            std::mem::replace(after, after.and_then(|left| left.checked_sub(1)))
        };
        if left == Some(0) {
            self.waits.notify_one();
            self.goes_on.notified().await;
        }
    }

    async fn arrive(&self) {
        self.pass().await;
        let streams = &mut self.state().streams;
        streams.before = (streams.streams.clone(), streams.subscriptions.clone());
    }

    async fn answer<T: Send>(&self, operation: &'static str, answer: T) -> Result<T, ProviderError> {
        let answer = self.end(operation, answer).await;
        self.pass().await;
        answer
    }

    /// Somebody else changes the account's streams.
    pub(crate) fn tamper_with_streams(&self, change: impl FnOnce(&mut Vec<Stream>, &mut Vec<(String, Subscription)>)) {
        let streams = &mut self.state().streams;
        change(&mut streams.streams, &mut streams.subscriptions);
    }
}

#[async_trait]
impl StreamAdmin for FakeAdmin {
    fn stream_url(&self, home: &WebhookHome<'_>) -> String {
        format!("{}webhooks/{}/{}/twilio/events", home.public_base_url, home.tenant, home.sender)
    }

    async fn list_streams(&self) -> Result<Listed<Stream>, ProviderError> {
        let state = self.begin("list_streams")?;
        Ok(state.listed(state.streams.shown().0.to_vec()))
    }

    async fn create_stream(&self, name: &str, url: &str) -> Result<Stream, ProviderError> {
        self.arrive().await;
        let stream = {
            let mut state = self.begin("create_stream")?;
            let id = state.streams.next("DG");
            let stream = Stream { id, name: name.to_owned(), url: url.to_owned(), state: StreamState::Active };
            state.streams.streams.push(stream.clone());
            stream
        };
        self.answer("create_stream", stream).await
    }

    async fn test_stream(&self, id: &str) -> Result<(), ProviderError> {
        self.arrive().await;
        {
            let mut state = self.begin("test_stream")?;
            let test = state.streams.next("TE");
            let Some(stream) = state.streams.streams.iter_mut().find(|stream| stream.id == id) else {
                return refused("there is no such stream");
            };
            stream.state = StreamState::Validating;
            state.streams.tests.push((id.to_owned(), test));
        }
        self.answer("test_stream", ()).await
    }

    async fn confirm_stream(&self, id: &str, test: &str) -> Result<(), ProviderError> {
        self.arrive().await;
        {
            let mut state = self.begin("confirm_stream")?;
            let last = state.streams.tests.iter().rfind(|(stream, _)| stream == id);
            if last.is_none_or(|(_, last)| last != test) {
                return refused("it is not the id of the last test event");
            }
            let Some(stream) = state.streams.streams.iter_mut().find(|stream| stream.id == id) else {
                return refused("there is no such stream");
            };
            stream.state = StreamState::Active;
        }
        self.answer("confirm_stream", ()).await
    }

    async fn delete_stream(&self, id: &str) -> Result<(), ProviderError> {
        self.arrive().await;
        {
            let mut state = self.begin("delete_stream")?;
            if state.streams.subscriptions.iter().any(|(stream, _)| stream == id) {
                return refused("the stream has subscriptions");
            }
            state.streams.streams.retain(|stream| stream.id != id);
        }
        self.answer("delete_stream", ()).await
    }

    async fn list_subscriptions(&self, stream: &str) -> Result<Listed<Subscription>, ProviderError> {
        let state = self.begin("list_subscriptions")?;
        let of = state.streams.shown().1.iter().filter(|(to, _)| to == stream);
        Ok(state.listed(of.map(|(_, subscription)| subscription.clone()).collect()))
    }

    async fn subscribe(&self, stream: &str, name: &str) -> Result<Subscription, ProviderError> {
        self.arrive().await;
        let subscription = {
            let mut state = self.begin("subscribe")?;
            let is_active = |known: &&Stream| known.id == stream && known.state == StreamState::Active;
            if state.streams.streams.iter().find(is_active).is_none() {
                return refused("the stream is not active");
            }
            let id = state.streams.next("DF");
            let subscription = Subscription { id, name: name.to_owned(), has_approvals: true };
            state.streams.subscriptions.push((stream.to_owned(), subscription.clone()));
            subscription
        };
        self.answer("subscribe", subscription).await
    }

    async fn unsubscribe(&self, id: &str) -> Result<(), ProviderError> {
        self.arrive().await;
        self.begin("unsubscribe")?.streams.subscriptions.retain(|(_, subscription)| subscription.id != id);
        self.answer("unsubscribe", ()).await
    }
}
