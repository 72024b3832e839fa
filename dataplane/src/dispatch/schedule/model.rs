//! Tests the scheduler against anything that can happen: messages queued in any lane, changing limits, calls that end,
//! and shares that find less than they asked for.

use proptest::prelude::*;

use super::tests::lane;
use super::*;

const TENANTS: usize = 4;
const SENDERS: usize = 2;
const LANES: usize = TENANTS * SENDERS * Priority::ALL.len();

#[derive(Debug, Clone)]
enum Step {
    Queue {
        lane: usize,
        messages: u32,
    },
    /// What a sender may send in each turn from now on.
    Limit {
        sender: usize,
        room: u32,
    },
    /// What all senders together may send in each turn from now on.
    SharedLimit {
        room: u32,
    },
    /// Calls end, oldest first.
    End {
        calls: usize,
    },
    /// Another replica takes what is due.
    Taken {
        lane: usize,
    },
    Turn,
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..LANES, 1u32..40).prop_map(|(lane, messages)| Step::Queue { lane, messages }),
        1 => (0..TENANTS * SENDERS, 0u32..12).prop_map(|(sender, room)| Step::Limit { sender, room }),
        1 => prop_oneof![Just(u32::MAX), 0u32..6].prop_map(|room| Step::SharedLimit { room }),
        3 => (0usize..12).prop_map(|calls| Step::End { calls }),
        1 => (0..LANES).prop_map(|lane| Step::Taken { lane }),
        6 => Just(Step::Turn),
    ];
    prop::collection::vec(step, 1..200)
}

/// The world around the scheduler, with what its promises need to remember.
struct Model {
    scheduler: Scheduler,
    capacity: u32,
    queued: [u32; LANES],
    room: [u32; TENANTS * SENDERS],
    shared_room: u32,
    /// The tenants of the calls in flight, oldest first.
    calls: VecDeque<usize>,
    /// How often each other tenant was served since this one was, while this one could have been served throughout.
    waited: [[u32; TENANTS]; TENANTS],
}

fn tenant_of(lane: usize) -> usize {
    lane / (SENDERS * Priority::ALL.len())
}

fn sender_of(lane: usize) -> usize {
    lane / Priority::ALL.len()
}

fn name(index: usize) -> LaneRef {
    let sender = format!("s{}", sender_of(index) % SENDERS);
    lane(&format!("t{}", tenant_of(index)), &sender, Priority::ALL[index % Priority::ALL.len()])
}

impl Model {
    fn new(capacity: u32) -> Self {
        Self {
            scheduler: Scheduler::default(),
            capacity,
            queued: [0; LANES],
            room: [8; TENANTS * SENDERS],
            shared_room: u32::MAX,
            calls: VecDeque::new(),
            waited: [[0; TENANTS]; TENANTS],
        }
    }

    fn places(&self) -> u32 {
        self.capacity - u32::try_from(self.calls.len()).unwrap()
    }

    fn holds(&self, tenant: usize) -> u32 {
        u32::try_from(self.calls.iter().filter(|call| **call == tenant).count()).unwrap()
    }

    /// Whether the tenant can use a place now under the current limits.
    fn could_be_served(&self, tenant: usize) -> bool {
        let has_work = (0..LANES).any(|lane| {
            tenant_of(lane) == tenant && self.queued[lane] > 0 && self.room[sender_of(lane)] > 0 && self.shared_room > 0
        });
        has_work && self.holds(tenant) < self.places().saturating_mul(7)
    }

