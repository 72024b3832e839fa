//! Whatever happens in between, an account ends with one stream and one subscription, or with none, and then it is
//! silent.

mod world;

use std::time::Duration;

use crds::annotation::PAUSED;
use crds::{DeletionPolicy, TemplateEventsStatus};
use kube::ResourceExt;
use messaging::provider::admin::{Stream, StreamState, Subscription};

use self::world::World;
use crate::reconcile::kind::Kind as _;
use crate::reconcile::progress::Next;

fn asks(asks: bool) -> impl Fn(&mut crds::WhatsAppSender) {
    move |sender| sender.spec.provider.twilio.as_mut().unwrap().template_events = asks
}

fn deleted(name: &'static str) -> impl Fn(&mut crds::WhatsAppSender) {
    move |sender| {
        if sender.name_any() == name {
            sender.metadata.deletion_timestamp =
                Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH));
        }
    }
}

fn shown(state: &str, reason: &str) -> Option<(String, String)> {
    Some((state.to_owned(), reason.to_owned()))
}

/// What comes one after the other in the life of an account.
#[derive(Clone, Copy)]
enum Stage {
    SetUp,
    AnotherUrl,
    AnotherSenderActs,
    End,
}

impl Stage {
    const ALL: [Self; 4] = [Self::SetUp, Self::AnotherUrl, Self::AnotherSenderActs, Self::End];

    fn begin(self, world: &mut World) {
        match self {
            Self::SetUp => {}
            Self::AnotherUrl => world.move_to("https://elsewhere.example.com/"),
            Self::AnotherSenderActs => world.change(deleted("support")),
            Self::End => world.change(asks(false)),
        }
    }

    fn is_over(self, world: &World) {
        match self {
            Self::SetUp | Self::AnotherUrl => world.is_in_place("support"),
            Self::AnotherSenderActs => world.is_in_place("sales"),
            Self::End => {
                assert_eq!((world.admin.all_streams(), world.admin.all_subscriptions()), (vec![], vec![]));
                assert_eq!(world.shows("sales"), None);
            }
        }
    }
}

#[tokio::test]
async fn one_sender_of_an_account_acts_and_the_others_show_the_same() {
    let mut world = World::new();
    world.settle().await;
    world.is_in_place("support");
    for sender in ["support", "sales"] {
        assert_eq!(world.shows(sender), shown("True", "StreamInPlace"), "{sender}");
    }
    let message = world.condition("sales").unwrap().message;
    assert!(message.contains("\"support\" acts"), "{message}");
    let status = world.senders[0].status.as_ref().unwrap().template_events.clone().unwrap();
    assert_eq!((status.stream, status.tests), (Some(world.admin.all_streams()[0].id.clone()), None));
    assert!(world.senders[1].status.as_ref().unwrap().template_events.is_none());
}

#[tokio::test]
async fn a_crash_after_any_write_leaves_one_stream_and_one_subscription_and_then_silence() {
    let mut crashes = 0;
    for nth in 0.. {
        let mut world = World::new();
        world.admin.fuse.light(nth);
        for stage in Stage::ALL {
            // Each with the same crash to come.
            stage.begin(&mut world);
            world.settle().await;
            stage.is_over(&world);
        }
        if world.admin.fuse.burnt() <= nth {
            break;
        }
        crashes += 1;
    }
    assert!(crashes > 20, "{crashes} writes");
}

/// Another process takes over from one that hangs on the way to the provider or back, which goes on when all is quiet,
/// or while the other one is at work.
#[tokio::test]
async fn a_leader_that_hangs_in_any_write_leaves_one_stream_and_one_subscription_and_then_silence() {
    let mut hangs = 0;
    let quiet = None;
    for (lists_lag, overstays, hangs_for) in [(true, false, quiet), (false, true, quiet), (true, true, Some(2))] {
        for nth in 0.. {
            let mut world = World::new();
            (world.lists_lag, world.overstays, world.hangs_for) = (lists_lag, overstays, hangs_for);
            world.hang(nth);
            for stage in Stage::ALL {
                stage.begin(&mut world);
                world.settle().await;
                stage.is_over(&world);
                if world.hangs > 0 {
                    break;
                }
            }
            hangs += world.hangs;
            if world.hangs == 0 {
                break;
            }
        }
    }
    println!("a leader that hangs at {hangs} points");
    assert!(hangs > 90, "{hangs} points");
}

