//! Every shape that a status of ours can have, and what each means to a tool that knows only kstatus.
//!
//! Written to `tests/kstatus/testdata/`, where the official library reads them.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::reconcile::error::{Advice, Explain, Failure};
use crate::reconcile::kind::Kind;
use crate::reconcile::live::{Before, Live, correct};
use crate::reconcile::progress::Progress;
use crate::reconcile::status::{Frame, compose};

const STATES: &str = "../tests/kstatus/testdata/states.jsonl";
/// The generation that is reconciled.
const GENERATION: i64 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Ready,
    NotYet,
    Undecided,
    Failed(Advice),
}

const OUTCOMES: [Outcome; 6] = [
    Outcome::Ready,
    Outcome::NotYet,
    Outcome::Undecided,
    Outcome::Failed(Advice::Stalled),
    Outcome::Failed(Advice::Waiting { after: None }),
    Outcome::Failed(Advice::Transient { not_before: None }),
];

#[derive(Debug, thiserror::Error)]
#[error("no")]
struct Refused(Advice);
impl Explain for Refused {
    fn advice(&self) -> Advice {
        self.0
    }
    fn reason(&self) -> &'static str {
        "Refused"
    }
    fn condition(&self) -> Option<&'static str> {
        Some(crds::condition::CREDENTIALS_VALID)
    }
}

fn answers() -> Vec<Option<Live>> {
    let message = || "it does not fit".to_owned();
    let some = Live::RefusedBySome { pod: "data-plane-0".into(), why: message(), ready: 1, total: 2 };
    let known = [
        Live::Everywhere,
        Live::On { ready: 1, total: 2 },
        Live::On { ready: 0, total: 0 },
        Live::Unpublished { stalled: false, message: message() },
        Live::Unpublished { stalled: true, message: message() },
        Live::Refused(message()),
        some,
    ];
    [None].into_iter().chain(known.map(Some)).collect()
}

/// What a person would say of an object whose newest generation was reconciled.
fn meaning(outcome: Outcome, live: Option<&Live>, before: Before) -> &'static str {
    let is_stuck = matches!(live, Some(Live::Unpublished { stalled: true, .. } | Live::Refused(_)));
    let is_fully_run = live == Some(&Live::Everywhere);
    // What was ready stays so while replicas take a config over one after another, and while it is not known who did.
    let follows = matches!(live, None | Some(Live::On { total: 1.., .. } | Live::Unpublished { stalled: false, .. }));
    match outcome {
        // The data plane does not keep the pause.
        _ if before.paused && is_stuck => "Failed",
        // Somebody waits with it on purpose.
        _ if before.paused => "InProgress",
        Outcome::Failed(Advice::Stalled) => "Failed",
        Outcome::Ready if is_stuck => "Failed",
        Outcome::Ready if is_fully_run || (before.was_ready && follows) => "Current",
        _ => "InProgress",
    }
}

fn status(kind: &[&'static str], outcome: Outcome, live: Option<&Live>, before: (&Value, Before)) -> Value {
    let (status, before) = before;
    let mut progress = Progress::new((), before.paused);
    let failure: Option<Failure> = match outcome {
        Outcome::Failed(advice) => Some(Refused(advice).into()),
        _ => None,
    };
    match outcome {
        Outcome::Ready => progress.ready("it works"),
        Outcome::NotYet => progress.not_ready("UnderReview", "it is under review"),
        _ => {}
    }
    let found = progress.assess(failure.as_ref().map_or(Ok(()), Err), kind);
    let assessed = correct(found, live, before);
    let frame = Frame {
        owned: kind,
        assessed: &assessed,
        generation: GENERATION,
        requested_at: None,
        data_plane: None,
        now: Timestamp::from_second(1_800_000_000).unwrap(),
    };
    compose(status, json!({}), &frame)
}

/// Every state, by its object, with a story of how it comes about and what it means.
fn states() -> BTreeMap<String, (String, &'static str)> {
    let mut states = BTreeMap::new();
    let mut add = |object: &Value, story: String, means: &'static str| {
        let (first, known) = states.entry(object.to_string()).or_insert((story.clone(), means));
        assert_eq!(*known, means, "one status, two meanings: {first}; {story}; {object}");
    };
    let kinds: [(&str, &[&'static str]); 3] = [
        ("WhatsAppSender", crds::WhatsAppSender::CONDITIONS),
        ("MessageTemplate", crds::MessageTemplate::CONDITIONS),
        ("RoutingPolicy", crds::RoutingPolicy::CONDITIONS),
    ];
    for (kind, conditions) in kinds {
        let object = |generation: i64, is_deleted: bool, status: &Value| {
            let mut object = json!({
                "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": kind,
                "metadata": {"name": "x", "namespace": "shop", "generation": generation}, "status": status,
            });
            if is_deleted {
                object["metadata"]["deletionTimestamp"] = json!("2027-01-15T08:00:00Z");
            }
            object
        };
        // The default of the CRD.
        let unseen = json!({"observedGeneration": -1});
        add(&object(1, false, &unseen), format!("a {kind} that no operator has seen"), "InProgress");
        let new = json!({});
        let everywhere = Some(Live::Everywhere);
        let unpaused = Before { was_ready: false, paused: false };
        let before = [
            ("new", new.clone(), false),
            ("ready", status(conditions, Outcome::Ready, everywhere.as_ref(), (&new, unpaused)), true),
            ("stalled", status(conditions, Outcome::Failed(Advice::Stalled), None, (&new, unpaused)), false),
            ("under review", status(conditions, Outcome::NotYet, None, (&new, unpaused)), false),
        ];
        for (was, before, was_ready) in &before {
            for outcome in OUTCOMES {
                for live in answers() {
                    for paused in [false, true] {
                        let known = Before { was_ready: *was_ready, paused };
                        let status = status(conditions, outcome, live.as_ref(), (before, known));
                        let story = format!("a {kind} that was {was}: {outcome:?}, paused: {paused}, {live:?}");
                        let means = meaning(outcome, live.as_ref(), known);
                        add(&object(GENERATION, false, &status), story.clone(), means);
                        add(&object(GENERATION + 1, false, &status), format!("{story}, then changed"), "InProgress");
                        add(&object(GENERATION, true, &status), format!("{story}, then deleted"), "Terminating");
                    }
                }
            }
        }
    }
    states
}

#[test]
fn the_states_that_kstatus_is_tested_with_are_those_of_this_version() {
    let lines: Vec<String> = states()
        .into_iter()
        .map(|(object, (story, means))| {
            let object: Value = serde_json::from_str(&object).unwrap();
            json!({"story": story, "means": means, "object": object}).to_string() + "\n"
        })
        .collect();
    assert!(lines.len() > 200, "{} states", lines.len());
    let (path, text) = (Path::new(env!("CARGO_MANIFEST_DIR")).join(STATES), lines.concat());
    if std::env::var_os("UPDATE_STATES").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "{} is of another version: run `make generate`", path.display());
}
