//! Operators see what was written to numbers that nobody declares.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use messaging::address::Address;
use messaging::provider::{InboundMessage, WebhookEvent};
use serde::Serialize;

use super::AdminContext;
use crate::config::Configs;
use crate::requests::problem::Problem;
use crate::store::webhook::UnaddressedPart;

/// How many are shown.
const NEWEST: u32 = 100;

/// A part of a webhook that no sender was the addressee of. It shows nothing of who wrote and what.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PartView {
    received_at: Timestamp,
    /// The endpoint that was called, such as `twilio/shop/support`.
    endpoint: String,
    /// The number that was written to, where the part names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Address>,
}

#[derive(Debug, Serialize)]
pub(super) struct PartList {
    items: Vec<PartView>,
}

/// The newest parts that no sender was the addressee of, newest first.
pub(super) async fn list(State(context): State<Arc<AdminContext>>) -> Result<Json<PartList>, Problem> {
    let parts = context.shared.store.unaddressed(NEWEST).await?;
    let view = |part: UnaddressedPart| PartView {
        received_at: part.received_at,
        to: to(&context.shared.configs, &part),
        endpoint: part.endpoint.as_str().to_owned(),
    };
    Ok(Json(PartList { items: parts.into_iter().map(view).collect() }))
}

fn to(configs: &Configs, part: &UnaddressedPart) -> Option<Address> {
    let adapter = configs.webhook_adapter(part.route.provider())?;
    adapter.translate(part.route.route()?, &part.body).into_iter().find_map(|event| match event {
        WebhookEvent::Inbound(InboundMessage { to, .. }) => to,
        WebhookEvent::Status(_)
        | WebhookEvent::UserIdChange(_)
        | WebhookEvent::OtherChannel { .. }
        | WebhookEvent::Unreadable { .. } => None,
    })
}
