//! Answers to requests that fail: problem documents (RFC 9457) that name every wrong field.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use messaging::refusal::Refusal;
use serde::Serialize;

use crate::auth::AuthError;
use crate::store::StoreError;

/// A problem document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// The kind of problem: `urn:whatsapp-operator:problem:…`.
    #[serde(rename = "type")]
    kind: String,
    title: String,
    /// The HTTP status.
    #[serde(serialize_with = "as_number")]
    #[schema(value_type = u16)]
    status: StatusCode,
    /// What went wrong this time.
    detail: String,
    /// Everything that is wrong with the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(skip)]
    retry_after_seconds: Option<u32>,
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body; absent when a parameter or header is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The query parameter or header that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// A code for programs; its meaning never changes.
    pub code: String,
    /// What is wrong.
    pub detail: String,
    /// What would be right.
    pub expected: String,
}

impl FieldError {
    pub fn body(
        pointer: impl Into<String>,
        code: &str,
        detail: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self {
            pointer: Some(pointer.into()),
            parameter: None,
            code: code.to_owned(),
            detail: detail.into(),
            expected: expected.into(),
        }
    }

    pub fn parameter(name: &str, detail: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            pointer: None,
            parameter: Some(name.to_owned()),
            code: "invalid".to_owned(),
            detail: detail.into(),
            expected: expected.into(),
        }
    }
}

impl Problem {
    pub fn new(status: StatusCode, kind: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:whatsapp-operator:problem:{kind}"),
            title: title.to_owned(),
            status,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_seconds: None,
        }
    }

    /// A body whose fields are wrong.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] => one.detail.clone(),
            many => format!("{} fields are wrong", many.len()),
        };
        Self {
            errors,
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-request", "The request is not valid", detail)
        }
    }

    /// Query parameters, headers or texts that are wrong whatever the request means.
    pub fn malformed(errors: Vec<FieldError>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, ..Self::invalid(errors) }
    }

    /// A message that policy forbids.
    pub fn refused(refusal: Refusal) -> Self {
        let Refusal { code, pointer, detail, expected } = refusal;
        let title = "The message may not be sent";
        Self {
            errors: vec![FieldError::body(pointer, code.as_str(), detail.clone(), expected)],
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "refused-by-policy", title, detail)
        }
    }

    /// A message that its caller has no right to send.
    pub fn forbidden(error: FieldError) -> Self {
        let title = "The caller may not do this";
        let problem = Self::new(StatusCode::FORBIDDEN, "forbidden", title, error.detail.clone());
        Self { errors: vec![error], ..problem }
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", format!("this tenant has no such {what}"))
    }

    /// The process cannot serve the request now, but soon may.
    pub fn try_again(detail: impl Into<String>) -> Self {
        Self {
            retry_after_seconds: Some(1),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "try-again", "Try again in a moment", detail)
        }
    }

    /// The request was taken up and not finished in time.
    pub fn outcome_unknown() -> Self {
        let detail = "the store did not answer in time: if this request writes, it may have taken effect or may still do \
                      so; asking again with the same Idempotency-Key is safe";
        Self {
            retry_after_seconds: Some(1),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "outcome-unknown", "The outcome is unknown", detail)
        }
    }

    /// The same request may succeed after so many seconds.
    #[must_use]
    pub fn after(self, seconds: u32) -> Self {
        Self { retry_after_seconds: Some(seconds), ..self }
    }

    pub fn internal() -> Self {
        let detail = "the request ended in a defect of this service, which has been logged";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let status = error.status();
        let (kind, title) = match status {
            StatusCode::UNAUTHORIZED => ("unauthenticated", "No valid credentials"),
            StatusCode::FORBIDDEN => ("forbidden", "The caller may not do this"),
            _ => return Self::try_again(error.to_string()),
        };
        Self::new(status, kind, title, error.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Overloaded | StoreError::Closed => Self::try_again(error.to_string()),
            // The database's own error is for operators only.
            StoreError::Failed(_) | StoreError::Full(_) | StoreError::Unsuitable(_) => {
                tracing::error!(%error, "a request failed because the store did");
                Self::try_again("the store cannot be used at the moment")
            }
            StoreError::Unanswered(_) => {
                tracing::error!(%error, "a request ends with an unknown outcome because the store did not answer");
                Self::outcome_unknown()
            }
            StoreError::Corrupt { .. } => {
                tracing::error!(%error, "a request failed because the store holds something unreadable");
                Self::internal()
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_does_not_answer_leaves_the_outcome_unknown_and_one_that_refuses_does_not() {
        let kind = |error| Problem::from(error).kind;
        assert_eq!(kind(StoreError::Unanswered("cut".into())), "urn:whatsapp-operator:problem:outcome-unknown");
        for nothing_was_written in [StoreError::Overloaded, StoreError::Closed, StoreError::Failed("away".into())] {
            assert_eq!(kind(nothing_was_written), "urn:whatsapp-operator:problem:try-again");
        }
    }
}