    fn turn(&mut self) -> Result<(), TestCaseError> {
        let places = self.places();
        let mut turn = Turn { places, ..Turn::default() };
        let shared = turn.pool(self.shared_room);
        let pools: Vec<usize> = self.room.iter().map(|room| turn.pool(*room)).collect();
        for lane in (0..LANES).filter(|lane| self.queued[*lane] > 0) {
            turn.waiting.push(Waiting { lane: name(lane), draws_on: vec![shared, pools[sender_of(lane)]] });
        }
        for tenant in 0..TENANTS {
            turn.in_flight.insert(name(tenant * LANES / TENANTS).tenant, self.holds(tenant));
        }
        let could: [bool; TENANTS] = std::array::from_fn(|tenant| self.could_be_served(tenant));
        let shares = self.scheduler.share(turn);

        prop_assert_eq!(shares.is_empty(), !could.contains(&true) && !self.only_urgent_could(), "work is conserved");
        let granted: u32 = shares.iter().map(|share| share.count).sum();
        prop_assert!(granted <= places && granted <= self.shared_room, "{} of {} places", granted, places);
        let mut of_sender = [0; TENANTS * SENDERS];
        let mut served = [0; TENANTS];
        let mut urgency: HashMap<TenantId, Priority> = HashMap::new();
        for share in &shares {
            let lane = (0..LANES).find(|lane| name(*lane) == share.lane).unwrap();
            prop_assert!(share.count > 0 && self.queued[lane] > 0);
            let before = urgency.insert(share.lane.tenant.clone(), share.lane.priority);
            prop_assert!(before.is_none_or(|before| before <= share.lane.priority), "the urgent goes first");
            of_sender[sender_of(lane)] += share.count;
            let claimed = share.count.min(self.queued[lane]);
            self.queued[lane] -= claimed;
            served[tenant_of(lane)] += claimed;
            self.calls.extend(std::iter::repeat_n(tenant_of(lane), claimed as usize));
            self.scheduler.claimed(share, claimed);
        }
        for (sender, granted) in of_sender.into_iter().enumerate() {
            prop_assert!(granted <= self.room[sender], "a sender's limit is {}", self.room[sender]);
        }
        self.no_tenant_waits_for_long(could, served, places - granted)
    }

    /// A tenant's one-time passwords may still be served when its other calls hold all they may.
    fn only_urgent_could(&self) -> bool {
        (0..LANES).step_by(Priority::ALL.len()).any(|lane| {
            self.queued[lane] > 0
                && self.room[sender_of(lane)] > 0
                && self.shared_room > 0
                && self.holds(tenant_of(lane)) < self.places().saturating_mul(15)
        })
    }

    /// While a tenant could be served and is not, no other is served more than its quantum and the one it kept. One
    /// that holds many times as many places as were left is not kept waiting by others.
    fn no_tenant_waits_for_long(
        &mut self,
        could: [bool; TENANTS],
        served: [u32; TENANTS],
        left: u32,
    ) -> Result<(), TestCaseError> {
        for tenant in 0..TENANTS {
            let holds_enough = self.holds(tenant) >= 7 * left.max(1);
            if !could[tenant] || served[tenant] > 0 || holds_enough {
                self.waited[tenant] = [0; TENANTS];
                continue;
            }
            for (other, (waited, served)) in self.waited[tenant].iter_mut().zip(served).enumerate() {
                *waited += served;
                prop_assert!(*waited <= 2 * QUANTUM, "{} was served {} while {} waited", other, waited, tenant);
            }
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn no_limit_is_exceeded_no_tenant_waits_for_long_and_no_usable_place_stays_empty(
        capacity in 1u32..40,
        steps in any_steps(),
    ) {
        let mut model = Model::new(capacity);
        for step in steps {
            match step {
                Step::Queue { lane, messages } => model.queued[lane] += messages,
                Step::Limit { sender, room } => model.room[sender] = room,
                Step::SharedLimit { room } => model.shared_room = room,
                Step::End { calls } => drop(model.calls.drain(..calls.min(model.calls.len()))),
                Step::Taken { lane } => model.queued[lane] = 0,
                Step::Turn => model.turn()?,
            }
        }
    }

    /// However few the places and however many the turns. There are too few places to keep one free for newcomers.
    #[test]
    fn tenants_that_always_have_work_and_room_are_never_more_than_a_quantum_apart(
        tenants in 2usize..12,
        places in prop::collection::vec(1u32..14, 1..100),
    ) {
        let mut scheduler = Scheduler::default();
        let mut served = vec![0u32; tenants];
        for places in places {
            let waiting = (0..tenants).map(|n| Waiting {
                lane: lane(&format!("t{n}"), "s", Priority::Utility),
                draws_on: Vec::new(),
            });
            let turn = Turn { waiting: waiting.collect(), places, ..Turn::default() };
            for share in scheduler.share(turn) {
                scheduler.claimed(&share, share.count);
                let n: usize = share.lane.tenant.as_str()[1..].parse().unwrap();
                served[n] += share.count;
            }
            let (least, most) = (served.iter().min().unwrap(), served.iter().max().unwrap());
            prop_assert!(most - least <= QUANTUM, "{:?}", served);
        }
    }
}
