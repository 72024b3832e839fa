use messaging::id::PoolId;
use messaging::provider::admin::{PoolMember, PoolObservation, SenderObservation, Stage};
use proptest::prelude::*;

use super::*;
use crate::testing::senders::online_sender;

fn targets(to: &str) -> WebhookTargets {
    let url = |rest: &str| Some(format!("https://{to}.example.com/{rest}#rc=5&rp=all"));
    WebhookTargets { inbound: url("inbound"), status: url("status") }
}

fn wanted() -> Wanted {
    Wanted {
        own: targets("ours"),
        of_service: targets("ours"),
        pool: None,
        pool_of_another: None,
        private_sink: None,
        paused: false,
        is_sandbox: false,
        taken_by: None,
    }
}

fn sender(webhooks: WebhookTargets) -> SenderObservation {
    SenderObservation { webhooks, ..online_sender("XE1") }
}

fn service(senders: &[&str], defers_to_sender: bool, webhooks: WebhookTargets) -> PoolObservation {
    PoolObservation {
        id: PoolId::new("MG1"),
        senders: senders.iter().map(|&sender| PoolMember { handle: sender.into(), number: None }).collect(),
        defers_to_sender,
        webhooks,
    }
}

#[test]
fn each_situation_has_its_plan() {
    let (ours, theirs) = (targets("ours"), targets("theirs"));
    let alone = |webhooks: &WebhookTargets| Observed { sender: Some(sender(webhooks.clone())), ..Observed::default() };
    let with =
        |service| Observed { sender: Some(sender(theirs.clone())), service: Some(service), unnamed_service: None };
    let unnamed = |service| Observed { unnamed_service: Some(service), ..alone(&ours) };
    let in_service = Wanted { pool: Some(PoolId::new("MG1")), ..wanted() };
    let banks = Some((PoolId::new("MG1"), "bank".parse().unwrap()));
    let offline = Observed {
        sender: Some(SenderObservation { online: false, status: "OFFLINE".into(), ..sender(ours.clone()) }),
        ..Observed::default()
    };
    let registering = |stage, webhooks: &WebhookTargets| Observed {
        sender: Some(SenderObservation { online: false, stage, ..sender(webhooks.clone()) }),
        ..Observed::default()
    };
    for (why, wanted, observed, webhooks, trouble) in [
        ("all is well", wanted(), alone(&ours), Webhooks::InPlace(ours.clone()), None),
        ("webhooks drifted", wanted(), alone(&theirs), Webhooks::Configure(ours.clone()), None),
        (
            "webhooks drifted, and the sender is paused",
            Wanted { paused: true, ..wanted() },
            alone(&theirs),
            Webhooks::Held { found: theirs.clone(), wanted: ours.clone() },
            None,
        ),
        ("the sender does not exist", wanted(), Observed::default(), Webhooks::NotOurs, Some("SenderNotFound")),
        ("it is offline, and still managed", wanted(), offline, Webhooks::InPlace(ours.clone()), Some("SenderOffline")),
        (
            "the service decides, and points elsewhere",
            in_service.clone(),
            with(service(&["XE1"], false, theirs.clone())),
            Webhooks::Configure(ours.clone()),
            None,
        ),
        (
            "the service decides, and points at us; the sender's own do not matter",
            in_service.clone(),
            with(service(&["XE1"], false, ours.clone())),
            Webhooks::InPlace(ours.clone()),
            None,
        ),
        (
            "the service defers to the sender",
            in_service.clone(),
            with(service(&["XE1"], true, ours.clone())),
            Webhooks::Configure(ours.clone()),
            None,
        ),
        (
            "the sender is not in its service",
            in_service.clone(),
            with(service(&["XE2"], false, ours.clone())),
            Webhooks::Configure(ours.clone()),
            Some("ReferenceNotFound"),
        ),
        (
            "a service that the spec does not name decides where its messages go, so it sends nothing",
            wanted(),
            unnamed(service(&["XE1"], false, theirs.clone())),
            Webhooks::InPlace(ours.clone()),
            Some("WebhooksDrifted"),
        ),
        (
            "a service that the spec does not name defers to the sender",
            wanted(),
            unnamed(service(&["XE1"], true, theirs.clone())),
            Webhooks::InPlace(ours.clone()),
            None,
        ),
        (
            "the service does not exist",
            in_service.clone(),
            alone(&ours),
            Webhooks::InPlace(ours.clone()),
            Some("ReferenceNotFound"),
        ),
        (
            "the service is another namespace's, so the sender sends nothing",
            Wanted { pool_of_another: banks.clone(), ..in_service.clone() },
            with(service(&["XE1"], false, theirs.clone())),
            Webhooks::NotOurs,
            Some("Conflict"),
        ),
        (
            "the service is another namespace's and defers to the sender, which hears its own and sends nothing",
            Wanted { pool_of_another: banks.clone(), ..in_service.clone() },
            with(service(&["XE1"], true, theirs.clone())),
            Webhooks::Configure(ours.clone()),
            Some("Conflict"),
        ),
        (
            "the service is another namespace's and does not hold the sender, which sends nothing",
            Wanted { pool_of_another: banks.clone(), ..in_service.clone() },
            with(service(&["XE2"], false, theirs.clone())),
            Webhooks::Configure(ours.clone()),
            Some("Conflict"),
        ),
        (
            "a service of another namespace holds the sender, whose spec does not name it, so it sends nothing",
            Wanted { pool_of_another: banks, ..wanted() },
            unnamed(service(&["XE1"], false, theirs.clone())),
            Webhooks::InPlace(ours.clone()),
            Some("Conflict"),
        ),
        (
            "it is being registered, and nothing is changed before it is online",
            in_service.clone(),
            registering(Stage::UnderWay, &theirs),
            Webhooks::NotOurs,
            Some("SenderOffline"),
        ),
        (
            "WhatsApp waits for a code, and its webhooks are in place from the beginning",
            in_service,
            registering(Stage::AwaitsCode, &ours),
            Webhooks::InPlace(ours.clone()),
            Some("AwaitsVerificationCode"),
        ),
        (
            "events would go to a private address",
            Wanted { private_sink: Some((0, "app.shop.svc".into())), ..wanted() },
            alone(&ours),
            Webhooks::InPlace(ours.clone()),
            Some("InvalidSpec"),
        ),
        (
            "another sender has the number",
            Wanted { taken_by: Some("somebody".into()), ..wanted() },
            alone(&theirs),
            Webhooks::NotOurs,
            Some("Conflict"),
        ),
    ] {
        let plan = plan(&wanted, &observed);
        assert_eq!(plan.webhooks, webhooks, "{why}");
        let stopped = why.contains("sends nothing");
        assert_eq!(plan.publish == Publish::Stopped, stopped, "{why}");
        assert_eq!(plan.trouble.as_ref().map(Explain::reason), trouble, "{why}");
    }
}

