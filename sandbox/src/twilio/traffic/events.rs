//! Event Streams: tells an account's subscribers that an approval changed, and sends test events.

use serde_json::{Value, json};

use super::webhooks;
use crate::{
    clock, ids,
    twilio::{
        desk::Desk,
        state::{approvals::Approval, contents::Content},
    },
    types::WebhookKind,
    world::webhooks::About,
};

const APPROVAL_UPDATED: &str = "com.twilio.messaging.template.approval.updated";

/// Changes a content, and tells the subscribers what became of its approval; `None` when there is no such content.
pub(crate) fn change<T>(desk: &mut Desk<'_>, sid: &str, change: impl FnOnce(&mut Content) -> T) -> Option<T> {
    let content = desk.state.contents.get_mut(sid)?;
    let before = content.approval.clone();
    let changed = change(content);
    if let (Some(before), Some(after)) = (before, content.approval.clone()) {
        tell(desk, sid, &before, &after);
    }
    Some(changed)
}

fn tell(desk: &mut Desk<'_>, sid: &str, before: &Approval, after: &Approval) {
    let lower = |word: &String| word.to_ascii_lowercase();
    for (kind, previous, current) in [
        ("status_update", lower(&before.status), lower(&after.status)),
        ("category_update", lower(&before.category), lower(&after.category)),
    ] {
        if previous == current {
            continue;
        }
        let Some(content) = desk.state.contents.get(sid) else { return };
        let (account, updated) = (content.account.clone(), clock::iso8601(content.updated));
        let data = json!({
            "type": kind,
            "accountSid": account,
            "dateUpdated": updated,
            "channel": "whatsapp",
            "template": {
                "sid": sid,
                "friendlyName": content.friendly_name,
                "externalTemplateName": format!("{}_{}", after.name, sid.to_ascii_lowercase()),
                "language": content.language,
                "previousValue": previous,
                "currentValue": current,
            },
        });
        let about = About {
            kind: WebhookKind::Event,
            account: account.clone(),
            message_sid: sid.to_owned(),
            message_status: current,
            to: String::new(),
        };
        let schema = "Messaging.ApprovalUpdated";
        let event = event(desk, APPROVAL_UPDATED, &format!("/v1/Templates/{sid}"), schema, &data);
        for destination in desk.state.streams.destinations(&account, APPROVAL_UPDATED) {
            webhooks::send_events(desk, about.clone(), &destination, &event);
        }
    }
}

/// Sends a test event to a sink.
pub(crate) fn test(desk: &mut Desk<'_>, account: &str, destination: &str, test_id: &str) {
    let about = About {
        kind: WebhookKind::Event,
        account: account.to_owned(),
        message_sid: test_id.to_owned(),
        message_status: "test".to_owned(),
        to: String::new(),
    };
    let data = json!({"test_id": test_id});
    let event = event(desk, "com.twilio.eventstreams.test-event", "Sink", "EventStreams.TestSinkEvent", &data);
    webhooks::send_events(desk, about, destination, &event);
}

/// A `CloudEvent`, alone in its batch.
fn event(desk: &mut Desk<'_>, event_type: &str, source: &str, schema: &str, data: &Value) -> String {
    let event = json!({
        "specversion": "1.0",
        "type": event_type,
        "source": source,
        "id": ids::sid(&mut desk.world.rng, "EZ"),
        "dataschema": format!("https://events-schemas.twilio.com/{schema}/1"),
        "datacontenttype": "application/json",
        "time": clock::iso8601(desk.world.now()),
        "data": data,
    });
    json!([event]).to_string()
}
