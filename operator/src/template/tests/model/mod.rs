//! Every interleaving of two operators, two replicas and the provider, for one template whose text changes: crashes,
//! lost answers, lists that lag, leaders that are held up and go on. The decisions are the operator's own functions;
//! the order of writes around them is that of [`crate::template::apply`] and of a reconcile.
//!
//! In no reachable state does the provider have two templates for one text, or is one deleted that a replica may send
//! with, or does a replica send with one that was never approved. And each state leads to one template, which every
//! replica uses.

mod moves;
mod operator;
mod state;

use std::collections::{HashSet, VecDeque};

use self::state::{Bug, Left, World};

/// Searches every reachable state. Returns their number, or what is wrong in the first that breaks a promise.
fn search(bug: Bug, left: Left) -> Result<usize, String> {
    let first = World::new(bug, left);
    let (mut known, mut rested) = (HashSet::from([first.id()]), HashSet::new());
    let mut queue = VecDeque::from([first]);
    while let Some(world) = queue.pop_front() {
        if let Some(broken) = world.broken() {
            return Err(format!("{broken} after {:#?}", world.trace));
        }
        if world.is_quiet() && rested.insert(world.id_at_rest()) {
            world.comes_to_rest().map_err(|broken| format!("{broken} after {:#?}", world.trace))?;
        }
        for next in world.successors() {
            if known.insert(next.id()) {
                queue.push_back(next);
            }
        }
    }
    Ok(known.len())
}

#[test]
fn no_interleaving_makes_a_template_twice_or_deletes_one_that_is_in_use() {
    for left in [
        Left { crashes: 1, lost_answers: 1, handovers: 0, changes: 0, ticks: 4 },
        Left { crashes: 0, lost_answers: 0, handovers: 1, changes: 0, ticks: 4 },
        Left { crashes: 0, lost_answers: 0, handovers: 1, changes: 1, ticks: 0 },
        Left { crashes: 1, lost_answers: 0, handovers: 0, changes: 1, ticks: 1 },
        Left { crashes: 0, lost_answers: 1, handovers: 0, changes: 1, ticks: 1 },
    ] {
        let states = search(Bug::None, left).unwrap();
        println!("{states} states of a template with {left:?}");
        assert!(states > 500, "{states}");
    }
}

#[test]
fn each_rule_is_needed() {
    let once = Left { crashes: 1, lost_answers: 0, handovers: 0, changes: 0, ticks: 4 };
    let handover = Left { crashes: 0, handovers: 1, changes: 1, ticks: 0, ..once };
    for (bug, left) in [
        (Bug::NoIntent, once),
        (Bug::NoLook, once),
        (Bug::StaleIntent, Left { crashes: 0, handovers: 1, ..once }),
        (Bug::NoVersion, handover),
        (Bug::BlindReport, handover),
        (Bug::BlindRetirement, handover),
    ] {
        let found = search(bug, left);
        assert!(found.is_err(), "{bug:?}: {found:?}");
    }
}
