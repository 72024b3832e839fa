//! The decisions that need no world.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use messaging::provider::admin::MintedKey;
use messaging::secret::Secret;

use crate::rotation::plan::{Plan, Rest, Seen, Step, plan};
use crate::rotation::proof::Proof;
use crate::rotation::record::{MOST, Record};
use crate::rotation::wish::{Asked, Wish};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn wish() -> Wish {
    Wish {
        every: Duration::from_secs(1000),
        min_overlap: Duration::from_secs(100),
        keys: true,
        token: true,
        asked: Asked::default(),
    }
}

fn seen(calls: Proof) -> Seen {
    Seen {
        token: Some(Secret::new("token")),
        secondary: None,
        key_is_refused: false,
        next_is_refused: false,
        calls,
        accepts: Proof::NotPublished,
        elsewhere: None,
    }
}

fn with_key(record: &mut Record, id: &str, now: Timestamp) {
    record.ask_for_key(now);
    record.got_key(MintedKey { id: id.to_owned(), secret: Secret::new("secret") }, now);
    record.use_next_key();
}

#[test]
fn a_rotation_is_due_by_schedule_and_the_token_only_after_its_first_interval() {
    let mut record = Record::new("uid", at(0));
    let next = |record: &Record, now| plan(record, Some(&wish()), &seen(Proof::Everyone), at(now));
    assert_eq!(next(&record, 0), Plan::Act(Step::Begin { token: false, immediately: false }));
    record.begin(true, false, false, &Asked::default(), at(0));
    with_key(&mut record, "SK1", at(1));
    assert_eq!(next(&record, 999), Plan::Rest(Rest::Idle { next: Some(at(1000)) }));
    assert_eq!(next(&record, 1000), Plan::Act(Step::Begin { token: true, immediately: false }));
    let only_token = Wish { keys: false, ..wish() };
    let record = Record::new("uid", at(0));
    let next = |now| plan(&record, Some(&only_token), &seen(Proof::Everyone), at(now));
    assert_eq!(next(999), Plan::Rest(Rest::Idle { next: Some(at(1000)) }));
    assert_eq!(next(1000), Plan::Act(Step::Begin { token: true, immediately: false }));
}

#[test]
fn an_old_key_is_revoked_only_after_the_proof_and_the_overlap() {
    let mut record = Record::new("uid", at(0));
    record.begin(true, false, false, &Asked::default(), at(0));
    with_key(&mut record, "SK1", at(1));
    with_key(&mut record, "SK2", at(2));
    let next = |record: &Record, calls, now| plan(record, Some(&wish()), &seen(calls), at(now));
    assert_eq!(next(&record, Proof::NotPublished, 900), Plan::Rest(Rest::Publishing));
    assert_eq!(next(&record, Proof::Everyone, 3), Plan::Act(Step::LetGo));
    record.let_go(at(3));
    assert_eq!(next(&record, Proof::Everyone, 102), Plan::Rest(Rest::Overlap { until: at(103) }));
    let one = Proof::Waiting { replicas: vec!["a".into()], total: 2 };
    assert_eq!(next(&record, one, 103), Plan::Act(Step::TakeHold), "the proof is from that moment");
    assert_eq!(next(&record, Proof::NotPublished, 103), Plan::Rest(Rest::Publishing), "right after a restart");
    assert_eq!(next(&record, Proof::Everyone, 103), Plan::Act(Step::Revoke { id: "SK1".into() }));
}

#[test]
fn no_more_keys_are_minted_while_many_wait_for_their_end() {
    let mut record = Record::new("uid", at(0));
    record.begin(true, false, false, &Asked::default(), at(0));
    for n in 0..=MOST {
        with_key(&mut record, &format!("SK{n}"), at(1));
    }
    let calls = Proof::Waiting { replicas: vec!["a".into()], total: 2 };
    let Plan::Rest(Rest::Held(held)) = plan(&record, Some(&wish()), &seen(calls), at(5000)) else { panic!("it acts") };
    assert_eq!(held.reason(), "TooManyKeys");
}

#[test]
fn a_lost_key_is_looked_for_until_it_must_have_shown_up() {
    let mut record = Record::new("uid", at(0));
    record.begin(true, false, false, &Asked::default(), at(0));
    record.ask_for_key(at(0));
    assert_eq!(record.name(), "whatsapp-operator/uid/1");
    record.lose_key(at(0));
    let next = |record: &Record, now| plan(record, Some(&wish()), &seen(Proof::Everyone), at(now));
    assert_eq!(next(&record, 1), Plan::Act(Step::FindLost));
    record.looked_for_lost(at(1), |lost| crate::rotation::plan::has_shown_up(lost.since, at(1)));
    assert_eq!(next(&record, 2), Plan::Act(Step::Mint), "nobody waits for it");
    with_key(&mut record, "SK2", at(3));
    assert_eq!(next(&record, 4), Plan::Rest(Rest::Looking { at: at(301) }));
    let end = at(0) + SignedDuration::from_mins(30);
    record.looked_for_lost(end, |lost| crate::rotation::plan::has_shown_up(lost.since, end));
    assert!(record.lost.is_empty());
}

#[test]
fn the_name_of_a_key_fits_the_provider() {
    let mut record = Record::new("01234567-89ab-cdef-0123-456789abcdef", at(0));
    record.minted = 9_999_999;
    assert!(record.name().len() <= 64, "{}", record.name());
}
