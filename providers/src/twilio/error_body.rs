//! Reads a Twilio error, in any of its formats.
//!
//! The 2010 API and most others answer `{code, message, more_info, status}`, newer ones RFC 9457 problem documents
//! (`{title, detail, errors[{detail, pointer}]}`), and some `{code, message, httpStatusCode, params, userError}`;
//! proxies in front of Twilio answer HTML, or nothing. (Twilio's SDKs for Node, Python and Go.)

use serde_json::Value;

/// What could be read from an error's body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ErrorBody {
    /// Twilio's error code, such as `20003`.
    pub(crate) code: Option<String>,
    /// Twilio's own sentence.
    pub(crate) message: Option<String>,
}

/// Reads any bytes. Other formats give neither code nor message.
pub(crate) fn parse(body: &[u8]) -> ErrorBody {
    let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(body) else {
        return ErrorBody::default();
    };
    let text = |value: Option<&Value>| {
        value.and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let code = match fields.get("code") {
        Some(Value::Number(number)) => Some(number.to_string()),
        other => text(other),
    };
    let summary = match (text(fields.get("title")), text(fields.get("detail"))) {
        (Some(title), Some(detail)) => Some(format!("{title}: {detail}")),
        (title, detail) => text(fields.get("message")).or(detail).or(title),
    };
    let problems: Vec<String> = fields
        .get("errors")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|problem| {
            let detail = text(problem.get("detail"))?;
            Some(match text(problem.get("pointer")) {
                Some(pointer) => format!("{pointer}: {detail}"),
                None => detail,
            })
        })
        .collect();
    let message = match (summary, problems.is_empty()) {
        (Some(summary), false) => Some(format!("{summary} ({})", problems.join("; "))),
        (None, false) => Some(problems.join("; ")),
        (summary, true) => summary,
    };
    ErrorBody { code, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str) -> (Option<String>, Option<String>) {
        let ErrorBody { code, message } = parse(body.as_bytes());
        (code, message)
    }
    fn some(code: &str, message: &str) -> (Option<String>, Option<String>) {
        (Some(code.to_owned()), Some(message.to_owned()))
    }

    #[test]
    fn all_three_formats_are_read() {
        assert_eq!(
            of(
                r#"{"code":20003,"message":"Authenticate","more_info":"https://www.twilio.com/docs/errors/20003","status":401}"#
            ),
            some("20003", "Authenticate")
        );
        assert_eq!(
            of(
                r##"{"type":"https://x","title":"Bad Request","status":400,"code":20001,"detail":"no good","errors":[{"detail":"is required","pointer":"#/name"}]}"##
            ),
            some("20001", "Bad Request: no good (#/name: is required)")
        );
        assert_eq!(
            of(r#"{"code":"60200","message":"Invalid parameter","httpStatusCode":400,"params":{},"userError":true}"#),
            some("60200", "Invalid parameter")
        );
    }

    #[test]
    fn other_bodies_have_no_code_and_no_message() {
        for body in ["", "<html>502</html>", "null", "[1]", "{\"code\":null,\"message\":\" \"}", "{\"code\":{}}"] {
            assert_eq!(of(body), (None, None), "{body}");
        }
        assert_eq!(of(r#"{"errors":[{"detail":"d"},{"pointer":"p"},3]}"#), (None, Some("d".to_owned())));
    }
}
