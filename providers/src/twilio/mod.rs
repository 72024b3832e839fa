//! Twilio: one account's API ([`Twilio`]), and its webhooks ([`TwilioWebhooks`]).
//!
//! The facts about Twilio are from its OpenAPI documents (2026-04), its documentation and its official SDKs; where
//! those disagree, the code accepts either.

mod address;
mod alerts;
mod approvals;
mod client;
pub(crate) mod codes;
mod content;
pub(crate) mod error_body;
pub(crate) mod hosts;
pub(crate) mod inbound_log;
mod keys;
mod messages;
pub(crate) mod pages;
mod pools;
mod registrations;
mod senders;
mod streams;
mod tokens;
pub mod webhook;
mod words;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use messaging::config::TwilioAccount;
use messaging::id::{AttemptId, PoolId};
use messaging::provider::admin::{
    AccountAdmin, AlertAdmin, AlertObservation, FoundPool, Joined, KeyAdmin, KeyObservation, Listed, ListedSender,
    MintedKey, PoolAdmin, PoolObservation, Registered, Registration, RegistrationAdmin, ReviewBegins, SenderAdmin,
    SenderObservation, Stream, StreamAdmin, Subscription, TemplateAdmin, TemplateHandle, TemplateObservation,
    TemplateRevision, TokenAdmin, Verified, WebhookTargets,
};
use messaging::provider::webhook::WebhookHome;
use messaging::provider::{
    InboundEntry, InboundPage, InboundQuery, MessageFilter, MessageLog, MessagingProvider, OutboundMessage, Probe,
    ProviderError, ProviderLimits, ProviderMessage, Sent, WebhookEvent,
};
use messaging::rate::Rate;
use messaging::secret::Secret;
use url::Url;

use client::Client;
pub use webhook::TwilioWebhooks;
pub use webhook::urls::with_connection_overrides;

/// Twilio's name in URLs, metrics and routes.
pub(crate) const PROVIDER: &str = "twilio";

/// The most characters of a text (error 21617).
const LONGEST_TEXT: usize = 1600;
/// All senders of an account combined: 2,000 messages a second (error 63017 beyond that), 200 of them at once.
const ACCOUNT_RATE: (u32, u32) = (2000, 200);
/// One message every 6 seconds to one recipient, 45 at once (Meta error 131056, which Twilio reports as 63018).
const PAIR_RATE: (Duration, u32) = (Duration::from_secs(6), 45);

/// One Twilio account.
#[derive(Debug)]
pub struct Twilio {
    client: Client,
    /// Verifies webhooks, and may make calls that a key may not.
    auth_token: Option<Secret>,
}

impl Twilio {
    /// Makes no call, so wrong credentials show up only later. `http` is from [`crate::http_client`].
    pub fn new(account: &TwilioAccount, http: &reqwest::Client) -> Self {
        Self { client: Client::new(account, http), auth_token: account.webhook_keys.first().cloned() }
    }

    /// For what a key that the operator made may not do. `None` where the auth token makes the calls anyway, or is not
    /// known.
    fn with_auth_token(&self) -> Option<Client> {
        let token = self.auth_token.as_ref().filter(|_| self.client.is_called_with_key())?;
        self.client.with_auth_token(token)
    }
}

#[async_trait]
impl MessagingProvider for Twilio {
    fn limits(&self) -> ProviderLimits {
        ProviderLimits {
            text: LONGEST_TEXT,
            account: Rate::per_second(ACCOUNT_RATE.0, ACCOUNT_RATE.1),
            pair: Rate::every(PAIR_RATE.0, PAIR_RATE.1),
            // Its Messages resource has no parameter for the message that is answered.
            quotes: false,
        }
    }

    fn status_callback(&self, home: &WebhookHome<'_>, attempt: AttemptId) -> Option<Url> {
        Some(webhook::urls::status_callback(home, attempt))
    }

    async fn send(&self, message: &OutboundMessage) -> Sent {
        messages::create(&self.client, message).await
    }

    fn message_log(&self) -> Option<&dyn MessageLog> {
        Some(self)
    }

    fn probe(&self) -> Option<&dyn Probe> {
        Some(self)
    }
}

