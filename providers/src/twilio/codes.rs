//! Twilio's error codes.
//!
//! Twilio warns that codes get split and refined, so this is a table with a default for unknown codes.

use std::borrow::Cow;

use messaging::contact::SuppressionReason::{self, Blocked, OptedOut, Unreachable};
use messaging::failure::FailureClass::{
    self, Ambiguous, Fallback, Request, Retry, RetryLater, Sender, Suppress, Template,
};
use messaging::failure::{CodeTable, ErrorCode, Failure, FailureScope};

/// The message of a failure that Twilio reports without one.
pub(crate) const NO_EXPLANATION: &str = "Twilio gave no explanation";

/// A failure by its code, else by the HTTP status of the answer that reported it.
pub(crate) fn failure(code: Option<String>, http_status: Option<u16>, message: String) -> Failure {
    let class = classify(code.as_deref(), http_status);
    let known = code.as_deref().and_then(|code| CODES.find(code));
    Failure {
        subcode: None,
        message,
        class,
        // The table's scope goes with its class. Where the answer's status changes the class, the class decides. A
        // limit that an answer tells is the same as one that a status tells.
        scope: known
            .filter(|entry| entry.class == class || (entry.class, class) == (RetryLater, Retry))
            .map(|entry| entry.scope)
            .filter(|scope| *scope != class.usual_scope()),
        suppression: known.and_then(|entry| entry.suppression).filter(|_| class == Suppress),
        advice: Cow::Borrowed(known.map_or("", |entry| entry.advice)),
        code,
    }
}

/// What a person can do about an error; empty where that is not known.
pub(crate) fn advice(code: &str) -> &'static str {
    CODES.find(code).map_or("", |entry| entry.advice)
}

/// The class of a failure: by its code, else by the HTTP status of the answer that reported it. A status callback with
/// an unknown code or none is [`FailureClass::RetryLater`].
///
/// An answer is more definite than a status: what a 4xx refuses was not processed. So a failure that is only
/// [`FailureClass::RetryLater`] in a status, such as a rate limit, is safe to retry there. After a 5xx nothing is
/// certain, whatever the code says (Twilio's page on 20500: sending again may send twice).
fn classify(code: Option<&str>, http_status: Option<u16>) -> FailureClass {
    let known = code.and_then(|code| CODES.find(code)).map(|entry| entry.class);
    match (http_status, known) {
        (None, known) => known.unwrap_or(RetryLater),
        (Some(429), _) => Retry,
        (Some(400..=499), Some(RetryLater)) => Retry,
        (Some(400..=499), Some(class)) => class,
        (Some(401 | 403), None) => Sender,
        (Some(408), None) => Ambiguous,
        (Some(400..=499), None) => Request,
        (Some(_), _) => Ambiguous,
    }
}

const fn code(code: &'static str, class: FailureClass, advice: &'static str) -> ErrorCode {
    let scope = match class {
        Sender => FailureScope::Sender,
        Template => FailureScope::Template,
        Suppress => FailureScope::Recipient,
        Retry | RetryLater | Ambiguous | Request | Fallback => FailureScope::Message,
    };
    ErrorCode { code, class, scope, suppression: None, advice }
}

/// A code that affects the whole account.
const fn of_account(code: &'static str, advice: &'static str) -> ErrorCode {
    ErrorCode { code, class: Sender, scope: FailureScope::Account, suppression: None, advice }
}

/// A limit on the conversations that the sender starts.
const fn of_conversations(code: &'static str, advice: &'static str) -> ErrorCode {
    ErrorCode { code, class: RetryLater, scope: FailureScope::Conversations, suppression: None, advice }
}

/// A code that suppresses the recipient.
const fn gone(code: &'static str, reason: SuppressionReason, advice: &'static str) -> ErrorCode {
    ErrorCode { code, class: Suppress, scope: FailureScope::Recipient, suppression: Some(reason), advice }
}

const CHECK_CREDENTIALS: &str =
    "check the Secret that credentialsSecretRef names, and the account's state in Twilio's console";
const CHECK_SENDER: &str =
    "check that spec.phoneNumber is an online WhatsApp sender of spec.provider.twilio.accountSid";
const CHECK_SERVICE: &str = "check the Messaging Service and its senders in Twilio's console";
const CHECK_WEBHOOK: &str = "the data plane did not answer Twilio's webhook correctly; check publicBaseUrl, the ingress and the data plane's log";
const CHECK_TEMPLATE: &str = "see the template's conditions: kubectl describe messagetemplate";
const CHECK_VALUES: &str = "compare the values with the template's variables";
const JOIN: &str =
    "from that phone, send what status.sandbox.join of the WhatsAppSender says, or use a number of your own";
const USE_A_TEMPLATE: &str = "send an approved template";
const OTHER_CHANNEL: &str = "reach the recipient on another channel";
const SEND_LATER: &str = "send it again later if it is still of use";

