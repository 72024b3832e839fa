//! A message, and the bounded store of messages.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    clock,
    twilio::types::{MessageRecord, StatusChange},
};

/// The status of a message, in Twilio's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Accepted,
    Scheduled,
    Queued,
    Sent,
    Delivered,
    Read,
    Undelivered,
    Failed,
    Canceled,
    Received,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Undelivered => "undelivered",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Received => "received",
        }
    }

    /// Whether the message has been, or can no longer be, given to the channel.
    pub(crate) fn has_left(self) -> bool {
        !matches!(self, Self::Accepted | Self::Scheduled | Self::Queued)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Media {
    pub(crate) sid: String,
    pub(crate) content_type: String,
    pub(crate) data: Bytes,
    pub(crate) created: Timestamp,
}

/// The content that a message was created from.
#[derive(Debug, Clone)]
pub(crate) struct ContentUse {
    pub(crate) sid: String,
    pub(crate) variables: BTreeMap<String, String>,
    /// The error in the values, which is found when sending and reported by the callback.
    pub(crate) problem: Option<i64>,
}

#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) sid: String,
    pub(crate) account: String,
    pub(crate) service: Option<String>,
    pub(crate) direction: &'static str,
    /// Absent until a messaging service has chosen a sender.
    pub(crate) from: Option<String>,
    pub(crate) to: String,
    pub(crate) body: String,
    pub(crate) media: Vec<Media>,
    pub(crate) content: Option<ContentUse>,
    pub(crate) status: Status,
    pub(crate) error_code: Option<i64>,
    pub(crate) status_callback: Option<String>,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
    pub(crate) sent: Option<Timestamp>,
    /// The message is not sent after this time.
    pub(crate) expires: Option<Timestamp>,
    pub(crate) history: Vec<(Timestamp, Status)>,
    /// Deleted in the provider's API, and still visible in the control API.
    pub(crate) deleted: bool,
}

impl Message {
    pub(crate) fn becomes(&mut self, status: Status, now: Timestamp) {
        self.status = status;
        self.updated = now;
        if status == Status::Sent || (status == Status::Failed && self.sent.is_none()) {
            self.sent = Some(now);
        }
        self.history.push((now, status));
    }

    pub(crate) fn uri(&self, rest: &str) -> String {
        format!("/2010-04-01/Accounts/{}/Messages/{}{rest}.json", self.account, self.sid)
    }

    /// The 2010 API's representation.
    pub(crate) fn render(&self) -> Value {
        let undecided = matches!(self.status, Status::Accepted | Status::Scheduled) && self.service.is_some();
        json!({
            "account_sid": self.account,
            "api_version": "2010-04-01",
            "body": self.body,
            "date_created": clock::rfc2822(self.created),
            "date_sent": self.sent.map(clock::rfc2822),
            "date_updated": clock::rfc2822(self.updated),
            "direction": self.direction,
            "error_code": self.error_code,
            "error_message": self.error_code.map(error_message),
            "from": self.from,
            "messaging_service_sid": self.service,
            "num_media": self.media.len().to_string(),
            "num_segments": if undecided { "0" } else { "1" },
            "price": null,
            "price_unit": null,
            "sid": self.sid,
            "status": self.status.as_str(),
            "subresource_uris": {"media": self.uri("/Media"), "feedback": self.uri("/Feedback")},
            "to": self.to,
            "uri": self.uri(""),
        })
    }

    pub(crate) fn record(&self) -> MessageRecord {
        MessageRecord {
            sid: self.sid.clone(),
            account: self.account.clone(),
            direction: self.direction.to_owned(),
            from: self.from.clone(),
            to: self.to.clone(),
            service: self.service.clone(),
            body: self.body.clone(),
            content_sid: self.content.as_ref().map(|content| content.sid.clone()),
            content_variables: self.content.as_ref().map(|content| content.variables.clone()).unwrap_or_default(),
            num_media: self.media.len(),
            status: self.status.as_str().to_owned(),
            error_code: self.error_code,
            status_callback: self.status_callback.clone(),
            history: self
                .history
                .iter()
                .map(|(at, status)| StatusChange { at: *at, status: status.as_str().to_owned() })
                .collect(),
            deleted: self.deleted,
        }
    }
}

/// The text for a code. The codes are Twilio's, the texts are not.
pub(crate) fn error_message(code: i64) -> &'static str {
    match code {
        30036 => "The validity period ended before the message was sent",
        63003 => "The channel could not find the recipient's address",
        63007 => "No channel with this From address",
        63013 => "The message breaks the channel's policy",
        63015 => "The recipient has not joined the Sandbox",
        63016 => "Outside the messaging window: use an approved template",
        63018 => "The channel's rate limit was exceeded",
        63021 => "The channel finds the content invalid",
        63024 => "The recipient cannot receive messages on this channel",
        63027 => "No template of this language and locale",
        63028 => "The number of parameters does not match the template",
        63032 => "The channel holds this message back: the recipient is part of an experiment",
        63041 => "The template is paused",
        63042 => "The template is disabled",
        63049 => "Meta chose not to deliver this marketing message",
        _ => "The channel did not deliver the message",
    }
}

/// The messages of all accounts, oldest first; beyond `keep`, the oldest are forgotten.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    list: VecDeque<Message>,
    /// The number of the list's first message, counted from the first ever created.
    first: u64,
    places: HashMap<String, u64>,
}

impl Messages {
    pub(crate) fn add(&mut self, message: Message, keep: usize) {
        while self.list.len() >= keep.max(1) {
            if let Some(oldest) = self.list.pop_front() {
                self.places.remove(&oldest.sid);
                self.first += 1;
            }
        }
        self.places.insert(message.sid.clone(), self.first + self.list.len() as u64);
        self.list.push_back(message);
    }

    pub(crate) fn get(&self, sid: &str) -> Option<&Message> {
        let place = self.places.get(sid)? - self.first;
        self.list.get(usize::try_from(place).ok()?)
    }

    pub(crate) fn get_mut(&mut self, sid: &str) -> Option<&mut Message> {
        let place = self.places.get(sid)? - self.first;
        self.list.get_mut(usize::try_from(place).ok()?)
    }

    pub(crate) fn oldest_first(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.list.iter()
    }
}
