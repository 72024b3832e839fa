//! Which events of the log are wanted: pure.

use std::collections::HashSet;

use messaging::id::AttemptId;
use messaging::provider::{WebhookEvent, WebhookKind};
use url::Url;

/// A kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// What customers wrote.
    Inbound,
    /// What became of messages that were sent.
    Status,
}

#[derive(Debug, Default)]
pub(super) struct Selection {
    pub(super) kind: Option<Kind>,
    pub(super) about: Option<About>,
}

/// One message, as events name it.
#[derive(Debug, Default)]
pub(super) struct About {
    pub(super) provider_message_ids: HashSet<String>,
    pub(super) attempts: HashSet<AttemptId>,
}

impl Selection {
    /// `came_as` is what our route said that the webhook is: all that is known of one that cannot be read.
    pub(super) fn wants(&self, event: &WebhookEvent, came_as: WebhookKind) -> bool {
        let kind = match event {
            WebhookEvent::Inbound(_) => Kind::Inbound,
            WebhookEvent::Status(_) => Kind::Status,
            WebhookEvent::Unreadable { .. } => match came_as {
                WebhookKind::Inbound => Kind::Inbound,
                WebhookKind::Status { .. } => Kind::Status,
            },
        };
        self.kind.is_none_or(|wanted| wanted == kind)
            && self.about.as_ref().is_none_or(|about| about.names(event, came_as))
    }
}

impl About {
    fn names(&self, event: &WebhookEvent, came_as: WebhookKind) -> bool {
        let (provider_id, attempt) = match event {
            WebhookEvent::Inbound(message) => (Some(&message.provider_message_id), None),
            WebhookEvent::Status(update) => (Some(&update.provider_message_id), update.attempt),
            WebhookEvent::Unreadable { .. } => match came_as {
                WebhookKind::Status { attempt } => (None, attempt),
                WebhookKind::Inbound => (None, None),
            },
        };
        provider_id.is_some_and(|id| self.provider_message_ids.contains(id))
            || attempt.is_some_and(|attempt| self.attempts.contains(&attempt))
    }
}

/// What our route said of a webhook, from the URL that was called: `…/status`, `…/status/{attempt}`, `…/inbound`. What
/// has another was no webhook, but was found in the provider's log of what customers wrote.
pub(super) fn kind_of(url: &str) -> WebhookKind {
    let Ok(url) = Url::parse(url) else { return WebhookKind::Inbound };
    let mut segments: Vec<&str> = url.path_segments().map(Iterator::collect).unwrap_or_default();
    // `webhooks/{namespace}/{sender}/{provider}/` stands before, and whatever the public base URL has before that.
    let is_route = |rest: &[&str]| rest.len() >= 4 && rest[rest.len() - 4] == "webhooks";
    let last = segments.pop();
    match (last, segments.last()) {
        (Some("status"), _) if is_route(&segments) => WebhookKind::Status { attempt: None },
        (Some(attempt), Some(&"status")) if is_route(&segments[..segments.len() - 1]) => {
            WebhookKind::Status { attempt: attempt.parse().ok() }
        }
        _ => WebhookKind::Inbound,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use messaging::lifecycle::MessageStatus;
    use messaging::provider::StatusUpdate;

    use super::*;

    const ATTEMPT: &str = "att-0192d3b8c7a97c3e8f1e2d3c4b5a6978";

    #[test]
    fn a_url_says_what_its_webhook_was() {
        let status = |attempt| WebhookKind::Status { attempt };
        for (path, expected) in [
            ("/webhooks/shop/support/twilio/inbound", WebhookKind::Inbound),
            ("/webhooks/shop/support/twilio/status?x=1", status(None)),
            ("/webhooks/shop/support/twilio/status/att-0192d3b8c7a97c3e8f1e2d3c4b5a6978", status(ATTEMPT.parse().ok())),
            ("/behind/a/path/webhooks/shop/status/twilio/status", status(None)),
            ("/webhooks/status/status/twilio/inbound", WebhookKind::Inbound),
            ("/2010-04-01/Accounts/AC1/Messages/SM1.json", WebhookKind::Inbound),
            ("", WebhookKind::Inbound),
        ] {
            assert_eq!(kind_of(&format!("https://hooks.example.com{path}")), expected, "{path}");
        }
        assert_eq!(kind_of("no url"), WebhookKind::Inbound);
    }

    #[test]
    fn what_cannot_be_read_is_told_by_its_url() {
        let attempt: AttemptId = ATTEMPT.parse().unwrap();
        let unreadable = WebhookEvent::Unreadable { reason: "?".into(), dedupe_key: "1".into() };
        let came_as = WebhookKind::Status { attempt: Some(attempt) };
        let about = |attempts: &[AttemptId]| Selection {
            kind: Some(Kind::Status),
            about: Some(About { attempts: attempts.iter().copied().collect(), ..About::default() }),
        };
        assert!(about(&[attempt]).wants(&unreadable, came_as));
        assert!(!about(&[]).wants(&unreadable, came_as));
        assert!(!about(&[attempt]).wants(&unreadable, WebhookKind::Inbound));
    }

    #[test]
    fn a_status_is_about_a_message_by_either_of_its_names() {
        let attempt: AttemptId = ATTEMPT.parse().unwrap();
        let status = |attempt| {
            WebhookEvent::Status(StatusUpdate {
                provider_message_id: "SM1".into(),
                attempt,
                status: MessageStatus::Sent,
                failure: None,
                extra: BTreeMap::new(),
            })
        };
        let came_as = WebhookKind::Status { attempt: None };
        let by_id = About { provider_message_ids: ["SM1".to_owned()].into(), ..About::default() };
        let by_attempt = About { attempts: [attempt].into(), ..About::default() };
        assert!(by_id.names(&status(None), came_as) && by_attempt.names(&status(Some(attempt)), came_as));
        assert!(!by_attempt.names(&status(None), came_as) && !About::default().names(&status(None), came_as));
    }
}
