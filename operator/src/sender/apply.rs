//! The writes at the provider: pointing webhooks at the data plane, and undoing that.

use crds::condition::{WEBHOOKS_CONFIGURED, reason};
use crds::{WhatsAppSender, WhatsAppSenderStatus};
use messaging::id::{SenderName, TenantId};
use messaging::provider::admin::WebhookTargets;
use messaging::provider::webhook::WebhookHome;
use messaging::provider::{AccountAdmin, ProviderError};

use super::observe::Observed;
use super::plan::Webhooks;
use super::provider::SpecProvider;
use super::{SenderContext, SenderSettings, rival};
use crate::reconcile::error::{Advice, Explain, Failure, advice_of};
use crate::reconcile::events;
use crate::reconcile::kind::Id;
use crate::reconcile::progress::Progress;

/// Webhooks could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the sender's webhooks can't be {what}")]
pub struct NotWritten {
    what: &'static str,
    source: ProviderError,
}

impl Explain for NotWritten {
    fn advice(&self) -> Advice {
        advice_of(&self.source)
    }
    fn reason(&self) -> &'static str {
        match self.advice() {
            Advice::Stalled => reason::PROVIDER_REFUSED,
            Advice::Waiting { .. } | Advice::Transient { .. } => reason::PROVIDER_UNAVAILABLE,
        }
    }
    fn condition(&self) -> Option<&'static str> {
        Some(WEBHOOKS_CONFIGURED)
    }
}

/// Does what the plan asks for.
pub async fn apply(
    webhooks: &Webhooks,
    observed: &Observed,
    account: &dyn AccountAdmin,
    progress: &mut Progress<WhatsAppSenderStatus>,
) -> Result<(), NotWritten> {
    let (Webhooks::Configure(targets), Some(sender)) = (webhooks, &observed.sender) else { return Ok(()) };
    account
        .configure_webhooks(sender, observed.service.as_ref(), targets)
        .await
        .map_err(|source| NotWritten { what: "pointed at the data plane", source })?;
    let to = targets.inbound.as_deref().unwrap_or_default();
    progress.changed(events::reason::WEBHOOKS_CONFIGURED, format!("webhooks point at {to}"));
    Ok(())
}

/// Where a sender's webhooks should point.
pub fn targets(
    account: &dyn AccountAdmin,
    settings: &SenderSettings,
    tenant: &TenantId,
    sender: &SenderName,
) -> WebhookTargets {
    account.webhook_targets(&WebhookHome { public_base_url: &settings.public_base_url, tenant, sender })
}

/// Unsets those of the sender's webhooks that point at the data plane.
pub async fn clean_up(
    sender: &WhatsAppSender,
    Id { tenant, name }: &Id<SenderName>,
    context: &SenderContext,
    progress: &mut Progress<WhatsAppSenderStatus>,
) -> Result<(), Failure> {
    // Those of the sandbox are a person's.
    if SpecProvider::of(sender).is_some_and(|provider| provider.sandbox().is_some()) {
        return Ok(());
    }
    // Another sender of this number takes the webhooks over. Unsetting them might undo what it has just written.
    if rival::has_successor(sender, &context.watched.senders.stores.all()) {
        return Ok(());
    }
    // Without accepted credentials no webhook was ever pointed at the data plane.
    let Some(known) = context.directory.find(tenant, name).await? else { return Ok(()) };
    let account = &*known.account;
    let ours = targets(account, &context.settings, tenant, name);
    match unset(account, &known.config.phone_number, &ours).await {
        Ok(true) => progress.changed(events::reason::WEBHOOKS_REMOVED, "webhooks no longer point at the data plane"),
        Ok(false) => {}
        // The account is closed, or its credentials were revoked. No retry could succeed, and the namespace could
        // never be deleted.
        Err(error) if error.is_unauthorized() => {
            tracing::warn!(%tenant, sender = %name, %error, "webhooks are left as they are: the provider refuses the last known credentials");
        }
        Err(source) => return Err(NotWritten { what: "removed", source }.into()),
    }
    Ok(())
}

/// Returns whether there was anything to unset.
async fn unset(
    account: &dyn AccountAdmin,
    number: &messaging::address::PhoneNumber,
    ours: &WebhookTargets,
) -> Result<bool, ProviderError> {
    let Some(sender) = account.find_sender(number).await? else { return Ok(false) };
    let Some(cleared) = cleared(&sender.webhooks, ours) else { return Ok(false) };
    account.configure_webhooks(&sender, None, &cleared).await.map(|()| true)
}

/// The targets that unset exactly our own webhooks; `None` when none is ours.
fn cleared(found: &WebhookTargets, ours: &WebhookTargets) -> Option<WebhookTargets> {
    let inbound = |of: &WebhookTargets| WebhookTargets { inbound: of.inbound.clone(), status: None };
    let status = |of: &WebhookTargets| WebhookTargets { inbound: None, status: of.status.clone() };
    let empty = |is_ours: bool| is_ours.then(String::new);
    let targets = WebhookTargets {
        inbound: empty(found.inbound.is_some() && inbound(found).same_as(&inbound(ours))),
        status: empty(found.status.is_some() && status(found).same_as(&status(ours))),
    };
    (targets != WebhookTargets::default()).then_some(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(inbound: &str, status: &str) -> WebhookTargets {
        let some = |url: &str| (!url.is_empty()).then(|| url.to_owned());
        WebhookTargets { inbound: some(inbound), status: some(status) }
    }

    #[test]
    fn only_webhooks_that_point_at_us_are_unset() {
        let ours = targets("https://a.example.com/in", "https://a.example.com/st");
        let empty = Some(String::new());
        for (found, expected) in [
            (ours.clone(), Some((empty.clone(), empty.clone()))),
            (targets("https://A.example.com:443/in", "https://b.example.com"), Some((empty, None))),
            (targets("https://b.example.com", ""), None),
            (targets("", ""), None),
        ] {
            assert_eq!(cleared(&found, &ours).map(|cleared| (cleared.inbound, cleared.status)), expected, "{found:?}");
        }
    }
}
