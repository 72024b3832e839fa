//! Alerts of Twilio's Debugger.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{clock, twilio::types::NewAlert};

#[derive(Debug, Clone)]
pub(crate) struct Alert {
    pub(crate) sid: String,
    pub(crate) at: Timestamp,
    pub(crate) new: NewAlert,
}

impl Alert {
    /// One alert, with what a list leaves out.
    pub(crate) fn render_whole(&self, base: &str) -> Value {
        let mut whole = self.render(base);
        for name in ["request_headers", "request_variables", "response_body", "response_headers"] {
            whole[name] = Value::Null;
        }
        whole
    }

    pub(crate) fn render(&self, base: &str) -> Value {
        let NewAlert { account, error_code, log_level, alert_text, request_url, resource_sid } = &self.new;
        let at = clock::iso8601(self.at);
        json!({
            "sid": self.sid,
            "account_sid": account,
            "alert_text": alert_text,
            "api_version": "2010-04-01",
            "date_created": at,
            "date_generated": at,
            "date_updated": at,
            "error_code": error_code,
            "log_level": log_level,
            "more_info": format!("https://www.twilio.com/docs/errors/{error_code}"),
            "request_method": request_url.as_ref().map(|_| "POST"),
            "request_url": request_url,
            "resource_sid": resource_sid,
            "service_sid": null,
            "url": format!("{base}/v1/Alerts/{}", self.sid),
        })
    }
}