#[async_trait]
impl Probe for Twilio {
    async fn is_answered(&self) -> bool {
        match messages::probe(&self.client).await {
            Ok(()) => true,
            Err(error) => error.http_status.is_some_and(|status| status < 500),
        }
    }
}

#[async_trait]
impl MessageLog for Twilio {
    async fn lookup(&self, provider_message_id: &str) -> Result<Option<ProviderMessage>, ProviderError> {
        messages::fetch(&self.client, provider_message_id).await
    }

    async fn list(&self, filter: &MessageFilter) -> Result<Vec<ProviderMessage>, ProviderError> {
        messages::list(&self.client, filter).await
    }

    async fn inbound(&self, query: &InboundQuery) -> Result<InboundPage, ProviderError> {
        inbound_log::page(&self.client, query).await
    }

    async fn complete(&self, entry: InboundEntry) -> Result<InboundEntry, ProviderError> {
        inbound_log::with_files(&self.client, entry).await
    }

    fn read(&self, body: &[u8]) -> WebhookEvent {
        inbound_log::read(body)
    }
}

#[async_trait]
impl AccountAdmin for Twilio {
    async fn check_credentials(&self) -> Result<(), ProviderError> {
        messages::probe(&self.client).await
    }

    /// The auth token signs webhooks, also where an API key makes the calls.
    async fn check_webhook_key(&self, key: &Secret) -> Result<(), ProviderError> {
        match self.client.with_auth_token(key) {
            Some(client) => messages::probe(&client).await,
            None => Ok(()),
        }
    }

    fn pools(&self) -> Option<&dyn PoolAdmin> {
        Some(self)
    }

    fn keys(&self) -> Option<&dyn KeyAdmin> {
        Some(self)
    }

    fn alerts(&self) -> Option<&dyn AlertAdmin> {
        Some(self)
    }

    fn tokens(&self) -> Option<&dyn TokenAdmin> {
        Some(self)
    }

    fn streams(&self) -> Option<&dyn StreamAdmin> {
        Some(self)
    }

    fn registrations(&self) -> Option<&dyn RegistrationAdmin> {
        Some(self)
    }
}

#[async_trait]
impl SenderAdmin for Twilio {
    async fn list_senders(&self) -> Result<Listed<ListedSender>, ProviderError> {
        senders::list(&self.client).await
    }

    fn webhook_targets(&self, home: &WebhookHome<'_>) -> WebhookTargets {
        webhook::urls::targets(home)
    }

    async fn configure_webhooks(
        &self,
        sender: &SenderObservation,
        pool: Option<&PoolObservation>,
        targets: &WebhookTargets,
    ) -> Result<(), ProviderError> {
        match pool.filter(|pool| pool.decides_webhooks_of(&sender.handle)) {
            Some(pool) => pools::configure_webhooks(&self.client, &pool.id, targets).await,
            None => senders::configure_webhooks(&self.client, &sender.handle, targets).await,
        }
    }
}

/// Registrations. A key that the operator made may not register numbers, because the data plane has it, too, so the
/// auth token does where there is one.
#[async_trait]
impl RegistrationAdmin for Twilio {
    fn permission(&self) -> &'static str {
        "the permissions to create and to update WhatsApp senders"
    }

    async fn register(&self, registration: &Registration) -> Result<Registered, ProviderError> {
        registrations::register(self.with_auth_token().as_ref().unwrap_or(&self.client), registration).await
    }

    async fn verify(&self, sender: &str, code: &Secret) -> Result<Verified, ProviderError> {
        registrations::verify(self.with_auth_token().as_ref().unwrap_or(&self.client), sender, code).await
    }
}

/// Messaging Services. No permission of a restricted key lets it change their senders, so the auth token does where
/// there is one. (Twilio docs, permissions of restricted API keys.)
#[async_trait]
impl PoolAdmin for Twilio {
    async fn find_pool(&self, id: &PoolId) -> Result<FoundPool, ProviderError> {
        pools::find(&self.client, id).await
    }

    async fn add_member(&self, pool: &PoolId, sender: &str) -> Result<Joined, ProviderError> {
        pools::add_member(self.with_auth_token().as_ref().unwrap_or(&self.client), pool, sender).await
    }

