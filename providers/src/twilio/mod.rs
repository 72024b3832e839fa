//! Twilio: the API client ([`Twilio`]), webhook verification ([`signature`]) and translation ([`webhook`]).
//!
//! What is said here about Twilio comes from its OpenAPI documents (2026-04), its documentation pages and its official
//! SDKs; where those disagree, the code accepts either.

mod address;
mod approvals;
mod callbacks;
mod candidates;
mod client;
mod content;
pub(crate) mod error_body;
mod fields;
mod form;
pub(crate) mod hosts;
mod inbound;
mod inbound_log;
mod messages;
pub(crate) mod pages;
mod senders;
mod services;
pub mod signature;
mod status;
pub mod webhook;
mod words;

use async_trait::async_trait;
use messaging::address::PhoneNumber;
use messaging::config::TwilioAccount;
use messaging::provider::{
    InboundEntry, InboundPage, InboundQuery, MessageFilter, MessagingProvider, OutboundMessage, ProviderAdmin,
    ProviderError, ProviderMessage, SendOutcome, SenderObservation, ServiceObservation, TemplateObservation,
    TemplateRevision, WebhookEvent, WebhookRejected, WebhookRequest, WebhookTargets,
};

pub use callbacks::with_connection_overrides;
use client::Client;
use signature::{Algorithm, SigningKey};

/// One Twilio account.
#[derive(Debug)]
pub struct Twilio {
    client: Client,
    webhook_keys: Vec<SigningKey>,
}

impl Twilio {
    /// Makes no call, so wrong credentials show only later. `http` comes from [`crate::http_client`].
    pub fn new(account: &TwilioAccount, http: &reqwest::Client) -> Self {
        Self {
            client: Client::new(account, http),
            webhook_keys: account
                .webhook_keys
                .iter()
                .map(|key| SigningKey::new(Algorithm::HmacSha1, key.expose().as_bytes()))
                .collect(),
        }
    }
}

#[async_trait]
impl MessagingProvider for Twilio {
    async fn send(&self, message: &OutboundMessage) -> SendOutcome {
        messages::create(&self.client, message).await
    }

    async fn lookup(&self, provider_message_id: &str) -> Result<Option<ProviderMessage>, ProviderError> {
        messages::fetch(&self.client, provider_message_id).await
    }

    async fn list(&self, filter: &MessageFilter) -> Result<Vec<ProviderMessage>, ProviderError> {
        messages::list(&self.client, filter).await
    }

    async fn inbound_log(&self, query: &InboundQuery) -> Result<InboundPage, ProviderError> {
        inbound_log::page(&self.client, query).await
    }

    async fn complete(&self, entry: InboundEntry) -> Result<InboundEntry, ProviderError> {
        inbound_log::with_files(&self.client, entry).await
    }

    fn verify(&self, webhook: &WebhookRequest<'_>) -> Result<(), WebhookRejected> {
        signature::verify(&self.webhook_keys, webhook)
    }

    fn translate(&self, webhook: &WebhookRequest<'_>) -> Vec<WebhookEvent> {
        webhook::translate(webhook)
    }

    fn receive(&self, webhook: &WebhookRequest<'_>) -> Result<Vec<WebhookEvent>, WebhookRejected> {
        webhook::receive(&self.webhook_keys, webhook)
    }
}

#[async_trait]
impl ProviderAdmin for Twilio {
    async fn check_credentials(&self) -> Result<(), ProviderError> {
        messages::probe(&self.client).await
    }

    async fn find_sender(&self, number: &PhoneNumber) -> Result<Option<SenderObservation>, ProviderError> {
        senders::find(&self.client, number).await
    }

    async fn find_messaging_service(&self, sid: &str) -> Result<Option<ServiceObservation>, ProviderError> {
        services::find(&self.client, sid).await
    }

    fn webhook_targets(&self, inbound: &str, status: &str) -> WebhookTargets {
        callbacks::targets(inbound, status)
    }

    async fn configure_webhooks(
        &self,
        sender: &SenderObservation,
        service: Option<&ServiceObservation>,
        targets: &WebhookTargets,
    ) -> Result<(), ProviderError> {
        match service.filter(|service| service.decides_webhooks_of(sender)) {
            Some(service) => services::configure_webhooks(&self.client, &service.sid, targets).await,
            None => senders::configure_webhooks(&self.client, &sender.handle, targets).await,
        }
    }

    async fn list_templates(&self) -> Result<Vec<TemplateObservation>, ProviderError> {
        approvals::list(&self.client).await
    }

    async fn create_template(&self, revision: &TemplateRevision) -> Result<String, ProviderError> {
        content::create(&self.client, revision).await
    }

    async fn submit_template(&self, handle: &str, revision: &TemplateRevision) -> Result<(), ProviderError> {
        approvals::submit(&self.client, handle, revision).await
    }

    async fn delete_template(&self, handle: &str) -> Result<(), ProviderError> {
        content::delete(&self.client, handle).await
    }
}
