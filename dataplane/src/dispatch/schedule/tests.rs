use super::*;

pub(super) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

pub(super) fn lane(tenant_name: &str, sender: &str, priority: Priority) -> LaneRef {
    LaneRef { tenant: tenant(tenant_name), sender: SenderName::new(sender).unwrap(), priority }
}

fn utility(tenant: &str) -> LaneRef {
    lane(tenant, "s", Priority::Utility)
}

/// Each lane has its own limit.
fn turn(lanes: &[(&LaneRef, u32)], places: u32) -> Turn {
    let mut turn = Turn { places, ..Turn::default() };
    for (lane, room) in lanes {
        let draws_on = vec![turn.pool(*room)];
        turn.waiting.push(Waiting { lane: (*lane).clone(), draws_on });
    }
    turn
}

fn shares(scheduler: &mut Scheduler, turn: Turn) -> Vec<(LaneRef, u32)> {
    scheduler.share(turn).into_iter().map(|Share { lane, count }| (lane, count)).collect()
}

/// The tenants in the order served, with one place a turn and every grant claimed.
fn served(scheduler: &mut Scheduler, lanes: &[(&LaneRef, u32)], turns: usize) -> String {
    let mut served = String::new();
    for _ in 0..turns {
        for share in scheduler.share(turn(lanes, 1)) {
            scheduler.claimed(&share, share.count);
            served.push_str(share.lane.tenant.as_str());
        }
    }
    served
}

#[test]
fn a_tenant_with_much_to_send_takes_no_more_than_its_turn() {
    let [heavy, one, two] = ["heavy", "light-1", "light-2"].map(utility);
    let turn = turn(&[(&heavy, 1000), (&one, 1), (&two, 1)], 4);
    assert_eq!(shares(&mut Scheduler::default(), turn), [(heavy, 2), (one, 1), (two, 1)]);
}

#[test]
fn with_one_place_at_a_time_every_tenant_is_served_before_any_is_served_again() {
    let [a, b, c] = ["a", "b", "c"].map(utility);
    assert_eq!(served(&mut Scheduler::default(), &[(&a, 9), (&b, 9), (&c, 9)], 7), "abcabca");
}

#[test]
fn a_newcomer_is_served_right_after_all_that_already_wait() {
    let [a, b, c] = ["a", "b", "c"].map(utility);
    let mut scheduler = Scheduler::default();
    assert_eq!(served(&mut scheduler, &[(&b, 9), (&c, 9)], 3), "bcb");
    assert_eq!(served(&mut scheduler, &[(&a, 9), (&b, 9), (&c, 9)], 4), "cbac", "b was served before a came");
}

#[test]
fn a_tenant_without_room_in_its_turn_keeps_its_place_and_one_quantum() {
    let [a, b] = ["a", "b"].map(utility);
    let mut scheduler = Scheduler::default();
    assert_eq!(served(&mut scheduler, &[(&a, 0), (&b, 9)], 50), "b".repeat(50));
    assert_eq!(served(&mut scheduler, &[(&a, 9), (&b, 9)], 7), "aababab");
}

#[test]
fn tenants_that_draw_on_one_limit_are_served_in_turn_when_it_lets_one_pass_at_a_time() {
    let [a, b] = ["a", "b"].map(utility);
    let mut scheduler = Scheduler::default();
    let mut served = String::new();
    for _ in 0..6 {
        let waiting = [&a, &b].map(|lane| Waiting { lane: lane.clone(), draws_on: vec![0] });
        let turn = Turn { waiting: waiting.to_vec(), pools: vec![1], places: 9, ..Turn::default() };
        let shares = scheduler.share(turn);
        assert_eq!(shares.iter().map(|share| share.count).sum::<u32>(), 1);
        scheduler.claimed(&shares[0], 1);
        served.push_str(shares[0].lane.tenant.as_str());
    }
    // Each keeps a quantum of the turn in which the other took the only place, and then has two.
    assert_eq!(served.matches('a').count(), 3, "{served}");
}

