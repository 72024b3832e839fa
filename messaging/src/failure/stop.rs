//! What a failure stops, whether it was reported in an answer, in a status, or in the provider's log.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::FailureScope;
use super::rest::LONGEST_OF_TEMPLATE;
use crate::clock::after;
use crate::content::OutboundContent;
use crate::id::TemplateName;
use crate::template::{Approval, TemplateConfig, resolve};

/// What is stopped, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Everything that leaves through the sender.
    Sender { until: Timestamp },
    /// Messages with the template that failed, and no others, unless the config shows it approved again sooner.
    Template { until: Timestamp },
    /// What starts conversations through the sender: see [`super::next_rest`].
    Conversations { reported_at: Timestamp },
    /// Messages from the sender to the recipient.
    Pair { until: Timestamp },
}

/// What a failure of this scope stops, counted from the time of the report; `pause` is a sender's or a pair's. A
/// failure of an account stops each of its senders when that sender meets it.
pub fn stop(scope: FailureScope, pause: Duration, reported_at: Timestamp) -> Option<Stop> {
    let until = after(reported_at, pause);
    match scope {
        FailureScope::Sender | FailureScope::Account => Some(Stop::Sender { until }),
        FailureScope::Template => Some(Stop::Template { until: after(reported_at, LONGEST_OF_TEMPLATE) }),
        FailureScope::Conversations => Some(Stop::Conversations { reported_at }),
        FailureScope::Pair => Some(Stop::Pair { until }),
        FailureScope::Recipient | FailureScope::Message => None,
    }
}

/// The provider's handle of a message's template, as it would be sent now. `None` where there is nothing to stop: the
/// message has no template, the tenant no longer has it, or it cannot be sent through the account now.
pub fn handle_to_stop<'a>(
    content: &OutboundContent,
    templates: &'a BTreeMap<TemplateName, TemplateConfig>,
    account_key: &str,
) -> Option<&'a str> {
    match content {
        OutboundContent::Template { name, language, values: _ } => {
            Some(resolve(templates.get(name)?, language.as_deref(), account_key).ok()?.handle)
        }
        OutboundContent::Text { .. } | OutboundContent::Media { .. } => None,
    }
}

/// What the config says of the approval of a template's revision, by the provider's handle; `None` where nothing in it
/// has that handle.
pub fn approval_of<'a>(templates: &'a BTreeMap<TemplateName, TemplateConfig>, handle: &str) -> Option<&'a Approval> {
    let accounts = templates.values().flat_map(|t| t.localizations.values()).flat_map(|l| l.accounts.values());
    accounts.into_iter().find(|account| account.handle == handle).map(|account| &account.approval)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::tests::at;

    #[test]
    fn a_failure_stops_what_it_is_about_and_nothing_else() {
        let stopped = |scope| stop(scope, Duration::from_secs(60), at(1));
        for scope in [FailureScope::Sender, FailureScope::Account] {
            assert_eq!(stopped(scope), Some(Stop::Sender { until: at(61) }));
        }
        assert_eq!(stopped(FailureScope::Template), Some(Stop::Template { until: at(3601) }));
        assert_eq!(stopped(FailureScope::Pair), Some(Stop::Pair { until: at(61) }));
        assert_eq!(stopped(FailureScope::Conversations), Some(Stop::Conversations { reported_at: at(1) }));
        for scope in [FailureScope::Message, FailureScope::Recipient] {
            assert_eq!(stopped(scope), None, "{scope:?}");
        }
    }

    #[test]
    fn the_template_of_a_message_is_stopped_in_the_language_that_it_leaves_in() {
        let language = |handle: &str, state: &str| {
            json!({ "content": { "body": "Hello" },
                "accounts": { "AC1": { "handle": handle, "approval": { "state": state } } } })
        };
        let templates = serde_json::from_value(json!({ "hello": {
            "category": "UTILITY",
            "fallbackLanguage": "en",
            "localizations": { "de": language("HX-de", "approved"), "en": language("HX-en", "pending") },
        }}))
        .expect("templates");
        let handle = |content, account| {
            let content: OutboundContent = serde_json::from_value(content).expect("content");
            handle_to_stop(&content, &templates, account).map(str::to_owned)
        };
        let hello = |language: &str| json!({ "template": { "name": "hello", "language": language } });
        assert_eq!(handle(hello("de"), "AC1").as_deref(), Some("HX-de"));
        assert_eq!(handle(hello("en"), "AC1"), None, "it does not leave as it is");
        assert_eq!(handle(hello("de"), "AC2"), None, "not at this account");
        assert_eq!(handle(json!({ "template": { "name": "gone" } }), "AC1"), None);
        assert_eq!(handle(json!({ "text": { "body": "hello" } }), "AC1"), None);
    }
}
