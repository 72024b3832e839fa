//! Senders v2: registering and changing WhatsApp senders. Changes take effect a while after they are accepted.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    Call, State, address,
    channel_senders::PhoneNumber,
    content::json_object,
    errors::{ApiError, Outcome},
    pages,
};
use crate::{
    control::types::SenderChange,
    http::Answer,
    ids,
    world::{Step, World},
};

/// WhatsApp's page size where the caller names none.
const PAGE_SIZE: usize = 20;
const CONFIGURATION: [&str; 5] =
    ["waba_id", "verification_method", "verification_code", "voice_application_sid", "account_type"];
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

#[derive(Debug, Clone)]
pub(crate) struct Sender {
    pub(crate) sid: String,
    pub(crate) account: String,
    /// With `whatsapp:`.
    pub(crate) address: String,
    pub(crate) status: String,
    configuration: Map<String, Value>,
    webhook: Map<String, Value>,
    profile: Map<String, Value>,
    quality_rating: Option<String>,
    messaging_limit: Option<String>,
    offline_reasons: Vec<Value>,
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

    /// Takes over what is not null: the SDKs send null for whatever the caller left out.
    fn change(&mut self, body: &Map<String, Value>) -> Result<(), ApiError> {
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

    fn render(&self, base: &str) -> Value {
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
            return Err(ApiError::invalid(20001, format!("{name}.{key} is not known (known: {})", known.join(", "))));
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

pub(crate) fn create(world: &mut World, call: &Call<'_>) -> Outcome {
    let body = json_object(call)?;
    let number = body
        .get("sender_id")
        .and_then(Value::as_str)
        .and_then(|id| id.strip_prefix(address::WHATSAPP))
        .filter(|number| address::is_phone_number(number))
        .ok_or_else(|| {
            ApiError::invalid(20001, "sender_id must be whatsapp: and a phone number such as +14155238886")
        })?;
    let name = body.get("profile").and_then(|profile| profile["name"].as_str()).unwrap_or_default();
    if name.is_empty() {
        return Err(ApiError::invalid(20001, "profile.name is required for a WhatsApp sender"));
    }
    if world.twilio.senders.values().any(|sender| address::bare(&sender.address) == number) {
        return Err(ApiError::new(StatusCode::CONFLICT, 20409, format!("the sender {number} exists already")));
    }
    let mut sender = Sender::online(ids::sid(&mut world.rng, "XE"), call.account.to_owned(), number);
    sender.change(&body)?;
    "CREATING".clone_into(&mut sender.status);
    let rendered = sender.render(&call.request.base);
    let sid = sender.sid.clone();
    world.twilio.senders.insert(sid.clone(), sender);
    let phone_number = PhoneNumber::new(ids::sid(&mut world.rng, "PN"), call.account, number, world.now());
    world.twilio.phone_numbers.insert(phone_number.sid.clone(), phone_number);
    world.after(world.config.delays.sender, Step::SenderOnline(sid));
    Ok(Answer::json(StatusCode::ACCEPTED, &rendered))
}

pub(crate) fn list(world: &mut World, call: &Call<'_>) -> Outcome {
    let channel = call.request.query.text("Channel").unwrap_or_default();
    if !["whatsapp", "rcs"].contains(&channel) {
        return Err(ApiError::invalid(20001, "Channel is required: whatsapp or rcs"));
    }
    let of_account = |sender: &&Sender| sender.account == call.account && channel == "whatsapp";
    let senders = world.twilio.senders.values().filter(of_account).collect();
    let render = |sender: &Sender| sender.render(&call.request.base);
    pages::absolute(call.request, "senders", senders, PAGE_SIZE, |sender| &sender.sid, render)
}

pub(crate) fn fetch(world: &mut World, call: &Call<'_>) -> Outcome {
    Ok(Answer::json(StatusCode::OK, &find(&mut world.twilio, call)?.render(&call.request.base)))
}

pub(crate) fn update(world: &mut World, call: &Call<'_>) -> Outcome {
    let body = json_object(call)?;
    let sender = find(&mut world.twilio, call)?;
    sender.change(&body)?;
    let status = if sender.is_online() { "ONLINE:UPDATING" } else { "VERIFYING" };
    status.clone_into(&mut sender.status);
    let (rendered, sid) = (sender.render(&call.request.base), sender.sid.clone());
    world.after(world.config.delays.sender, Step::SenderOnline(sid));
    Ok(Answer::json(StatusCode::ACCEPTED, &rendered))
}

pub(crate) fn delete(world: &mut World, call: &Call<'_>) -> Outcome {
    let sender = find(&mut world.twilio, call)?;
    let (sid, number) = (sender.sid.clone(), address::bare(&sender.address).to_owned());
    world.twilio.senders.remove(&sid);
    world.twilio.phone_numbers.retain(|_, phone_number| phone_number.number != number);
    for service in world.twilio.services.values_mut() {
        service.senders.retain(|member| member.sid != sid);
    }
    Ok(Answer::no_content())
}

/// The change of a sender has come through, unless something worse happened meanwhile.
pub(crate) fn comes_online(world: &mut World, sid: &str) {
    if let Some(sender) = world.twilio.senders.get_mut(sid)
        && ["CREATING", "VERIFYING", "ONLINE:UPDATING"].contains(&sender.status.as_str())
    {
        "ONLINE".clone_into(&mut sender.status);
    }
}

/// A change that does not come from the account. `which` is a SID or an address.
pub(crate) fn change_from_outside(world: &mut World, which: &str, change: SenderChange) -> bool {
    let wanted = |sender: &&mut Sender| sender.sid == which || address::bare(&sender.address) == address::bare(which);
    let Some(sender) = world.twilio.senders.values_mut().find(wanted) else { return false };
    let SenderChange { status, quality_rating, messaging_limit, offline_reasons } = change;
    sender.status = status.unwrap_or_else(|| sender.status.clone());
    sender.quality_rating = quality_rating.or(sender.quality_rating.take());
    sender.messaging_limit = messaging_limit.or(sender.messaging_limit.take());
    if let Some(reasons) = offline_reasons {
        let render = |reason: &crate::control::types::OfflineReason| {
            json!({
                "code": reason.code,
                "message": reason.message,
                "more_info": format!("https://www.twilio.com/docs/errors/{}", reason.code),
            })
        };
        sender.offline_reasons = reasons.iter().map(render).collect();
    }
    true
}

fn find<'s>(state: &'s mut State, call: &Call<'_>) -> Result<&'s mut Sender, ApiError> {
    let sender = state.senders.get_mut(call.id(0)).filter(|sender| sender.account == call.account);
    sender.ok_or_else(|| ApiError::not_found(&call.request.path))
}

impl State {
    /// The account's sender with this address.
    pub(crate) fn sender_at(&self, account: &str, address: &str) -> Option<&Sender> {
        self.senders.values().find(|sender| sender.account == account && sender.address == address)
    }
}
