//! Every interleaving of two operators and the replicas, for the config of one tenant: crashes, lost answers, leaders
//! that are held up and go on, replicas that restart and lag. The decisions are the operator's own functions; the order
//! of reads and writes around them is that of [`crate::publish::publisher`].
//!
//! In no reachable state is a config overwritten with an older one or removed although its tenant was not, or is a part
//! gone that is in use, or is a replica counted that does not run what is published. And each state leads to what is
//! asked for, in every replica, without anything left over.

mod moves;
mod operator;
mod replica;
mod state;
mod texts;

use std::collections::{HashSet, VecDeque};

use self::replica::Replica;
use self::state::{Bug, Left, Story, World};
use self::texts::Text::{Faulty, Large, Larger, Refused, Small};

/// Searches every reachable state. Returns their number, or what is wrong in the first that breaks a promise.
fn search(bug: Bug, story: Story, replicas: &[Replica], left: Left) -> Result<usize, String> {
    let mut first = World::new(bug, story, left, replicas);
    if left.handovers > 0 {
        // Its first chapter is published, and runs.
        first = first.at_rest()?;
        first.trace = None;
    }
    let (mut known, mut rested) = (HashSet::from([first.id()]), HashSet::new());
    let mut queue = VecDeque::from([first]);
    while let Some(world) = queue.pop_front() {
        if let Some(broken) = world.broken() {
            return Err(format!("{broken} after {:#?}", world.told()));
        }
        if world.is_quiet() && rested.insert(world.id_at_rest()) {
            world.at_rest().map_err(|broken| format!("{broken} after {:#?}", world.told()))?;
        }
        for next in world.successors() {
            if known.insert(next.id()) {
                queue.push_back(next);
            }
        }
    }
    Ok(known.len())
}

const NOTHING: Left = Left { crashes: 0, lost_answers: 0, handovers: 0, restarts: 0, others: 0 };
const HANDOVER: Left = Left { handovers: 1, ..NOTHING };

fn new(replicas: usize) -> Vec<Replica> {
    vec![Replica::new(true); replicas]
}

#[test]
fn no_interleaving_publishes_an_older_config_or_half_of_one() {
    let trouble = Left { crashes: 1, lost_answers: 1, ..NOTHING };
    let cases: &[(Story, Vec<Replica>, Left)] = &[
        (&[Some(Small), Some(Large)], new(3), NOTHING),
        (&[Some(Small), Some(Refused), Some(Small)], new(1), HANDOVER),
        (&[Some(Small), Some(Refused)], new(2), HANDOVER),
        (&[Some(Small), Some(Faulty), None], new(1), HANDOVER),
        (&[Some(Large), Some(Larger)], new(1), HANDOVER),
        (&[Some(Large), Some(Larger)], new(1), trouble),
        (&[Some(Large), None, Some(Larger)], new(1), NOTHING),
        (&[Some(Large), Some(Larger)], new(1), Left { restarts: 1, others: 1, ..NOTHING }),
        (&[Some(Small), Some(Large)], vec![Replica::new(true), Replica::new(false)], Left { restarts: 1, ..NOTHING }),
    ];
    for (story, replicas, left) in cases {
        let states = search(Bug::None, story, replicas, *left).unwrap();
        println!("{states} states of {story:?} with {} replicas and {left:?}", replicas.len());
        assert!(states > 100, "{states}");
    }
}

#[test]
fn each_rule_is_needed() {
    let changes: Story = &[Some(Small), Some(Refused), Some(Small)];
    let back: Story = &[Some(Large), Some(Larger), Some(Large)];
    let old = vec![Replica::new(true), Replica::new(false)];
    for (bug, story, replicas, left) in [
        (Bug::NoGate, changes, new(1), HANDOVER),
        (Bug::NoVersion, changes, new(1), HANDOVER),
        (Bug::ForgetPrevious, changes, new(1), HANDOVER),
        (Bug::BlindAcknowledgement, changes, new(1), NOTHING),
        (Bug::IndexFirst, back, new(1), NOTHING),
        (Bug::NoRenewal, back, new(1), HANDOVER),
        (Bug::BlindSweep, back, new(1), NOTHING),
        (Bug::StaleSweep, back, new(1), HANDOVER),
        (Bug::NeverRipe, back, new(1), NOTHING),
        (Bug::BlindParts, &[Some(Small), Some(Large)], old, NOTHING),
        (Bug::NoFollow, changes, new(1), Left { lost_answers: 1, ..HANDOVER }),
    ] {
        let found = search(bug, story, &replicas, left);
        assert!(found.is_err(), "{bug:?}: {found:?}");
        println!("{bug:?}: {}", found.unwrap_err().lines().next().unwrap_or_default());
    }
}
