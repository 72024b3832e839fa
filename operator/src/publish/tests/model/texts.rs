//! What a tenant's config may say, and what the operator's own functions make of it. Each answer is worked out once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use messaging::config::TenantConfig;
use messaging::config::parts::{ContentId, PartIndex, cut, packed_part};
use messaging::id::TenantId;
use messaging::template::{LocalizationConfig, LocalizedContent, TemplateCategory, TemplateConfig};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::publish::compile::{Input, Present};
use crate::publish::compose::{Composed, compose};
use crate::publish::contributions::TenantContributions;
use crate::publish::publisher::Readers;
use crate::publish::publisher::form::{Form, form};

/// What the tenant's only template says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Text {
    Small,
    /// More than one Secret holds.
    Large,
    /// As large, and another in its last part.
    Larger,
    /// Every replica refuses it.
    Refused,
    /// The operator leaves it out.
    Faulty,
}

/// How a config is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Shape {
    Whole { for_now: bool },
    Parts,
}

pub(super) const TEMPLATE: &str = "news";

pub(super) fn tenant() -> TenantId {
    "shop".parse().unwrap()
}

fn template(text: Text) -> TemplateConfig {
    let noise = |n: usize| BASE64_STANDARD.encode(Sha256::digest(n.to_be_bytes()));
    let large = || (0..34_000).map(noise).collect::<String>();
    let body = match text {
        Text::Small | Text::Faulty => "small".to_owned(),
        Text::Large => large() + "large",
        Text::Larger => large() + "larger",
        Text::Refused => "refused".to_owned(),
    };
    let content = LocalizedContent { body, header: None, footer: None, buttons: vec![] };
    let localization = LocalizationConfig { content, accounts: BTreeMap::new() };
    TemplateConfig {
        category: TemplateCategory::Utility,
        variables: vec![],
        fallback_language: if text == Text::Faulty { "de" } else { "en" }.into(),
        localizations: BTreeMap::from([("en".to_owned(), localization.into())]).into(),
    }
}

/// A config that a text leads to, where nothing was published before.
struct Known {
    config: Arc<TenantConfig>,
    json: Vec<u8>,
    index: PartIndex,
    index_id: ContentId,
    pieces: Vec<Vec<u8>>,
}

static KNOWN: LazyLock<BTreeMap<Text, Known>> = LazyLock::new(|| {
    let known = |text| {
        let (config, json) = composed(None, true, Some(Some(text))).unwrap();
        let pieces: Vec<Vec<u8>> = cut(&json).into_iter().map(packed_part).collect();
        let index = PartIndex::of(&tenant(), &cut(&json));
        (text, Known { config: Arc::new(config), json, index_id: index.id(), index, pieces })
    };
    [Text::Small, Text::Large, Text::Larger, Text::Refused, Text::Faulty].map(known).into()
});

pub(super) fn config(text: Text) -> Arc<TenantConfig> {
    Arc::clone(&KNOWN[&text].config)
}

pub(super) fn index(text: Text) -> &'static PartIndex {
    &KNOWN[&text].index
}

pub(super) fn index_id(text: Text) -> ContentId {
    KNOWN[&text].index_id.clone()
}

/// The parts that a text's index names.
pub(super) fn parts(text: Text) -> &'static [ContentId] {
    index(text).parts()
}

/// Answers of pure functions.
type Answers<Q, A> = LazyLock<Mutex<HashMap<Q, A>>>;

fn once<Q: std::hash::Hash + Eq + Clone, A: Copy>(answers: &Answers<Q, A>, asked: Q, answer: impl FnOnce() -> A) -> A {
    if let Some(known) = answers.lock().get(&asked) {
        return *known;
    }
    let answer = answer();
    answers.lock().insert(asked, answer);
    answer
}

fn composed(
    previous: Option<Text>,
    is_present: bool,
    contributed: Option<Option<Text>>,
) -> Option<(TenantConfig, Vec<u8>)> {
    let name = || TEMPLATE.parse().unwrap();
    let contributions = TenantContributions {
        templates: contributed.into_iter().map(|text| (name(), text.map(template))).collect(),
        ..TenantContributions::default()
    };
    let mut present = Present::default();
    if is_present {
        present.templates.insert(name(), ["support".parse().unwrap()].into());
    }
    let Composed { config, .. } = compose(Input {
        tenant: &tenant(),
        public_base_url: &"https://wa.example.com".parse().unwrap(),
        present: &present,
        contributed: &contributions,
        api_keys: vec![],
        previous: previous.map(|text| &*KNOWN[&text].config),
    });
    config
}

/// What is to be published, and whether it is what was contributed. `contributed` is absent while that is unknown.
pub(super) fn compile(previous: Option<Text>, is_present: bool, contributed: Option<Text>) -> Option<Text> {
    static ANSWERS: Answers<(Option<Text>, bool, Option<Text>), Option<Text>> = LazyLock::new(Mutex::default);
    once(&ANSWERS, (previous, is_present, contributed), || {
        let (_, json) = composed(previous, is_present, contributed.map(Some))?;
        let known = KNOWN.iter().find(|(_, known)| known.json == json);
        Some(*known.expect("it is one of them").0)
    })
}

/// In which shape it is published; `None` when it can't be yet.
pub(super) fn shape(text: Text, in_parts: bool, readers: &Readers) -> Option<Shape> {
    static ANSWERS: Answers<(Text, bool, u8), Option<Shape>> = LazyLock::new(Mutex::default);
    let kind = match readers {
        Readers::All => 0,
        Readers::AllBut(_) => 1,
        Readers::Nobody => 2,
        Readers::Unknown => 3,
    };
    once(&ANSWERS, (text, in_parts, kind), || match form(KNOWN[&text].json.clone(), in_parts, readers).ok()? {
        Form::Whole { for_now, .. } => Some(Shape::Whole { for_now }),
        Form::Parts(_) => Some(Shape::Parts),
    })
}

/// Whether these parts make the whole of what a text's index names.
pub(super) fn is_whole(text: Text, there: &[ContentId]) -> bool {
    static ANSWERS: Answers<(Text, Vec<ContentId>), bool> = LazyLock::new(Mutex::default);
    once(&ANSWERS, (text, there.to_vec()), || {
        let known = &KNOWN[&text];
        let piece = |id: &ContentId| {
            let at = known.index.parts().iter().position(|part| part == id)?;
            there.contains(id).then(|| known.pieces[at].as_slice())
        };
        known.index.whole(piece).is_ok()
    })
}
