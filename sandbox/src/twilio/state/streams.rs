//! Event Streams: sinks, which events are sent to, and subscriptions, which choose the events.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::clock;

/// An account's sinks and subscriptions, by SID.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    pub(crate) sinks: BTreeMap<String, Sink>,
    pub(crate) subscriptions: BTreeMap<String, Subscription>,
}

#[derive(Debug, Clone)]
pub(crate) struct Sink {
    pub(crate) sid: String,
    pub(crate) account: String,
    pub(crate) description: String,
    pub(crate) sink_type: String,
    pub(crate) configuration: Map<String, Value>,
    /// `initialized`, `validating`, `active` or `failed`.
    pub(crate) status: String,
    /// In the last test event. An earlier one is no longer valid.
    pub(crate) test_id: Option<String>,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
}

impl Sink {
    /// Where a webhook sink's events go.
    pub(crate) fn destination(&self) -> Option<&str> {
        self.configuration.get("destination").and_then(Value::as_str)
    }

    pub(crate) fn render(&self, base: &str) -> Value {
        let url = format!("{base}/v1/Sinks/{}", self.sid);
        json!({
            "sid": self.sid,
            "description": self.description,
            "sink_type": self.sink_type,
            "sink_configuration": self.configuration,
            "status": self.status,
            "date_created": clock::iso8601(self.created),
            "date_updated": clock::iso8601(self.updated),
            "links": {"sink_test": format!("{url}/Test"), "sink_validate": format!("{url}/Validate")},
            "url": url,
        })
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Subscription {
    pub(crate) sid: String,
    pub(crate) account: String,
    pub(crate) description: String,
    pub(crate) sink: String,
    /// The version of the schema, by type of event.
    pub(crate) types: BTreeMap<String, u64>,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
}

impl Subscription {
    fn url(&self, base: &str) -> String {
        format!("{base}/v1/Subscriptions/{}", self.sid)
    }

    pub(crate) fn render(&self, base: &str) -> Value {
        let url = self.url(base);
        json!({
            "sid": self.sid,
            "account_sid": self.account,
            "description": self.description,
            "sink_sid": self.sink,
            "date_created": clock::iso8601(self.created),
            "date_updated": clock::iso8601(self.updated),
            "links": {"subscribed_events": format!("{url}/SubscribedEvents")},
            "url": url,
        })
    }

    pub(crate) fn render_type(&self, base: &str, (name, version): (&String, &u64)) -> Value {
        json!({
            "account_sid": self.account,
            "subscription_sid": self.sid,
            "type": name,
            "schema_version": version,
            "url": format!("{}/SubscribedEvents/{name}", self.url(base)),
        })
    }
}

impl Streams {
    /// Where the account's events of a type go: to active webhook sinks alone.
    pub(crate) fn destinations(&self, account: &str, event_type: &str) -> Vec<String> {
        let wanted = self.subscriptions.values().filter(|one| one.account == account);
        let sinks = wanted.filter(|one| one.types.contains_key(event_type)).filter_map(|one| self.sinks.get(&one.sink));
        let active = sinks.filter(|sink| sink.sink_type == "webhook" && sink.status == "active");
        active.filter_map(|sink| sink.destination().map(str::to_owned)).collect()
    }
}
