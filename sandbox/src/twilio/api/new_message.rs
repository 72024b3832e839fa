//! Checks a request to create a message, in the order in which Twilio reports errors.

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use serde_json::{Map, Value};

use crate::{
    address,
    http::Pairs,
    ids,
    twilio::{
        content_types,
        desk::Desk,
        errors::ApiError,
        state::{
            State,
            contents::Content,
            messages::{ContentUse, Media, Message, Status},
            senders::Sender,
        },
    },
};

const LONGEST_BODY: usize = 1600;
const LONGEST_TEMPLATE: usize = 1024;
const MOST_MEDIA: usize = 10;
const SOONEST: SignedDuration = SignedDuration::from_secs(300);
const LATEST: SignedDuration = SignedDuration::from_hours(35 * 24);

/// A valid request to create a message.
#[derive(Debug)]
pub(crate) struct NewMessage {
    from: Option<String>,
    service: Option<String>,
    to: String,
    body: String,
    media: usize,
    content: Option<ContentUse>,
    status_callback: Option<String>,
    validity: SignedDuration,
    pub(crate) send_at: Option<Timestamp>,
}

/// Checks a request. What only the channel would find is checked later.
pub(crate) fn check(desk: &Desk<'_>, account: &str, form: &Pairs, now: Timestamp) -> Result<NewMessage, ApiError> {
    let state = &*desk.state;
    let to = form.text("To").ok_or_else(|| ApiError::invalid(21604, "A 'To' phone number is required."))?;
    let (from, service) = (form.text("From"), form.text("MessagingServiceSid"));
    if from.is_none() && service.is_none() {
        return Err(ApiError::invalid(21603, "A 'From' or 'MessagingServiceSid' parameter is required."));
    }
    if !address::is_recipient(to) {
        return Err(ApiError::invalid(21211, format!("Invalid 'To' Phone Number: {to}")));
    }
    let service = service.map(|sid| check_service(state, account, sid, to)).transpose()?;
    let from = from.map(|from| check_from(state, account, from, to, now)).transpose()?;
    let (body, media) = (form.text("Body").unwrap_or_default(), form.all("MediaUrl"));
    let is_try_out = |from: &String| state.sender_at(account, from).is_some_and(|from| from.try_out.is_some());
    let content = check_content(state, account, form, from.as_ref().is_some_and(is_try_out))?;
    if body.is_empty() && media.is_empty() && content.is_none() {
        return Err(ApiError::invalid(21619, "A text message body, media urls or a content must be specified."));
    }
    if body.chars().count() > LONGEST_BODY {
        return Err(ApiError::invalid(21617, "The concatenated message body exceeds the 1600 character limit."));
    }
    if media.len() > MOST_MEDIA {
        return Err(ApiError::invalid(21623, "Number of media files exceeds the limit of 10."));
    }
    if media.iter().any(|media| url::Url::parse(media).is_err()) {
        return Err(ApiError::invalid(21620, "Invalid media URL(s)."));
    }
    let status_callback = form.text("StatusCallback").map(check_callback).transpose()?;
    let validity = check_validity(form.text("ValidityPeriod"))?;
    let send_at = check_schedule(form, service.is_some(), now)?;
    check_opt_out(desk, account, from.as_deref(), service.as_deref(), to)?;
    let body = content.as_ref().map_or_else(|| body.to_owned(), |(_, text)| text.clone());
    Ok(NewMessage {
        from,
        service,
        to: to.to_owned(),
        body,
        media: media.len(),
        content: content.map(|(used, _)| used),
        status_callback,
        validity,
        send_at,
    })
}

