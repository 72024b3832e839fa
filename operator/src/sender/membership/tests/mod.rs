//! Whatever happens in between, a sender ends in the service that it asks for, or in none, and then it is silent.

mod world;

use crds::DeletionPolicy;
use crds::annotation::PAUSED;
use crds::condition::{WEBHOOKS_CONFIGURED, reason};
use kube::ResourceExt;
use messaging::id::PoolId;
use messaging::provider::admin::{Joined, PoolAdmin as _};

use self::world::{HANDLE, Spec, World};
use crate::reconcile::error::Advice;
use crate::sender::owner::Record;

const JOIN: &str = "add_to_messaging_service";
const LEAVE: &str = "remove_from_messaging_service";

#[tokio::test]
async fn a_sender_is_in_the_service_that_it_asks_for_and_in_none_once_it_does_not() {
    let mut world = World::new(None, Spec::Names("MG1"));
    world.settle().await;
    assert_eq!(world.within(), [""; 0], "who only names a service puts nobody into it");
    assert!(!world.is_ready());
    world.ask(Spec::Manages("MG1"));
    world.settle().await;
    assert_eq!((world.within(), world.is_ready()), (vec!["MG1".to_owned()], true));
    world.admin.set_members("MG1", &[]);
    world.settle().await;
    assert_eq!(world.within(), ["MG1"], "drift is repaired");
    world.ask(Spec::Manages("MG2"));
    world.settle().await;
    assert_eq!((world.within(), world.is_ready()), (vec!["MG2".to_owned()], true));
    world.ask(Spec::Without);
    world.settle().await;
    assert_eq!((world.within(), world.membership("support"), world.is_ready()), (vec![], None, true));
}

#[tokio::test]
async fn nobody_is_asked_to_do_what_the_operator_is_doing() {
    let mut world = World::new(None, Spec::Manages("MG1"));
    for (spec, within) in [(Spec::Manages("MG1"), &["MG1"][..]), (Spec::Without, &[])] {
        world.ask(spec);
        for _ in 0..6 {
            world.round().await;
            assert_eq!(world.failed, None, "{spec:?}");
            world.wait(30);
        }
        assert_eq!(world.within(), within, "{spec:?}");
    }
}

#[tokio::test]
async fn a_crash_after_any_write_leaves_one_membership_or_none_and_then_silence() {
    let mut crashes = 0;
    for nth in 0.. {
        let mut world = World::new(None, Spec::Manages("MG1"));
        world.admin.fuse.light(nth);
        for (spec, within) in
            [(Spec::Manages("MG1"), &["MG1"][..]), (Spec::Manages("MG2"), &["MG2"]), (Spec::Without, &[])]
        {
            world.ask(spec);
            world.settle().await;
            assert_eq!(world.within(), within, "{spec:?} with a crash after write {nth}");
            assert!(world.is_ready(), "{spec:?} {nth}: {:?}", world.failed);
        }
        world.ask(Spec::Manages("MG1"));
        world.settle().await;
        world.delete("support");
        world.settle().await;
        assert_eq!((world.within(), world.objects()), (vec![], 0), "deleted with a crash after write {nth}");
        if world.admin.fuse.burnt() <= nth {
            break;
        }
        crashes += world.crashes;
    }
    assert!(crashes > 20, "{crashes} crashes");
}

#[tokio::test]
async fn what_is_no_longer_asked_for_after_a_crash_is_removed_and_what_was_found_never_is() {
    for within in [None, Some("MG1")] {
        for gone in [false, true] {
            let mut crashes = 0;
            for nth in 0..12 {
                let mut world = World::new(within, Spec::Manages("MG1"));
                world.admin.fuse.light(nth);
                for _ in 0..6 {
                    if world.crashes == 0 {
                        world.round().await;
                    }
                }
                crashes += world.crashes;
                if gone {
                    world.delete("support");
                } else {
                    world.ask(Spec::Without);
                }
                world.settle().await;
                assert_eq!(world.within(), within.as_slice(), "write {nth}, {gone}");
                assert_eq!(world.membership("support"), None);
            }
            assert!(crashes > 1, "{crashes} crashes");
        }
    }
}

#[tokio::test]
async fn a_lost_answer_leaves_nothing_that_is_not_asked_for() {
    for operation in [JOIN, LEAVE, "configure_webhooks"] {
        let mut world = World::new(None, Spec::Manages("MG1"));
        world.admin.lose_answer(operation);
        world.settle().await;
        assert_eq!(world.within(), ["MG1"], "{operation}");
        let known = world.membership("support").expect("it is the operator's");
        assert_eq!(known.asked_at, None, "{operation}: nothing is in doubt any more");
        world.ask(Spec::Without);
        world.settle().await;
        assert_eq!((world.within(), world.membership("support")), (vec![], None), "{operation}");
    }
}

