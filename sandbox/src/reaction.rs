//! The result of a call of the control API: JSON, or a refusal.

use http::StatusCode;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::http::{Answer, Request};

/// Why a control call is refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    message: String,
}

pub(crate) type Reaction = Result<Value, Refusal>;

impl Refusal {
    #[expect(clippy::needless_pass_by_value, reason = "suits map_err")]
    pub(crate) fn bad(error: impl ToString) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: error.to_string() }
    }

    pub(crate) fn defect() -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, message: "the sandbox has a defect".to_owned() }
    }

    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: what.into() }
    }
}

pub(crate) fn answer(reaction: Reaction) -> Answer {
    match reaction {
        Ok(body) => Answer::json(StatusCode::OK, &body),
        Err(refusal) => Answer::json(refusal.status, &json!({"error": refusal.message})),
    }
}

pub(crate) fn body<T: DeserializeOwned>(request: &Request) -> Result<T, Refusal> {
    serde_json::from_slice(&request.body).map_err(Refusal::bad)
}

pub(crate) fn body_or_default<T: DeserializeOwned + Default>(request: &Request) -> Result<T, Refusal> {
    if request.body.is_empty() { Ok(T::default()) } else { body(request) }
}

pub(crate) fn to_value(value: &impl Serialize) -> Reaction {
    serde_json::to_value(value).map_err(Refusal::bad)
}

#[expect(clippy::unnecessary_wraps, reason = "ends the arms of a match whose other arms can fail")]
pub(crate) fn done(_: ()) -> Reaction {
    Ok(json!({}))
}
