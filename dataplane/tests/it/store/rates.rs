//! Rates: what all replicas claim together is never more than a rate lets pass, and not less where more is due.

use dataplane::store::Store;
use dataplane::store::queue::{ClaimDue, Claimed, RateOf, Share};
use futures::future::join_all;
use messaging::rate::{Bucket, Rate};

use super::*;

promises!(
    a_rate_lets_a_burst_pass_and_then_so_many_a_second,
    claims_at_the_same_time_keep_a_rate_together,
    shares_that_draw_on_one_rate_keep_it_together,
    only_what_was_claimed_counts,
    the_slowest_of_several_rates_counts,
    tenants_keep_the_rate_of_an_account_together,
    a_bucket_that_a_clock_filled_that_was_ahead_is_mended_by_a_claim_that_gets_nothing,
    a_bucket_that_a_clock_filled_that_is_a_little_ahead_stays_as_it_is,
);

const BURST: u32 = 6;

fn rate(bucket: &str, per_second: u32, burst: u32) -> RateOf {
    RateOf { tenant: tenant(), bucket: bucket.into(), rate: Rate::per_second(per_second, burst) }
}

fn slow() -> RateOf {
    rate("sender/support", 2, BURST)
}

fn share(priority: Priority, limit: u32, draws_on: &[usize]) -> Share {
    Share { lane: lane(priority), limit, draws_on: draws_on.to_vec() }
}

async fn claim(store: &Store, now: i64, shares: Vec<Share>, rates: Vec<RateOf>) -> Claimed {
    let claim =
        ClaimDue { now: at(now), owner: "test".into(), lease_until: at(now + 3600), shares, rates, leave_timed: false };
    store.write(claim).await.unwrap()
}

async fn count(store: &Store, now: i64, limit: u32) -> usize {
    claim(store, now, vec![share(Priority::Utility, limit, &[0])], vec![slow()]).await.claims.len()
}

async fn queue(store: &Store, messages: usize, priority: Priority) {
    for _ in 0..messages {
        accept(store, NewMessage { priority, ..new_message(0) }).await;
    }
}

async fn a_rate_lets_a_burst_pass_and_then_so_many_a_second(store: &Store) {
    queue(store, 30, Priority::Utility).await;
    assert_eq!(count(store, 0, 4).await, 4);
    assert_eq!(count(store, 0, 10).await, 2);
    let none = claim(store, 0, vec![share(Priority::Utility, 10, &[0])], vec![slow()]).await;
    assert!(none.claims.is_empty());
    let next = slow().rate.take(none.buckets[0], 1, at(0)).retry_at;
    assert_eq!(next, Some(at(0) + SignedDuration::from_millis(500)), "it tells when the next may pass");
    for now in 1..4 {
        assert_eq!(count(store, now, 10).await, 2);
    }
    assert_eq!(count(store, 100, 10).await, 6, "who waits for long has a burst, and no more");
    // A clock that was set back lets nothing pass before its time.
    assert_eq!(count(store, 50, 10).await, 0);
}

async fn claims_at_the_same_time_keep_a_rate_together(store: &Store) {
    queue(store, 100, Priority::Utility).await;
    let mut claimed = 0;
    for now in 0..5 {
        let counts = join_all((0..8).map(|_| count(store, now, 3))).await;
        claimed += counts.into_iter().sum::<usize>();
        let most = BURST as usize + 2 * usize::try_from(now).unwrap();
        assert_eq!(claimed, most, "after {now} seconds");
    }
}

async fn shares_that_draw_on_one_rate_keep_it_together(store: &Store) {
    queue(store, 10, Priority::Authentication).await;
    queue(store, 10, Priority::Utility).await;
    let shares = vec![share(Priority::Authentication, 4, &[0]), share(Priority::Utility, 4, &[0])];
    let claimed = claim(store, 0, shares, vec![slow()]).await.claims;
    let of = |priority| claimed.iter().filter(|claim| claim.message.priority == priority).count();
    assert_eq!((of(Priority::Authentication), of(Priority::Utility)), (4, 2));
}

