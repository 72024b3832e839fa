//! Events on the objects: what `kubectl describe` shows a tenant.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use parking_lot::Mutex;

use crate::reconcile::redact;

/// Reasons of Events about something done. Events about failures have the conditions' reasons
/// (`crds::condition::reason`).
pub mod reason {
    /// Webhooks at the provider were pointed at the data plane.
    pub const WEBHOOKS_CONFIGURED: &str = "WebhooksConfigured";
    /// Webhooks at the provider that pointed at the data plane were removed.
    pub const WEBHOOKS_REMOVED: &str = "WebhooksRemoved";
    /// The key that webhooks are signed with was replaced.
    pub const WEBHOOK_KEY_REPLACED: &str = "WebhookKeyReplaced";
    /// The provider was made to tell of no approvals here any more.
    pub const TEMPLATE_EVENTS_REMOVED: &str = "TemplateEventsRemoved";
    /// The sender's state, quality or limit changed at the provider.
    pub const SENDER_CHANGED: &str = "SenderChanged";
    /// The sender was added to the Messaging Service that its spec names.
    pub const JOINED_SERVICE: &str = "JoinedService";
    /// The sender was removed from the Messaging Service that the operator had added it to.
    pub const LEFT_SERVICE: &str = "LeftService";
    /// The operator asked the provider to register the number.
    pub const REGISTRATION_BEGAN: &str = "RegistrationBegan";
    /// The code that WhatsApp sent to the number was passed on.
    pub const CODE_PASSED_ON: &str = "VerificationCodePassedOn";
    /// The code that was passed on was not accepted.
    pub const CODE_REFUSED: &str = "VerificationCodeRefused";
    /// The number is registered and online.
    pub const NUMBER_REGISTERED: &str = "NumberRegistered";
    /// The provider noticed something to go wrong, or may not be asked.
    pub const PROVIDER_ALERTS: &str = "ProviderAlerts";
    /// A rotation of credentials began.
    pub const ROTATION_BEGAN: &str = "RotationBegan";
    /// The old credentials are gone.
    pub const CREDENTIALS_ROTATED: &str = "CredentialsRotated";
    /// A rotation waits for a person.
    pub const ROTATION_HELD: &str = "RotationHeld";
    /// The object became ready.
    pub const BECAME_READY: &str = "BecameReady";
    /// A Secret of the type of API keys holds none.
    pub const API_KEY_UNUSABLE: &str = "ApiKeyUnusable";
    /// This version can't read the object.
    pub const UNREADABLE: &str = "Unreadable";
}

/// How long publishing one Event may take.
const WITHIN: Duration = Duration::from_secs(10);

/// How many Events are published before repeats are counted anew. The recorder keeps each of the last minutes in
/// memory.
const MOST: u32 = 1000;

/// Publishes Events. One per term of leadership, because it counts repeats in the Event that exists already.
#[derive(Clone)]
pub struct Events {
    client: Client,
    reporter: Reporter,
    recorders: Arc<Mutex<Recorders>>,
}

/// One recorder for each text: a recorder takes Events with one reason for repeats of the first, whatever they say.
#[derive(Default)]
struct Recorders {
    by_text: HashMap<String, Recorder>,
    published: u32,
}

/// An Event to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub warning: bool,
    pub reason: &'static str,
    pub text: String,
}

impl Events {
    pub fn new(client: Client, pod: &str) -> Self {
        let reporter = Reporter { controller: "whatsapp-operator".into(), instance: Some(pod.to_owned()) };
        Self { client, reporter, recorders: Arc::default() }
    }

    fn recorder(&self, text: &str) -> Recorder {
        let mut recorders = self.recorders.lock();
        if recorders.published == MOST {
            *recorders = Recorders::default();
        }
        recorders.published += 1;
        let new = || Recorder::new(self.client.clone(), self.reporter.clone());
        recorders.by_text.entry(text.to_owned()).or_insert_with(new).clone()
    }

    /// Publishes, or logs why not. A lost Event must not fail the work that it reports.
    pub async fn publish(&self, about: &ObjectReference, note: &Note) {
        let event = Event {
            type_: if note.warning { EventType::Warning } else { EventType::Normal },
            reason: note.reason.to_owned(),
            note: Some(redact::note(&note.text)),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        let published = tokio::time::timeout(WITHIN, self.recorder(&note.text).publish(&event, about)).await;
        let error = match published {
            Ok(Ok(())) => return,
            Ok(Err(error)) if is_ending(&error) => return,
            Ok(Err(error)) => redact::chain(&error),
            Err(_) => format!("no answer within {WITHIN:?}"),
        };
        let object = format!("{}/{}", about.namespace.as_deref().unwrap_or(""), about.name.as_deref().unwrap_or(""));
        tracing::warn!(error, object, reason = note.reason, "an Event could not be published");
    }
}

/// The cause that the API server gives when it refuses a new object because its namespace is being deleted.
const NAMESPACE_TERMINATING: &str = "NamespaceTerminating";

/// A namespace that is being deleted accepts no Events, and needs none.
fn is_ending(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 403 && causes.into_iter().any(|cause| cause.reason == NAMESPACE_TERMINATING)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::api::FakeApi;

    fn refused(cause: &str) -> kube::Error {
        let status = serde_json::json!({
            "status": "Failure", "code": 403, "reason": "Forbidden", "message": "events is forbidden",
            "details": { "causes": [{ "reason": cause, "message": "", "field": "metadata.namespace" }] },
        });
        kube::Error::Api(serde_json::from_value(status).unwrap())
    }

    #[test]
    fn an_event_refused_because_its_namespace_is_being_deleted_is_not_a_fault() {
        assert!(is_ending(&refused(NAMESPACE_TERMINATING)));
        assert!(!is_ending(&refused("")), "a missing permission is logged");
    }

    #[tokio::test]
    async fn what_says_something_else_is_another_event_and_what_says_the_same_is_counted() {
        let api = Arc::<FakeApi>::default();
        let events = Events::new(api.client(), "operator-0");
        let about =
            ObjectReference { namespace: Some("shop".into()), name: Some("support".into()), ..Default::default() };
        for text in
            ["quality changed from HIGH to LOW", "quality changed from LOW to HIGH", "quality changed from HIGH to LOW"]
        {
            let note = Note { warning: false, reason: reason::SENDER_CHANGED, text: text.to_owned() };
            events.publish(&about, &note).await;
        }
        let published = api.list("/apis/events.k8s.io/v1/namespaces/shop/events");
        let mut told: Vec<_> = published.iter().map(|event| (&event["note"], &event["series"]["count"])).collect();
        told.sort_by_key(|(note, _)| note.to_string());
        let expected = [
            (&serde_json::json!("quality changed from HIGH to LOW"), &serde_json::json!(2)),
            (&serde_json::json!("quality changed from LOW to HIGH"), &serde_json::Value::Null),
        ];
        assert_eq!(told, expected);
    }
}