/// Every code that a sender of WhatsApp messages may get, in order.
#[rustfmt::skip]
const CODES: CodeTable = CodeTable(&[
    code("11200", Request, CHECK_WEBHOOK), // webhook: retrieval failure
    code("11205", Request, CHECK_WEBHOOK), // webhook: connection failure
    code("11750", Request, CHECK_WEBHOOK), // webhook: answer larger than 64 kB
    code("12100", Request, CHECK_WEBHOOK), // webhook: answer cannot be parsed
    code("12300", Request, CHECK_WEBHOOK), // webhook: answer has a wrong content type
    of_account("20003", CHECK_CREDENTIALS), // credentials not accepted, or permission denied
    code("20404", Request, ""), // not found
    code("20429", Retry, ""), // too many requests
    code("20500", Ambiguous, ""), // internal server error
    gone("21211", Unreachable, "correct the number"), // invalid recipient number
    code("21408", Sender, "enable the region in Twilio's geographic permissions"), // region not enabled for this account
    gone("21610", OptedOut, "the recipient must send START"), // recipient opted out
    code("21611", Retry, "send more slowly"), // the sender's queue is full
    code("21612", Fallback, OTHER_CHANNEL), // recipient not reachable from this sender
    gone("21614", Unreachable, "correct the number"), // recipient is not a mobile number
    code("21617", Request, "shorten the text"), // body longer than 1,600 characters
    code("21654", Request, ""), // ContentSid required
    code("21655", Template, CHECK_TEMPLATE), // ContentSid invalid
    code("21656", Request, CHECK_VALUES), // content variables invalid
    code("21701", Sender, CHECK_SERVICE), // Messaging Service does not exist
    code("21702", Sender, CHECK_SERVICE), // Messaging Service not available
    code("21703", Sender, CHECK_SERVICE), // Messaging Service has no sender
    code("21704", Sender, CHECK_SERVICE), // Messaging Service has no sender for this recipient
    code("21705", Sender, CHECK_SERVICE), // Messaging Service invalid
    code("21910", Request, ""), // sender and recipient are on different channels
    code("30001", RetryLater, "send more slowly"), // queue overflow
    of_account("30002", CHECK_CREDENTIALS), // account suspended
    code("30003", RetryLater, OTHER_CHANNEL), // recipient's phone not reachable
    gone("30004", Blocked, ""), // recipient blocks messages
    gone("30005", Unreachable, "correct the number"), // recipient unknown
    gone("30006", Unreachable, "correct the number"), // recipient is a landline or cannot be reached
    code("30007", Fallback, "check the content against WhatsApp's policies"), // message filtered
    code("30008", RetryLater, SEND_LATER), // unknown error
    code("30036", RetryLater, SEND_LATER), // validity period ended before it was sent
    code("30410", Ambiguous, "ask the recipient before sending it again"), // provider timed out; not sent again, to avoid a duplicate
    gone("30450", Unreachable, ""), // blocked as SMS pumping
    code("35115", Request, ""), // time of a scheduled message out of range
    code("57012", Request, CHECK_WEBHOOK), // webhook: signature did not match
    code("63001", Sender, CHECK_SENDER), // WhatsApp could not authenticate the sender
    code("63002", Sender, CHECK_SENDER), // WhatsApp could not find the sender
    gone("63003", Unreachable, "correct the number"), // WhatsApp could not find the recipient
    code("63005", Request, "check the content"), // WhatsApp did not accept the content
    code("63007", Sender, CHECK_SENDER), // no channel with this sender's address
    code("63008", Sender, CHECK_SENDER), // channel misconfigured
    code("63009", RetryLater, SEND_LATER), // WhatsApp returned an error
    code("63010", RetryLater, SEND_LATER), // Twilio internal error
    code("63012", RetryLater, SEND_LATER), // WhatsApp internal error
    code("63013", Template, "check the content, and the values for long runs of spaces"), // violates WhatsApp's policy
    gone("63014", Blocked, ""), // blocked by the recipient
    code("63015", Request, JOIN), // the recipient has not joined the sandbox
    code("63016", Fallback, USE_A_TEMPLATE), // outside the 24-hour window
    code("63017", Retry, "send more slowly"), // account's rate limit exceeded
    of_conversations("63018", "lower spec.limits, or wait for WhatsApp's 24-hour messaging limit"), // rate limit exceeded
    code("63019", Request, "check that the URL is public and answers quickly"), // media could not be downloaded
    code("63020", Sender, "accept Twilio's invitation in Meta's Business Manager"), // problem with the Meta business account
    code("63021", Request, "shorten the values"), // content invalid, or longer than 1,024 characters with its values
    code("63022", Sender, CHECK_SENDER), // display name's certificate invalid
    code("63023", RetryLater, SEND_LATER), // WhatsApp generic error
    gone("63024", Unreachable, OTHER_CHANNEL), // recipient cannot receive WhatsApp messages
    code("63025", RetryLater, SEND_LATER), // media already exists
    code("63026", Template, "review the template's text and its recipients"), // flagged as spam
    code("63027", Template, CHECK_TEMPLATE), // template does not exist in this language
    code("63028", Request, CHECK_VALUES), // number of values does not match the template
    code("63029", RetryLater, SEND_LATER), // recipient failed to download the template
    code("63030", Request, ""), // unsupported parameter
    code("63031", Request, ""), // sender and recipient are the same
    code("63032", Fallback, OTHER_CHANNEL), // recipient is part of an experiment of Meta's
    gone("63033", Blocked, ""), // recipient blocked
    code("63034", Request, "make the file smaller"), // media too large
    code("63035", Fallback, OTHER_CHANNEL), // RCS not available there
    code("63036", Fallback, OTHER_CHANNEL), // recipient cannot be reached by RCS
    code("63037", Request, ""), // media upload error; Twilio tries again by itself, so that a new attempt might send twice
    of_account("63038", "wait a day, or ask Twilio for more"), // account exceeded its messages per day
    code("63039", Request, ""), // Facebook Messenger page warning
    code("63040", Template, CHECK_TEMPLATE), // template rejected
    code("63041", Template, CHECK_TEMPLATE), // template paused after negative feedback
    code("63042", Template, CHECK_TEMPLATE), // template disabled
    code("63049", Fallback, "do not send it again; marketing to the US is blocked altogether"), // Meta chose not to deliver this marketing message
    code("63051", Sender, CHECK_SENDER), // sender locked
    code("63054", Template, CHECK_TEMPLATE), // template not available for use
    code("63062", Sender, "accept them in Meta's Business Manager"), // terms of the Marketing Messages API not accepted
    code("63101", Sender, CHECK_SENDER), // WhatsApp Business account not valid, or linked elsewhere
    code("70051", Sender, "grant the permission that the message names to the key"), // restricted API key lacks a permission
    code("92009", Request, ""), // template was already submitted and cannot be changed
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_has_no_code_twice() {
        assert!(CODES.0.windows(2).all(|pair| pair[0].code < pair[1].code));
    }

    #[test]
    fn every_code_that_suppresses_says_why_and_no_other_does() {
        assert!(CODES.0.iter().all(|entry| entry.suppression.is_some() == (entry.class == Suppress)));
    }

    #[test]
    fn a_rate_limit_is_not_a_missing_template() {
        assert_eq!(classify(Some("63018"), None), RetryLater);
        assert_eq!(classify(Some("63018"), Some(429)), Retry, "an answer of 429 was not processed");
        assert_eq!(classify(Some("63018"), Some(400)), Retry, "nor was any other refusal");
        assert_eq!(classify(Some("63027"), None), Template);
        assert_eq!(classify(Some("63016"), None), Fallback);
    }

    #[test]
    fn an_unknown_code_is_classed_by_the_status_of_the_answer() {
        for code in [None, Some("99999"), Some(""), Some("-1"), Some("abc"), Some("99999999999999999999")] {
            for (http_status, class) in [
                (Some(429), Retry),
                (Some(500), Ambiguous),
                (Some(503), Ambiguous),
                (Some(401), Sender),
                (Some(403), Sender),
                (Some(400), Request),
                (Some(404), Request),
                (Some(408), Ambiguous),
                (Some(302), Ambiguous),
                (None, RetryLater),
            ] {
                assert_eq!(classify(code, http_status), class, "{code:?} {http_status:?}");
            }
        }
    }

    #[test]
    fn after_a_server_error_nothing_is_certain_whatever_the_code_says() {
        for entry in CODES.0 {
            assert_eq!(classify(Some(entry.code), Some(500)), Ambiguous);
        }
    }

    #[test]
    fn every_scope_but_those_of_accounts_and_limits_is_that_of_its_class() {
        for entry in CODES.0 {
            let usual = entry.class.usual_scope();
            let accounts = (entry.class, entry.scope) == (Sender, FailureScope::Account);
            let limits = (entry.class, entry.scope) == (RetryLater, FailureScope::Conversations);
            assert!(entry.scope == usual || accounts || limits, "{}", entry.code);
        }
    }

    #[test]
    fn an_opt_out_a_block_and_an_unreachable_recipient_are_distinguished() {
        let reason = |code: &str| failure(Some(code.to_owned()), None, "no".into()).suppression;
        for (code, expected) in [
            ("21610", Some(OptedOut)),
            ("30004", Some(Blocked)),
            ("63014", Some(Blocked)),
            ("63033", Some(Blocked)),
            ("63024", Some(Unreachable)),
            ("20429", None),
            ("no code", None),
        ] {
            assert_eq!(reason(code), expected, "{code}");
        }
    }

    #[test]
    fn an_answer_that_proves_nothing_suppresses_nobody() {
        assert_eq!(failure(Some("21610".into()), Some(500), "no".into()).suppression, None);
        assert_eq!(failure(Some("20003".into()), Some(401), "no".into()).scope(), FailureScope::Account);
        assert_eq!(failure(Some("63051".into()), None, "no".into()).scope, None);
    }
}
