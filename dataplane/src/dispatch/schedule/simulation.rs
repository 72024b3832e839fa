//! A day with a noisy neighbour, in simulated time: one tenant with a hundred thousand messages must not keep the
//! others waiting. Seeded; a failure prints its seed, and `SIMULATION_SEED` repeats it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::tests::lane;
use super::*;

const PLACES: u32 = 256;
/// As in the dispatcher: a turn begins when a quarter of the places is free, or after so many milliseconds.
const GATHER: u32 = PLACES / 4;
const GATHER_FOR: f64 = 5.0;
const LIGHT_TENANTS: usize = 99;
const MESSAGES_OF_LIGHT: usize = 10;
const MESSAGES_OF_HEAVY: usize = 100_000;

/// A tenant of the simulation: when its messages become due, in milliseconds, ascending, and how long its calls take.
struct Load {
    lane: LaneRef,
    due: VecDeque<f64>,
    call: (f64, f64),
}

/// For each light message, the time from due to answered.
fn run(mut loads: Vec<Load>, random: &mut StdRng) -> Vec<f64> {
    let mut scheduler = Scheduler::default();
    let mut in_flight: HashMap<TenantId, u32> = HashMap::new();
    let mut ends: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    let mut answered = Vec::new();
    let mut now = 0.0;
    let is_light = |index: usize| index < LIGHT_TENANTS;
    while loads.iter().enumerate().any(|(index, load)| is_light(index) && !load.due.is_empty()) {
        let under_way = u32::try_from(ends.len()).unwrap();
        let mut turn = Turn { places: PLACES - under_way, in_flight: in_flight.clone(), ..Turn::default() };
        for Load { lane, due, .. } in &loads {
            if due.front().is_some_and(|due| *due <= now) {
                turn.waiting.push(Waiting { lane: lane.clone(), draws_on: Vec::new() });
            }
        }
        let mut there_is_more = false;
        for share in scheduler.share(turn) {
            let index = loads.iter().position(|load| load.lane == share.lane).unwrap();
            let Load { due, call, .. } = &mut loads[index];
            let mut claimed = 0;
            while claimed < share.count
                && let Some(since) = due.pop_front_if(|due| *due <= now)
            {
                let end = now + random.random_range(call.0..=call.1);
                ends.push(Reverse(((end * 1000.0) as u64, index)));
                if is_light(index) {
                    answered.push(end - since);
                }
                claimed += 1;
            }
            *in_flight.entry(share.lane.tenant.clone()).or_default() += claimed;
            scheduler.claimed(&share, claimed);
            there_is_more |= claimed == share.count;
        }
        if there_is_more && PLACES - u32::try_from(ends.len()).unwrap() >= GATHER {
            continue;
        }
        let mut freed = 0;
        let until = now + GATHER_FOR;
        now = until;
        while freed < GATHER
            && let Some(&Reverse((micros, index))) = ends.peek()
            && micros as f64 / 1000.0 <= until
        {
            ends.pop();
            freed += 1;
            *in_flight.get_mut(&loads[index].lane.tenant).unwrap() -= 1;
            if freed == GATHER {
                now = micros as f64 / 1000.0;
            }
        }
    }
    answered
}

fn percentile(mut times: Vec<f64>, part: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    times[((times.len() as f64 * part).ceil() as usize).max(1) - 1]
}

/// The light tenants' 99th percentile from due to answered: without the heavy tenant, and beside it.
fn compare(heavy_call: (f64, f64), light_due: impl Fn(&mut StdRng) -> f64) -> (f64, f64) {
    let seed = std::env::var("SIMULATION_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("SIMULATION_SEED={seed}");
    let p99 = |with_heavy: bool| {
        let mut random = StdRng::seed_from_u64(seed);
        let mut loads: Vec<Load> = (0..LIGHT_TENANTS)
            .map(|n| {
                let mut due: Vec<f64> = (0..MESSAGES_OF_LIGHT).map(|_| light_due(&mut random)).collect();
                due.sort_by(f64::total_cmp);
                Load { lane: lane(&format!("light-{n}"), "s", Priority::Utility), due: due.into(), call: (40.0, 60.0) }
            })
            .collect();
        if with_heavy {
            let due = std::iter::repeat_n(0.0, MESSAGES_OF_HEAVY).collect();
            loads.push(Load { lane: lane("heavy", "s", Priority::Utility), due, call: heavy_call });
        }
        let answered = run(loads, &mut random);
        assert_eq!(answered.len(), LIGHT_TENANTS * MESSAGES_OF_LIGHT);
        percentile(answered, 0.99)
    };
    (p99(false), p99(true))
}

fn assert_at_most_twice((alone, beside): (f64, f64)) {
    println!("p99 alone {alone:.1} ms, beside the heavy tenant {beside:.1} ms");
    assert!(beside <= 2.0 * alone, "beside the heavy tenant {beside} ms, alone {alone} ms");
}

#[test]
fn light_tenants_that_queue_together_with_a_heavy_one_wait_at_most_twice_as_long() {
    assert_at_most_twice(compare((40.0, 60.0), |_| 0.0));
}

#[test]
fn light_tenants_that_arrive_while_a_heavy_one_is_busy_wait_at_most_twice_as_long() {
    assert_at_most_twice(compare((40.0, 60.0), |random| random.random_range(500.0..1500.0)));
}

#[test]
fn a_heavy_tenant_whose_calls_hang_does_not_take_the_places_of_the_light_ones() {
    assert_at_most_twice(compare((30_000.0, 30_000.0), |random| random.random_range(500.0..4500.0)));
}
