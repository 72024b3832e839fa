//! The control API's lists of requests and webhooks, and their filters. Oldest first.

use regex::Regex;
use serde_json::Value;

use crate::{
    http::Pairs,
    reaction::{Reaction, Refusal, to_value},
    types::{RequestRecord, WebhookRecord},
    world::World,
};

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
    to_value(&world.webhooks.log.since(since(query)?).filter(wanted).collect::<Vec<_>>())
}

fn since(query: &Pairs) -> Result<u64, Refusal> {
    query.text("since").map_or(Ok(0), |since| since.parse().map_err(Refusal::bad))
}
