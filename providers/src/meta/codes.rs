//! Meta's error codes, as a status reports them. (Meta docs, error codes, 2026-09.)

use std::borrow::Cow;

use messaging::failure::FailureClass::{self, Ambiguous, Fallback, Request, RetryLater, Sender, Suppress, Template};
use messaging::failure::{CodeTable, ErrorCode, Failure, FailureScope};

/// A failure that a status reports. A code that is not in the table ends this message and says nothing about the next.
pub(super) fn reported(code: Option<String>, subcode: Option<String>, message: Option<String>) -> Failure {
    let known = code.as_deref().and_then(|code| CODES.find(code));
    let class = known.map_or(RetryLater, |entry| entry.class);
    Failure {
        subcode,
        message: message.unwrap_or_else(|| "Meta gave no explanation".to_owned()),
        class,
        scope: known.map(|entry| entry.scope).filter(|scope| *scope != class.usual_scope()),
        suppression: known.and_then(|entry| entry.suppression),
        advice: Cow::Borrowed(known.map_or("", |entry| entry.advice)),
        code,
    }
}

const fn code(code: &'static str, class: FailureClass, advice: &'static str) -> ErrorCode {
    let scope = match class {
        Sender => FailureScope::Sender,
        Template => FailureScope::Template,
        Suppress => FailureScope::Recipient,
        FailureClass::Retry | RetryLater | Ambiguous | Request | Fallback => FailureScope::Message,
    };
    ErrorCode { code, class, scope, suppression: None, advice }
}

/// A limit on how fast to send.
const fn limit(code: &'static str, scope: FailureScope) -> ErrorCode {
    ErrorCode { code, class: RetryLater, scope, suppression: None, advice: SEND_SLOWLY }
}

/// A code that affects the whole account.
const fn of_account(code: &'static str, advice: &'static str) -> ErrorCode {
    ErrorCode { code, class: Sender, scope: FailureScope::Account, suppression: None, advice }
}

const CHECK_CREDENTIALS: &str = "check the access token and its permissions";
const CHECK_ACCOUNT: &str = "see the account's state in WhatsApp Manager";
const CHECK_TEMPLATE: &str = "see the template's state in WhatsApp Manager";
const OTHER_CHANNEL: &str = "reach the recipient on another channel";
const SEND_SLOWLY: &str = "send more slowly";
const SEND_LATER: &str = "send it again later if it is still of use";

/// Sorted by code, as text.
#[rustfmt::skip]
const CODES: CodeTable = CodeTable(&[
    code("100", Request, "correct the request"), // invalid parameter
    limit("130429", FailureScope::Conversations), // the number's throughput
    code("131000", RetryLater, SEND_LATER), // something went wrong
    code("131026", Fallback, OTHER_CHANNEL), // undeliverable, for one of several reasons
    of_account("131031", CHECK_ACCOUNT), // account locked
    of_account("131042", "settle the account's payment in Meta's Business Manager"), // payment problem
    code("131047", Fallback, "send an approved template"), // outside the 24-hour window
    code("131049", Fallback, "wait a day before sending marketing to this recipient"), // too much marketing for this recipient
    code("131050", Fallback, "send no marketing until the recipient allows it again"), // the recipient stopped marketing, and nothing else
    limit("131056", FailureScope::Pair), // too many messages to this recipient
    code("131057", RetryLater, SEND_LATER), // maintenance of the number, of a minute or less
    code("132015", Template, CHECK_TEMPLATE), // template paused
    code("132016", Template, CHECK_TEMPLATE), // template disabled permanently
    of_account("190", CHECK_CREDENTIALS), // access token expired or revoked
    of_account("368", CHECK_ACCOUNT), // account restricted for a violation of policy
    code("4", RetryLater, SEND_SLOWLY), // the app's calls
    code("80007", RetryLater, SEND_SLOWLY), // the account's calls
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_each_code_is_found() {
        assert!(CODES.0.is_sorted_by(|a, b| a.code < b.code));
    }

    #[test]
    fn a_code_says_what_is_affected_and_an_unknown_one_ends_its_message_alone() {
        let class = |code: &str| {
            let failure = reported(Some(code.to_owned()), None, None);
            (failure.class, failure.scope())
        };
        assert_eq!(class("131042"), (Sender, FailureScope::Account));
        assert_eq!(class("132015"), (Template, FailureScope::Template));
        assert_eq!(class("131047"), (Fallback, FailureScope::Message));
        assert_eq!(class("999999"), (RetryLater, FailureScope::Message));
    }

    #[test]
    fn a_stop_of_marketing_does_not_suppress_everything() {
        let failure = reported(Some("131050".to_owned()), None, None);
        assert_eq!(failure.suppression(jiff::Timestamp::UNIX_EPOCH), None);
    }
}
