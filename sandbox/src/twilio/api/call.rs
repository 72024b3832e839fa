//! An authenticated and authorized request.

use serde_json::{Map, Value};

use crate::{http::Request, twilio::errors::ApiError};

#[derive(Debug)]
pub(crate) struct Call<'r> {
    pub(crate) request: &'r Request,
    /// The account that the call acts on.
    pub(crate) account: &'r str,
    /// The values of the path's variable segments after the account.
    pub(crate) ids: Vec<&'r str>,
}

impl<'r> Call<'r> {
    pub(crate) fn id(&self, place: usize) -> &'r str {
        self.ids.get(place).copied().unwrap_or_default()
    }

    /// The body, which must be a JSON object.
    pub(crate) fn json_object(&self) -> Result<Map<String, Value>, ApiError> {
        match serde_json::from_slice(&self.request.body) {
            Ok(Value::Object(object)) => Ok(object),
            _ => Err(ApiError::invalid(20001, "the body must be a JSON object")),
        }
    }
}
