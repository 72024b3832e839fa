//! Messaging services.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    Call, State, address,
    errors::{ApiError, Outcome},
    pages,
};
use crate::{
    clock,
    http::{Answer, Pairs},
    ids,
    world::World,
};

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
    created: Timestamp,
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

    /// The address that a message to `to` would be sent from.
    pub(crate) fn choose_sender(&self, state: &State, to: &str) -> Option<String> {
        if address::is_whatsapp(to) {
            let online = |member: &&Member| state.senders.get(&member.sid).is_some_and(|sender| sender.is_online());
            self.senders.iter().find(online).map(|member| state.senders[&member.sid].address.clone())
        } else {
            let of_sender = self.senders.iter().filter_map(|member| state.senders.get(&member.sid));
            let of_sender = of_sender.map(|sender| address::bare(&sender.address).to_owned());
            let numbers = self.numbers.iter().filter_map(|member| state.phone_numbers.get(&member.sid));
            numbers.map(|number| number.number.clone()).chain(of_sender).next()
        }
    }

    pub(crate) fn uses_webhook_on_number(&self) -> bool {
        self.flags["use_inbound_webhook_on_number"] == true
    }

    fn change(&mut self, form: &Pairs, now: Timestamp) -> Result<(), ApiError> {
        if let Some(name) = form.text("FriendlyName") {
            if name.chars().count() > 64 {
                return Err(ApiError::invalid(20002, "Invalid FriendlyName: at most 64 characters"));
            }
            name.clone_into(&mut self.friendly_name);
        }
        change_url(&mut self.inbound_request_url, form, "InboundRequestUrl")?;
        // The inbound URL alone comes back normalised.
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

    fn render(&self, base: &str) -> Value {
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
        // An empty value takes the URL away.
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

pub(crate) fn create(world: &mut World, call: &Call<'_>) -> Outcome {
    let now = world.now();
    let form = call.request.form();
    if form.text("FriendlyName").is_none() {
        return Err(ApiError::invalid(20001, "Missing required parameter FriendlyName in the post body"));
    }
    let mut service = Service::new(ids::sid(&mut world.rng, "MG"), call.account.to_owned(), String::new(), now);
    service.change(&form, now)?;
    let rendered = service.render(&call.request.base);
    world.twilio.services.insert(service.sid.clone(), service);
    Ok(Answer::json(StatusCode::CREATED, &rendered))
}

pub(crate) fn list(world: &mut World, call: &Call<'_>) -> Outcome {
    let mut services: Vec<_> =
        world.twilio.services.values().filter(|service| service.account == call.account).collect();
    services.sort_by_key(|service| std::cmp::Reverse(service.created));
    let render = |service: &Service| service.render(&call.request.base);
    pages::absolute(call.request, "services", services, 50, |service| &service.sid, render)
}

pub(crate) fn fetch(world: &mut World, call: &Call<'_>) -> Outcome {
    Ok(Answer::json(StatusCode::OK, &find(&mut world.twilio, call)?.render(&call.request.base)))
}

pub(crate) fn update(world: &mut World, call: &Call<'_>) -> Outcome {
    let now = world.now();
    let service = find(&mut world.twilio, call)?;
    // All of it or nothing.
    let mut changed = service.clone();
    changed.change(&call.request.form(), now)?;
    *service = changed;
    Ok(Answer::json(StatusCode::OK, &service.render(&call.request.base)))
}

pub(crate) fn delete(world: &mut World, call: &Call<'_>) -> Outcome {
    let sid = find(&mut world.twilio, call)?.sid.clone();
    world.twilio.services.remove(&sid);
    Ok(Answer::no_content())
}

pub(crate) fn find<'s>(state: &'s mut State, call: &Call<'_>) -> Result<&'s mut Service, ApiError> {
    let service = state.services.get_mut(call.id(0)).filter(|service| service.account == call.account);
    service.ok_or_else(|| ApiError::not_found(&call.request.path))
}

impl State {
    /// The service that a sender is in.
    pub(crate) fn service_of(&self, sender_sid: &str) -> Option<&Service> {
        self.services.values().find(|service| service.senders.iter().any(|member| member.sid == sender_sid))
    }
}
