//! The control API's calls about Twilio's state.

use rand::RngExt as _;
use serde_json::json;

use super::{
    desk::Desk,
    setup,
    state::{alerts::Alert, messages::Message, senders::Sender, verifications::Verification},
    traffic::{events, inbound, read},
    types::{CreatedAlert, Decision, NewAccount, NewAlert, NewVerification, ReviewRule, SenderChange},
};
use crate::{
    address,
    http::{Pairs, Request},
    ids,
    reaction::{Reaction, Refusal, body, body_or_default, done, to_value},
    types::{CustomerAct, Reply},
};

/// Answers a call, or `None` for a call that is not Twilio's.
pub(crate) fn answer(desk: &mut Desk<'_>, path: &[&str], request: &Request) -> Option<Reaction> {
    Some(match (request.method.as_str(), path) {
        ("POST", ["accounts"]) => create_account(desk, request),
        ("POST", ["customers", customer, "reply"]) => reply(desk, customer, request),
        ("POST", ["customers", customer, "read"]) => read(desk, customer, request),
        ("POST", ["contents", sid, "decide"]) => decide(desk, sid, request),
        ("POST", ["reviews"]) => add_reviews(desk, request),
        ("DELETE", ["reviews"]) => {
            desk.state.reviews.clear();
            done(())
        }
        ("POST", ["alerts"]) => add_alert(desk, request),
        ("POST", ["senders", which]) => change_sender(desk, which, request),
        ("POST", ["verifications", number]) => verify(desk, number, request),
        ("GET", ["verifications", number]) => verification(desk, number),
        ("GET", ["messages"]) => messages(desk, &request.query),
        _ => return None,
    })
}

fn create_account(desk: &mut Desk<'_>, request: &Request) -> Reaction {
    let account: NewAccount = body_or_default(request)?;
    to_value(&setup::create_account(desk, account).map_err(Refusal::bad)?)
}

fn reply(desk: &mut Desk<'_>, customer: &str, request: &Request) -> Reaction {
    let reply: Reply = body(request)?;
    to_value(&inbound::receive(desk, customer, &reply).map_err(Refusal::bad)?)
}

fn read(desk: &mut Desk<'_>, customer: &str, request: &Request) -> Reaction {
    let read: CustomerAct = body_or_default(request)?;
    Ok(json!({"messages": read::read_by_customer(desk, customer, read.message_sid.as_deref())}))
}

fn decide(desk: &mut Desk<'_>, sid: &str, request: &Request) -> Reaction {
    let decision: Decision = body(request)?;
    let now = desk.world.now();
    if events::change(desk, sid, |content| content.overrule(decision, now)) != Some(true) {
        return Err(Refusal::not_found(format!("no content {sid} has been submitted")));
    }
    done(())
}

fn add_reviews(desk: &mut Desk<'_>, request: &Request) -> Reaction {
    let rules: Vec<ReviewRule> = body(request)?;
    desk.state.reviews.add(rules).map_err(Refusal::bad)?;
    done(())
}

fn add_alert(desk: &mut Desk<'_>, request: &Request) -> Reaction {
    let new: NewAlert = body(request)?;
    if !desk.state.accounts.contains_key(&new.account) {
        return Err(Refusal::not_found(format!("there is no account {}", new.account)));
    }
    let alert = Alert { sid: ids::sid(&mut desk.world.rng, "NO"), at: desk.world.now(), new };
    let sid = alert.sid.clone();
    desk.state.alerts.push_back(alert);
    while desk.state.alerts.len() > desk.world.keep {
        desk.state.alerts.pop_front();
    }
    to_value(&CreatedAlert { sid })
}

/// `which` is a SID or an address.
fn change_sender(desk: &mut Desk<'_>, which: &str, request: &Request) -> Reaction {
    let change: SenderChange = body(request)?;
    let wanted = |sender: &&mut Sender| sender.sid == which || address::bare(&sender.address) == address::bare(which);
    let sender = desk.state.senders.values_mut().find(wanted);
    sender.ok_or_else(|| Refusal::not_found(format!("there is no sender {which}")))?.change_from_outside(change);
    done(())
}

/// From now on WhatsApp sends this code to the number, and waits for it.
fn verify(desk: &mut Desk<'_>, number: &str, request: &Request) -> Reaction {
    let NewVerification { code } = body_or_default(request)?;
    let number = address::bare(number);
    if !address::is_phone_number(number) {
        return Err(Refusal::bad(format!("{number} is no phone number such as +14155238886")));
    }
    let code = code.unwrap_or_else(|| format!("{:06}", desk.world.rng.random_range(0..1_000_000)));
    let known = desk.state.verifications.entry(number.to_owned());
    let known = known.and_modify(|known| known.code.clone_from(&code)).or_insert_with(|| Verification::new(code));
    to_value(&known.record())
}

fn verification(desk: &Desk<'_>, number: &str) -> Reaction {
    let known = desk.state.verifications.get(address::bare(number));
    let known = known.ok_or_else(|| Refusal::not_found(format!("{number} needs no code")))?;
    to_value(&known.record())
}

/// Oldest first.
fn messages(desk: &Desk<'_>, query: &Pairs) -> Reaction {
    let fits = |name: &str, value: Option<&str>| {
        query.text(name).is_none_or(|wanted| value.map(address::bare) == Some(address::bare(wanted)))
    };
    let wanted = desk.state.messages.oldest_first().filter(|message| {
        fits("to", Some(&message.to))
            && fits("from", message.from.as_deref())
            && fits("account", Some(&message.account))
    });
    to_value(&wanted.map(Message::record).collect::<Vec<_>>())
}
