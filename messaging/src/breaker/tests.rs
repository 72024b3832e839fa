use proptest::prelude::*;

use super::*;
use crate::clock::tests::at;

/// A call that fails.
fn fails(breaker: &mut Breaker, has_left: bool, now: i64) {
    breaker.begins();
    breaker.failed(has_left, at(now));
}

fn open() -> Breaker {
    let mut breaker = Breaker::default();
    for _ in 0..5 {
        fails(&mut breaker, true, 0);
    }
    breaker
}

#[test]
fn no_more_than_ten_calls_begin_before_one_is_answered() {
    let mut breaker = Breaker::default();
    for begun in 0..10 {
        assert_eq!(breaker.passage(true, at(0)), Passage::Calls(10 - begun));
        breaker.begins();
    }
    assert_eq!(
        breaker.passage(true, at(0)),
        Passage::Calls(0),
        "also without any failure: silence is the worst of them"
    );
    breaker.answered();
    assert_eq!(breaker.passage(true, at(0)), Passage::Calls(10));
    (0..9).for_each(|_| breaker.answered());
    assert!(breaker.is_new());
}

/// A breaker in the middle of traffic: so many calls are under way, and those before them were answered.
fn warm(under_way: u32) -> Breaker {
    let mut breaker = Breaker::default();
    for _ in 0..under_way {
        breaker.begins();
        breaker.begins();
        breaker.answered();
    }
    breaker
}

#[test]
fn from_the_first_unknown_outcome_on_few_calls_are_under_way_however_many_there_were() {
    let mut breaker = warm(60);
    assert_eq!(breaker.passage(true, at(0)), Passage::Calls(10));
    breaker.failed(true, at(0));
    for under_way in (40..59).rev() {
        breaker.answered();
        assert_eq!(breaker.passage(true, at(0)), Passage::Calls(0), "{under_way} are under way");
    }
    let mut breaker = warm(12);
    breaker.failed(true, at(0));
    (0..4).for_each(|_| breaker.answered());
    assert_eq!(breaker.passage(true, at(0)), Passage::Calls(3), "7 are under way");
}

#[test]
fn at_most_ten_outcomes_become_unknown_before_it_opens_whatever_is_answered_in_between() {
    for answers in [0, 1, 3, 10, 19] {
        let (mut breaker, mut unknown) = (warm(5), 0);
        loop {
            fails(&mut breaker, true, 0);
            unknown += 1;
            if breaker.away_since().is_some() {
                break;
            }
            for _ in 0..answers {
                breaker.begins();
                breaker.answered();
            }
        }
        assert!(unknown <= 10, "{unknown} with {answers} answers after each");
    }
}

#[test]
fn an_unknown_outcome_now_and_then_is_forgotten() {
    let mut breaker = Breaker::default();
    for _ in 0..100 {
        fails(&mut breaker, true, 0);
        for _ in 0..20 {
            breaker.begins();
            breaker.answered();
        }
        assert!(breaker.is_new());
    }
}

#[test]
fn after_an_outage_few_messages_leave_at_once_until_many_were_answered() {
    let mut breaker = open();
    breaker.probe_begins(at(1));
    breaker.probe_answered();
    breaker.begins();
    breaker.answered();
    fails(&mut breaker, true, 2);
    assert_eq!(breaker.passage(true, at(2)), Passage::Nothing { again_at: at(3) }, "one unknown outcome is enough");
    breaker.probe_begins(at(3));
    breaker.probe_answered();
    breaker.begins();
    breaker.answered();
    (0..10).for_each(|_| breaker.begins());
    breaker.answered();
    assert_eq!(breaker.passage(true, at(3)), Passage::Calls(1), "9 are under way");
}

#[test]
fn the_answer_of_a_call_that_was_under_way_when_it_opened_shows_no_more_than_a_probe() {
    let mut breaker = warm(20);
    (0..10).for_each(|_| breaker.failed(true, at(0)));
    assert!(breaker.open_until(at(0)).is_some());
    breaker.answered();
    assert_eq!(breaker.passage(true, at(0)), Passage::Calls(1));
}

#[test]
fn a_call_that_does_not_begin_after_all_takes_no_place() {
    let mut breaker = Breaker::default();
    breaker.begins();
    breaker.withdrawn();
    assert!(breaker.is_new());
}

#[test]
fn five_failures_in_a_row_open_it_and_fewer_or_scattered_ones_that_sent_nothing_do_not() {
    for has_left in [true, false] {
        let mut breaker = Breaker::default();
        for _ in 0..if has_left { 1 } else { 100 } {
            for _ in 0..4 {
                fails(&mut breaker, has_left, 0);
            }
            assert_eq!((breaker.open_until(at(0)), breaker.away_since()), (None, None));
            breaker.begins();
            breaker.answered();
        }
        for _ in 0..5 {
            fails(&mut breaker, has_left, 7);
        }
        assert_eq!(breaker.passage(true, at(7)), Passage::Nothing { again_at: at(8) });
        assert_eq!(breaker.away_since(), Some(at(7)));
    }
}

