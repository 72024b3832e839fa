//! Records in a sender's status which pool it is about to be added to.

use async_trait::async_trait;
use crds::{MembershipStatus, WhatsAppSender, WhatsAppSenderStatus};
use serde_json::json;

use crate::reconcile::error::Failure;
use crate::reconcile::intent::Recorder;

#[async_trait]
pub trait RecordMembership: Send + Sync {
    /// Fails if the sender was changed since it was read, or its status tells of another membership, which also stops a
    /// leader that was replaced.
    async fn record(&self, sender: &WhatsAppSender, membership: Option<&MembershipStatus>) -> Result<(), Failure>;
}

#[async_trait]
impl RecordMembership for Recorder {
    async fn record(&self, sender: &WhatsAppSender, membership: Option<&MembershipStatus>) -> Result<(), Failure> {
        let what = "the intent to add the sender to its Messaging Service can't be recorded";
        let of = |status: &WhatsAppSenderStatus| status.membership.clone();
        let read = sender.status.as_ref().and_then(of);
        self.write(sender, |status| of(status) == read, &json!({ "membership": membership }), what).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::Value;

    use super::*;
    use crate::reconcile::error::Advice;
    use crate::testing::api::FakeApi;

    const SENDER: &str = "/apis/whatsapp-operator.dev/v1alpha1/namespaces/shop/whatsappsenders/support";

    /// As the reconcile read it.
    fn seen() -> WhatsAppSender {
        let mut sender = crate::sender::validate::tests::sender();
        sender.metadata.namespace = Some("shop".to_owned());
        sender.metadata.name = Some("support".to_owned());
        sender.metadata.uid = Some("1".to_owned());
        sender.metadata.generation = Some(3);
        sender.metadata.resource_version = Some("10".to_owned());
        sender
    }

    fn with(change: &Value) -> Value {
        let mut sender = json!(seen());
        sender["metadata"]["resourceVersion"] = json!("11");
        for (part, fields) in change.as_object().unwrap() {
            for (field, value) in fields.as_object().unwrap() {
                sender[part][field] = value.clone();
            }
        }
        sender
    }

    fn recorder(api: &Arc<FakeApi>) -> Recorder {
        Recorder { client: api.client(), freshness: Arc::default() }
    }

    fn intent() -> MembershipStatus {
        let asked_at = Some(Time("2026-11-02T12:00:00Z".parse().unwrap()));
        MembershipStatus { messaging_service_sid: "MG1".to_owned(), asked_at }
    }

    #[tokio::test]
    async fn an_intent_is_recorded_over_what_was_seen_and_over_nothing_that_another_process_or_a_person_wrote() {
        for (what, change, is_recorded) in [
            ("a label", json!({"metadata": {"labels": {"team": "shop"}}}), true),
            ("another status", json!({"status": {"state": "ONLINE"}}), true),
            ("another intent", json!({"status": {"membership": {"messagingServiceSid": "MG2"}}}), false),
            ("the spec", json!({"metadata": {"generation": 4}}), false),
            ("it is being deleted", json!({"metadata": {"deletionTimestamp": "2026-11-02T12:00:00Z"}}), false),
            ("it was made anew", json!({"metadata": {"uid": "2"}}), false),
        ] {
            let api = Arc::<FakeApi>::default();
            let changed = with(&change);
            api.put(SENDER, changed.clone());
            let recorded = recorder(&api).record(&seen(), Some(&intent())).await;
            assert_eq!(recorded.is_ok(), is_recorded, "{what}");
            if is_recorded {
                assert_eq!(api.get(SENDER).unwrap()["status"]["membership"], json!(intent()), "{what}");
            } else {
                assert_eq!(recorded.unwrap_err().advice(), Advice::Transient { not_before: None }, "{what}");
                assert_eq!(api.get(SENDER).unwrap(), changed, "{what}");
            }
        }
    }

    #[tokio::test]
    async fn an_intent_is_not_recorded_over_a_write_that_comes_in_between() {
        let api = Arc::<FakeApi>::default();
        api.put(SENDER, with(&json!({})));
        api.write_before(SENDER, with(&json!({"status": {"membership": {"messagingServiceSid": "MG2"}}})));
        recorder(&api).record(&seen(), Some(&intent())).await.unwrap_err();
        assert_eq!(api.get(SENDER).unwrap()["status"]["membership"]["messagingServiceSid"], "MG2");
    }

    #[tokio::test]
    async fn what_the_watch_shows_from_before_the_intent_is_not_acted_on() {
        let api = Arc::<FakeApi>::default();
        api.put(SENDER, with(&json!({})));
        let recorder = recorder(&api);
        recorder.record(&seen(), Some(&intent())).await.unwrap();
        assert!(!recorder.freshness.is_fresh("1", Some("0")));
    }
}
