//! Twilio's errors and their formats.

use http::StatusCode;
use serde_json::json;

use crate::{http::Answer, types::ErrorShape};

/// A refusal, before it takes one of the formats.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: i64,
    pub(crate) message: String,
    pub(crate) shape: ErrorShape,
}

/// The result of a request's handler.
pub(crate) type Outcome = Result<Answer, ApiError>;

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: i64, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), shape: ErrorShape::Classic }
    }

    /// A 400 with its own code.
    pub(crate) fn invalid(code: i64, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn not_found(path: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, 20404, format!("The requested resource {path} was not found"))
    }

    /// Wrong credentials and missing rights look alike.
    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, 20003, "Authenticate")
    }

    pub(crate) fn in_shape(mut self, shape: ErrorShape) -> Self {
        self.shape = shape;
        self
    }

    pub(crate) fn answer(&self) -> Answer {
        let status = self.status.as_u16();
        let more_info = format!("https://www.twilio.com/docs/errors/{}", self.code);
        let answer = match self.shape {
            ErrorShape::Classic => Answer::json(
                self.status,
                &json!({"code": self.code, "message": self.message, "more_info": more_info, "status": status}),
            ),
            ErrorShape::Problem => Answer::bytes(
                self.status,
                "application/problem+json",
                json!({
                    "type": more_info,
                    "title": self.status.canonical_reason().unwrap_or("Error"),
                    "status": status,
                    "code": self.code,
                    "detail": self.message,
                })
                .to_string(),
            ),
            ErrorShape::V1 => Answer::json(
                self.status,
                &json!({
                    "code": self.code,
                    "message": self.message,
                    "httpStatusCode": status,
                    "params": {},
                    "userError": self.status.is_client_error(),
                }),
            ),
            ErrorShape::Html => Answer::bytes(
                self.status,
                "text/html",
                format!("<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>\n", self.status),
            ),
            ErrorShape::Empty => Answer::bytes(self.status, "", ""),
        };
        if self.status == StatusCode::UNAUTHORIZED {
            return answer.with_header("www-authenticate", "Basic realm=\"Twilio API\"".to_owned());
        }
        answer
    }
}

/// The default code of a status.
pub(crate) fn usual_code(status: StatusCode) -> (i64, &'static str) {
    match status.as_u16() {
        401 => (20003, "Authenticate"),
        403 => (20403, "Forbidden"),
        404 => (20404, "Not Found"),
        429 => (20429, "Too Many Requests"),
        503 => (20503, "Service Unavailable"),
        504 => (20504, "Gateway Timeout"),
        500.. => (20500, "Internal Server Error"),
        _ => (20001, "Bad Request"),
    }
}
