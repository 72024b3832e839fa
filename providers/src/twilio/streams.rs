//! Event Streams: a webhook sink, and its subscription to the event about approvals. (Twilio's OpenAPI document of
//! Events v1; its documentation of webhook sinks.)

use messaging::provider::ProviderError;
use messaging::provider::admin::{Listed, Stream, StreamState, Subscription};
use serde_json::{Value, json};

use super::client::Client;
use super::hosts::{Host, Segment};

/// "A template's approval has changed": its status, its category or its quality.
const APPROVAL_UPDATED: &str = "com.twilio.messaging.template.approval.updated";

pub(crate) async fn list(client: &Client) -> Result<Listed<Stream>, ProviderError> {
    let Listed { rows, requests } = client.list(Host::Events, "/v1/Sinks?PageSize=100".to_owned(), "sinks").await?;
    Ok(Listed { rows: rows.iter().filter_map(stream).collect(), requests })
}

/// A sink; `None` for one that is no webhook.
fn stream(row: &Value) -> Option<Stream> {
    let text = |field: &str| row.get(field).and_then(Value::as_str);
    text("sink_type").filter(|kind| *kind == "webhook")?;
    Some(Stream {
        id: text("sid")?.to_owned(),
        name: text("description").unwrap_or_default().to_owned(),
        url: row.get("sink_configuration")?.get("destination")?.as_str()?.to_owned(),
        // An initialized sink is one that was not tested yet, and is tested again.
        state: match text("status") {
            Some("active") => StreamState::Active,
            Some("failed") => StreamState::Failed,
            _ => StreamState::Validating,
        },
    })
}

pub(crate) async fn create(client: &Client, name: &str, url: &str) -> Result<Stream, ProviderError> {
    let configuration = json!({ "destination": url, "method": "POST", "batch_events": false }).to_string();
    let form =
        [("Description", name.to_owned()), ("SinkType", "webhook".to_owned()), ("SinkConfiguration", configuration)];
    let created = client.post_form(Host::Events, "/v1/Sinks", &form).await?;
    stream(&created).ok_or_else(|| client.unreadable_write("the new sink has no sid or no destination"))
}

pub(crate) async fn test(client: &Client, id: &str) -> Result<(), ProviderError> {
    client.post_form(Host::Events, &format!("/v1/Sinks/{}/Test", Segment(id)), &[]).await.map(drop)
}

pub(crate) async fn confirm(client: &Client, id: &str, test: &str) -> Result<(), ProviderError> {
    let form = [("TestId", test.to_owned())];
    client.post_form(Host::Events, &format!("/v1/Sinks/{}/Validate", Segment(id)), &form).await.map(drop)
}

pub(crate) async fn delete(client: &Client, id: &str) -> Result<(), ProviderError> {
    client.delete(Host::Events, &format!("/v1/Sinks/{}", Segment(id))).await
}

/// The subscriptions of a sink, and what each is to: one request more for each.
pub(crate) async fn list_subscriptions(client: &Client, sink: &str) -> Result<Listed<Subscription>, ProviderError> {
    let first = format!("/v1/Subscriptions?SinkSid={}&PageSize=100", Segment(sink));
    let Listed { rows, mut requests } = client.list(Host::Events, first, "subscriptions").await?;
    let mut subscriptions = Vec::new();
    for (id, name) in rows.iter().filter_map(|row| subscription(row, sink)) {
        let types = format!("/v1/Subscriptions/{}/SubscribedEvents?PageSize=100", Segment(id));
        let types = client.list(Host::Events, types, "types").await?;
        requests += types.requests;
        let has_approvals = types.rows.iter().any(is_approvals);
        subscriptions.push(Subscription { id: id.to_owned(), name: name.to_owned(), has_approvals });
    }
    Ok(Listed { rows: subscriptions, requests })
}

/// The id and the name of a subscription to this sink. The filter of the request is not trusted: to delete another
/// sink's subscription would be worse than to list it twice.
fn subscription<'a>(row: &'a Value, sink: &str) -> Option<(&'a str, &'a str)> {
    let text = |field: &str| row.get(field).and_then(Value::as_str);
    text("sink_sid").filter(|of| *of == sink)?;
    Some((text("sid")?, text("description").unwrap_or_default()))
}

fn is_approvals(subscribed: &Value) -> bool {
    subscribed.get("type").and_then(Value::as_str) == Some(APPROVAL_UPDATED)
}

pub(crate) async fn subscribe(client: &Client, sink: &str, name: &str) -> Result<Subscription, ProviderError> {
    let form = [
        ("Description", name.to_owned()),
        ("SinkSid", sink.to_owned()),
        ("Types", json!({ "type": APPROVAL_UPDATED }).to_string()),
    ];
    let created = client.post_form(Host::Events, "/v1/Subscriptions", &form).await?;
    match created.get("sid").and_then(Value::as_str) {
        Some(id) => Ok(Subscription { id: id.to_owned(), name: name.to_owned(), has_approvals: true }),
        None => Err(client.unreadable_write("the new subscription has no sid")),
    }
}

pub(crate) async fn unsubscribe(client: &Client, id: &str) -> Result<(), ProviderError> {
    client.delete(Host::Events, &format!("/v1/Subscriptions/{}", Segment(id))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_webhook_with_a_destination_is_a_stream_and_what_is_neither_active_nor_failed_is_tested() {
        let sink = |change: Value| {
            let mut sink = json!({
                "sid": "DG1", "description": "ours", "sink_type": "webhook", "status": "active",
                "sink_configuration": {"destination": "https://hooks.example.com/"},
            });
            for (field, value) in change.as_object().into_iter().flatten() {
                sink[field] = value.clone();
            }
            stream(&sink)
        };
        let expected = |state| Stream {
            id: "DG1".to_owned(),
            name: "ours".to_owned(),
            url: "https://hooks.example.com/".to_owned(),
            state,
        };
        for (status, state) in [
            (json!("active"), StreamState::Active),
            (json!("failed"), StreamState::Failed),
            (json!("validating"), StreamState::Validating),
            (json!("initialized"), StreamState::Validating),
            (json!(null), StreamState::Validating),
        ] {
            assert_eq!(sink(json!({"status": status})), Some(expected(state)), "{status}");
        }
        assert_eq!(sink(json!({"description": null})).map(|stream| stream.name), Some(String::new()));
        for other in [
            json!({"sink_type": "kinesis"}),
            json!({"sink_type": null}),
            json!({"sid": null}),
            json!({"sink_configuration": {"arn": "a"}}),
            json!({"sink_configuration": null}),
        ] {
            assert_eq!(sink(other.clone()), None, "{other}");
        }
    }

    #[test]
    fn a_subscription_of_another_sink_is_never_taken_for_one_of_this() {
        let row = |sink: Value| json!({"sid": "DF1", "description": "ours", "sink_sid": sink});
        assert_eq!(subscription(&row(json!("DG1")), "DG1"), Some(("DF1", "ours")));
        for other in [json!("DG2"), json!("DG11"), json!(null)] {
            assert_eq!(subscription(&row(other.clone()), "DG1"), None, "{other}");
        }
    }

    #[test]
    fn a_subscription_to_other_events_is_none_to_approvals() {
        assert!(is_approvals(&json!({"type": "com.twilio.messaging.template.approval.updated", "schema_version": 1})));
        for other in [json!("com.twilio.messaging.message.sent"), json!("com.twilio.messaging.template"), json!(null)] {
            assert!(!is_approvals(&json!({"type": other.clone()})), "{other}");
        }
    }
}
