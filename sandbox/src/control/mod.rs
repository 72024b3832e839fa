//! The control API: what a test or a demo does to the sandbox, beside the imitated APIs. `README.md` has the table.

pub mod client;
mod lists;
pub mod types;

use http::StatusCode;
use jiff::SignedDuration;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

pub use self::client::Client;
use self::types::{
    Behaviour, ClockAdvance, CustomerAct, Decision, FaultRules, Health, NewAccount, Redelivered, Redelivery, Reply,
    ReviewRule, SenderChange,
};
use crate::{
    faults::Faults,
    http::{Answer, Request},
    twilio::{address, inbound, messages, review, senders},
    world::{Shared, World},
};

/// Why a control call is refused.
struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    #[expect(clippy::needless_pass_by_value, reason = "suits map_err")]
    fn bad(error: impl ToString) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: error.to_string() }
    }

    fn defect() -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, message: "the sandbox has a defect".to_owned() }
    }

    fn not_found(what: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: what.into() }
    }
}

type Reaction = Result<Value, Refusal>;

/// Answers one call.
pub(crate) async fn answer(shared: &Shared, request: &Request) -> Answer {
    let segments: Vec<&str> = request.segments.iter().skip(1).map(String::as_str).collect();
    let reaction = match (request.method.as_str(), segments.as_slice()) {
        ("POST", ["webhooks", id, "redeliver"]) => redeliver(shared, id, request).await,
        (method, path) => {
            let reaction = shared.attempt(|world| act(world, method, path, request));
            reaction.unwrap_or_else(|| Err(Refusal::defect()))
        }
    };
    match reaction {
        Ok(body) => Answer::json(StatusCode::OK, &body),
        Err(refusal) => Answer::json(refusal.status, &json!({"error": refusal.message})),
    }
}

fn act(world: &mut World, method: &str, path: &[&str], request: &Request) -> Reaction {
    match (method, path) {
        ("GET", ["healthz"]) => to_value(&Health { status: "ok".to_owned(), panics: world.panics, now: world.now() }),
        ("POST", ["reset"]) => world.reset().map_err(Refusal::bad).and_then(done),
        ("POST", ["clock"]) => {
            let advance: ClockAdvance = body(request)?;
            world.move_clock(SignedDuration::from_secs(i64::try_from(advance.seconds).map_err(Refusal::bad)?));
            done(())
        }
        ("POST", ["accounts"]) => {
            let account: NewAccount = body_or_default(request)?;
            to_value(&world.create_account(account).map_err(Refusal::bad)?)
        }

        ("POST", ["faults"]) => {
            let rules: FaultRules = body(request)?;
            world.faults.add(rules).map_err(Refusal::bad)?;
            to_value(&world.faults.report())
        }
        ("GET", ["faults"]) => to_value(&world.faults.report()),
        ("DELETE", ["faults"]) => {
            world.faults = Faults::default();
            done(())
        }

        ("POST", ["customers", customer, act]) => customer_acts(world, customer, act, request),
        ("POST", ["contents", sid, "decide"]) => {
            let decision: Decision = body(request)?;
            if !review::overrule(world, sid, decision) {
                return Err(Refusal::not_found(format!("there is no content {sid} that was submitted")));
            }
            done(())
        }
        ("POST", ["reviews"]) => {
            let rules: Vec<ReviewRule> = body(request)?;
            world.reviews.add(rules).map_err(Refusal::bad)?;
            done(())
        }
        ("DELETE", ["reviews"]) => {
            world.reviews.clear();
            done(())
        }
        ("POST", ["senders", which]) => {
            let change: SenderChange = body(request)?;
            if !senders::change_from_outside(world, which, change) {
                return Err(Refusal::not_found(format!("there is no sender {which}")));
            }
            done(())
        }

        ("GET", ["requests"]) => lists::requests(world, &request.query),
        ("DELETE", ["requests"]) => {
            world.requests.clear();
            done(())
        }
        ("GET", ["messages"]) => lists::messages(world, &request.query),
        ("GET", ["webhooks"]) => lists::webhooks(world, &request.query),
        _ => Err(Refusal::not_found(format!("there is no {method} {} (see the sandbox's README)", request.path))),
    }
}

fn customer_acts(world: &mut World, customer: &str, act: &str, request: &Request) -> Reaction {
    let bare = address::bare(customer);
    if !(address::is_phone_number(bare) || address::is_user_id(bare) || (bare == "*" && act == "behaviour")) {
        let message =
            format!("'{customer}' is neither a phone number such as +447700900123 nor a user id such as US.42");
        return Err(Refusal::bad(message));
    }
    match act {
        "reply" => {
            let reply: Reply = body(request)?;
            to_value(&inbound::receive(world, customer, &reply).map_err(Refusal::bad)?)
        }
        "read" => {
            let read: CustomerAct = body_or_default(request)?;
            Ok(json!({"messages": messages::read_by_customer(world, customer, read.message_sid.as_deref())}))
        }
        "block" => {
            let block: CustomerAct = body_or_default(request)?;
            let sender = block.sender.as_deref().map_or("*", address::bare);
            world.customers.of_mut(customer).block(sender, block.undo);
            done(())
        }
        "behaviour" => {
            let behaviour: Behaviour = body(request)?;
            world.customers.behave(bare, behaviour);
            done(())
        }
        _ => Err(Refusal::not_found(format!("a customer can reply, read, block or have a behaviour, but not '{act}'"))),
    }
}

/// Sends a webhook's bytes again, and answers when all copies have been.
async fn redeliver(shared: &Shared, id: &str, request: &Request) -> Reaction {
    let how: Redelivery = body_or_default(request)?;
    let id: u64 = id.parse().map_err(Refusal::bad)?;
    let copies = shared.look(|world| world.redeliver(id, how.times));
    let copies = copies.ok_or_else(|| Refusal::not_found(format!("there is no webhook {id}")))?;
    let mut waiting = Vec::new();
    let mut attempts = Vec::new();
    for (delivery, result) in copies {
        shared.change(|world| world.outbox.push(delivery));
        if how.concurrent {
            waiting.push(result);
        } else {
            attempts.extend(result.await);
        }
    }
    for result in waiting {
        attempts.extend(result.await);
    }
    to_value(&Redelivered { attempts })
}

fn body<T: DeserializeOwned>(request: &Request) -> Result<T, Refusal> {
    serde_json::from_slice(&request.body).map_err(Refusal::bad)
}

fn body_or_default<T: DeserializeOwned + Default>(request: &Request) -> Result<T, Refusal> {
    if request.body.is_empty() { Ok(T::default()) } else { body(request) }
}

fn to_value(value: &impl Serialize) -> Reaction {
    serde_json::to_value(value).map_err(Refusal::bad)
}

#[expect(clippy::unnecessary_wraps, reason = "ends the arms of a match whose other arms can fail")]
fn done(_: ()) -> Reaction {
    Ok(json!({}))
}
