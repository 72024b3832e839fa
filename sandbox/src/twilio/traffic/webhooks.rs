//! Twilio's webhooks: encoded and signed, with the connection overrides of their URL, and sent through the world.

use std::{collections::BTreeMap, time::Duration};

use http::Method;
use sha2::{Digest as _, Sha256};

use crate::{
    ids,
    twilio::{desk::Desk, overrides, signature},
    types::WebhookKind,
    world::{
        patience::{Patience, Trouble},
        webhooks::{About, Fallback, NewWebhook, Parcel, without_fragment},
    },
};

/// The name by which fallbacks return to Twilio.
pub(crate) const PROVIDER: &str = "twilio";

/// A webhook to sign and send.
pub(crate) struct Outgoing {
    pub(crate) about: About,
    pub(crate) method: Method,
    /// As configured, with its fragment.
    pub(crate) url: String,
    pub(crate) form: Vec<(String, String)>,
    /// The fallback if no attempt is answered with 2xx.
    pub(crate) fallback: Option<(Method, String)>,
}

/// Signs a webhook with the account's primary token and sends it. Returns its id in the log.
pub(crate) fn send(desk: &mut Desk<'_>, outgoing: Outgoing) -> Option<u64> {
    let token = &desk.state.accounts.get(&outgoing.about.account)?.auth_token;
    let parcel = pack(&outgoing, token, ids::uuid(&mut desk.world.rng));
    let fragment = outgoing.url.split_once('#').map(|(_, fragment)| format!("#{fragment}")).unwrap_or_default();
    let url = format!("{}{fragment}", parcel.url);
    let fallback = outgoing.fallback.as_ref().map(|(method, url)| fallback(&outgoing, method.clone(), url.clone()));
    Some(desk.world.send_webhook(NewWebhook { about: outgoing.about, parcel, url, fallback }))
}

/// Signs a batch of Event Streams and sends it to a sink's destination, which takes no connection overrides: it has 5 s
/// to answer, and whatever fails is sent again.
pub(crate) fn send_events(desk: &mut Desk<'_>, about: About, destination: &str, body: &str) {
    let Some(account) = desk.state.accounts.get(&about.account) else { return };
    let bare = without_fragment(destination);
    let separator = if bare.contains('?') { '&' } else { '?' };
    let url = format!("{bare}{separator}bodySHA256={}", hex::encode(Sha256::digest(body)));
    let headers = BTreeMap::from([
        ("X-Twilio-Signature".to_owned(), signature::sign(&account.auth_token, &url, &[])),
        ("I-Twilio-Idempotency-Token".to_owned(), ids::uuid(&mut desk.world.rng)),
        ("User-Agent".to_owned(), "TwilioProxy/1.1".to_owned()),
        ("Accept".to_owned(), "*/*".to_owned()),
        ("Content-Type".to_owned(), "application/json".to_owned()),
    ]);
    let patience = Patience {
        retries: 5,
        retried: vec![Trouble::Connect, Trouble::Timeout, Trouble::Answer4xx, Trouble::Answer5xx],
        read_timeout: Duration::from_secs(5),
        total_timeout: Duration::from_secs(30),
    };
    let parcel =
        Parcel { webhook: 0, method: Method::POST, url: url.clone(), headers, body: body.to_owned(), patience };
    desk.world.send_webhook(NewWebhook { about, parcel, url, fallback: None });
}

/// Sends a webhook to its fallback URL.
pub(crate) fn fall_back(desk: &mut Desk<'_>, fallback: Fallback) {
    let Fallback { provider: _, about, method, url, form } = fallback;
    send(desk, Outgoing { about, method, url, form, fallback: None });
}

/// Signs and encodes. A GET carries the fields in its query, and the signature covers them there.
fn pack(outgoing: &Outgoing, auth_token: &str, idempotency_token: String) -> Parcel {
    let bare = without_fragment(&outgoing.url);
    let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(&outgoing.form).finish();
    let (url, body, signed_form) = if outgoing.method == Method::GET {
        let separator = if bare.contains('?') { '&' } else { '?' };
        (format!("{bare}{separator}{encoded}"), String::new(), &[][..])
    } else {
        (bare.to_owned(), encoded, outgoing.form.as_slice())
    };
    let mut headers = BTreeMap::from([
        ("X-Twilio-Signature".to_owned(), signature::sign(auth_token, &url, signed_form)),
        ("I-Twilio-Idempotency-Token".to_owned(), idempotency_token),
        ("User-Agent".to_owned(), "TwilioProxy/1.1".to_owned()),
        ("Accept".to_owned(), "*/*".to_owned()),
    ]);
    if outgoing.method != Method::GET {
        headers.insert("Content-Type".to_owned(), "application/x-www-form-urlencoded; charset=utf-8".to_owned());
    }
    let patience = overrides::patience(&outgoing.url);
    Parcel { webhook: 0, method: outgoing.method.clone(), url, headers, body, patience }
}

/// The same fields for the fallback URL, and what went wrong at the first one.
fn fallback(outgoing: &Outgoing, method: Method, url: String) -> Fallback {
    let mut form = outgoing.form.clone();
    form.push(("ErrorUrl".to_owned(), without_fragment(&outgoing.url).to_owned()));
    form.push(("ErrorCode".to_owned(), "11200".to_owned()));
    let about = About { kind: WebhookKind::Fallback, ..outgoing.about.clone() };
    Fallback { provider: PROVIDER, about, method, url, form }
}
