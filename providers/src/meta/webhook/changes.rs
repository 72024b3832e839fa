//! Takes a request apart: each change of each entry becomes a part, with its own bytes of the body.
//!
//! Some changes carry no time, only their entry does, and the same change may happen again later. So the entry's time
//! goes into the part's route. Without it, the second change would look like a redelivery of the first.

use std::borrow::Cow;

use messaging::provider::webhook::{Addressee, Part};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::change;
use super::fields::Text;
use super::route::Route;

#[derive(Deserialize)]
struct Notification<'a> {
    #[serde(borrow)]
    entry: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    time: Option<Text<'a>>,
    #[serde(borrow)]
    changes: Vec<&'a RawValue>,
}

/// The fields of a change that name its addressee.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    value: Option<Value<'a>>,
}

#[derive(Deserialize)]
struct Value<'a> {
    #[serde(borrow, default)]
    metadata: Option<Metadata<'a>>,
    #[serde(borrow, default)]
    waba_info: Option<WabaInfo<'a>>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, default)]
    phone_number_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct WabaInfo<'a> {
    #[serde(borrow, default)]
    waba_id: Option<Text<'a>>,
}

/// The parts of a body. What does not have Meta's format is kept whole, for no sender in particular.
pub(super) fn parts(body: &[u8]) -> Vec<Part<'_>> {
    let Ok(notification) = serde_json::from_slice::<Notification<'_>>(body) else {
        return vec![part(Addressee::Endpoint, Route::default(), body)];
    };
    let mut parts = Vec::new();
    for raw in notification.entry {
        let Ok(Entry { id, time, changes }) = serde_json::from_str::<Entry<'_>>(raw.get()) else {
            parts.push(part(Addressee::Endpoint, Route::default(), raw.get().as_bytes()));
            continue;
        };
        let route = Route { entry_time: time.and_then(|time| time.0.parse().ok()) };
        let id = id.map(|id| id.0);
        parts.extend(changes.into_iter().map(|raw| part(addressee(raw, id.as_deref()), route, raw.get().as_bytes())));
    }
    parts
}

/// The number's id, else the account's. A change that is reported to a partner has the account's id in `waba_info` and
/// the partner's in its entry. A change that cannot be read that far is for no sender in particular, because it may
/// belong to a single number.
fn addressee(change: &RawValue, entry_id: Option<&str>) -> Addressee {
    let Ok(Envelope { value }) = serde_json::from_str::<Envelope<'_>>(change.get()) else { return Addressee::Endpoint };
    let (metadata, waba_info) = value.map_or((None, None), |value| (value.metadata, value.waba_info));
    if let Some(handle) = metadata.and_then(|metadata| metadata.phone_number_id) {
        return Addressee::Handle(handle.0.into_owned());
    }
    let account = waba_info.and_then(|info| info.waba_id).map(|id| id.0);
    let account = account.or(entry_id.map(Cow::Borrowed));
    account.map_or(Addressee::Endpoint, |account| Addressee::Account(account.into_owned()))
}

fn part(addressee: Addressee, route: Route, body: &[u8]) -> Part<'_> {
    Part { addressee, route: route.to_string().into(), body, events: change::translate(route, body) }
}