/// The call reaches the provider after the next process saw that nothing is left, and forgot that there was something.
#[tokio::test]
async fn a_write_that_arrives_after_the_end_leaves_at_most_a_stream_without_a_subscription_and_that_is_used_again() {
    for nth in 0.. {
        let mut world = World::new();
        world.hang(nth);
        world.be_quiet().await;
        world.change(asks(false));
        world.settle().await;
        assert_eq!(world.admin.all_subscriptions(), [], "{nth}");
        assert!(world.admin.all_streams().len() <= 1, "{nth}");
        world.change(asks(true));
        world.settle().await;
        world.is_in_place("support");
        if world.hangs == 0 {
            break;
        }
    }
}

#[tokio::test]
async fn a_field_that_is_removed_while_the_operator_is_down_leaves_nothing() {
    let mut crashes = 0;
    for nth in 0..20 {
        let mut world = World::new();
        world.admin.fuse.light(nth);
        for _ in 0..20 {
            if world.crashes == 0 {
                world.round().await;
            }
        }
        crashes += world.crashes;
        world.change(asks(false));
        world.settle().await;
        assert_eq!((world.admin.all_streams(), world.admin.all_subscriptions()), (vec![], vec![]), "write {nth}");
    }
    assert!(crashes > 5, "{crashes} crashes");
}

#[tokio::test]
async fn a_lost_answer_leaves_nothing_twice() {
    for operation in ["create_stream", "test_stream", "confirm_stream", "subscribe", "unsubscribe", "delete_stream"] {
        let mut world = World::new();
        world.admin.lose_answer(operation);
        world.settle().await;
        world.is_in_place("support");
        world.move_to("https://elsewhere.example.com/");
        world.settle().await;
        world.is_in_place("support");
    }
}

#[tokio::test]
async fn at_rest_nothing_is_written_also_after_a_restart() {
    let mut world = World::new();
    world.settle().await;
    let (writes, told) = (world.admin.fuse.burnt(), world.told.len());
    for _ in 0..5 {
        world.wait(3600);
        world.round().await;
    }
    world.restart();
    world.round().await;
    assert_eq!((world.admin.fuse.burnt(), world.told.len()), (writes, told));
}

#[tokio::test]
async fn without_a_test_event_nothing_is_subscribed_and_tests_become_rare() {
    let mut world = World::new();
    world.is_reachable = false;
    for _ in 0..600 {
        world.round().await;
        world.wait(4);
    }
    assert_eq!(world.shows("support"), shown("False", "AwaitingTestEvent"));
    assert_eq!(world.shows("sales"), shown("False", "DependencyNotReady"));
    let message = world.condition("support").unwrap().message;
    assert!(message.contains("wa.example.com") && message.contains("reach"), "{message}");
    assert_eq!((world.admin.all_streams().len(), world.admin.all_subscriptions().len()), (1, 0));
    // An hour has passed.
    let tests = world.admin.tests_to(&world.url("support")).len();
    // Ever more seldom, and at least every five minutes.
    assert!((14..=17).contains(&tests), "{tests} tests");
    world.is_reachable = true;
    world.wait(300);
    world.settle().await;
    world.is_in_place("support");
}

#[tokio::test]
async fn a_test_event_that_the_provider_no_longer_takes_is_tried_once_and_the_next_one_counts() {
    let mut world = World::new();
    world.is_reachable = false;
    for _ in 0..4 {
        world.round().await;
        world.wait(10);
    }
    let tests = world.admin.tests_to(&world.url("support"));
    assert!(tests.len() > 1, "{tests:?}");
    world.arrives("support", &tests[0]);
    for _ in 0..3 {
        world.round().await;
    }
    assert_eq!(world.admin.calls("confirm_stream"), 1);
    assert_eq!(world.shows("support"), shown("False", "AwaitingTestEvent"));
    world.is_reachable = true;
    world.wait(300);
    world.settle().await;
    world.is_in_place("support");
}

