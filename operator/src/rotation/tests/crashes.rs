//! Whatever happens in between, a rotation ends with one key and one token, and on the way no call and no webhook is
//! refused.

use crds::annotation::{ROTATE_IMMEDIATELY_REQUESTED_AT, ROTATE_REQUESTED_AT};

use super::world::{World, rotation, token};
use crate::rotation::record::NextToken;

#[tokio::test]
async fn the_first_key_takes_over_from_the_token_and_its_successor_from_it() {
    let mut world = World::new(Some(rotation("90d", "10m", false))).await;
    world.until("Idle").await;
    world.is_settled();
    let first = world.admin.key_ids();
    world.wait(91 * 86_400);
    world.until("Overlap").await;
    assert_eq!(world.admin.key_ids().len(), 2, "the old one works until the overlap ends");
    world.until("Idle").await;
    world.is_settled();
    assert_ne!(world.admin.key_ids(), first);
    assert_eq!(world.admin.tokens().primary, token(), "it is not to be rotated");
}

#[tokio::test]
async fn a_request_is_answered_once_and_an_emergency_has_no_overlap() {
    let mut world = World::new(Some(rotation("90d", "10m", true))).await;
    world.until("Idle").await;
    let first = world.admin.key_ids();
    assert_eq!(world.admin.tokens().primary, token(), "the first key is no reason to replace the token");
    world.annotate(ROTATE_REQUESTED_AT, "2026-11-29T10:00:00Z");
    world.until("Overlap").await;
    world.annotate(ROTATE_IMMEDIATELY_REQUESTED_AT, "2026-11-29T10:05:00Z");
    for n in 0..20 {
        world.round(n).await;
        assert!(world.senders.iter().all(|sender| super::world::phase(sender) != "Overlap"));
    }
    world.until("Idle").await;
    world.is_settled();
    let second = world.admin.key_ids();
    assert!(first != second && world.admin.tokens().primary != token());
    for n in 0..10 {
        world.round(n).await;
    }
    assert_eq!(world.admin.key_ids(), second, "each request is answered once");
    let told: Vec<_> = world.told.iter().map(|note| note.reason).collect();
    assert!(told.contains(&"RotationBegan") && told.contains(&"CredentialsRotated"), "{told:?}");
    assert!(world.told.iter().any(|note| note.text.contains("without an overlap")));
}

#[tokio::test]
async fn a_crash_after_any_write_leaks_nothing_and_refuses_nothing() {
    let mut crashes = 0;
    for nth in 0.. {
        let mut world = World::new(Some(rotation("90d", "10m", true))).await;
        let before = world.admin.fuse.burnt();
        world.admin.fuse.light(nth);
        world.until("Idle").await;
        world.annotate(ROTATE_REQUESTED_AT, "2026-11-29T10:00:00Z");
        world.until("Overlap").await;
        world.until("Idle").await;
        world.is_settled();
        assert_ne!(world.admin.tokens().primary, token());
        if world.admin.fuse.burnt() - before <= nth {
            break;
        }
        crashes += 1;
    }
    assert!(crashes > 20, "{crashes} writes");
}

#[tokio::test]
async fn a_rotation_at_rest_writes_nothing() {
    let mut world = World::new(Some(rotation("90d", "10m", true))).await;
    world.until("Idle").await;
    world.annotate(ROTATE_REQUESTED_AT, "now");
    world.until("Overlap").await;
    world.until("Idle").await;
    let (writes, told) = (world.admin.fuse.burnt(), world.told.len());
    for n in 0..20 {
        world.round(n).await;
    }
    world.restart();
    for n in 0..20 {
        world.round(n).await;
    }
    assert_eq!((world.admin.fuse.burnt(), world.told.len()), (writes, told));
}

#[tokio::test]
async fn a_lost_answer_leaves_no_key_and_no_token_behind() {
    for operation in ["mint_key", "create_token", "promote_token", "revoke_key"] {
        let mut world = World::new(Some(rotation("90d", "10m", true))).await;
        world.until("Idle").await;
        world.annotate(ROTATE_REQUESTED_AT, "now");
        world.admin.lose_answer(operation);
        world.until("Overlap").await;
        world.until("Idle").await;
        world.is_settled();
        assert_ne!(world.admin.tokens().primary, token(), "{operation}");
    }
}

