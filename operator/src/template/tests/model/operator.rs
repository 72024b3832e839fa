//! One process of the operator: where it stands in a reconcile.

use std::collections::{BTreeMap, VecDeque};
use std::sync::LazyLock;

use crds::{RevisionStatus, TemplateLocationStatus};
use jiff::{SignedDuration, Timestamp};
use messaging::provider::admin::TemplateHandle;

use super::super::world::{ACCOUNT, template};
use crate::template::claims::Claims;
use crate::template::plan::{AccountView, Observation, Plan, Step, plan};
use crate::template::validate::{Validated, validate};

pub(super) use crate::template::plan::LIST_LAG;

/// The template with either text, in one language.
static TEXTS: LazyLock<[Validated; 2]> = LazyLock::new(|| {
    let german = "    - { language: de, body: \"Hallo {{1}}, dein Paket hat heute unser Lager verlassen.\" }\n";
    let with = |more: &[(&str, &str)]| validate(&template(&[&[(german, "")], more].concat())).unwrap();
    [with(&[]), with(&[("Hello {{1}}, your", "Dear {{1}}, your")])]
});

pub(super) fn text(n: usize) -> &'static Validated {
    &TEXTS[n]
}

#[derive(Debug, Clone, Default)]
pub(super) struct Operator {
    pub(super) stage: Stage,
    /// What its config sends with; absent until it has looked.
    pub(super) contributes: Option<Option<TemplateHandle>>,
}

#[derive(Debug, Clone, Default)]
pub(super) enum Stage {
    #[default]
    Idle,
    /// It has decided, and takes the steps one after the other.
    Acting(Acting),
    /// A call is on its way.
    Calling { acting: Acting, step: Step, since: Timestamp },
    /// The status is about to be written.
    Reporting { known: Vec<TemplateLocationStatus>, locations: Vec<TemplateLocationStatus> },
}

#[derive(Debug, Clone)]
pub(super) struct Acting {
    pub(super) text: usize,
    /// What was recorded when it looked, or what it recorded since.
    pub(super) known: Vec<TemplateLocationStatus>,
    pub(super) locations: Vec<TemplateLocationStatus>,
    pub(super) steps: VecDeque<Step>,
    pub(super) intended_at: Option<Timestamp>,
}

impl Operator {
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle)
    }
}

/// What was looked at.
pub(super) struct Look<'a> {
    pub(super) text: usize,
    pub(super) record: &'a [TemplateLocationStatus],
    pub(super) listed: Vec<messaging::provider::admin::TemplateObservation>,
    /// As of when the list is believed to be.
    pub(super) listed_at: Timestamp,
    pub(super) data_plane_follows: bool,
    pub(super) now: Timestamp,
}

pub(super) fn decide(look: Look<'_>) -> Acting {
    let Look { text: wanted, record, listed, listed_at, data_plane_follows, now } = look;
    let seen = Observation {
        wanted: [ACCOUNT.to_owned()].into(),
        accounts: BTreeMap::from([(ACCOUNT.to_owned(), AccountView::Listed { at: listed_at, templates: listed })]),
        knows_senders: true,
        elsewhere: BTreeMap::new(),
        claims: Claims::default(),
        data_plane_follows,
        now,
    };
    let Plan { locations, steps, .. } = plan(text(wanted), record, &seen);
    Acting { text: wanted, known: record.to_vec(), locations, steps: steps.into(), intended_at: None }
}

/// What a config sends with that follows from these locations.
pub(super) fn serving(locations: &[TemplateLocationStatus]) -> Option<TemplateHandle> {
    let serving = locations.iter().find_map(|location| location.serving.as_ref());
    serving.and_then(|revision: &RevisionStatus| revision.handle.clone())
}

/// Whether the clock may move on: no call takes longer than this.
pub(super) fn may_wait(since: Timestamp, now: Timestamp, longest: SignedDuration) -> bool {
    now.duration_since(since) < longest
}