#[tokio::test]
async fn a_call_that_takes_effect_after_its_caller_gave_up_is_undone_where_nothing_asks_for_it() {
    for gone in [false, true] {
        let mut world = World::new(None, Spec::Manages("MG1"));
        world.admin.fail_operation(JOIN, 1);
        // The sender's own webhooks, and the call that seems to fail.
        world.round().await;
        assert!(world.membership("support").is_some_and(|known| known.asked_at.is_some()));
        if gone {
            world.delete("support");
        } else {
            world.ask(Spec::Without);
        }
        world.round().await;
        assert_eq!(world.objects(), 1, "it is not forgotten yet");
        assert_eq!(world.admin.add_member(&PoolId::new("MG1"), HANDLE).await, Ok(Joined::Added), "late");
        world.settle().await;
        assert_eq!((world.within(), world.membership("support")), (vec![], None), "{gone}");
    }
}

#[tokio::test]
async fn lists_that_lag_neither_leave_a_membership_nor_claim_one() {
    // It joined, the provider does not show that, and nobody asks for it any more.
    let mut world = World::new(None, Spec::Manages("MG1"));
    world.admin.hold_back_pools(true);
    world.round().await;
    world.round().await;
    assert_eq!(world.within(), ["MG1"]);
    world.ask(Spec::Without);
    for _ in 0..4 {
        world.round().await;
    }
    assert_eq!((world.within(), world.membership("support")), (vec![], None));

    // Somebody added it a moment ago, which is not shown yet.
    let mut world = World::new(None, Spec::Manages("MG1"));
    world.admin.hold_back_pools(true);
    world.admin.set_members("MG1", &[HANDLE]);
    world.round().await;
    world.admin.hold_back_pools(false);
    world.settle().await;
    assert_eq!((world.membership("support"), world.is_ready()), (None, true));
    world.ask(Spec::Without);
    world.settle().await;
    assert_eq!(world.within(), ["MG1"]);
}

#[tokio::test]
async fn a_membership_that_was_found_or_handed_over_is_never_removed() {
    let mut world = World::new(Some("MG1"), Spec::Manages("MG1"));
    for spec in [Spec::Manages("MG1"), Spec::Without, Spec::Manages("MG2")] {
        world.ask(spec);
        world.settle().await;
        assert_eq!((world.within(), world.membership("support")), (vec!["MG1".to_owned()], None), "{spec:?}");
    }
    assert_eq!((world.admin.calls(JOIN), world.admin.calls(LEAVE)), (0, 0));
    let mut world = World::new(None, Spec::Manages("MG1"));
    for spec in [Spec::Manages("MG1"), Spec::Names("MG1"), Spec::Without] {
        world.ask(spec);
        world.settle().await;
        assert_eq!(world.within(), ["MG1"], "{spec:?}");
    }
}

#[tokio::test]
async fn while_another_sender_of_the_number_names_the_service_nobody_is_removed_from_it() {
    for (names, within) in [(Spec::Manages("MG1"), &["MG1"][..]), (Spec::Names("MG1"), &["MG1"]), (Spec::Without, &[])]
    {
        let mut world = World::new(None, Spec::Manages("MG1"));
        world.settle().await;
        world.add("other", names);
        world.settle().await;
        world.delete("support");
        world.settle().await;
        assert_eq!(
            (world.within(), world.objects()),
            (within.iter().map(|&pool| pool.to_owned()).collect(), 1),
            "{names:?}"
        );
    }
}

#[tokio::test]
async fn a_sender_that_gives_a_service_up_leaves_it_to_another_one_of_the_number() {
    let mut world = World::new(None, Spec::Manages("MG1"));
    world.settle().await;
    world.add("other", Spec::Manages("MG1"));
    world.settle().await;
    world.ask_of("support", Spec::Without);
    world.settle().await;
    assert_eq!((world.within(), world.membership("support")), (vec!["MG1".to_owned()], None));
}

#[tokio::test]
async fn with_retain_a_deleted_sender_stays_where_it_is() {
    let mut world = World::new(None, Spec::Manages("MG1"));
    world.settle().await;
    world.change(|sender| sender.spec.deletion_policy = DeletionPolicy::Retain);
    world.delete("support");
    world.settle().await;
    assert_eq!((world.within(), world.objects()), (vec!["MG1".to_owned()], 0));
}

#[tokio::test]
async fn a_service_that_decides_points_at_the_data_plane_before_the_sender_is_in_it() {
    let mut world = World::new(None, Spec::Manages("MG1"));
    world.admin.fail_operation(JOIN, 1);
    world.round().await;
    assert_eq!(world.within(), [""; 0]);
    let inbound = world.admin.webhooks_of_pool("MG1").inbound.unwrap_or_default();
    assert!(inbound.contains("/webhooks/shop/support/"), "{inbound}");
}

