//! What must rest because of a failure, wherever it was told: in an answer, in a status, or in the provider's log.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::{Consequence, FailureClass};
use crate::clock::after;
use crate::content::OutboundContent;
use crate::id::TemplateName;
use crate::template::TemplateConfig;
use crate::template::resolve;

/// What rests, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Everything that leaves through the sender.
    Sender { until: Timestamp },
    /// Messages with the template that failed, and no others.
    Template { until: Timestamp },
}

/// What a failure of this class stops, from the time that it was told at.
pub fn stop(class: FailureClass, pause: Duration, told_at: Timestamp) -> Option<Stop> {
    let until = after(told_at, pause);
    match class.consequence() {
        Consequence::StopSender => Some(Stop::Sender { until }),
        Consequence::StopTemplate => Some(Stop::Template { until }),
        Consequence::SuppressRecipient | Consequence::None => None,
    }
}

/// What the provider knows the template of a message by, as it would be sent now. `None` where there is nothing to stop:
/// the message has no template, the tenant has it no more, or the account would not take it as it is.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::tests::at;

    #[test]
    fn a_failure_stops_what_it_is_about_and_nothing_else() {
        use FailureClass::{Ambiguous, Fallback, Request, Retry, RetryLater, Sender, Suppress, Template};
        let stopped = |class| stop(class, Duration::from_secs(60), at(1));
        assert_eq!(stopped(Sender), Some(Stop::Sender { until: at(61) }));
        assert_eq!(stopped(Template), Some(Stop::Template { until: at(61) }));
        for class in [Ambiguous, Fallback, Request, Retry, RetryLater, Suppress] {
            assert_eq!(stopped(class), None, "{class:?}");
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