impl NewMessage {
    pub(crate) fn into_message(self, rng: &mut StdRng, account: &str, now: Timestamp) -> Message {
        let status = match (&self.send_at, &self.service) {
            (Some(_), _) => Status::Scheduled,
            (None, Some(_)) => Status::Accepted,
            (None, None) => Status::Queued,
        };
        let starts = self.send_at.unwrap_or(now);
        let sid = ids::sid(rng, if self.content.is_some() { "MM" } else { "SM" });
        let media = |rng: &mut StdRng| Media {
            sid: ids::sid(rng, "ME"),
            content_type: "application/octet-stream".to_owned(),
            data: bytes::Bytes::new(),
            created: now,
        };
        Message {
            sid,
            account: account.to_owned(),
            // With a service, the sender is chosen later, even if the caller named one.
            from: self.from,
            service: self.service,
            direction: "outbound-api",
            to: self.to,
            body: self.body,
            media: (0..self.media).map(|_| media(rng)).collect(),
            content: self.content,
            status,
            error_code: None,
            status_callback: self.status_callback,
            created: now,
            updated: now,
            sent: None,
            expires: starts.saturating_add(self.validity).ok(),
            history: vec![(now, status)],
            deleted: false,
        }
    }
}

fn check_service(state: &State, account: &str, sid: &str, to: &str) -> Result<String, ApiError> {
    let service = state.services.get(sid).filter(|service| service.account == account);
    let service =
        service.ok_or_else(|| ApiError::invalid(21701, format!("The Messaging Service {sid} does not exist.")))?;
    if service.senders.is_empty() && service.numbers.is_empty() {
        return Err(ApiError::invalid(21704, "The Messaging Service contains no phone numbers."));
    }
    if state.choose_sender(service, to).is_none() {
        let message = "The Messaging Service does not have a phone number available to send a message.";
        return Err(ApiError::invalid(21703, message));
    }
    Ok(sid.to_owned())
}

fn check_from(state: &State, account: &str, from: &str, to: &str, now: Timestamp) -> Result<String, ApiError> {
    if address::is_whatsapp(from) != address::is_whatsapp(to) {
        let message = "Invalid From and To pair. From and To should be of the same channel";
        return Err(ApiError::invalid(21910, message));
    }
    if from == to {
        return Err(ApiError::invalid(63031, "Channels message cannot have same From and To"));
    }
    if address::is_whatsapp(from) {
        let sender = state.sender_at(account, from);
        if !sender.is_some_and(Sender::is_online) {
            let message = "Twilio could not find a Channel with the specified From address";
            return Err(ApiError::invalid(63007, message));
        }
        if !sender.and_then(|sender| sender.try_out.as_ref()).is_none_or(|try_out| try_out.is_free(now)) {
            let message = "Rate limit exceeded for Channel: Account exceeded the 1 rps rate limit";
            return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, 63018, message));
        }
    } else if !state.phone_numbers.values().any(|number| number.account == account && number.number == from) {
        let message = format!("The From phone number {from} is not a message-capable phone number of this account");
        return Err(ApiError::invalid(21606, message));
    }
    Ok(from.to_owned())
}

/// The content of the message, and its text with the values in place. Contents of no account are for Twilio's Sandbox.
fn check_content(
    state: &State,
    account: &str,
    form: &Pairs,
    is_try_out: bool,
) -> Result<Option<(ContentUse, String)>, ApiError> {
    let Some(sid) = form.text("ContentSid") else {
        return match form.text("ContentVariables") {
            Some(_) => Err(ApiError::invalid(21654, "ContentSid Required")),
            None => Ok(None),
        };
    };
    let content = state
        .contents
        .get(sid)
        .filter(|content| content.account == account || (is_try_out && content.account.is_empty()));
    let content = content.ok_or_else(|| ApiError::invalid(21655, format!("The ContentSid {sid} is Invalid")))?;
    let given = parse_variables(form.text("ContentVariables"))?;
    let values = with_samples(content, given.clone());
    let text = content_types::fill(content_types::text(&content.types), &values);
    let problem = problem(content, &values, &text);
    Ok(Some((ContentUse { sid: sid.to_owned(), variables: given, problem }, text)))
}

