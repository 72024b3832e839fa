//! Twilio's error codes.
//!
//! Twilio warns that codes get split and refined, so this is data with a default for whatever is not in it.

use super::FailureClass::{self, Ambiguous, Fallback, Request, Retry, RetryLater, Sender, Suppress, Template};
use super::{Codes, ErrorCode};
use crate::contact::SuppressionReason::{self, Blocked, OptedOut, Unreachable};

/// The class of a failure: by its code, else by the HTTP status of the answer that told it, else (a status callback
/// with a code that is not in the table, or none) as one that a new message later may get past.
///
/// An answer is more definite than a status: what an answer with a 4xx refuses was not processed. So what is only
/// [`FailureClass::RetryLater`] in a status, such as a rate limit, is safe to retry there; and after a 5xx nothing is
/// certain, whatever the code says (Twilio's page on 20500: sending again may send twice).
pub fn classify(code: Option<&str>, http_status: Option<u16>) -> FailureClass {
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

const fn code(code: u32, class: FailureClass, title: &'static str, advice: &'static str) -> ErrorCode {
    ErrorCode { code, class, suppression: None, title, advice }
}

/// A code that says something of the recipient.
const fn gone(code: u32, reason: SuppressionReason, title: &'static str, advice: &'static str) -> ErrorCode {
    ErrorCode { code, class: Suppress, suppression: Some(reason), title, advice }
}

const CHECK_CREDENTIALS: &str =
    "check the Secret that credentialsSecretRef names, and the account's state in Twilio's console";
const CHECK_SENDER: &str =
    "check that spec.phoneNumber is an online WhatsApp sender of spec.provider.twilio.accountSid";
const CHECK_SERVICE: &str = "check the Messaging Service and its senders in Twilio's console";
const CHECK_WEBHOOK: &str =
    "the data plane did not answer Twilio's webhook well; check publicBaseUrl, the ingress and the data plane's log";
const CHECK_TEMPLATE: &str = "see the template's conditions: kubectl describe whatsapptemplate";
const CHECK_VALUES: &str = "compare the values with the template's variables";
const USE_A_TEMPLATE: &str = "send an approved template";
const OTHER_CHANNEL: &str = "reach the recipient on another channel";
const SEND_LATER: &str = "send it again later if it is still of use";

/// Every code that a sender of WhatsApp messages may meet, in order.
#[rustfmt::skip]
pub const CODES: Codes = Codes(&[
    code(11200, Request, "webhook: retrieval failure", CHECK_WEBHOOK),
    code(11205, Request, "webhook: connection failure", CHECK_WEBHOOK),
    code(11750, Request, "webhook: answer larger than 64 kB", CHECK_WEBHOOK),
    code(12100, Request, "webhook: answer cannot be parsed", CHECK_WEBHOOK),
    code(12300, Request, "webhook: answer has a wrong content type", CHECK_WEBHOOK),
    code(20003, Sender, "credentials not accepted, or permission denied", CHECK_CREDENTIALS),
    code(20404, Request, "not found", ""),
    code(20429, Retry, "too many requests", ""),
    code(20500, Ambiguous, "internal server error", ""),
    gone(21211, Unreachable, "invalid recipient number", "correct the number"),
    code(21408, Sender, "region not enabled for this account", "enable the region in Twilio's geographic permissions"),
    gone(21610, OptedOut, "recipient opted out", "the recipient must send START"),
    code(21611, Retry, "the sender's queue is full", "send more slowly"),
    code(21612, Fallback, "recipient not reachable from this sender", OTHER_CHANNEL),
    gone(21614, Unreachable, "recipient is not a mobile number", "correct the number"),
    code(21617, Request, "body longer than 1,600 characters", "shorten the text"),
    code(21654, Request, "ContentSid required", ""),
    code(21655, Template, "ContentSid invalid", CHECK_TEMPLATE),
    code(21656, Request, "content variables invalid", CHECK_VALUES),
    code(21701, Sender, "Messaging Service does not exist", CHECK_SERVICE),
    code(21702, Sender, "Messaging Service not available", CHECK_SERVICE),
    code(21703, Sender, "Messaging Service has no sender", CHECK_SERVICE),
    code(21704, Sender, "Messaging Service has no sender for this recipient", CHECK_SERVICE),
    code(21705, Sender, "Messaging Service invalid", CHECK_SERVICE),
    code(21910, Request, "sender and recipient are on different channels", ""),
    code(30001, RetryLater, "queue overflow", "send more slowly"),
    code(30002, Sender, "account suspended", CHECK_CREDENTIALS),
    code(30003, RetryLater, "recipient's phone not reachable", OTHER_CHANNEL),
    gone(30004, Blocked, "recipient blocks messages", ""),
    gone(30005, Unreachable, "recipient unknown", "correct the number"),
    gone(30006, Unreachable, "recipient is a landline or cannot be reached", "correct the number"),
    code(30007, Fallback, "message filtered", "check the content against WhatsApp's policies"),
    code(30008, RetryLater, "unknown error", SEND_LATER),
    code(30036, RetryLater, "validity period ended before it was sent", SEND_LATER),
    code(30410, Ambiguous, "provider timed out; not sent again, to avoid a duplicate", "ask the recipient before sending it again"),
    gone(30450, Unreachable, "blocked as SMS pumping", ""),
    code(35115, Request, "time of a scheduled message out of range", ""),
    code(57012, Request, "webhook: signature did not match", CHECK_WEBHOOK),
    code(63001, Sender, "WhatsApp could not authenticate the sender", CHECK_SENDER),
    code(63002, Sender, "WhatsApp could not find the sender", CHECK_SENDER),
    gone(63003, Unreachable, "WhatsApp could not find the recipient", "correct the number"),
    code(63005, Request, "WhatsApp did not accept the content", "check the content"),
    code(63007, Sender, "no channel with this sender's address", CHECK_SENDER),
    code(63008, Sender, "channel misconfigured", CHECK_SENDER),
    code(63009, RetryLater, "WhatsApp returned an error", SEND_LATER),
    code(63010, RetryLater, "Twilio internal error", SEND_LATER),
    code(63012, RetryLater, "WhatsApp internal error", SEND_LATER),
    code(63013, Template, "violates WhatsApp's policy", "check the content, and the values for long runs of spaces"),
    gone(63014, Blocked, "blocked by the recipient", ""),
    code(63015, Request, "the recipient has not joined the sandbox", "join the sandbox from that phone, or use a sender of your own"),
    code(63016, Fallback, "outside the 24-hour window", USE_A_TEMPLATE),
    code(63017, Retry, "account's rate limit exceeded", "send more slowly"),
    code(63018, RetryLater, "rate limit exceeded", "lower spec.limits, or wait for WhatsApp's 24-hour messaging limit"),
    code(63019, Request, "media could not be downloaded", "check that the URL is public and answers quickly"),
    code(63020, Sender, "trouble with the Meta business account", "accept Twilio's invitation in Meta's Business Manager"),
    code(63021, Request, "content invalid, or longer than 1,024 characters with its values", "shorten the values"),
    code(63022, Sender, "display name's certificate invalid", CHECK_SENDER),
    code(63023, RetryLater, "WhatsApp generic error", SEND_LATER),
    gone(63024, Unreachable, "recipient cannot receive WhatsApp messages", OTHER_CHANNEL),
    code(63025, RetryLater, "media exists already", SEND_LATER),
    code(63026, Template, "flagged as spam", "review the template's text and whom it is sent to"),
    code(63027, Template, "template does not exist in this language", CHECK_TEMPLATE),
    code(63028, Request, "number of values does not match the template", CHECK_VALUES),
    code(63029, RetryLater, "recipient failed to download the template", SEND_LATER),
    code(63030, Request, "unsupported parameter", ""),
    code(63031, Request, "sender and recipient are the same", ""),
    code(63032, Fallback, "recipient is part of an experiment of Meta's", OTHER_CHANNEL),
    gone(63033, Blocked, "recipient blocked", ""),
    code(63034, Request, "media too large", "make the file smaller"),
    code(63035, Fallback, "RCS not launched there", OTHER_CHANNEL),
    code(63036, Fallback, "recipient cannot be reached by RCS", OTHER_CHANNEL),
    code(63037, RetryLater, "media upload error; Twilio tries again by itself", ""),
    code(63038, Sender, "account exceeded its messages per day", "wait a day, or ask Twilio for more"),
    code(63039, Request, "Facebook Messenger page warning", ""),
    code(63040, Template, "template rejected", CHECK_TEMPLATE),
    code(63041, Template, "template paused after negative feedback", CHECK_TEMPLATE),
    code(63042, Template, "template disabled", CHECK_TEMPLATE),
    code(63049, Fallback, "Meta chose not to deliver this marketing message", "do not send it again; marketing to the US is blocked altogether"),
    code(63051, Sender, "sender locked", CHECK_SENDER),
    code(63054, Template, "template not available for use", CHECK_TEMPLATE),
    code(63062, Sender, "terms of the Marketing Messages API not accepted", "accept them in Meta's Business Manager"),
    code(63101, Sender, "WhatsApp Business account not valid, or linked elsewhere", CHECK_SENDER),
    code(70051, Sender, "restricted API key lacks a permission", "grant the permission that the message names to the key"),
    code(92009, Request, "template was submitted already and cannot be changed", ""),
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_has_no_code_twice() {
        assert!(CODES.0.windows(2).all(|pair| pair[0].code < pair[1].code));
        assert!(CODES.0.iter().all(|entry| !entry.title.is_empty()));
    }

    #[test]
    fn every_code_that_suppresses_says_why_and_no_other_does() {
        assert!(CODES.0.iter().all(|entry| entry.suppression.is_some() == (entry.class == Suppress)));
    }

    #[test]
    fn a_rate_limit_is_no_missing_template() {
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
            assert_eq!(classify(Some(&entry.code.to_string()), Some(500)), Ambiguous);
        }
    }
}
