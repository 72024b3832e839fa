use proptest::prelude::*;

use super::*;
use crate::clock::after;
use crate::clock::tests::at;

/// Which requests pass, given and returned as times in nanoseconds.
fn passing(rate: Rate, times: &[u64]) -> Vec<u64> {
    let mut bucket = None;
    let mut passed = Vec::new();
    for &time in times {
        match rate.check(bucket, after(at(0), Duration::from_nanos(time))) {
            Pace::Go(next) => {
                bucket = Some(next);
                passed.push(time);
            }
            Pace::RetryAt(_) => {}
        }
    }
    passed
}

#[test]
fn a_burst_passes_at_once_and_then_one_each_interval() {
    let rate = Rate::per_second(10, 3);
    let ms = |ms: u64| ms * 1_000_000;
    assert_eq!(passing(rate, &[0, 0, 0, 0, ms(99), ms(100), ms(101), ms(200)]), [0, 0, 0, ms(100), ms(200)]);
}

#[test]
fn a_refusal_says_when_it_will_pass() {
    let pair = Rate::every(Duration::from_secs(6), 45);
    let mut bucket = None;
    for _ in 0..45 {
        let Pace::Go(next) = pair.check(bucket, at(0)) else { panic!("within the burst") };
        bucket = Some(next);
    }
    assert_eq!(pair.check(bucket, at(0)), Pace::RetryAt(at(6)));
    assert!(matches!(pair.check(bucket, at(6)), Pace::Go(_)));
    assert_eq!(bucket.expect("used").empty_at(), at(45 * 6));
}

#[test]
fn a_clock_that_is_set_back_does_not_block_for_longer_than_the_burst_takes() {
    let rate = Rate::every(Duration::from_secs(6), 2);
    let Pace::Go(bucket) = rate.check(None, at(86_400)) else { panic!("the first passes") };
    assert_eq!(rate.check(Some(bucket), at(0)), Pace::RetryAt(at(6)));
}

#[test]
fn no_setting_breaks_the_arithmetic() {
    for rate in [Rate::per_second(0, 0), Rate::per_second(u32::MAX, u32::MAX), Rate::every(Duration::MAX, u32::MAX)] {
        for now in [Timestamp::MIN, at(0), Timestamp::MAX] {
            assert!(matches!(rate.check(None, now), Pace::Go(_)));
            rate.check(Some(Bucket(Timestamp::MAX)), now);
            rate.check(Some(Bucket(Timestamp::MIN)), now);
        }
    }
}

proptest! {
    #[test]
    fn no_stretch_of_time_sees_more_than_the_burst_and_the_rate(
        per_second in 1u32..2000,
        burst in 1u32..20,
        gaps in prop::collection::vec(0u64..20_000_000, 1..200),
    ) {
        let rate = Rate::per_second(per_second, burst);
        let times: Vec<u64> = gaps.iter().scan(0, |now, gap| { *now += gap; Some(*now) }).collect();
        let passed = passing(rate, &times);
        for (first, start) in passed.iter().enumerate() {
            for (last, end) in passed.iter().enumerate().skip(first) {
                let count = (last - first + 1) as u64;
                prop_assert!(count <= u64::from(burst) + (end - start) / rate.interval);
            }
        }
    }

    #[test]
    fn what_is_refused_passes_at_the_time_it_was_given_and_no_earlier(
        per_second in 1u32..2000,
        burst in 1u32..20,
        gaps in prop::collection::vec(0u64..5_000_000, 1..100),
    ) {
        let rate = Rate::per_second(per_second, burst);
        let (mut now, mut bucket) = (at(0), None);
        for gap in gaps {
            now = after(now, Duration::from_nanos(gap));
            match rate.check(bucket, now) {
                Pace::Go(next) => {
                    prop_assert!(Some(next) > bucket && next.empty_at() > now);
                    bucket = Some(next);
                }
                Pace::RetryAt(then) => {
                    prop_assert!(then > now);
                    prop_assert!(matches!(rate.check(bucket, then), Pace::Go(_)));
                    let before = then.checked_sub(jiff::SignedDuration::from_nanos(1)).expect("in range");
                    prop_assert!(matches!(rate.check(bucket, before), Pace::RetryAt(_)));
                }
            }
        }
    }
}

