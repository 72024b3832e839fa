//! The control API, through which a test or a demo controls the sandbox. `README.md` has the table.
//!
//! Calls about a provider's own state (accounts, senders, contents, messages) are answered in the provider's folder.

mod lists;

use jiff::SignedDuration;

use crate::{
    address,
    http::{Answer, Request},
    reaction::{self, Reaction, Refusal, body, body_or_default, done, to_value},
    stage::{Shared, Stage},
    types::{Behaviour, ClockAdvance, CustomerAct, FaultRules, Health, Redelivered, Redelivery},
    world::faults::Faults,
};

/// Answers one call.
pub(crate) async fn answer(shared: &Shared, request: &Request) -> Answer {
    let segments: Vec<&str> = request.segments.iter().skip(1).map(String::as_str).collect();
    reaction::answer(match (request.method.as_str(), segments.as_slice()) {
        ("POST", ["webhooks", id, "redeliver"]) => redeliver(shared, id, request).await,
        (method, path) => {
            let reaction = shared.attempt(|stage| act(stage, method, path, request));
            reaction.unwrap_or_else(|| Err(Refusal::defect()))
        }
    })
}

fn act(stage: &mut Stage, method: &str, path: &[&str], request: &Request) -> Reaction {
    let world = &mut stage.world;
    match (method, path) {
        ("GET", ["healthz"]) => to_value(&Health { status: "ok".to_owned(), panics: world.panics, now: world.now() }),
        ("POST", ["reset"]) => stage.reset().map_err(Refusal::bad).and_then(done),
        ("POST", ["clock"]) => {
            let advance: ClockAdvance = body(request)?;
            world.move_clock(SignedDuration::from_secs(i64::try_from(advance.seconds).map_err(Refusal::bad)?));
            done(())
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

        ("POST", ["customers", customer, act]) => customer_acts(stage, customer, act, path, request),

        ("GET", ["requests"]) => lists::requests(world, &request.query),
        ("DELETE", ["requests"]) => {
            world.requests.clear();
            done(())
        }
        ("GET", ["webhooks"]) => lists::webhooks(world, &request.query),
        _ => stage.control(path, request).unwrap_or_else(|| {
            Err(Refusal::not_found(format!("there is no {method} {} (see the sandbox's README)", request.path)))
        }),
    }
}

fn customer_acts(stage: &mut Stage, customer: &str, act: &str, path: &[&str], request: &Request) -> Reaction {
    let bare = address::bare(customer);
    if !(address::is_phone_number(bare) || address::is_user_id(bare) || (bare == "*" && act == "behaviour")) {
        let message =
            format!("'{customer}' is neither a phone number such as +447700900123 nor a user id such as US.42");
        return Err(Refusal::bad(message));
    }
    match act {
        "block" => {
            let block: CustomerAct = body_or_default(request)?;
            let sender = block.sender.as_deref().map_or("*", address::bare);
            stage.world.customers.of_mut(customer).block(sender, block.undo);
            done(())
        }
        "behaviour" => {
            let behaviour: Behaviour = body(request)?;
            stage.world.customers.behave(bare, behaviour);
            done(())
        }
        _ => stage.control(path, request).unwrap_or_else(|| {
            let known = "a customer can reply, read, block or have a behaviour";
            Err(Refusal::not_found(format!("{known}, but not '{act}'")))
        }),
    }
}

/// Sends a webhook's bytes again, and answers when all copies have been sent.
async fn redeliver(shared: &Shared, id: &str, request: &Request) -> Reaction {
    let how: Redelivery = body_or_default(request)?;
    let id: u64 = id.parse().map_err(Refusal::bad)?;
    let copies = shared.look(|stage| stage.world.webhooks.redeliver(id, how.times));
    let copies = copies.ok_or_else(|| Refusal::not_found(format!("there is no webhook {id}")))?;
    let mut waiting = Vec::new();
    let mut attempts = Vec::new();
    for (delivery, result) in copies {
        shared.change(|stage| stage.world.webhooks.queue(delivery));
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
