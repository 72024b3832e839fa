//! Decides which events of the log are wanted. Pure.

use std::collections::HashSet;

use messaging::id::AttemptId;
use messaging::provider::WebhookEvent;
use messaging::provider::webhook::Traffic;

/// A kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Messages from customers.
    Inbound,
    /// Statuses of sent messages.
    Status,
}

#[derive(Debug, Default)]
pub(super) struct Selection {
    pub(super) kind: Option<Kind>,
    pub(super) about: Option<About>,
}

/// The names by which events refer to one message.
#[derive(Debug, Default)]
pub(super) struct About {
    pub(super) provider_message_ids: HashSet<String>,
    pub(super) attempts: HashSet<AttemptId>,
}

impl Selection {
    /// `came_as` is what arrives by the webhook's route: all that is known of a webhook that cannot be read.
    pub(super) fn wants(&self, event: &WebhookEvent, came_as: Traffic) -> bool {
        let kind = match event {
            WebhookEvent::Inbound(_) => Some(Kind::Inbound),
            WebhookEvent::Status(_) => Some(Kind::Status),
            WebhookEvent::UserIdChange(_) | WebhookEvent::OtherChannel { .. } | WebhookEvent::Unreadable { .. } => {
                match came_as {
                    Traffic::Inbound => Some(Kind::Inbound),
                    Traffic::Statuses { .. } => Some(Kind::Status),
                    Traffic::Mixed | Traffic::Hints => None,
                }
            }
        };
        // An event of unknown kind is wanted with either kind.
        self.kind.is_none_or(|wanted| kind.is_none_or(|kind| wanted == kind))
            && self.about.as_ref().is_none_or(|about| about.names(event, came_as))
    }
}

impl About {
    fn names(&self, event: &WebhookEvent, came_as: Traffic) -> bool {
        let (provider_id, attempt) = match event {
            WebhookEvent::Inbound(message) => (Some(&message.provider_message_id), None),
            WebhookEvent::Status(update) => (Some(&update.provider_message_id), update.attempt),
            WebhookEvent::OtherChannel { provider_message_id, .. } => (Some(provider_message_id), None),
            WebhookEvent::UserIdChange(_) => (None, None),
            WebhookEvent::Unreadable { .. } => match came_as {
                Traffic::Statuses { of } => (None, of),
                Traffic::Inbound | Traffic::Mixed | Traffic::Hints => (None, None),
            },
        };
        provider_id.is_some_and(|id| self.provider_message_ids.contains(id))
            || attempt.is_some_and(|attempt| self.attempts.contains(&attempt))
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
    fn an_unreadable_event_is_selected_by_its_route() {
        let attempt: AttemptId = ATTEMPT.parse().unwrap();
        let unreadable = WebhookEvent::Unreadable { reason: "?".into(), dedupe_key: "1".into() };
        let came_as = Traffic::Statuses { of: Some(attempt) };
        let about = |attempts: &[AttemptId]| Selection {
            kind: Some(Kind::Status),
            about: Some(About { attempts: attempts.iter().copied().collect(), ..About::default() }),
        };
        assert!(about(&[attempt]).wants(&unreadable, came_as));
        assert!(!about(&[]).wants(&unreadable, came_as));
        assert!(!about(&[attempt]).wants(&unreadable, Traffic::Inbound));
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
        let came_as = Traffic::Statuses { of: None };
        let by_id = About { provider_message_ids: ["SM1".to_owned()].into(), ..About::default() };
        let by_attempt = About { attempts: [attempt].into(), ..About::default() };
        assert!(by_id.names(&status(None), came_as) && by_attempt.names(&status(Some(attempt)), came_as));
        assert!(!by_attempt.names(&status(None), came_as) && !About::default().names(&status(None), came_as));
    }
}
