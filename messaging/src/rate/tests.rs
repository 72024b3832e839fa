use proptest::prelude::*;

use super::*;
use crate::clock::tests::at;
use crate::clock::{TOLERATED_SKEW, after};

/// Which requests pass, given and returned as times in nanoseconds.
fn passing(rate: Rate, times: &[u64]) -> Vec<u64> {
    let mut bucket = None;
    let mut passed = Vec::new();
    for &time in times {
        let taken = rate.take(bucket, 1, after(at(0), Duration::from_nanos(time)));
        bucket = Some(taken.bucket);
        if taken.granted > 0 {
            passed.push(time);
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
fn a_rate_may_be_slower_than_one_a_second() {
    let limits = Limits { interval_millis: Some(3000), burst: 1, ..Limits::default() };
    let seconds = |s: u64| s * 1_000_000_000;
    let asked = [0, 1, seconds(2), seconds(3), seconds(5), seconds(6)];
    assert_eq!(passing(Rate::from(&limits), &asked), [0, seconds(3), seconds(6)]);
}

#[test]
fn a_refusal_says_when_it_will_pass() {
    let pair = Rate::every(Duration::from_secs(6), 45);
    let mut bucket = None;
    for _ in 0..45 {
        let Taken { granted: 1, bucket: next, is_mended: false, retry_at: None, .. } = pair.take(bucket, 1, at(0))
        else {
            panic!("within the burst")
        };
        bucket = Some(next);
    }
    assert_eq!(pair.take(bucket, 1, at(0)).retry_at, Some(at(6)));
    assert_eq!(pair.take(bucket, 1, at(6)).retry_at, None);
    assert_eq!(bucket.expect("used").empty_at(), at(45 * 6));
}

#[test]
fn a_bucket_that_was_filled_by_a_clock_that_was_ahead_counts_as_full_and_empties_from_then_on() {
    let rate = Rate::every(Duration::from_secs(6), 2);
    let ahead = rate.take(None, 1, at(86_400)).bucket;
    let first = rate.take(Some(ahead), 1, at(0));
    assert_eq!(first, Taken { granted: 0, bucket: Bucket(at(12)), is_mended: true, retry_at: Some(at(6)) });
    let second = rate.take(Some(first.bucket), 1, at(6));
    assert_eq!(second, Taken { granted: 1, bucket: Bucket(at(18)), is_mended: false, retry_at: None });
    assert_eq!(rate.take(Some(ahead), 0, at(0)).bucket, Bucket(at(12)), "also when nothing is asked for");
}

#[test]
fn what_another_replica_filled_whose_clock_is_a_little_ahead_stays_as_it_is() {
    let rate = Rate::every(Duration::from_secs(6), 2);
    let full = rate.take(None, 2, at(2)).bucket;
    assert_eq!(
        rate.take(Some(full), 1, at(0)),
        Taken { granted: 0, bucket: full, is_mended: false, retry_at: Some(at(8)) }
    );
}

#[test]
fn no_setting_breaks_the_arithmetic() {
    for rate in [Rate::per_second(0, 0), Rate::per_second(u32::MAX, u32::MAX), Rate::every(Duration::MAX, u32::MAX)] {
        for now in [Timestamp::MIN, at(0), Timestamp::MAX] {
            assert_eq!(rate.take(None, 1, now).granted, 1);
            rate.take(Some(Bucket(Timestamp::MAX)), 1, now);
            rate.take(Some(Bucket(Timestamp::MIN)), 1, now);
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
            let taken = rate.take(bucket, 1, now);
            match taken.retry_at {
                None => {
                    prop_assert!(Some(taken.bucket) > bucket && taken.bucket.empty_at() > now);
                    bucket = Some(taken.bucket);
                }
                Some(then) => {
                    prop_assert!(then > now);
                    prop_assert_eq!(rate.take(bucket, 1, then).granted, 1);
                    let before = then.checked_sub(jiff::SignedDuration::from_nanos(1)).expect("in range");
                    prop_assert_eq!(rate.take(bucket, 1, before).granted, 0);
                }
            }
        }
    }
}

#[test]
fn a_bucket_is_the_same_after_it_was_stored_as_an_integer() {
    let bucket = Rate::per_second(7, 3).take(None, 1, after(at(0), Duration::from_nanos(1))).bucket;
    assert_eq!(Bucket::from_nanoseconds(bucket.as_nanoseconds()), bucket);
    for (beyond, nearest) in [(Timestamp::MAX, i64::MAX), (Timestamp::MIN, i64::MIN)] {
        assert_eq!(Bucket(beyond).as_nanoseconds(), nearest);
    }
}

#[test]
fn as_many_pass_as_may_and_the_answer_says_when_the_next_does() {
    let rate = Rate::every(Duration::from_secs(6), 2);
    let full = rate.take(None, 5, at(0));
    assert_eq!(full, Taken { granted: 2, bucket: Bucket(at(12)), is_mended: false, retry_at: Some(at(6)) });
    assert_eq!(
        rate.take(Some(full.bucket), 5, at(5)),
        Taken { granted: 0, bucket: full.bucket, is_mended: false, retry_at: Some(at(6)) }
    );
    assert_eq!(
        rate.take(Some(full.bucket), 0, at(5)),
        Taken { granted: 0, bucket: full.bucket, is_mended: false, retry_at: None }
    );
    assert_eq!(
        rate.take(Some(full.bucket), 1, at(6)),
        Taken { granted: 1, bucket: Bucket(at(18)), is_mended: false, retry_at: None }
    );
}

/// What happens to a bucket: messages ask, and the clock moves, usually forwards. In nanoseconds.
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
        1 => (0u64..10_000_000_000).prop_map(Step::SetBack),
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
                        let one = rate.take(one_by_one, 1, now);
                        (one_by_one, granted) = (Some(one.bucket), granted + one.granted);
                        retry_at = one.retry_at;
                        if retry_at.is_some() {
                            break;
                        }
                    }
                    let taken = rate.take(at_once, wanted, now);
                    prop_assert_eq!((taken.granted, taken.retry_at), (granted, retry_at));
                    if wanted > 0 {
                        at_once = Some(taken.bucket);
                    }
                    prop_assert_eq!(at_once, one_by_one);
                }
            }
        }
    }

    /// Only forward time counts, however the clock is set. A step back never grants a second burst, and never blocks
    /// for longer than the burst takes and replicas' clocks may differ.
    #[test]
    fn a_clock_that_steps_back_grants_nothing_and_blocks_for_no_longer_than_the_burst_takes(
        per_second in 1u32..2000,
        burst in 1u32..50,
        steps in any_steps(),
    ) {
        let rate = Rate::per_second(per_second, burst);
        let longest = rate.interval() * burst + TOLERATED_SKEW;
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
                    bucket = Some(taken.bucket);
                    if taken.granted > 0 {
                        passed.push((forwards, u64::from(taken.granted)));
                    }
                    if let Some(then) = taken.retry_at {
                        prop_assert!(then > now && then <= after(now, longest));
                        prop_assert_eq!(rate.take(bucket, 1, then).granted, 1, "who comes back then passes");
                    }
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