#[test]
fn an_outage_costs_a_few_probes_a_minute_and_no_message() {
    let mut breaker = open();
    let mut probes = 0;
    for second in 0..600 {
        if breaker.passage(true, at(second)) == Passage::Probe {
            breaker.probe_begins(at(second));
            probes += 1;
        }
    }
    assert!((55..=65).contains(&probes), "{probes}");
}

#[test]
fn after_a_probe_is_answered_one_message_shows_whether_all_may_follow() {
    let mut breaker = open();
    assert_eq!(breaker.passage(true, at(1)), Passage::Probe);
    breaker.probe_begins(at(1));
    assert_eq!(breaker.passage(true, at(2)), Passage::Nothing { again_at: at(3) }, "one probe at a time");
    breaker.probe_answered();
    assert_eq!(breaker.passage(true, at(2)), Passage::Calls(1));
    breaker.begins();
    assert_eq!(breaker.passage(true, at(2)), Passage::Calls(0));
    assert_eq!(breaker.away_since(), Some(at(0)));
    breaker.answered();
    assert_eq!((breaker.passage(true, at(2)), breaker.away_since()), (Passage::Calls(10), None));
}

#[test]
fn a_trial_that_is_withdrawn_leaves_its_place_to_the_next_message() {
    let mut breaker = open();
    breaker.probe_begins(at(1));
    breaker.probe_answered();
    breaker.begins();
    breaker.withdrawn();
    assert_eq!(breaker.passage(true, at(2)), Passage::Calls(1));
}

#[test]
fn without_a_probe_a_message_takes_its_place() {
    let mut breaker = open();
    assert_eq!(breaker.passage(false, at(0)), Passage::Nothing { again_at: at(1) });
    assert_eq!(breaker.passage(false, at(1)), Passage::Calls(1));
    breaker.begins();
    assert_eq!(breaker.passage(false, at(1)), Passage::Calls(0));
    breaker.failed(false, at(1));
    assert_eq!(breaker.passage(false, at(1)), Passage::Nothing { again_at: at(11) });
}

#[test]
fn where_messages_stay_unanswered_although_probes_are_answered_they_are_tried_ever_more_rarely() {
    let mut breaker = open();
    let mut unconfirmed = 0;
    for second in 0..3600 {
        match breaker.passage(true, at(second)) {
            Passage::Probe => {
                breaker.probe_begins(at(second));
                breaker.probe_answered();
            }
            Passage::Calls(calls) => {
                assert_eq!(calls, 1);
                fails(&mut breaker, true, second);
                unconfirmed += 1;
            }
            Passage::Nothing { .. } => {}
        }
    }
    assert!(unconfirmed <= 16, "{unconfirmed}");
}

#[test]
fn what_nothing_has_asked_for_in_an_hour_is_stale() {
    let breaker = open();
    assert!(!breaker.is_stale(at(3600)) && breaker.is_stale(at(3601)));
    assert!(!Breaker::default().is_stale(at(86_400)));
}

#[test]
fn a_pause_by_a_clock_that_was_ahead_is_over_once_the_clock_is_right() {
    let mut breaker = Breaker::default();
    for _ in 0..5 {
        fails(&mut breaker, true, 86_400);
    }
    assert_eq!(breaker.passage(true, at(0)), Passage::Probe);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Begin,
    Withdraw,
    Answer,
    Fail(bool),
    Pass(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        Just(Step::Begin),
        Just(Step::Withdraw),
        Just(Step::Answer),
        any::<bool>().prop_map(Step::Fail),
        (0i64..400).prop_map(Step::Pass)
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    /// Whatever happened: once the provider answers again, all calls may begin within the longest pause.
    #[test]
    fn it_never_stays_open_once_the_provider_is_back(steps in steps(), has_probe: bool) {
        let (mut breaker, mut now, mut under_way) = (Breaker::default(), 0, 0u32);
        for step in steps {
            match step {
                Step::Begin => if let Passage::Calls(1..) = breaker.passage(has_probe, at(now)) {
                    breaker.begins();
                    under_way += 1;
                }
                Step::Withdraw if under_way > 0 => { breaker.withdrawn(); under_way -= 1; }
                Step::Answer if under_way > 0 => { breaker.answered(); under_way -= 1; }
                Step::Fail(has_left) if under_way > 0 => { breaker.failed(has_left, at(now)); under_way -= 1; }
                Step::Withdraw | Step::Answer | Step::Fail(_) => {}
                Step::Pass(seconds) => {
                    now += seconds;
                    if breaker.passage(has_probe, at(now)) == Passage::Probe {
                        breaker.probe_begins(at(now));
                    }
                }
            }
        }
        // What was under way ends, and time passes.
        for _ in 0..under_way {
            breaker.failed(true, at(now));
        }
        now += 300;
        if breaker.passage(has_probe, at(now)) == Passage::Probe {
            breaker.probe_begins(at(now));
            breaker.probe_answered();
        }
        let Passage::Calls(1..) = breaker.passage(has_probe, at(now)) else { panic!("{breaker:?}") };
        for _ in 0..=TRUSTED_AFTER {
            breaker.begins();
            breaker.answered();
        }
        prop_assert!(breaker.is_new());
    }
}