#[test]
fn what_another_replica_took_is_not_charged() {
    let [a, b] = ["a", "b"].map(utility);
    let mut scheduler = Scheduler::default();
    let share = scheduler.share(turn(&[(&a, 9), (&b, 9)], 1)).remove(0);
    assert_eq!((&share.lane, share.count), (&a, 1));
    scheduler.claimed(&share, 0);
    assert_eq!(served(&mut scheduler, &[(&a, 9), (&b, 9)], 5), "baaba");
}

#[test]
fn within_a_tenant_urgent_messages_go_first_and_leave_what_they_do_not_use() {
    let password = lane("a", "s", Priority::Authentication);
    let news = lane("a", "s", Priority::Marketing);
    let one_limit = |room, places| Turn {
        waiting: [&news, &password].map(|lane| Waiting { lane: lane.clone(), draws_on: vec![0] }).to_vec(),
        pools: vec![room],
        places,
        ..Turn::default()
    };
    let mut scheduler = Scheduler::default();
    assert_eq!(shares(&mut scheduler, one_limit(5, 99)), [(password.clone(), 5)]);
    assert_eq!(shares(&mut scheduler, one_limit(12, 99)), [(password, 8), (news, 4)], "the number due is not known");
}

#[test]
fn the_senders_of_a_tenant_take_turns() {
    let lanes = ["s", "t", "u"].map(|sender| lane("a", sender, Priority::Marketing));
    let [s, t, u] = &lanes;
    let mut scheduler = Scheduler::default();
    let mut order = Vec::new();
    for _ in 0..7 {
        let share = scheduler.share(turn(&[(s, 9), (t, 9), (u, 9)], 1)).remove(0);
        scheduler.claimed(&share, 1);
        order.push(share.lane.sender.as_str().to_owned());
    }
    assert_eq!(order.concat(), "stustus");
    let all = shares(&mut scheduler, turn(&[(s, 9), (t, 0), (u, 9)], 5));
    assert_eq!(all, [(u.clone(), 3), (s.clone(), 2)], "one without room is passed over");
}

#[test]
fn a_lane_that_uses_all_it_gets_is_soon_given_every_place() {
    let heavy = utility("heavy");
    let mut scheduler = Scheduler::default();
    let mut counts = Vec::new();
    for _ in 0..6 {
        let share = scheduler.share(turn(&[(&heavy, 1000)], 256)).remove(0);
        counts.push(share.count);
        scheduler.claimed(&share, share.count);
    }
    assert_eq!(counts, [8, 16, 32, 64, 128, 224]);
    let share = scheduler.share(turn(&[(&heavy, 1000)], 256)).remove(0);
    scheduler.claimed(&share, 3);
    assert_eq!(scheduler.share(turn(&[(&heavy, 1000)], 256))[0].count, 8, "nothing more was due");
}

#[test]
fn a_tenant_alone_leaves_one_place_in_eight_and_a_newcomer_finds_it() {
    let [slow, other] = ["slow", "other"].map(utility);
    let held = |calls| HashMap::from([(tenant("slow"), calls)]);
    let mut scheduler = Scheduler::default();
    let full = Turn { in_flight: held(224), ..turn(&[(&slow, 999)], 32) };
    assert_eq!(scheduler.share(full), []);
    let both = Turn { in_flight: held(224), ..turn(&[(&slow, 999), (&other, 999)], 32) };
    assert_eq!(shares(&mut scheduler, both), [(other, 8)]);
    let one_ended = Turn { in_flight: held(223), ..turn(&[(&slow, 999)], 33) };
    assert_eq!(shares(&mut scheduler, one_ended), [(slow.clone(), 1)]);
    for places in 1..4 {
        let few = turn(&[(&slow, 999)], places);
        assert_eq!(shares(&mut scheduler, few), [(slow.clone(), places)], "of few places none is left");
    }
}

#[test]
fn a_one_time_password_finds_a_place_when_the_campaign_of_its_tenant_holds_all_it_may() {
    let password = lane("a", "s", Priority::Authentication);
    let news = lane("a", "s", Priority::Marketing);
    let full = turn(&[(&password, 9), (&news, 9)], 32);
    let full = Turn { in_flight: HashMap::from([(tenant("a"), 224)]), ..full };
    assert_eq!(shares(&mut Scheduler::default(), full), [(password, 8)]);
}