async fn only_what_was_claimed_counts(store: &Store) {
    let none = claim(store, 0, vec![share(Priority::Utility, 10, &[0])], vec![slow()]).await;
    assert!(none.claims.is_empty());
    assert_eq!(none.buckets, [None]);
    queue(store, 2, Priority::Utility).await;
    assert_eq!(count(store, 0, 10).await, 2);
    queue(store, 10, Priority::Utility).await;
    assert_eq!(count(store, 0, 10).await, 4);
}

async fn the_slowest_of_several_rates_counts(store: &Store) {
    queue(store, 20, Priority::Utility).await;
    let rates = || vec![rate("account/AC1", 1000, 8), slow()];
    let both = vec![share(Priority::Utility, 20, &[0, 1])];
    assert_eq!(claim(store, 0, both.clone(), rates()).await.claims.len(), 6);
    let account = vec![share(Priority::Utility, 20, &[0])];
    assert_eq!(
        claim(store, 0, account, rates()).await.claims.len(),
        2,
        "what one let not pass the other did not count"
    );
    assert!(claim(store, 0, both, rates()).await.claims.is_empty());
}

async fn tenants_keep_the_rate_of_an_account_together(store: &Store) {
    let account = serde_json::from_value(serde_json::json!({ "twilio": {
        "accountSid": "AC1", "username": "AC1", "password": "p", "webhookKeys": ["k"],
    }}));
    let rate = RateOf::of_account(&account.unwrap(), slow().rate);
    let tenants = ["shop", "bakery"].map(|name| TenantId::new(name).unwrap());
    for tenant in &tenants {
        for _ in 0..20 {
            accept(store, NewMessage { tenant: tenant.clone(), ..new_message(0) }).await;
        }
    }
    let count = async |tenant: &TenantId, now| {
        let lane = LaneRef { tenant: tenant.clone(), ..lane(Priority::Utility) };
        let share = Share { lane, limit: 4, draws_on: vec![0] };
        claim(store, now, vec![share], vec![rate.clone()]).await.claims.len()
    };
    let at_once = join_all(tenants.iter().cycle().take(6).map(|tenant| count(tenant, 0))).await;
    assert_eq!(at_once.iter().sum::<usize>(), BURST as usize, "{at_once:?}");
    assert_eq!((count(&tenants[0], 1).await, count(&tenants[1], 1).await), (2, 0));
}

async fn a_bucket_that_a_clock_filled_that_was_ahead_is_mended_by_a_claim_that_gets_nothing(store: &Store) {
    queue(store, 30, Priority::Utility).await;
    assert_eq!(count(store, 180, 6).await, 6);
    let none = claim(store, 0, vec![share(Priority::Utility, 10, &[0])], vec![slow()]).await;
    assert!(none.claims.is_empty());
    assert_eq!(none.buckets[0].map(Bucket::empty_at), Some(at(3)), "full, as of now");
    assert_eq!(count(store, 1, 10).await, 2);
    assert_eq!(count(store, 2, 10).await, 2);
}

async fn a_bucket_that_a_clock_filled_that_is_a_little_ahead_stays_as_it_is(store: &Store) {
    queue(store, 30, Priority::Utility).await;
    assert_eq!(count(store, 2, 6).await, 6);
    let none = claim(store, 0, vec![share(Priority::Utility, 10, &[0])], vec![slow()]).await;
    assert!(none.claims.is_empty());
    assert_eq!(none.buckets[0].map(Bucket::empty_at), Some(at(5)));
    assert_eq!(count(store, 2, 10).await, 0, "whose clock is ahead gains nothing by it");
    assert_eq!(count(store, 3, 10).await, 2);
}

#[tokio::test]
async fn replicas_keep_a_rate_together() {
    let database = crate::store::Postgres::new().await;
    let another = database.another().await;
    queue(database.store(), 100, Priority::Utility).await;
    let mut claimed = 0;
    for now in 0..3 {
        let stores = [database.store(), another.store(), database.store(), another.store()];
        let counts = join_all(stores.map(|store| count(store, now, 3))).await;
        claimed += counts.into_iter().sum::<usize>();
        assert_eq!(claimed, 6 + 2 * usize::try_from(now).unwrap(), "after {now} seconds");
    }
}
