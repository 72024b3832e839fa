//! How fast a number may send, also less than once a second.

use std::borrow::Cow;
use std::time::Duration;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// How fast a number may send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Messages per second: a number, or a text for a rate that is not whole, such as `"0.33"` for one in three
    /// seconds. Absent: 80, which a WhatsApp sender at Twilio starts with, and for Twilio's Sandbox the one message in
    /// 3 seconds that it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(RULE).message(MESSAGE))]
    pub messages_per_second: Option<MessageRate>,
    /// Messages that may leave at once after an idle period. Absent: 60, and 1 where less than one a second may leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub burst: Option<i32>,
    /// Calls to the provider in flight at once, on each data-plane replica.
    #[serde(default = "Limits::default_max_concurrency")]
    #[schemars(range(min = 1, max = 256))]
    pub max_concurrency: i32,
}

impl Limits {
    fn default_max_concurrency() -> i32 {
        i32::try_from(messaging::config::Limits::default().max_concurrency).unwrap_or(i32::MAX)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { messages_per_second: None, burst: None, max_concurrency: Self::default_max_concurrency() }
    }
}

/// The API server's rule for a rate. It accepts exactly what [`MessageRate::interval`] accepts.
const RULE: &str =
    "string(self).matches('^[0-9]{1,4}([.][0-9]{1,3})?$') && double(self) >= 0.01 && double(self) <= 1000.0";
const MESSAGE: &str =
    "must be from 0.01 to 1000 messages per second, such as 80, or \"0.33\" for one message in three seconds";

/// Messages per second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MessageRate {
    Whole(i32),
    /// Up to three digits after the point.
    Text(String),
}

impl JsonSchema for MessageRate {
    fn schema_name() -> Cow<'static, str> {
        "MessageRate".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-int-or-string": true, "maxLength": 8 })
    }
}

/// Why a rate is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a rate: expected 0.01 to 1000 messages per second, such as 80 or 0.33")]
pub struct InvalidRate(pub String);

impl MessageRate {
    /// The time between two messages, rounded up to milliseconds, so that the rate is never exceeded.
    ///
    /// # Errors
    /// For a rate that the schema refuses.
    pub fn interval(&self) -> Result<Duration, InvalidRate> {
        let text = match self {
            Self::Whole(rate) => Cow::Owned(rate.to_string()),
            Self::Text(text) => Cow::Borrowed(text.as_str()),
        };
        let thousandths = thousandths(&text).filter(|rate| (10..=1_000_000).contains(rate));
        let rate = thousandths.ok_or_else(|| InvalidRate(text.into_owned()))?;
        Ok(Duration::from_millis(1_000_000_u64.div_ceil(rate)))
    }

    /// The rate where it is a whole number of messages per second.
    pub fn whole(&self) -> Option<u32> {
        let rate = match self {
            Self::Whole(rate) => u64::try_from(*rate).ok()?,
            Self::Text(text) => thousandths(text).filter(|rate| rate % 1000 == 0)? / 1000,
        };
        u32::try_from(rate).ok()
    }
}

/// A decimal number with up to four digits before its point and up to three after it, times 1,000.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, rest) = text.split_once('.').map_or((text, None), |(whole, rest)| (whole, Some(rest)));
    let is_number = |digits: &str, most: usize| {
        (1..=most).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !is_number(whole, 4) || !rest.is_none_or(|rest| is_number(rest, 3)) {
        return None;
    }
    let rest = format!("{:0<3}", rest.unwrap_or_default());
    Some(whole.parse::<u64>().ok()? * 1000 + rest.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(rate: &str) -> MessageRate {
        MessageRate::Text(rate.to_owned())
    }

    #[test]
    fn what_is_no_rate_is_refused_with_what_would_be_one() {
        for wrong in ["", "0", "0.009", "0.0100", "1000.001", "1001", "-1", "1e2", ".5", "5.", "fast", "0,33", "00001"]
        {
            assert_eq!(text(wrong).interval(), Err(InvalidRate(wrong.to_owned())));
        }
        for wrong in [i32::MIN, -1, 0, 1001] {
            let error = MessageRate::Whole(wrong).interval().map_err(|error| error.to_string());
            let expected = format!(
                "{:?} is not a rate: expected 0.01 to 1000 messages per second, such as 80 or 0.33",
                wrong.to_string()
            );
            assert_eq!(error, Err(expected));
        }
    }

    #[test]
    fn a_rate_is_never_exceeded_by_its_interval() {
        for (rate, millis) in
            [("0.01", 100_000), ("0.33", 3031), ("0.333", 3004), ("0.5", 2000), ("1.5", 667), ("12", 84), ("1000", 1)]
        {
            assert_eq!(text(rate).interval(), Ok(Duration::from_millis(millis)), "{rate}");
        }
        assert_eq!(MessageRate::Whole(80).interval(), Ok(Duration::from_millis(13)));
    }

    #[test]
    fn a_rate_is_whole_however_it_is_written() {
        assert_eq!(MessageRate::Whole(80).whole(), Some(80));
        assert_eq!([text("80"), text("80.000"), text("0.5")].map(|rate| rate.whole()), [Some(80), Some(80), None]);
    }
}
