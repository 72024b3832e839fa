//! Twilio's Debugger, by Monitor v1: alerts about webhooks and resources of the account.

use std::borrow::Cow;

use jiff::Timestamp;
use messaging::provider::ProviderError;
use messaging::provider::admin::{AlertObservation, Listed};
use serde::Deserialize;
use serde_json::Value;

use super::client::Client;
use super::codes;
use super::hosts::Host;

/// How many pages of a hundred are read: what is new comes first, and the oldest of a flood says nothing more.
const MOST_PAGES: u32 = 3;

#[derive(Debug, Deserialize)]
struct AlertResource {
    sid: Option<String>,
    error_code: Option<String>,
    date_generated: Option<String>,
    resource_sid: Option<String>,
    request_url: Option<String>,
}

pub(crate) async fn list(client: &Client, since: Timestamp) -> Result<Listed<AlertObservation>, ProviderError> {
    let since = since.strftime("%Y-%m-%dT%H:%M:%SZ");
    let path = format!("/v1/Alerts?StartDate={since}&PageSize=100");
    let Listed { rows, requests } = client.list_up_to(MOST_PAGES, Host::Monitor, path, "alerts").await?;
    Ok(Listed { rows: rows.into_iter().filter_map(observation).collect(), requests })
}

/// `None` for what has not the documented shape: these ids and codes are shown to people.
fn observation(row: Value) -> Option<AlertObservation> {
    let AlertResource { sid, error_code, date_generated, resource_sid, request_url } =
        serde_json::from_value(row).ok()?;
    let code = error_code.filter(|code| is_code(code))?;
    Some(AlertObservation {
        id: sid.filter(|sid| sid.starts_with("NO") && is_sid(sid))?,
        advice: Cow::Borrowed(codes::advice(&code)),
        code,
        at: date_generated?.parse().ok()?,
        resource: resource_sid.filter(|sid| is_sid(sid)),
        url: request_url,
    })
}

fn is_code(code: &str) -> bool {
    (1..=6).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_digit())
}

/// Two letters and 32 hexadecimal digits.
fn is_sid(sid: &str) -> bool {
    let (kind, digits) = sid.as_bytes().split_at(sid.len().min(2));
    kind.iter().all(u8::is_ascii_alphabetic) && digits.len() == 32 && digits.iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SID: &str = "NO0123456789abcdef0123456789abcdef";

    #[test]
    fn what_has_not_the_documented_shape_is_left_out() {
        let row = |sid: &str, code: &str, at: &str| {
            json!({"sid": sid, "error_code": code, "date_generated": at, "alert_text": "Body=secret",
                   "resource_sid": "not a sid", "request_url": null})
        };
        let at = "2026-11-29T10:00:00Z";
        for wrong in [
            row("NO1", "11200", at),
            row("SM0123456789abcdef0123456789abcdef", "11200", at),
            row(SID, "11200 <b>", at),
            row(SID, "", at),
            row(SID, "11200", "yesterday"),
            json!({}),
            json!(null),
            json!({"sid": 4}),
        ] {
            assert_eq!(observation(wrong.clone()), None, "{wrong}");
        }
        let alert = observation(row(SID, "11200", at)).expect("an alert");
        assert_eq!((alert.id.as_str(), alert.code.as_str(), alert.resource), (SID, "11200", None));
        assert!(alert.advice.contains("publicBaseUrl"), "{}", alert.advice);
    }
}
