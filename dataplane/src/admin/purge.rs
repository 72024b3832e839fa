//! Operators cancel what is queued.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use futures::future::join_all;
use http::HeaderMap;
use messaging::lifecycle::MessageStatus;
use serde::Serialize;

use super::AdminContext;
use super::holds::{Named, Target, read_optional};
use crate::requests::fields::{Errors, Fields};
use crate::requests::problem::{FieldError, Problem};
use crate::store::StoreError;
use crate::store::message::{CancelMessage, Cancellation, Message, MessageFilter, Reason};

/// Messages that are canceled at once: few enough to leave room for other writes.
const STEP: u32 = 100;
/// Messages that one request cancels at most, because the caller waits for it.
const MOST: u64 = 10_000;

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Purged {
    /// How many messages this request canceled.
    canceled: u64,
    /// More may be left of those that were queued when the request came: repeat it.
    more: bool,
}

/// Cancels every message that is queued when the request comes. A message that is being handed over is left alone: the
/// provider may have it already.
pub(super) async fn purge(
    State(context): State<Arc<AdminContext>>,
    Path(named): Path<Named>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Purged>, Problem> {
    let target = named.read()?;
    let reason = reason(read_optional(&headers, body).await?).map_err(Problem::invalid)?;
    // A tenant without a config can be purged too: nothing else would ever end its queued messages without `validFor`.
    let purged = cancel_all(&context, &target, &reason).await?;
    tracing::warn!(tenant = %target.tenant, sender = ?target.sender, canceled = purged.canceled, reason, "an operator purged the queue");
    Ok(Json(purged))
}

fn reason(body: serde_json::Value) -> Result<String, Errors> {
    let mut errors = Errors::new();
    let Some(mut fields) = Fields::of("", body, &mut errors) else { return Err(errors) };
    let expected = "why, in a sentence: it is shown to the tenant as each message's reason";
    let was = errors.len();
    let reason = fields.said("reason", expected, &mut errors);
    if reason.is_none() && errors.len() == was {
        errors.push(FieldError::body("/reason", "required", "reason is missing", expected));
    }
    fields.finish(&mut errors);
    match reason {
        Some(reason) if errors.is_empty() => Ok(reason),
        Some(_) | None => Err(errors),
    }
}

async fn cancel_all(context: &AdminContext, target: &Target, reason: &str) -> Result<Purged, StoreError> {
    let mut purged = Purged::default();
    // From the newest to the oldest: messages that arrive meanwhile are newer than the start, so this ends.
    let mut after = None;
    loop {
        let filter = MessageFilter {
            status: Some(MessageStatus::Queued),
            sender: target.sender.clone(),
            after,
            limit: STEP,
            ..MessageFilter::default()
        };
        let page = context.shared.store.messages(&target.tenant, &filter).await?;
        let canceled = join_all(page.items.iter().map(|message| cancel(context, message, reason))).await;
        for canceled in canceled {
            match canceled {
                Ok(true) => purged.canceled += 1,
                Ok(false) => {}
                // Report what was canceled so far; the next request cancels the rest.
                Err(StoreError::Overloaded) if purged.canceled > 0 => return Ok(Purged { more: true, ..purged }),
                Err(error) => return Err(error),
            }
        }
        after = page.next;
        if after.is_none() || purged.canceled >= MOST {
            return Ok(Purged { more: after.is_some(), ..purged });
        }
    }
}

/// Returns `false` for a message that has left the queue meanwhile.
async fn cancel(context: &AdminContext, message: &Message, reason: &str) -> Result<bool, StoreError> {
    let cancel = CancelMessage {
        tenant: message.tenant.clone(),
        id: message.id,
        now: context.shared.clock.now(),
        reason: Reason::new(Some("purged"), format!("purged by an operator: {reason}")),
        sinks: context.shared.sinks_of(&message.tenant, message.sender()),
    };
    match context.shared.store.write(cancel).await? {
        Cancellation::Canceled(_) => {
            context.shared.metrics.message_reached(MessageStatus::Canceled);
            Ok(true)
        }
        Cancellation::TooLate(_) | Cancellation::NotFound => Ok(false),
    }
}