#[tokio::test]
async fn what_somebody_breaks_at_the_provider_is_repaired() {
    type Change = fn(&mut Vec<Stream>, &mut Vec<(String, Subscription)>);
    let changes: [(&str, Change); 6] = [
        ("everything is deleted", |streams, subscriptions| {
            streams.clear();
            subscriptions.clear();
        }),
        ("the subscription is deleted", |_, subscriptions| subscriptions.clear()),
        ("it is to other events", |_, subscriptions| subscriptions[0].1.has_approvals = false),
        ("the provider has given it up", |streams, _| streams[0].state = StreamState::Failed),
        ("somebody tests it", |streams, _| streams[0].state = StreamState::Validating),
        ("it is there twice", |streams, subscriptions| {
            let twin = Stream { id: "DG0".to_owned(), ..streams[0].clone() };
            streams.push(twin);
            let again = Subscription { id: "DF0".to_owned(), ..subscriptions[0].1.clone() };
            subscriptions.push(("DG0".to_owned(), again));
        }),
    ];
    for (what, change) in changes {
        let mut world = World::new();
        world.settle().await;
        let before = world.admin.all_streams().remove(0).id;
        world.admin.tamper_with_streams(change);
        world.round().await;
        world.settle().await;
        world.is_in_place("support");
        // Nobody documents that one that was given up can be tested again.
        let is_another = world.admin.all_streams()[0].id != before;
        assert!(is_another || what != "the provider has given it up");
        assert_eq!(world.shows("support"), shown("True", "StreamInPlace"), "{what}");
    }
}

#[tokio::test]
async fn what_is_not_exactly_ours_is_left_alone() {
    let mut world = World::new();
    let others = |name: &str| Stream {
        id: format!("DG-{name}"),
        name: name.to_owned(),
        url: "https://elsewhere.example.com/".to_owned(),
        state: StreamState::Failed,
    };
    let theirs = [others("whatsapp-operator/uid-support-2"), others("whatsapp-operator/uid-other"), others("")];
    let known = theirs.to_vec();
    world.admin.tamper_with_streams(|streams, _| *streams = known);
    world.settle().await;
    assert_eq!(world.admin.all_streams().len(), 4);
    world.change(asks(false));
    world.settle().await;
    assert_eq!(world.admin.all_streams(), theirs);
}

#[test]
fn a_sender_that_made_something_or_is_about_to_is_cleaned_up_also_with_retain() {
    let mut sender = crate::sender::validate::tests::sender();
    sender.spec.deletion_policy = DeletionPolicy::Retain;
    assert!(!sender.needs_cleanup(), "{:?}", sender.spec);
    asks(true)(&mut sender);
    assert!(sender.needs_cleanup(), "it may be about to");
    asks(false)(&mut sender);
    sender.status.get_or_insert_default().template_events = Some(TemplateEventsStatus::default());
    assert!(sender.needs_cleanup(), "it has");
}

#[tokio::test]
async fn a_paused_sender_changes_nothing_at_the_provider() {
    let mut world = World::new();
    world.settle().await;
    world.admin.tamper_with_streams(|_, subscriptions| subscriptions.clear());
    world.change(|sender| drop(sender.annotations_mut().insert(PAUSED.to_owned(), "true".to_owned())));
    world.round().await;
    world.round().await;
    assert_eq!(world.admin.all_subscriptions(), []);
    assert_eq!(world.shows("support"), shown("False", "Paused"));
}

#[tokio::test]
async fn a_provider_that_refuses_or_is_away_makes_no_sender_unready_and_blocks_no_deletion() {
    let mut world = World::new();
    world.admin.refuse("create_stream");
    for _ in 0..3 {
        let ends = world.round().await;
        assert!(ends.iter().all(Option::is_some), "the sender itself is reconciled");
    }
    assert_eq!(world.shows("support"), shown("False", "ProviderRefused"));
    world.admin.refuse_nothing();
    world.settle().await;
    world.is_in_place("support");

    // An outage delays the deletion, and a refusal does not.
    world.admin.fail_operation("list_streams", 100);
    world.change(deleted("support"));
    world.change(deleted("sales"));
    world.round().await;
    assert_eq!(world.senders.len(), 1, "the one that acted waits");
    world.admin.fail_operation("list_streams", 0);
    world.admin.refuse("list_streams");
    world.round().await;
    assert_eq!(world.senders.len(), 0);
}

#[tokio::test]
async fn a_test_event_is_looked_at_as_soon_as_it_is_due_and_not_before() {
    let mut world = World::new();
    world.is_reachable = false;
    world.round().await;
    let ends = world.round().await;
    let Some(Some(Next::After(after))) = ends.first() else { panic!("{ends:?}") };
    // The first test event has ten seconds.
    assert_eq!(*after, Duration::from_secs(10));
}
