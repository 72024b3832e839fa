//! Every interleaving of two operators, the replicas and the provider, for one rotation: crashes, lost answers, leaders
//! that are held up and go on, and writes over what somebody else wrote. The decisions are the operator's own
//! functions; the order of writes around them is that of [`crate::rotation::act`].
//!
//! In no reachable state is a call or a webhook of a replica refused, and each of them leads to one key and one token.

mod moves;
mod state;
mod turns;

use std::collections::{HashSet, VecDeque};

use self::state::{Bug, Left, Setting, Stage, start};

/// Searches every reachable state. Returns their number, or what is wrong in the first that breaks a promise.
fn search(setting: Setting, left: Left) -> Result<usize, String> {
    let first = start(setting, left);
    let (mut known, mut rested) = (HashSet::from([(first.id(), left)]), HashSet::new());
    let mut queue = VecDeque::from([first]);
    while let Some(world) = queue.pop_front() {
        if let Some(refused) = world.refused() {
            return Err(format!("refused: {refused} after {:#?}", world.trace));
        }
        let is_quiet = world.operators.iter().all(|operator| operator.stage == Stage::Idle);
        if is_quiet && rested.insert(world.id()) && !world.comes_to_rest(setting) {
            return Err(format!("it does not come to rest after {:#?}", world.trace));
        }
        for next in world.successors(setting) {
            if known.insert((next.id(), next.left)) {
                queue.push_back(next);
            }
        }
    }
    Ok(known.len())
}

const LEFT: Left = Left { crashes: 1, lost_answers: 1, handovers: 1, ticks: 2 };

#[test]
fn no_interleaving_refuses_anything_or_leaves_a_key_behind() {
    let states = search(Setting { keys: true, token: false, bug: Bug::None }, LEFT).unwrap();
    println!("{states} states of a key's rotation");
    assert!(states > 1000, "{states}");
}

#[test]
fn no_interleaving_refuses_anything_or_leaves_a_token_behind() {
    let states = search(Setting { keys: false, token: true, bug: Bug::None }, LEFT).unwrap();
    println!("{states} states of a token's rotation");
    assert!(states > 1000, "{states}");
}

#[test]
fn each_rule_is_needed() {
    for (bug, keys) in [
        (Bug::NoAcknowledgement, true),
        (Bug::NoAcknowledgement, false),
        (Bug::NoIntent, true),
        (Bug::NoVersion, true),
        (Bug::NoVersion, false),
        (Bug::NoLook, true),
        (Bug::BlindSecret, false),
        (Bug::BlindPublish, true),
    ] {
        let found = search(Setting { keys, token: !keys, bug }, LEFT);
        assert!(found.is_err(), "{bug:?} {keys}: {found:?}");
    }
}
