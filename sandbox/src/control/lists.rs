//! The control API's lists, and their filters.

use regex::Regex;
use serde_json::Value;

use super::{
    Reaction, Refusal, to_value,
    types::{RequestRecord, WebhookRecord},
};
use crate::{http::Pairs, twilio::address, world::World};

pub(super) fn requests(world: &World, query: &Pairs) -> Reaction {
    let path = query.text("path").map(Regex::new).transpose().map_err(Refusal::bad)?;
    let wanted = |record: &&RequestRecord| {
        query.text("method").is_none_or(|method| record.method.eq_ignore_ascii_case(method))
            && path.as_ref().is_none_or(|path| path.is_match(&record.path))
            && query.text("account").is_none_or(|account| record.account.as_deref() == Some(account))
    };
    to_value(&world.requests.since(since(query)?).filter(wanted).collect::<Vec<_>>())
}

pub(super) fn webhooks(world: &World, query: &Pairs) -> Reaction {
    let kind = query.text("kind").map(|kind| serde_json::from_value(Value::from(kind))).transpose();
    let kind = kind.map_err(Refusal::bad)?;
    let wanted = |record: &&WebhookRecord| {
        kind.is_none_or(|kind| record.kind == kind)
            && query.text("messageSid").is_none_or(|sid| record.message_sid == sid)
            && query.text("account").is_none_or(|account| record.account == account)
    };
    to_value(&world.webhooks.since(since(query)?).filter(wanted).collect::<Vec<_>>())
}

/// Oldest first.
pub(super) fn messages(world: &World, query: &Pairs) -> Reaction {
    let fits = |name: &str, value: Option<&str>| {
        query.text(name).is_none_or(|wanted| value.map(address::bare) == Some(address::bare(wanted)))
    };
    let messages = world.twilio.messages.oldest_first();
    let wanted = messages.filter(|message| {
        fits("to", Some(&message.to))
            && fits("from", message.from.as_deref())
            && fits("account", Some(&message.account))
    });
    to_value(&wanted.map(crate::twilio::message::Message::record).collect::<Vec<_>>())
}

fn since(query: &Pairs) -> Result<u64, Refusal> {
    query.text("since").map_or(Ok(0), |since| since.parse().map_err(Refusal::bad))
}