fn parse_variables(text: Option<&str>) -> Result<BTreeMap<String, String>, ApiError> {
    let invalid = || ApiError::invalid(21656, "The ContentVariables Parameter is invalid");
    let Some(text) = text else { return Ok(BTreeMap::new()) };
    let parsed: Map<String, Value> = serde_json::from_str(text).map_err(|_| invalid())?;
    let as_text = |value: Value| match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(invalid()),
    };
    parsed.into_iter().map(|(name, value)| Ok((name, as_text(value)?))).collect()
}

/// Fills in the content's samples for missing values.
fn with_samples(content: &Content, mut values: BTreeMap<String, String>) -> BTreeMap<String, String> {
    for (name, sample) in &content.variables {
        if let Some(sample) = sample.as_str() {
            values.entry(name.clone()).or_insert_with(|| sample.to_owned());
        }
    }
    values
}

/// The error that the channel will report about the values.
fn problem(content: &Content, values: &BTreeMap<String, String>, text: &str) -> Option<i64> {
    let names = content_types::placeholders(&Value::Object(content.types.clone()));
    if names.iter().any(|name| !values.contains_key(name)) {
        return Some(63028);
    }
    let breaks_policy = |value: &String| value.contains(['\n', '\t']) || value.contains("     ");
    if names.iter().filter_map(|name| values.get(name)).any(breaks_policy) {
        return Some(63013);
    }
    (text.chars().count() > LONGEST_TEMPLATE).then_some(63021)
}

fn check_callback(url: &str) -> Result<String, ApiError> {
    let parsed = url::Url::parse(url).ok();
    let host = parsed.as_ref().and_then(url::Url::host_str);
    match host {
        Some(host) if !host.contains('_') => Ok(url.to_owned()),
        _ => Err(ApiError::invalid(21609, format!("The StatusCallback URL {url} is not a valid URL."))),
    }
}

fn check_validity(seconds: Option<&str>) -> Result<SignedDuration, ApiError> {
    let seconds = match seconds {
        None => Some(36_000),
        Some(text) => text.parse().ok().filter(|seconds| (1..=36_000).contains(seconds)),
    };
    let seconds = seconds.ok_or_else(|| ApiError::invalid(21624, "ValidityPeriod must be 1 to 36000 seconds"))?;
    Ok(SignedDuration::from_secs(seconds))
}

fn check_schedule(form: &Pairs, with_service: bool, now: Timestamp) -> Result<Option<Timestamp>, ApiError> {
    let send_at = match (form.text("ScheduleType"), form.text("SendAt")) {
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err(ApiError::invalid(35119, "SendAt needs ScheduleType 'fixed'")),
        (Some("fixed"), None) => return Err(ApiError::invalid(35111, "SendAt timestamp is missing")),
        (Some("fixed"), Some(send_at)) => send_at,
        (Some(other), _) => {
            return Err(ApiError::invalid(35126, format!("The ScheduleType must be fixed, not '{other}'")));
        }
    };
    if !with_service {
        return Err(ApiError::invalid(35118, "MessagingServiceSid is required to schedule a message"));
    }
    let send_at: Timestamp = send_at
        .parse()
        .map_err(|_| ApiError::invalid(35114, format!("SendAt must be such as 2026-01-31T09:00:00Z, not {send_at}")))?;
    let ahead = send_at.duration_since(now);
    if ahead <= SOONEST || ahead > LATEST {
        return Err(ApiError::invalid(35115, "SendAt must be more than 300 seconds and at most 35 days ahead"));
    }
    Ok(Some(send_at))
}

fn check_opt_out(
    desk: &Desk<'_>,
    account: &str,
    from: Option<&str>,
    service: Option<&str>,
    to: &str,
) -> Result<(), ApiError> {
    let handles = desk.state.accounts.get(account).is_some_and(|account| account.opt_out_handling);
    let customer = desk.world.customers.of(to);
    let opted_out = |of: Option<&str>| of.is_some_and(|of| customer.has_opted_out(address::bare(of)));
    if handles && (opted_out(from) || opted_out(service)) {
        return Err(ApiError::invalid(21610, "Attempt to send to unsubscribed recipient"));
    }
    Ok(())
}
