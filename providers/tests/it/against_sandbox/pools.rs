//! Which senders a Messaging Service has.

use messaging::config::TwilioAccount;
use messaging::id::PoolId;
use messaging::provider::admin::{Joined, KeyAdmin as _, PoolAdmin as _, SenderAdmin as _};
use messaging::secret::Secret;
use providers::twilio::Twilio;
use sandbox::seed::{EXAMPLE_AUTH_TOKEN, EXAMPLE_SENDER, EXAMPLE_SERVICE_SID, Seed};
use sandbox::twilio::types::NewService;
use sandbox::types::{ErrorShape, FaultRules, RequestEffect, RequestFault};

use super::{World, account_of};

#[tokio::test]
async fn a_sender_is_added_to_one_service_and_removed_however_often_that_is_asked_also_where_a_key_makes_the_calls() {
    let world = World::new(Seed::example()).await;
    let service = PoolId::new(EXAMPLE_SERVICE_SID);
    let number = EXAMPLE_SENDER.parse().expect("a number");
    let handle = world.twilio.find_sender(&number).await.expect("a sender").expect("it exists").handle;
    let is_in = async || {
        let found = world.twilio.find_pool(&service).await.expect("an answer").pool;
        found.is_some_and(|pool| pool.holds(&handle))
    };
    assert!(is_in().await);
    assert_eq!(world.twilio.add_member(&service, &handle).await, Ok(Joined::WasIn));
    // A restricted key may not do it, and the auth token does.
    let minted = world.twilio.mint_key("data plane").await.expect("a key");
    let webhook_keys = vec![Secret::new(EXAMPLE_AUTH_TOKEN)];
    let with_key =
        TwilioAccount { username: minted.id, password: minted.secret, webhook_keys, ..account_of(&world.sandbox) };
    let only_key = Twilio::new(&TwilioAccount { webhook_keys: vec![], ..with_key.clone() }, &world.http);
    let refused = only_key.remove_member(&service, &handle).await.expect_err("it lacks the permission");
    assert!(refused.is_unauthorized() && is_in().await, "{refused}");
    let with_key = Twilio::new(&with_key, &world.http);
    for _ in 0..2 {
        assert_eq!(with_key.remove_member(&service, &handle).await, Ok(()));
        assert!(!is_in().await);
    }
    for joined in [Joined::Added, Joined::WasIn] {
        assert_eq!(with_key.add_member(&service, &handle).await, Ok(joined));
        assert!(is_in().await);
    }
    let nowhere = PoolId::new("MG00000000000000000000000000000000");
    let refused = world.twilio.add_member(&nowhere, &handle).await.expect_err("there is none");
    assert!(refused.is_not_found(), "{refused}");
    world.sandbox.shutdown().await;
}

#[tokio::test]
async fn a_sender_of_another_service_and_a_full_service_are_told_apart_from_other_refusals() {
    let effect = RequestEffect::Status {
        status: 409,
        retry_after: None,
        code: Some(21714),
        message: None,
        shape: ErrorShape::Classic,
    };
    let full = RequestFault {
        method: Some("POST".into()),
        path: Some("ChannelSenders$".into()),
        count: Some(1),
        ..RequestFault::new(effect)
    };
    let other = PoolId::new("MG99999999999999999999999999999999");
    let empty = NewService { sid: Some(other.to_string()), senders: Some(vec![]), ..NewService::default() };
    let mut seed = Seed { faults: FaultRules { requests: vec![full], webhooks: vec![] }, ..Seed::example() };
    seed.accounts[0].services.push(empty);
    let world = World::new(seed).await;
    let number = EXAMPLE_SENDER.parse().expect("a number");
    let handle = world.twilio.find_sender(&number).await.expect("a sender").expect("it exists").handle;
    let service = PoolId::new(EXAMPLE_SERVICE_SID);
    assert_eq!(world.twilio.add_member(&service, &handle).await, Ok(Joined::IsFull));
    assert_eq!(world.twilio.add_member(&other, &handle).await, Ok(Joined::IsElsewhere));
    world.sandbox.shutdown().await;
}
