use std::borrow::Cow;
use std::sync::Arc;

use messaging::id::PoolId;
use messaging::provider::admin::PoolObservation;

use super::*;
use crate::metrics::Metrics;
use crate::reconcile::conditions::merge;
use crate::reconcile::events::Note;
use crate::testing::FakeAdmin;
use crate::testing::senders::online_sender;

const SENDER: &str = "XE0123456789abcdef0123456789abcdef";
const SERVICE: &str = "MG0123456789abcdef0123456789abcdef";
const NOW: i64 = 1_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn alert(id: &str, second: i64, resource: Option<&str>, url: Option<&str>) -> AlertObservation {
    AlertObservation {
        id: id.into(),
        code: "11200".into(),
        advice: Cow::Borrowed("check the ingress"),
        at: at(second),
        resource: resource.map(Into::into),
        url: url.map(Into::into),
    }
}

fn targets() -> WebhookTargets {
    let url = |rest: &str| Some(format!("https://wa.example.com/webhooks/shop/support/twilio/{rest}#rc=5&rp=all"));
    WebhookTargets { inbound: url("inbound"), status: url("status") }
}

fn observed() -> Observed {
    let webhooks = WebhookTargets::default();
    let service = PoolObservation { id: PoolId::new(SERVICE), senders: vec![], defers_to_sender: false, webhooks };
    Observed { sender: Some(online_sender(SENDER)), service: Some(service), unnamed_service: None }
}

/// A sender's status through several looks.
struct Watch {
    admin: Arc<FakeAdmin>,
    status: WhatsAppSenderStatus,
}

impl Watch {
    fn new() -> Self {
        Self { admin: Arc::default(), status: WhatsAppSenderStatus::default() }
    }

    /// Looks, and returns the condition and what Events tell.
    async fn look(&mut self, now: i64) -> (String, Vec<Note>) {
        let mut progress = Progress::new(self.status.clone(), false);
        // Another one each time, which remembers no failure.
        let metrics = Arc::new(Metrics::new().unwrap());
        let account = Account::new("AC1".to_owned(), Arc::clone(&self.admin) as _, metrics);
        follow(&account, Duration::ZERO, &targets(), &observed(), at(now), &mut progress).await;
        let assessed = progress.assess(Ok(()), &[]);
        let conditions = merge(&[PROVIDER_ALERTS], &self.status.conditions, &assessed, 1, at(now));
        let notes = progress.take_notes();
        self.status = WhatsAppSenderStatus { conditions, ..progress.status };
        let condition = self.status.conditions.iter().find(|condition| condition.type_ == PROVIDER_ALERTS);
        (condition.map(|c| format!("{} {}", c.status, c.reason)).unwrap_or_default(), notes)
    }
}

#[test]
fn an_alert_about_somebody_elses_webhook_or_resource_is_not_told_here() {
    let ours = "https://wa.example.com/webhooks/shop/support/twilio/status/abc?a=1";
    let all = [
        alert("NO1", NOW, None, Some("https://wa.example.com/webhooks/shop/support2/twilio/inbound")),
        alert("NO2", NOW, None, Some("https://wa.example.com/webhooks/bank/support/twilio/inbound")),
        alert("NO3", NOW, Some("SM0123456789abcdef0123456789abcdef"), None),
        alert("NO4", NOW - 3601, None, Some(ours)),
        alert("NO5", NOW - 1, None, Some(ours)),
        alert("NO6", NOW, Some(SENDER), None),
        alert("NO7", NOW, Some(SERVICE), None),
    ];
    let about: Vec<_> = about(&all, &targets(), &observed(), at(NOW)).iter().map(|alert| alert.id.as_str()).collect();
    assert_eq!(about, ["NO7", "NO6", "NO5"]);
}

#[tokio::test]
async fn a_new_alert_is_told_once_also_after_a_restart_and_the_condition_clears_after_an_hour() {
    let mut watch = Watch::new();
    assert_eq!(watch.look(NOW).await, ("False NoAlerts".to_owned(), vec![]));
    let url = "https://wa.example.com/webhooks/shop/support/twilio/inbound?token=hush";
    watch.admin.add_alert(alert("NO1", NOW, None, Some(url)));
    watch.admin.add_alert(alert("NO2", NOW, Some(SENDER), None));
    let (condition, notes) = watch.look(NOW).await;
    assert_eq!((condition.as_str(), notes.len()), ("True AlertsReported", 1));
    assert!(notes[0].warning && notes[0].text.contains("2 alerts") && notes[0].text.contains("NO2"), "{notes:?}");
    assert!(!format!("{notes:?}{:?}", watch.status).contains("hush"));
    // Another process knows what the status says, and no more.
    assert_eq!(watch.look(NOW + 1).await, ("True AlertsReported".to_owned(), vec![]));
    watch.admin.add_alert(alert("NO3", NOW + 600, Some(SENDER), None));
    let (_, notes) = watch.look(NOW + 601).await;
    assert!(notes.len() == 1 && notes[0].text.contains("1 alert of"), "{notes:?}");
    assert_eq!(watch.status.alerts.as_ref().map(|alerts| (alerts.count, alerts.id.as_str())), Some((3, "NO3")));
    assert_eq!(watch.look(NOW + 600 + 3600).await, ("True AlertsReported".to_owned(), vec![]));
    assert_eq!(watch.look(NOW + 600 + 3601).await, ("False NoAlerts".to_owned(), vec![]));
}

#[tokio::test]
async fn credentials_that_may_not_read_alerts_are_told_once_and_a_fault_of_the_provider_never() {
    let mut watch = Watch::new();
    watch.admin.refuse("list_alerts");
    let (condition, notes) = watch.look(NOW).await;
    assert_eq!((condition.as_str(), notes.len()), ("Unknown PermissionMissing", 1));
    assert!(notes[0].text.contains("give the credentials the permission to read it"), "{notes:?}");
    assert_eq!(watch.look(NOW).await, ("Unknown PermissionMissing".to_owned(), vec![]));
    watch.admin.refuse_nothing();
    watch.admin.fail_operation("list_alerts", 1);
    assert_eq!(watch.look(NOW).await, ("Unknown PermissionMissing".to_owned(), vec![]));
    assert_eq!(watch.look(NOW).await, ("False NoAlerts".to_owned(), vec![]));
}
