//! Records in a sender's status what is about to be tried.

use async_trait::async_trait;
use crds::{RegistrationStatus, WhatsAppSender, WhatsAppSenderStatus};
use serde_json::json;

use crate::reconcile::error::Failure;
use crate::reconcile::intent::Recorder;

#[async_trait]
pub trait RecordRegistration: Send + Sync {
    /// Fails if the sender was changed since it was read, or its status tells of other attempts, which also stops a
    /// leader that was replaced.
    async fn record(&self, sender: &WhatsAppSender, registration: &RegistrationStatus) -> Result<(), Failure>;
}

#[async_trait]
impl RecordRegistration for Recorder {
    async fn record(&self, sender: &WhatsAppSender, registration: &RegistrationStatus) -> Result<(), Failure> {
        let what = "the attempt to register the number can't be recorded";
        let of = |status: &WhatsAppSenderStatus| status.registration.clone();
        let read = sender.status.as_ref().and_then(of);
        self.write(sender, |status| of(status) == read, &json!({ "registration": registration }), what).await
    }
}
