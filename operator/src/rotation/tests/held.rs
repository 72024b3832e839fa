//! Whatever is in doubt holds, says so, and goes on once it is resolved.

use std::sync::atomic::Ordering;

use crds::annotation::{PAUSED, ROTATE_REQUESTED_AT};
use kube::ResourceExt as _;
use messaging::secret::Secret;

use super::world::{World, phase, rotation, summary, token};

/// A rotation of key and token begins.
async fn begun() -> World {
    let mut world = World::new(Some(rotation("90d", "10m", true))).await;
    world.until("Idle").await;
    world.annotate(ROTATE_REQUESTED_AT, "now");
    world
}

async fn rounds(world: &mut World, rounds: usize) {
    for n in 0..rounds {
        world.round(n).await;
    }
}

fn is_told(world: &World, words: &str) {
    assert!(world.told.iter().any(|note| note.warning && note.text.contains(words)), "{:?}", world.told);
}

#[tokio::test]
async fn a_replica_that_does_not_acknowledge_is_named_and_waited_for() {
    let mut world = begun().await;
    for _ in 0..100 {
        world.reconcile().await;
        world.publish();
        world.take_over("data-plane-0");
        world.wait(60);
    }
    assert_eq!(summary(&world.senders[0]), "AwaitingAck data-plane-1 (1/2)");
    assert_eq!(summary(&world.senders[1]), "AwaitingAck data-plane-1 (1/2)");
    assert_eq!(world.admin.tokens().primary, token(), "nothing is promoted");
    assert_eq!(world.admin.key_ids().len(), 2, "nothing is revoked");
    world.until("Idle").await;
    world.is_settled();
}

#[tokio::test]
async fn a_replica_that_may_be_cut_off_holds_until_its_lease_is_gone() {
    let mut world = begun().await;
    world.fall_silent("data-plane-1");
    rounds(&mut world, 100).await;
    assert_eq!(summary(&world.senders[0]), "Held SilentReplica");
    is_told(&world, "data-plane-1 has not renewed its Lease");
    assert_eq!((world.admin.tokens().primary, world.admin.key_ids().len()), (token(), 2));
    world.is_gone();
    world.until("Idle").await;
    world.is_settled();
}

#[tokio::test]
async fn a_replica_that_comes_up_with_an_earlier_config_is_waited_for_although_all_had_let_go() {
    let mut world = begun().await;
    world.until("Overlap").await;
    let old = world.record().unwrap().old[0].id.clone();
    world.is_behind("data-plane-2", &old);
    for _ in 0..30 {
        world.reconcile().await;
        world.wait(60);
    }
    assert!(world.admin.key_ids().contains(&old) && phase(&world.senders[0]) == "AwaitingAck");
    world.take_over("data-plane-2");
    world.until("Idle").await;
    world.is_settled();
}

#[tokio::test]
async fn a_token_is_created_only_once_the_tenant_grants_that_its_secret_is_written() {
    let mut world = World::new(Some(rotation("90d", "10m", true))).await;
    world.cluster.may_write.store(false, Ordering::Relaxed);
    world.until("Idle").await;
    world.annotate(ROTATE_REQUESTED_AT, "now");
    rounds(&mut world, 30).await;
    assert_eq!(summary(&world.senders[0]), "Held NotGranted");
    is_told(&world, "kubectl -n shop create role");
    assert_eq!(world.admin.tokens().secondary, None);
    world.cluster.may_write.store(true, Ordering::Relaxed);
    world.until("Idle").await;
    world.is_settled();
}

#[tokio::test]
async fn a_secret_that_another_tool_writes_back_is_held_and_never_fought() {
    let mut world = begun().await;
    let reverted = world.cluster.secret.lock().clone();
    while world.cluster.secret.lock().len() == reverted.len() {
        world.reconcile().await;
    }
    *world.cluster.secret.lock() = reverted.clone();
    rounds(&mut world, 20).await;
    assert_eq!(summary(&world.senders[0]), "Held SecretReverted");
    is_told(&world, "another tool wrote the secret back");
    assert_eq!(*world.cluster.secret.lock(), reverted, "it is not written again");
    assert_eq!(world.admin.tokens().primary, token(), "nothing is promoted");
    // That tool is given the next token.
    let next = world.admin.tokens().secondary.unwrap();
    world.cluster.secret.lock().insert("secondaryAuthToken".to_owned(), next);
    world.until("Idle").await;
    world.is_settled();
}

