//! Messaging services.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{clock, http::Pairs, twilio::errors::ApiError};

const FLAGS: [(&str, &str, bool); 7] = [
    ("StickySender", "sticky_sender", true),
    ("MmsConverter", "mms_converter", true),
    ("SmartEncoding", "smart_encoding", true),
    ("FallbackToLongCode", "fallback_to_long_code", true),
    ("AreaCodeGeomatch", "area_code_geomatch", true),
    ("SynchronousValidation", "synchronous_validation", false),
    ("UseInboundWebhookOnNumber", "use_inbound_webhook_on_number", false),
];
const USECASES: [&str; 6] = ["notifications", "marketing", "verification", "discussion", "poll", "undeclared"];

#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) sid: String,
    pub(crate) account: String,
    pub(crate) friendly_name: String,
    pub(crate) inbound_request_url: Option<String>,
    pub(crate) inbound_method: String,
    pub(crate) fallback_url: Option<String>,
    pub(crate) fallback_method: String,
    pub(crate) status_callback: Option<String>,
    pub(crate) validity_period: u32,
    scan_message_content: String,
    usecase: String,
    /// By their names in answers.
    flags: Map<String, Value>,
    pub(crate) senders: Vec<Member>,
    pub(crate) numbers: Vec<Member>,
    pub(crate) created: Timestamp,
    updated: Timestamp,
}

/// A sender or phone number in a service.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) sid: String,
    pub(crate) since: Timestamp,
}

impl Service {
    pub(crate) fn new(sid: String, account: String, friendly_name: String, now: Timestamp) -> Self {
        Self {
            sid,
            account,
            friendly_name,
            inbound_request_url: None,
            inbound_method: "POST".to_owned(),
            fallback_url: None,
            fallback_method: "POST".to_owned(),
            status_callback: None,
            validity_period: 36_000,
            scan_message_content: "inherit".to_owned(),
            usecase: "undeclared".to_owned(),
            flags: FLAGS.iter().map(|(_, name, default)| ((*name).to_owned(), json!(default))).collect(),
            senders: Vec::new(),
            numbers: Vec::new(),
            created: now,
            updated: now,
        }
    }

    pub(crate) fn use_webhook_on_number(&mut self, wanted: bool) {
        self.flags.insert("use_inbound_webhook_on_number".to_owned(), json!(wanted));
    }

    pub(crate) fn uses_webhook_on_number(&self) -> bool {
        self.flags["use_inbound_webhook_on_number"] == true
    }

    pub(crate) fn change(&mut self, form: &Pairs, now: Timestamp) -> Result<(), ApiError> {
        if let Some(name) = form.text("FriendlyName") {
            if name.chars().count() > 64 {
                return Err(ApiError::invalid(20002, "Invalid FriendlyName: at most 64 characters"));
            }
            name.clone_into(&mut self.friendly_name);
        }
        change_url(&mut self.inbound_request_url, form, "InboundRequestUrl")?;
        // Only the inbound URL is normalised.
        self.inbound_request_url = self.inbound_request_url.take().map(|url| normalised(&url));
        change_url(&mut self.fallback_url, form, "FallbackUrl")?;
        change_url(&mut self.status_callback, form, "StatusCallback")?;
        change_word(&mut self.inbound_method, form, "InboundMethod", &["GET", "POST"])?;
        change_word(&mut self.fallback_method, form, "FallbackMethod", &["GET", "POST"])?;
        let scans = ["inherit", "enable", "disable"];
        change_word(&mut self.scan_message_content, form, "ScanMessageContent", &scans)?;
        change_word(&mut self.usecase, form, "Usecase", &USECASES)?;
        if let Some(period) = form.text("ValidityPeriod") {
            self.validity_period =
                period.parse().ok().filter(|seconds| (1..=36_000).contains(seconds)).ok_or_else(|| {
                    ApiError::invalid(21624, format!("ValidityPeriod must be 1 to 36000, not '{period}'"))
                })?;
        }
        for (parameter, name, _) in FLAGS {
            if let Some(flag) = form.flag(parameter) {
                self.flags.insert(name.to_owned(), json!(flag));
            }
        }
        self.updated = now;
        Ok(())
    }

    pub(crate) fn render(&self, base: &str) -> Value {
        let url = format!("{base}/v1/Services/{}", self.sid);
        let mut rendered = json!({
            "account_sid": self.account,
            "sid": self.sid,
            "date_created": clock::iso8601(self.created),
            "date_updated": clock::iso8601(self.updated),
            "friendly_name": self.friendly_name,
            "inbound_request_url": self.inbound_request_url,
            "inbound_method": self.inbound_method,
            "fallback_url": self.fallback_url,
            "fallback_method": self.fallback_method,
            "status_callback": self.status_callback,
            "scan_message_content": self.scan_message_content,
            "validity_period": self.validity_period,
            "usecase": self.usecase,
            "us_app_to_person_registered": false,
            "links": {
                "phone_numbers": format!("{url}/PhoneNumbers"),
                "short_codes": format!("{url}/ShortCodes"),
                "alpha_senders": format!("{url}/AlphaSenders"),
                "messages": format!("{url}/Messages"),
                "channel_senders": format!("{url}/ChannelSenders"),
            },
            "url": url,
        });
        if let Value::Object(fields) = &mut rendered {
            fields.extend(self.flags.clone());
        }
        rendered
    }
}

fn change_url(url: &mut Option<String>, form: &Pairs, name: &str) -> Result<(), ApiError> {
    match form.get(name) {
        None => {}
        // An empty value unsets the URL.
        Some("") => *url = None,
        Some(new) if url::Url::parse(new).is_ok_and(|url| url.has_host()) => *url = Some(new.to_owned()),
        Some(new) => return Err(ApiError::invalid(21205, format!("{name} must be a URL, not '{new}'"))),
    }
    Ok(())
}

fn change_word(word: &mut String, form: &Pairs, name: &str, known: &[&str]) -> Result<(), ApiError> {
    let Some(new) = form.text(name) else { return Ok(()) };
    if !known.contains(&new) {
        return Err(ApiError::invalid(20001, format!("{name} must be one of {}, not '{new}'", known.join(", "))));
    }
    new.clone_into(word);
    Ok(())
}

fn normalised(url: &str) -> String {
    url::Url::parse(url).map_or_else(|_| url.to_owned(), String::from)
}
