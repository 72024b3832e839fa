//! WhatsApp senders: their status, webhooks, profile and quality.

use serde_json::{Map, Value, json};

use super::try_out::TryOut;
use crate::{
    address,
    twilio::{
        errors::ApiError,
        types::{OfflineReason, SenderChange},
    },
};

const CONFIGURATION: [&str; 5] =
    ["waba_id", "verification_method", "verification_code", "voice_application_sid", "account_type"];
/// WhatsApp sent a code to the number.
const AWAITS_CODE: &str = "PENDING_VERIFICATION";
const WEBHOOK: [&str; 6] = [
    "callback_url",
    "callback_method",
    "fallback_url",
    "fallback_method",
    "status_callback_url",
    "status_callback_method",
];
const PROFILE: [&str; 13] = [
    "name",
    "about",
    "address",
    "description",
    "logo_url",
    "banner_url",
    "privacy_url",
    "terms_of_service_url",
    "accent_color",
    "vertical",
    "websites",
    "emails",
    "phone_numbers",
];

/// Whether WhatsApp knows that the account owns the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ownership {
    Known,
    /// WhatsApp waits for the code that it sent to the number.
    Unknown,
    /// The account told a code.
    Claimed {
        is_right: bool,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct Sender {
    pub(crate) sid: String,
    pub(crate) account: String,
    /// With the prefix `whatsapp:`.
    pub(crate) address: String,
    pub(crate) status: String,
    configuration: Map<String, Value>,
    webhook: Map<String, Value>,
    profile: Map<String, Value>,
    quality_rating: Option<String>,
    messaging_limit: Option<String>,
    offline_reasons: Vec<Value>,
    ownership: Ownership,
    /// Present where it is the account's part of Twilio's own Sandbox, which the Senders API does not have.
    pub(crate) try_out: Option<TryOut>,
}

impl Sender {
    pub(crate) fn online(sid: String, account: String, phone_number: &str) -> Self {
        let mut profile = fields(&PROFILE);
        profile.insert("name".to_owned(), json!("Sandbox"));
        let mut webhook = fields(&WEBHOOK);
        for method in ["callback_method", "fallback_method", "status_callback_method"] {
            webhook.insert(method.to_owned(), json!("POST"));
        }
        let mut configuration = fields(&CONFIGURATION);
        configuration.insert("waba_id".to_owned(), json!("12345678912345"));
        configuration.insert("verification_method".to_owned(), json!("sms"));
        Self {
            sid,
            account,
            address: format!("{}{phone_number}", address::WHATSAPP),
            status: "ONLINE".to_owned(),
            configuration,
            webhook,
            profile,
            quality_rating: Some("HIGH".to_owned()),
            messaging_limit: Some("10K Customers/24hr".to_owned()),
            offline_reasons: Vec::new(),
            ownership: Ownership::Known,
            try_out: None,
        }
    }

    pub(crate) fn is_online(&self) -> bool {
        self.status.starts_with("ONLINE")
    }

    /// A field of the webhook configuration, if it is set.
    pub(crate) fn webhook_text(&self, name: &str) -> Option<String> {
        self.webhook.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    }

    pub(crate) fn set_webhook(&mut self, name: &str, url: Option<&str>) {
        self.webhook.insert(name.to_owned(), json!(url));
    }

    /// Applies the fields that are not null: the SDKs send null for whatever the caller left out.
    pub(crate) fn change(&mut self, body: &Map<String, Value>) -> Result<(), ApiError> {
        let mut parts = [
            ("configuration", &mut self.configuration, &CONFIGURATION[..]),
            ("webhook", &mut self.webhook, &WEBHOOK[..]),
            ("profile", &mut self.profile, &PROFILE[..]),
        ];
        for (name, _, known) in &parts {
            check(name, body.get(*name), known)?;
        }
        for (name, part, _) in &mut parts {
            let changes = body.get(*name).and_then(Value::as_object).into_iter().flatten();
            let changes = changes.filter(|(_, value)| !value.is_null());
            part.extend(changes.map(|(key, value)| (key.clone(), value.clone())));
        }
        Ok(())
    }

    /// WhatsApp will ask for a code.
    pub(crate) fn must_be_verified(&mut self) {
        self.ownership = Ownership::Unknown;
    }

    pub(crate) fn awaits_code(&self) -> bool {
        self.status == AWAITS_CODE
    }

    /// The account told the code that WhatsApp waits for, or another one.
    pub(crate) fn claim(&mut self, is_right: bool) {
        self.ownership = Ownership::Claimed { is_right };
        "VERIFYING".clone_into(&mut self.status);
    }

    /// Completes what is under way, unless something worse happened meanwhile.
    pub(crate) fn settle(&mut self) {
        if !["CREATING", "VERIFYING", "ONLINE:UPDATING"].contains(&self.status.as_str()) {
            return;
        }
        self.ownership = match self.ownership {
            Ownership::Known | Ownership::Claimed { is_right: true } => Ownership::Known,
            Ownership::Unknown | Ownership::Claimed { is_right: false } => Ownership::Unknown,
        };
        let status = if self.ownership == Ownership::Known { "ONLINE" } else { AWAITS_CODE };
        status.clone_into(&mut self.status);
    }

    /// Applies a change that the account did not make.
    pub(crate) fn change_from_outside(&mut self, change: SenderChange) {
        let SenderChange { status, quality_rating, messaging_limit, offline_reasons } = change;
        self.status = status.unwrap_or_else(|| self.status.clone());
        self.quality_rating = quality_rating.or(self.quality_rating.take());
        self.messaging_limit = messaging_limit.or(self.messaging_limit.take());
        if let Some(reasons) = offline_reasons {
            self.offline_reasons = reasons.iter().map(render_reason).collect();
        }
    }

    pub(crate) fn render(&self, base: &str) -> Value {
        json!({
            "sid": self.sid,
            "status": self.status,
            "sender_id": self.address,
            "configuration": self.configuration,
            "webhook": self.webhook,
            "profile": self.profile,
            "properties": {"quality_rating": self.quality_rating, "messaging_limit": self.messaging_limit},
            "offline_reasons": (!self.offline_reasons.is_empty()).then_some(&self.offline_reasons),
            "compliance": null,
            "url": format!("{base}/v2/Channels/Senders/{}", self.sid),
        })
    }
}

fn fields(names: &[&str]) -> Map<String, Value> {
    names.iter().map(|name| ((*name).to_owned(), Value::Null)).collect()
}

fn check(name: &str, part: Option<&Value>, known: &[&str]) -> Result<(), ApiError> {
    let part = match part {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(part)) => part,
        Some(_) => return Err(ApiError::invalid(20001, format!("{name} must be an object"))),
    };
    for (key, value) in part {
        if !known.contains(&key.as_str()) {
            return Err(ApiError::invalid(20001, format!("{name}.{key} is unknown (known: {})", known.join(", "))));
        }
        let is_url = key.ends_with("_url") && name == "webhook";
        if is_url && value.as_str().is_some_and(|url| !url.is_empty() && url::Url::parse(url).is_err()) {
            return Err(ApiError::invalid(21205, format!("{name}.{key} must be a URL, not {value}")));
        }
        let is_list = ["websites", "emails", "phone_numbers"].contains(&key.as_str());
        if !(value.is_null() || (is_list && value.is_array()) || (!is_list && value.is_string())) {
            return Err(ApiError::invalid(20001, format!("{name}.{key} has the wrong type")));
        }
    }
    Ok(())
}

fn render_reason(reason: &OfflineReason) -> Value {
    json!({
        "code": reason.code,
        "message": reason.message,
        "more_info": format!("https://www.twilio.com/docs/errors/{}", reason.code),
    })
}