#[tokio::test]
async fn a_secret_that_is_written_back_after_the_promotion_keeps_what_the_replicas_have() {
    let mut world = begun().await;
    let reverted = world.cluster.secret.lock().clone();
    for n in 0.. {
        if world.admin.tokens().primary != token() {
            break;
        }
        world.round(n).await;
    }
    *world.cluster.secret.lock() = reverted.clone();
    world.restart();
    for sender in 0..2 {
        let why = world.refused(sender).await;
        assert!(why.contains("those that were accepted last stay in use"), "{why}");
    }
    assert_eq!(*world.cluster.secret.lock(), reverted, "it is not written again");
    let promoted = world.admin.tokens().primary;
    world.cluster.secret.lock().insert("authToken".to_owned(), promoted);
    world.until("Idle").await;
    world.is_settled();
}

#[tokio::test]
async fn a_secondary_token_that_a_person_made_is_left_alone() {
    let mut world = World::new(Some(rotation("90d", "10m", true))).await;
    world.until("Idle").await;
    world.cluster.secret.lock().insert("secondaryAuthToken".to_owned(), Secret::new("theirs"));
    world.annotate(ROTATE_REQUESTED_AT, "now");
    rounds(&mut world, 30).await;
    assert_eq!(summary(&world.senders[0]), "Held SecondaryInUse");
    world.cluster.secret.lock().remove("secondaryAuthToken");
    world.until("Idle").await;
    world.is_settled();
}

#[tokio::test]
async fn a_token_that_another_secret_has_too_is_not_rotated_and_the_key_is() {
    let mut world = World::new(Some(rotation("90d", "10m", true))).await;
    world.until("Idle").await;
    let first = world.admin.key_ids();
    world.add_sender_with_another_secret();
    world.annotate(ROTATE_REQUESTED_AT, "now");
    rounds(&mut world, 40).await;
    assert_eq!(summary(&world.senders[0]), "Held TokenElsewhere");
    is_told(&world, "a WhatsAppSender of another namespace has it from another Secret");
    assert_eq!((world.admin.tokens().primary, world.admin.tokens().secondary), (token(), None));
    assert!(!world.admin.key_ids().contains(&first[0]), "the key needs nobody else");
}

#[tokio::test]
async fn credentials_that_may_not_mint_keys_are_told_apart_from_wrong_ones() {
    let mut world = World::new(None).await;
    world.admin.refuse("mint_key");
    world.change(|sender| sender.spec.credential_rotation = Some(rotation("90d", "10m", false)));
    rounds(&mut world, 10).await;
    assert_eq!(summary(&world.senders[0]), "Held MayNotMint");
    is_told(&world, "only the account's auth token and its main keys");
    assert!(world.record().unwrap().lost.is_empty(), "nothing was made");
}

#[tokio::test]
async fn a_key_takes_over_only_once_the_provider_accepts_it_and_one_that_it_never_accepts_goes() {
    let mut world = World::new(Some(rotation("90d", "10m", false))).await;
    world.admin.refuse("verify_key");
    rounds(&mut world, 5).await;
    let first = world.admin.key_ids();
    assert_eq!((first.len(), phase(&world.senders[0]).as_str()), (1, "Verifying"));
    assert_eq!(world.record().unwrap().key, None, "nobody calls with it");
    rounds(&mut world, 10).await;
    assert!(!world.admin.key_ids().contains(&first[0]), "another one is tried");
    world.admin.refuse_nothing();
    world.until("Idle").await;
    world.is_settled();
}

#[tokio::test]
async fn one_sender_of_a_secret_acts_and_the_others_tell_what_it_does() {
    let mut world = begun().await;
    let written = world.admin.fuse.burnt();
    for _ in 0..5 {
        world.reconcile_only(1).await;
    }
    assert_eq!(world.admin.fuse.burnt(), written);
    world.reconcile_only(0).await;
    assert!(world.admin.fuse.burnt() > written);
    world.reconcile_only(1).await;
    assert_eq!(summary(&world.senders[1]), summary(&world.senders[0]));
}

#[tokio::test]
async fn nothing_is_written_while_it_is_paused() {
    let mut world = begun().await;
    world.annotate(PAUSED, "true");
    let written = world.admin.fuse.burnt();
    rounds(&mut world, 20).await;
    assert_eq!(world.admin.fuse.burnt(), written);
    world.change(|sender| drop(sender.annotations_mut().remove(PAUSED)));
    world.until("Idle").await;
    world.is_settled();
    assert_ne!(world.admin.tokens().primary, token(), "it went on");
}
