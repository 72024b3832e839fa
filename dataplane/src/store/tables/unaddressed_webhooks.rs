//! Parts of signed webhooks that no sender is the addressee of, kept outside every tenant.

use bytes::Bytes;
use jiff::Timestamp;
use messaging::provider::webhook::WebhookRoute;

use super::value::{Value, values};
use crate::store::webhook::UnaddressedPart;

table! {
    "unaddressed_webhooks" {
        key { id: String }
        fixed {
            received_at: Timestamp,
            endpoint: String,
            route: WebhookRoute,
            url: String,
            headers: String,
            body: Bytes,
        }
    }
}

pub(crate) fn row(part: &UnaddressedPart) -> Vec<Value> {
    let UnaddressedPart { id, received_at, endpoint, route, url, headers, body } = part;
    values![id, received_at, endpoint.as_str(), route, url, headers, body]
}
