//! Webhooks that only hint at something: verified as every other, and answered when the operator can read the hint.
//!
//! Nothing of the request is stored or logged but ids of a checked shape.

use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use messaging::hints::Hint;
use messaging::provider::WebhookAdapter;
use messaging::provider::webhook::{Addressee, Hinted, Location, ReceivedHints, WebhookRejected};

use super::WebhookContext;
use super::receive::{Incoming, response};
use crate::config::{Endpoint, Speaker};
use crate::metrics::{WebhookLabel, WebhookResult};
use crate::requests::problem::Problem;
use crate::requests::seldom::Seldom;

/// Lines about hints that could not be passed on.
static NOT_PASSED_ON: Seldom = Seldom::new();

pub(super) async fn take(
    context: &WebhookContext,
    adapter: &dyn WebhookAdapter,
    endpoint: &Endpoint,
    location: &Location,
    parts: &Parts,
    body: Bytes,
) -> Result<Response, WebhookRejected> {
    let ReceivedHints { key, hints } = Incoming { endpoint, location, parts, body: &body }.hints()?;
    let (hints, result) = match hints {
        // Another attempt would bring the same.
        None => (Vec::new(), WebhookResult::Unreadable),
        Some(hinted) => {
            let speakers = context.configs.addressees(endpoint, &Addressee::Endpoint, key);
            let is_any = !hinted.is_empty();
            let hints = speakers.first().map(|speaker| about_its_account(hinted, speaker, context)).unwrap_or_default();
            let result = if is_any && hints.is_empty() { WebhookResult::Unaddressed } else { WebhookResult::Accepted };
            (hints, result)
        }
    };
    if !hints.is_empty() {
        let Some(handle) = &context.hints else {
            context.metrics.webhook(WebhookLabel::Event, WebhookResult::NotPassedOn);
            let detail =
                "this data plane reads its config from a directory, so there is no operator that could be told";
            return Ok(Problem::try_again(detail).into_response());
        };
        if let Err(error) = handle.pass_on(hints).await {
            if let Some(left_out) = NOT_PASSED_ON.turn() {
                tracing::warn!(%error, left_out, "a hint was not passed on to the operator; the provider is asked to send it again");
            }
            context.metrics.webhook(WebhookLabel::Event, WebhookResult::NotPassedOn);
            return Ok(Problem::try_again("the webhook could not be passed on").into_response());
        }
    }
    context.metrics.webhook(WebhookLabel::Event, result);
    Ok(response(adapter.answer(&location.route)))
}

/// A request that names another account says nothing about this sender's, whoever signed it.
fn about_its_account(hinted: Vec<Hinted>, speaker: &Speaker, context: &WebhookContext) -> Vec<Hint> {
    let at = context.clock.now();
    let is_its = |hinted: &Hinted| hinted.account.as_ref().is_none_or(|account| *account == speaker.account);
    let hint = |hinted: Hinted| Hint {
        tenant: speaker.tenant.clone(),
        sender: speaker.sender.clone(),
        about: hinted.about,
        at,
    };
    hinted.into_iter().filter(is_its).map(hint).collect()
}
