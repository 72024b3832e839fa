//! Reports what was found and done in the status.

use crds::condition::{ONLINE, WEBHOOKS_CONFIGURED, reason};
use crds::{WebhooksStatus, WhatsAppSenderStatus};
use messaging::provider::admin::WebhookTargets;

use super::observe::Observed;
use super::plan::Webhooks;
use crate::reconcile::conditions::State;
use crate::reconcile::progress::Progress;

/// `written` says whether the plan's writes, if any, succeeded.
pub fn report(
    provider: &'static str,
    observed: &Observed,
    webhooks: &Webhooks,
    written: bool,
    progress: &mut Progress<WhatsAppSenderStatus>,
) {
    let sender = observed.sender.as_ref();
    progress.status.provider = Some(provider.to_owned());
    progress.status.handle = sender.map(|sender| sender.handle.clone());
    progress.status.state = sender.map(|sender| sender.status.clone());
    progress.status.quality = sender.and_then(|sender| sender.quality.clone());
    progress.status.messaging_limit = sender.and_then(|sender| sender.messaging_limit.clone());
    if sender.is_some_and(|sender| sender.online) {
        progress.set(ONLINE, State::True, reason::SENDER_ONLINE, "");
    }
    let known = |targets: &WebhookTargets| {
        Some(WebhooksStatus { inbound: targets.inbound.clone(), status: targets.status.clone() })
    };
    match webhooks {
        Webhooks::NotOurs => progress.status.webhooks = None,
        Webhooks::ByHand(targets) => {
            progress.status.webhooks = None;
            let url = |url: &Option<String>| url.clone().unwrap_or_default();
            let message = format!(
                "paste these URLs into the Sandbox's settings in Twilio's console, because no call can set or read them: {} under \"When a message comes in\", {} under \"Status callback URL\"",
                url(&targets.inbound),
                url(&targets.status)
            );
            progress.set(WEBHOOKS_CONFIGURED, State::Unknown, reason::PASTE_WEBHOOKS, &message);
            progress.set(ONLINE, State::Unknown, reason::SANDBOX, "no call reads the state of Twilio's Sandbox");
            progress.ready("messages are sent; they are received once the URLs in the condition WebhooksConfigured are pasted into Twilio's console");
        }
        Webhooks::InPlace(targets) => {
            progress.status.webhooks = known(targets);
            progress.set(WEBHOOKS_CONFIGURED, State::True, reason::WEBHOOKS_IN_PLACE, "");
            progress.ready("");
        }
        Webhooks::Configure(targets) if written => {
            progress.status.webhooks = known(targets);
            progress.set(WEBHOOKS_CONFIGURED, State::True, reason::WEBHOOKS_IN_PLACE, "");
            progress.ready("");
        }
        // The error reports it.
        Webhooks::Configure(_) => {}
        Webhooks::Held { found, wanted } => {
            progress.status.webhooks = known(found);
            let text = |url: &Option<String>| url.clone().unwrap_or_else(|| "nowhere".to_owned());
            let message = format!(
                "inbound messages go to {}, and should go to {}; nothing is changed while the sender is paused",
                text(&found.inbound),
                text(&wanted.inbound)
            );
            progress.set(WEBHOOKS_CONFIGURED, State::False, reason::WEBHOOKS_DRIFTED, &message);
            progress.not_ready(reason::PAUSED, &message);
        }
    }
}