/// The provider: its state, and what it shows, which may lag.
#[derive(Debug, Clone)]
struct World {
    now: Observed,
    shown: Observed,
    writes: usize,
}

impl World {
    fn write(&mut self, target: &WebhookTargets) {
        self.writes += 1;
        let Some(sender) = &mut self.now.sender else { return };
        match self.now.service.as_mut().filter(|service| service.decides_webhooks_of(&sender.handle)) {
            Some(service) => service.webhooks = target.clone(),
            None => sender.webhooks = target.clone(),
        }
    }
}

#[derive(Debug, Clone)]
enum Happening {
    /// A reconcile, which may crash before its write.
    Reconcile { crash_before_write: bool },
    /// The provider's read side catches up.
    CatchUp,
    /// Someone points the webhooks elsewhere.
    Drift,
    /// The service begins or stops to defer to its senders.
    Defer,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => any::<bool>().prop_map(|crash_before_write| Happening::Reconcile { crash_before_write }),
        2 => Just(Happening::CatchUp),
        1 => Just(Happening::Drift),
        1 => Just(Happening::Defer),
    ]
}

fn reconcile(wanted: &Wanted, world: &mut World, crash_before_write: bool) {
    if let Webhooks::Configure(target) = plan(wanted, &world.shown).webhooks
        && !crash_before_write
    {
        world.write(&target);
    }
}

proptest! {
    /// Whatever happened, with crashes at any point and stale answers: once nothing else changes, two reconciles put
    /// everything in place, and later ones write nothing.
    #[test]
    fn webhooks_converge_and_then_nothing_is_written(happenings in proptest::collection::vec(happening(), 0..40), in_service: bool, paused: bool) {
        let wanted = Wanted { pool: in_service.then(|| PoolId::new("MG1")), paused, ..wanted() };
        let begin = Observed {
            sender: Some(sender(WebhookTargets::default())),
            service: in_service.then(|| service(&["XE1"], false, WebhookTargets::default())),
            unnamed_service: None,
        };
        let mut world = World { now: begin.clone(), shown: begin, writes: 0 };
        for happening in happenings {
            match happening {
                Happening::Reconcile { crash_before_write } => reconcile(&wanted, &mut world, crash_before_write),
                Happening::CatchUp => world.shown = world.now.clone(),
                Happening::Drift => {
                    let writes = world.writes;
                    world.write(&targets("theirs"));
                    world.writes = writes;
                }
                Happening::Defer => {
                    if let Some(service) = &mut world.now.service {
                        service.defers_to_sender = !service.defers_to_sender;
                    }
                }
            }
        }
        if paused {
            prop_assert_eq!(world.writes, 0);
            return Ok(());
        }
        for _ in 0..2 {
            world.shown = world.now.clone();
            reconcile(&wanted, &mut world, false);
        }
        let writes = world.writes;
        for _ in 0..3 {
            world.shown = world.now.clone();
            let plan = plan(&wanted, &world.shown);
            prop_assert_eq!(&plan.webhooks, &Webhooks::InPlace(targets("ours")));
            reconcile(&wanted, &mut world, false);
        }
        prop_assert_eq!(world.writes, writes);
    }
}