#[tokio::test]
async fn an_outage_of_the_provider_delays_a_rotation_and_breaks_nothing() {
    let mut world = World::new(Some(rotation("90d", "10m", true))).await;
    world.until("Idle").await;
    world.annotate(ROTATE_REQUESTED_AT, "now");
    for operation in ["mint_key", "verify_key", "create_token", "promote_token", "revoke_key"] {
        world.admin.fail_operation(operation, 3);
    }
    world.until("Overlap").await;
    world.until("Idle").await;
    world.is_settled();
}

#[tokio::test]
async fn a_key_that_somebody_else_revoked_is_replaced_and_the_token_calls_meanwhile() {
    let mut world = World::new(Some(rotation("90d", "10m", false))).await;
    world.until("Idle").await;
    let key = world.admin.key_ids().remove(0);
    world.is_broken = true;
    world.admin.remove_key(&key);
    world.reconcile().await;
    world.until("Overlap").await;
    world.is_broken = false;
    world.until("Idle").await;
    world.is_settled();
    assert_ne!(world.admin.key_ids(), [key]);
}

#[tokio::test]
async fn without_a_rotation_the_token_takes_over_again_and_the_key_goes() {
    let mut world = World::new(Some(rotation("90d", "10m", true))).await;
    world.until("Idle").await;
    world.change(|sender| sender.spec.credential_rotation = None);
    world.until("").await;
    assert!(world.admin.key_ids().is_empty() && world.record().is_none());
}

#[tokio::test]
async fn the_last_sender_of_a_secret_goes_once_no_replica_uses_its_key() {
    let mut world = World::new(Some(rotation("90d", "10m", false))).await;
    world.until("Idle").await;
    world.delete_all();
    assert!(!world.clean_up().await, "the replicas use the key");
    assert_eq!(world.admin.key_ids().len(), 1);
    world.publish();
    world.take_over("data-plane-0");
    assert!(!world.clean_up().await, "one of them uses it");
    world.take_over("data-plane-1");
    assert!(world.clean_up().await);
    assert!(world.admin.key_ids().is_empty() && world.record().is_none());
}

#[tokio::test]
async fn two_processes_at_once_mint_one_key_that_stays() {
    let mut world = World::new(Some(rotation("90d", "10m", true))).await;
    world.until("Idle").await;
    world.annotate(ROTATE_REQUESTED_AT, "now");
    // The first one is held up before its answer is recorded, the second one ends the rotation, and the first goes on.
    Box::pin(world.overtake("mint_key")).await;
    world.until("Idle").await;
    world.is_settled();
    assert!(!matches!(world.record().unwrap().token, Some(NextToken::Wanted)));
}

#[tokio::test]
async fn a_rotation_of_the_token_keeps_no_sender_from_being_deleted_wherever_it_stands() {
    for secret_is_gone in [false, true] {
        for steps in 0..12 {
            let mut world = World::new(Some(rotation("90d", "10m", true))).await;
            world.until("Idle").await;
            world.annotate(ROTATE_REQUESTED_AT, "now");
            for n in 0..steps {
                world.round(n).await;
            }
            world.delete_all();
            if secret_is_gone {
                world.cluster.secret.lock().clear();
            }
            let mut is_over = false;
            for _ in 0..10 {
                is_over = is_over || world.clean_up().await;
                if !is_over {
                    world.publish();
                    world.take_over("data-plane-0");
                    world.take_over("data-plane-1");
                    world.wait(60);
                }
            }
            assert!(is_over, "after {steps} rounds, the Secret is gone: {secret_is_gone}: {:?}", world.record());
            assert!(world.admin.key_ids().is_empty() && world.record().is_none());
        }
    }
}

#[tokio::test]
async fn what_was_signed_before_a_promotion_is_accepted_for_an_hour_after_it() {
    let mut world = World::new(Some(rotation("90d", "10m", true))).await;
    world.until("Idle").await;
    world.annotate(ROTATE_REQUESTED_AT, "now");
    let mut rounds = 0..;
    while world.admin.tokens().primary == token() {
        world.round(rounds.next().unwrap()).await;
        assert!(rounds.start < 400, "it is never promoted");
    }
    // Each round is a minute, and a replica takes over what is published in every second one.
    for _ in 0..58 {
        world.round(rounds.next().unwrap()).await;
        assert!(world.verifies(&token()));
    }
    for _ in 0..6 {
        world.round(rounds.next().unwrap()).await;
    }
    assert!(!world.verifies(&token()));
}
