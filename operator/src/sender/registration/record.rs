//! Records in a sender's status what is about to be tried.

use std::sync::Arc;

use async_trait::async_trait;
use crds::{RegistrationStatus, WhatsAppSender};
use kube::Client;
use serde_json::json;

use crate::reconcile::error::Failure;
use crate::reconcile::freshness::Freshness;
use crate::sender::intent;

#[async_trait]
pub trait RecordRegistration: Send + Sync {
    /// Fails if the sender was changed since it was read, or its status tells of other attempts, which also stops a leader
    /// that was replaced.
    async fn record(&self, sender: &WhatsAppSender, registration: &RegistrationStatus) -> Result<(), Failure>;
}

/// Records at the API server.
pub struct ClusterRegistrations {
    pub client: Client,
    pub freshness: Arc<Freshness>,
}

#[async_trait]
impl RecordRegistration for ClusterRegistrations {
    async fn record(&self, sender: &WhatsAppSender, registration: &RegistrationStatus) -> Result<(), Failure> {
        let what = "the attempt to register the number can't be recorded";
        intent::record(&self.client, &self.freshness, sender, "registration", json!(registration), what).await
    }
}