#[tokio::test]
async fn a_sender_leaves_a_service_only_once_its_own_webhooks_are_in_place() {
    let mut world = World::new(None, Spec::Manages("MG1"));
    world.settle().await;
    world.ask(Spec::Without);
    world.admin.break_webhooks(HANDLE);
    world.round().await;
    assert_eq!(world.within(), ["MG1"], "customers would not be heard");
    let webhooks = world.condition(WEBHOOKS_CONFIGURED).unwrap();
    assert!(webhooks.status == "False" && webhooks.message.contains("MG1"), "{}", webhooks.message);
    world.settle().await;
    assert_eq!((world.within(), world.is_ready()), (vec![], true));
}

#[tokio::test]
async fn who_is_in_another_service_is_told_which_and_what_to_do() {
    let mut world = World::new(Some("MG2"), Spec::Manages("MG1"));
    world.admin.defer_to_senders("MG2");
    world.settle().await;
    let Some((_, why, message)) = &world.failed else { panic!("it failed") };
    assert_eq!(*why, reason::CONFLICT);
    assert!(message.contains("remove it from the sender pool of MG2") && message.contains("to MG2"), "{message}");

    // Also where the provider shows it only when it is asked to add it.
    let mut world = World::new(None, Spec::Manages("MG1"));
    world.admin.hold_back_pools(true);
    world.admin.set_members("MG2", &[HANDLE]);
    world.round().await;
    let Some((advice, why, message)) = &world.failed else { panic!("it failed") };
    assert_eq!((*advice, *why), (Advice::Stalled, reason::CONFLICT), "{message}");
    assert_eq!((world.membership("support"), world.within()), (None, vec!["MG2".to_owned()]));
}

#[tokio::test]
async fn a_full_service_and_a_refusal_are_told_with_the_remedy_and_nothing_is_claimed() {
    let mut world = World::new(None, Spec::Manages("MG1"));
    world.admin.limit_members(0);
    world.round().await;
    let Some((advice, why, message)) = world.failed.clone() else { panic!("it failed") };
    assert_eq!((advice, why), (Advice::Stalled, reason::PROVIDER_REFUSED));
    assert!(message.contains("MG1: its sender pool is full") && message.contains("raise its limit"), "{message}");

    let mut world = World::new(None, Spec::Manages("MG1"));
    world.admin.refuse(JOIN);
    world.round().await;
    let Some((advice, why, message)) = world.failed.clone() else { panic!("it failed") };
    assert_eq!((advice, why), (Advice::Stalled, reason::PROVIDER_REFUSED));
    assert!(message.contains("authToken") && message.contains("External"), "{message}");
    // A person adds it by hand, so it is theirs.
    world.admin.refuse_nothing();
    world.admin.set_members("MG1", &[HANDLE]);
    world.settle().await;
    assert_eq!((world.membership("support"), world.is_ready()), (None, true));
}

#[tokio::test]
async fn a_refusal_to_remove_a_sender_is_told_and_blocks_no_deletion() {
    let mut world = World::new(None, Spec::Manages("MG1"));
    world.settle().await;
    world.admin.refuse(LEAVE);
    world.ask(Spec::Without);
    world.settle().await;
    let Some((advice, _, message)) = world.failed.clone() else { panic!("it failed") };
    assert!(advice == Advice::Stalled && message.contains("remove it in the provider's console"), "{message}");
    assert!(world.membership("support").is_some());
    world.admin.fail_operation("list_senders", 100);
    world.delete("support");
    world.round().await;
    assert_eq!(world.objects(), 1, "an outage delays the deletion");
    world.admin.fail_operation("list_senders", 0);
    world.round().await;
    assert_eq!((world.objects(), world.within()), (0, vec!["MG1".to_owned()]));
}

#[tokio::test]
async fn a_service_of_another_namespace_is_not_joined() {
    let mut world = World::new(None, Spec::Manages("MG1"));
    let now = world.now();
    *world.outside.owners.0.lock() = Some(Record { owner: "bank".parse().unwrap(), since: now, seen: now });
    world.settle().await;
    assert_eq!((world.within(), world.admin.calls(JOIN), world.membership("support")), (vec![], 0, None));
    assert!(world.failed.as_ref().is_some_and(|(_, _, message)| message.contains("the namespace bank")));
}

#[tokio::test]
async fn a_paused_sender_neither_joins_nor_leaves() {
    let mut world = World::new(None, Spec::Manages("MG1"));
    world.settle().await;
    world.change(|sender| drop(sender.annotations_mut().insert(PAUSED.to_owned(), "true".to_owned())));
    world.ask(Spec::Without);
    world.settle().await;
    assert_eq!(world.within(), ["MG1"]);
    world.admin.set_members("MG1", &[]);
    world.ask(Spec::Manages("MG1"));
    world.settle().await;
    assert_eq!((world.within(), world.admin.calls(JOIN)), (vec![], 1));
}

#[tokio::test]
async fn at_rest_nothing_is_written_also_after_a_restart() {
    let mut world = World::new(None, Spec::Manages("MG1"));
    world.settle().await;
    let writes = world.admin.fuse.burnt();
    for _ in 0..5 {
        world.wait(3600);
        world.round().await;
    }
    world.restart();
    world.round().await;
    assert_eq!(world.admin.fuse.burnt(), writes);
}