    async fn remove_member(&self, pool: &PoolId, sender: &str) -> Result<(), ProviderError> {
        pools::remove_member(self.with_auth_token().as_ref().unwrap_or(&self.client), pool, sender).await
    }

    async fn list_pools(&self) -> Result<Listed<PoolObservation>, ProviderError> {
        pools::list(&self.client).await
    }
}

#[async_trait]
impl TemplateAdmin for Twilio {
    fn review_begins(&self) -> ReviewBegins {
        ReviewBegins::OnSubmit
    }

    async fn list_templates(&self) -> Result<Listed<TemplateObservation>, ProviderError> {
        approvals::list(&self.client).await
    }

    async fn create_template(&self, revision: &TemplateRevision) -> Result<TemplateHandle, ProviderError> {
        content::create(&self.client, revision).await
    }

    async fn submit_template(&self, handle: &TemplateHandle, revision: &TemplateRevision) -> Result<(), ProviderError> {
        approvals::submit(&self.client, handle, revision).await
    }

    async fn delete_template(&self, handle: &TemplateHandle) -> Result<(), ProviderError> {
        content::delete(&self.client, handle).await
    }
}

#[async_trait]
impl KeyAdmin for Twilio {
    async fn mint_key(&self, name: &str) -> Result<MintedKey, ProviderError> {
        keys::mint(&self.client, name).await
    }

    async fn list_keys(&self) -> Result<Listed<KeyObservation>, ProviderError> {
        keys::list(&self.client).await
    }

    async fn verify_key(&self, key: &MintedKey) -> Result<(), ProviderError> {
        messages::probe(&self.client.signed_in_as(&key.id, &key.secret)).await
    }

    async fn revoke_key(&self, id: &str) -> Result<(), ProviderError> {
        keys::revoke(&self.client, id).await
    }
}

/// The Debugger. A key that the operator made may not read it, so the auth token that verifies webhooks does where
/// there is one.
#[async_trait]
impl AlertAdmin for Twilio {
    fn source(&self) -> &'static str {
        "Twilio's Debugger"
    }

    fn permission(&self) -> &'static str {
        "the permission to list Monitor's alerts"
    }

    async fn list_alerts(&self, since: Timestamp) -> Result<Listed<AlertObservation>, ProviderError> {
        alerts::list(self.with_auth_token().as_ref().unwrap_or(&self.client), since).await
    }
}

#[async_trait]
impl TokenAdmin for Twilio {
    async fn create_next_token(&self) -> Result<Secret, ProviderError> {
        tokens::create_secondary(&self.client).await
    }

    async fn discard_next_token(&self) -> Result<(), ProviderError> {
        tokens::delete_secondary(&self.client).await
    }

    async fn promote_next_token(&self) -> Result<Secret, ProviderError> {
        tokens::promote(&self.client).await
    }
}

#[async_trait]
impl StreamAdmin for Twilio {
    fn stream_url(&self, home: &WebhookHome<'_>) -> String {
        webhook::urls::events(home)
    }

    async fn list_streams(&self) -> Result<Listed<Stream>, ProviderError> {
        streams::list(&self.client).await
    }

    async fn create_stream(&self, name: &str, url: &str) -> Result<Stream, ProviderError> {
        streams::create(&self.client, name, url).await
    }

    async fn test_stream(&self, id: &str) -> Result<(), ProviderError> {
        streams::test(&self.client, id).await
    }

    async fn confirm_stream(&self, id: &str, test: &str) -> Result<(), ProviderError> {
        streams::confirm(&self.client, id, test).await
    }

    async fn delete_stream(&self, id: &str) -> Result<(), ProviderError> {
        streams::delete(&self.client, id).await
    }

    async fn list_subscriptions(&self, stream: &str) -> Result<Listed<Subscription>, ProviderError> {
        streams::list_subscriptions(&self.client, stream).await
    }

    async fn subscribe(&self, stream: &str, name: &str) -> Result<Subscription, ProviderError> {
        streams::subscribe(&self.client, stream, name).await
    }

    async fn unsubscribe(&self, id: &str) -> Result<(), ProviderError> {
        streams::unsubscribe(&self.client, id).await
    }
}