#[test]
fn a_bucket_is_the_same_after_it_was_stored_as_an_integer() {
    let Pace::Go(bucket) = Rate::per_second(7, 3).check(None, after(at(0), Duration::from_nanos(1))) else {
        panic!("the first passes")
    };
    assert_eq!(Bucket::from_nanoseconds(bucket.as_nanoseconds()), bucket);
    for (beyond, nearest) in [(Timestamp::MAX, i64::MAX), (Timestamp::MIN, i64::MIN)] {
        assert_eq!(Bucket(beyond).as_nanoseconds(), nearest);
    }
}

#[test]
fn as_many_pass_as_may_and_the_answer_says_when_the_next_does() {
    let rate = Rate::every(Duration::from_secs(6), 2);
    let full = rate.take(None, 5, at(0));
    assert_eq!(full, Taken { granted: 2, bucket: Bucket(at(12)), retry_at: Some(at(6)) });
    assert_eq!(
        rate.take(Some(full.bucket), 5, at(5)),
        Taken { granted: 0, bucket: full.bucket, retry_at: Some(at(6)) }
    );
    assert_eq!(rate.take(Some(full.bucket), 0, at(5)), Taken { granted: 0, bucket: full.bucket, retry_at: None });
    assert_eq!(rate.take(Some(full.bucket), 1, at(6)), Taken { granted: 1, bucket: Bucket(at(18)), retry_at: None });
}

/// What happens to a bucket: messages ask, and the clock moves, usually forwards.
#[derive(Debug, Clone, Copy)]
enum Step {
    Ask(u32),
    Wait(u64),
    SetBack(u64),
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u32..30).prop_map(Step::Ask),
        4 => (0u64..40_000_000).prop_map(Step::Wait),
        1 => (0u64..2_000_000_000).prop_map(Step::SetBack),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #[test]
    fn taking_many_at_once_equals_asking_for_one_many_times(
        per_second in 1u32..2000,
        burst in 1u32..50,
        steps in any_steps(),
    ) {
        let rate = Rate::per_second(per_second, burst);
        let (mut now, mut at_once, mut one_by_one) = (at(0), None, None);
        for step in steps {
            match step {
                Step::Wait(pause) => now = after(now, Duration::from_nanos(pause)),
                Step::SetBack(pause) => now -= Duration::from_nanos(pause),
                Step::Ask(wanted) => {
                    let (mut granted, mut retry_at) = (0, None);
                    for _ in 0..wanted {
                        match rate.check(one_by_one, now) {
                            Pace::Go(bucket) => (one_by_one, granted) = (Some(bucket), granted + 1),
                            Pace::RetryAt(at) => { retry_at = Some(at); break; }
                        }
                    }
                    let taken = rate.take(at_once, wanted, now);
                    prop_assert_eq!((taken.granted, taken.retry_at), (granted, retry_at));
                    if granted > 0 {
                        at_once = Some(taken.bucket);
                    }
                    prop_assert_eq!(at_once, one_by_one);
                }
            }
        }
    }

    /// Only forward time counts, however the clock is set. A step back never grants a second burst, and never blocks
    /// for longer than the burst takes.
    #[test]
    fn a_clock_that_steps_back_grants_nothing_and_blocks_for_no_longer_than_the_burst_takes(
        per_second in 1u32..2000,
        burst in 1u32..50,
        steps in any_steps(),
    ) {
        let rate = Rate::per_second(per_second, burst);
        let capacity = rate.interval() * burst;
        let (mut now, mut bucket) = (at(0), None);
        // How many passed and when, by a clock that only runs forwards.
        let (mut forwards, mut passed) = (0u64, Vec::new());
        for step in steps {
            match step {
                Step::Wait(pause) => {
                    now = after(now, Duration::from_nanos(pause));
                    forwards += pause;
                }
                Step::SetBack(pause) => now -= Duration::from_nanos(pause),
                Step::Ask(wanted) => {
                    let taken = rate.take(bucket, wanted, now);
                    if taken.granted > 0 {
                        bucket = Some(taken.bucket);
                        passed.push((forwards, u64::from(taken.granted)));
                    }
                    prop_assert!(taken.retry_at.is_none_or(|then| then > now && then <= after(now, capacity)));
                }
            }
        }
        for (first, (start, _)) in passed.iter().enumerate() {
            let mut count = 0;
            for (end, granted) in &passed[first..] {
                count += granted;
                prop_assert!(count <= u64::from(burst) + (end - start) / rate.interval);
            }
        }
    }
}
