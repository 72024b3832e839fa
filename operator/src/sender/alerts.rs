//! Alerts of the provider about a sender: its webhooks, the sender itself, and its Messaging Service. They are told,
//! and change nothing: neither `Ready` nor what is done.
//!
//! An alert about one message is not told here. The message's own status has its code.

use std::time::Duration;

use crds::condition::{PROVIDER_ALERTS, reason};
use crds::{AlertsStatus, WhatsAppSenderStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use messaging::provider::admin::{AlertAdmin, AlertObservation, WebhookTargets};
use messaging::provider::{AccountAdmin as _, ProviderError};

use super::observe::Observed;
use crate::accounts::Account;
use crate::reconcile::conditions::State;
use crate::reconcile::events;
use crate::reconcile::progress::Progress;

/// How long an alert counts. After as long without one, the condition is `False` again.
const WINDOW: Duration = Duration::from_secs(3600);

/// Reads the account's alerts, which its senders share, and tells those about this sender. A failure to read them fails
/// nothing else, and is tried again at the next look.
pub async fn follow(
    account: &Account,
    max_age: Duration,
    own: &WebhookTargets,
    observed: &Observed,
    now: Timestamp,
    progress: &mut Progress<WhatsAppSenderStatus>,
) {
    let Some(told_by) = account.alerts() else { return };
    match account.recent_alerts(max_age, messaging::clock::before(now, WINDOW)).await {
        Ok(alerts) => report(told_by.source(), &about(&alerts, own, observed, now), progress),
        Err(error) if error.is_unauthorized() => refused(told_by, &error, progress),
        Err(error) => tracing::debug!(%error, "the provider's alerts could not be read"),
    }
}

/// The alerts about this sender, the newest first.
fn about<'a>(
    alerts: &'a [AlertObservation],
    own: &WebhookTargets,
    observed: &Observed,
    now: Timestamp,
) -> Vec<&'a AlertObservation> {
    let folder = own.inbound.as_deref().and_then(folder);
    let is_ours = |url: &str| folder.is_some_and(|folder| url.starts_with(folder));
    let is_handle = |resource: &str| {
        observed.sender.as_ref().is_some_and(|sender| sender.handle == resource)
            || observed.service.as_ref().is_some_and(|service| service.id.as_str() == resource)
    };
    let oldest = messaging::clock::before(now, WINDOW);
    let mut about: Vec<_> = alerts
        .iter()
        .filter(|alert| alert.at >= oldest)
        .filter(|alert| alert.url.as_deref().is_some_and(is_ours) || alert.resource.as_deref().is_some_and(is_handle))
        .collect();
    about.sort_by(|one, other| (other.at, &other.id).cmp(&(one.at, &one.id)));
    about
}

/// The part of a webhook's URL that all of a sender's have in common.
fn folder(url: &str) -> Option<&str> {
    let url = url.split(['#', '?']).next()?;
    url.rfind('/').map(|end| &url[..=end])
}

fn report(source: &str, alerts: &[&AlertObservation], progress: &mut Progress<WhatsAppSenderStatus>) {
    let Some(newest) = alerts.first() else {
        progress.set(PROVIDER_ALERTS, State::False, reason::NO_ALERTS, "");
        return;
    };
    let told = progress.status.alerts.take();
    // Of several at one time, the one with the greatest id comes first.
    let is_new = |alert: &&&AlertObservation| {
        told.as_ref().is_none_or(|told| (alert.at, alert.id.as_str()) > (told.at.0, told.id.as_str()))
    };
    let news = alerts.iter().filter(is_new).count();
    let text = |count: usize| {
        let AlertObservation { id, code, advice, at, resource, .. } = newest;
        let alerts = if count == 1 { "1 alert".to_owned() } else { format!("{count} alerts") };
        let about = resource.as_ref().map(|resource| format!(" about {resource}")).unwrap_or_default();
        let advice = if advice.is_empty() { String::new() } else { format!("; {advice}") };
        format!(
            "{source} has {alerts} of the last hour about this sender; the newest is {id} of {at}, error {code}{about}{advice}"
        )
    };
    if news > 0 {
        progress.warn(events::reason::PROVIDER_ALERTS, text(news));
    }
    progress.set(PROVIDER_ALERTS, State::True, reason::ALERTS_REPORTED, &text(alerts.len()));
    progress.status.alerts = Some(AlertsStatus {
        count: i32::try_from(alerts.len()).unwrap_or(i32::MAX),
        code: newest.code.clone(),
        id: newest.id.clone(),
        at: Time(newest.at),
        resource: newest.resource.clone(),
    });
}

/// Told by an Event once, and by the condition as long as it is so.
fn refused(told_by: &dyn AlertAdmin, error: &ProviderError, progress: &mut Progress<WhatsAppSenderStatus>) {
    let (source, permission) = (told_by.source(), told_by.permission());
    let message = format!(
        "{source} is not read, because the provider refused it ({error}); nothing else depends on it; give the credentials {permission}"
    );
    let was_told =
        |condition: &Condition| condition.type_ == PROVIDER_ALERTS && condition.reason == reason::PERMISSION_MISSING;
    if !progress.status.conditions.iter().any(was_told) {
        progress.warn(events::reason::PROVIDER_ALERTS, message.clone());
    }
    progress.set(PROVIDER_ALERTS, State::Unknown, reason::PERMISSION_MISSING, &message);
}

#[cfg(test)]
mod tests;
