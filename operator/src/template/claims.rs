//! Which templates at the provider other objects of this cluster have, so that no two objects use the same one: pure.
//!
//! The one whose status records a template comes first, so that none is taken from an object that uses it. Otherwise it
//! is one whose spec names the template, if the text fits and one of its senders has the account. One that would take
//! up an equal template by itself comes last. Among equals the older comes first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::{Localization, MessageTemplate, RevisionOrigin, RevisionStatus};
use kube::ResourceExt;
use messaging::provider::admin::{TemplateHandle, TemplateObservation};

use super::adopt::is_equal;
use super::naming;
use super::validate::{names, validate};

/// The account of a sender whose credentials were accepted, by namespace and name.
pub(super) type AccountOf<'a> = &'a dyn Fn(&str, &str) -> Option<String>;

/// What others have of the templates that were looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Claims {
    /// Those that another object comes first for, and that object in words.
    pub(super) taken: BTreeMap<TemplateHandle, String>,
    /// Those that another object has or names, whoever comes first.
    pub(super) shared: BTreeSet<TemplateHandle>,
}

/// The objects of this cluster.
pub(super) trait Objects {
    fn all(&self) -> Vec<Arc<MessageTemplate>>;
    /// Those that have or name a template.
    fn holding(&self, handle: &TemplateHandle) -> Vec<Arc<MessageTemplate>>;
}

/// `listed` are templates with their accounts.
pub(super) fn claims<'a>(
    me: &MessageTemplate,
    listed: impl Iterator<Item = (&'a str, &'a TemplateObservation)>,
    objects: &impl Objects,
    account_of: AccountOf<'_>,
) -> Claims {
    let mut claims = Claims::default();
    for (account, template) in listed {
        let has = |object, hold| holds(object, hold, account, template, account_of);
        let strongest = |object| [Hold::Recorded, Hold::Named].into_iter().find(|hold| has(object, *hold));
        let mine = strongest(me).unwrap_or(Hold::Expected);
        // In the usual cases nobody else can have created it or be about to take it up, so not all objects are looked
        // at: this one uses it already, or an earlier object of its namespace and name left it.
        let was_left = mine == Hold::Expected && naming::parts(&template.name).is_some();
        let few = mine == Hold::Recorded || was_left;
        let others = if few { objects.holding(&template.handle) } else { objects.all() };
        let mut first: Option<&MessageTemplate> = None;
        for other in others.iter().map(|other| &**other).filter(|other| is_other(other, me)) {
            let theirs = strongest(other);
            if theirs.is_some() {
                claims.shared.insert(template.handle.clone());
            }
            let comes_first = match theirs.unwrap_or(Hold::Expected) {
                _ if has(other, Hold::Created) => true,
                theirs if theirs != mine => theirs < mine,
                theirs => is_older(other, me) && (theirs != Hold::Expected || has(other, Hold::Expected)),
            };
            if comes_first && first.is_none_or(|first| is_older(other, first)) {
                first = Some(other);
            }
        }
        if let Some(first) = first {
            claims.taken.insert(template.handle.clone(), in_words(first, me));
        }
    }
    claims
}

/// The templates among these that another object has or names.
pub(super) fn shared(
    me: &MessageTemplate,
    handles: &BTreeSet<TemplateHandle>,
    objects: &impl Objects,
) -> BTreeSet<TemplateHandle> {
    let is_shared = |handle: &&TemplateHandle| {
        objects.holding(handle).iter().any(|object| is_other(object, me) && !is_going(object))
    };
    handles.iter().filter(is_shared).cloned().collect()
}

/// What an object has or names.
pub(crate) fn recorded_or_named(template: &MessageTemplate) -> impl Iterator<Item = &str> {
    recorded(template).chain(named(template))
}

/// What two objects might quarrel over: the templates that one names or has adopted.
pub(crate) fn adopted_or_named(template: &MessageTemplate) -> BTreeSet<&str> {
    let adopted = revisions(template).filter(|revision| revision.origin == Some(RevisionOrigin::Adopted));
    adopted.filter_map(|revision| revision.handle.as_ref()).map(TemplateHandle::as_str).chain(named(template)).collect()
}

/// Whether the spec names a template that the object does not have.
pub(crate) fn seeks(template: &MessageTemplate) -> bool {
    named(template).any(|named| !recorded(template).any(|recorded| recorded == named))
}

/// How an object may have a template. What comes first takes precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hold {
    /// Its name says that the object created it. The object may delete it at any time, also while it is being deleted.
    Created,
    Recorded,
    /// The spec names it, and says what it says.
    Named,
    /// It says the same, and the object has looked at none for this language at the account yet.
    Expected,
}

fn holds(
    object: &MessageTemplate,
    hold: Hold,
    account: &str,
    listed: &TemplateObservation,
    account_of: AccountOf<'_>,
) -> bool {
    match hold {
        Hold::Created => {
            let (namespace, name) = (object.metadata.namespace.as_deref(), object.metadata.name.as_deref());
            // The comparison of letters spares the hashing of most uids.
            naming::is_of(&listed.name, namespace.unwrap_or_default(), name.unwrap_or_default())
                && names(object).own(&listed.name)
        }
        _ if is_going(object) => false,
        Hold::Recorded => recorded(object).any(|handle| handle == listed.handle.as_str()),
        Hold::Named => {
            let mut localizations = object.spec.localizations.iter();
            localizations.any(|localization| {
                localization.adopt.iter().any(|handle| handle == listed.handle.as_str()) && fits(localization, listed)
            }) && has_account(object, account, account_of)
        }
        Hold::Expected => {
            let mut localizations = object.spec.localizations.iter();
            let declares =
                localizations.any(|localization| localization.adopt.is_empty() && fits(localization, listed));
            let mut locations = object.status.iter().flat_map(|status| &status.locations);
            declares
                && !locations.any(|location| {
                    location.account == account && location.language == listed.language && location.newest.is_some()
                })
                && has_account(object, account, account_of)
                && validate(object).is_ok_and(|desired| {
                    desired.languages.get(&listed.language).is_some_and(|(_, revision)| is_equal(revision, listed))
                })
        }
    }
}

/// Whether a template may be this localization, as far as that is quickly seen.
fn fits(localization: &Localization, listed: &TemplateObservation) -> bool {
    localization.language == listed.language
        && listed.content.as_ref().is_ok_and(|content| content.text.body == localization.body)
}

fn is_other(object: &MessageTemplate, me: &MessageTemplate) -> bool {
    object.metadata.uid != me.metadata.uid
}

fn is_going(object: &MessageTemplate) -> bool {
    object.metadata.deletion_timestamp.is_some()
}

fn revisions(object: &MessageTemplate) -> impl Iterator<Item = &RevisionStatus> {
    let locations = object.status.iter().flat_map(|status| &status.locations);
    locations.flat_map(|location| [location.serving.as_ref(), location.newest.as_ref()]).flatten()
}

fn recorded(object: &MessageTemplate) -> impl Iterator<Item = &str> {
    revisions(object).filter_map(|revision| revision.handle.as_ref()).map(TemplateHandle::as_str)
}

fn named(object: &MessageTemplate) -> impl Iterator<Item = &str> {
    object.spec.localizations.iter().flat_map(|localization| &localization.adopt).map(String::as_str)
}

/// Nobody keeps a template from its owner by naming it: only an object whose sender has the account's credentials
/// counts.
fn has_account(object: &MessageTemplate, account: &str, account_of: AccountOf<'_>) -> bool {
    let namespace = object.namespace().unwrap_or_default();
    object.spec.sender_refs.iter().any(|sender| account_of(&namespace, &sender.name).as_deref() == Some(account))
}

fn is_older(one: &MessageTemplate, other: &MessageTemplate) -> bool {
    let age = |object: &MessageTemplate| {
        let created = object.metadata.creation_timestamp.as_ref().map(|created| created.0);
        (created, object.namespace(), object.name_any())
    };
    age(one) < age(other)
}

/// The names of another tenant's objects are not disclosed.
fn in_words(other: &MessageTemplate, me: &MessageTemplate) -> String {
    if other.namespace() == me.namespace() {
        format!("the MessageTemplate {:?}", other.name_any())
    } else {
        "a MessageTemplate of another namespace".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use crds::{MessageTemplateStatus, RevisionState, TemplateLocationStatus};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;
    use messaging::template::Approval;

    use super::*;
    use crate::testing::content_of;

    const ACCOUNT: &str = "AC1";

    /// An object with one English text. The younger, the later `created`.
    fn object(name: &str, created: i64) -> MessageTemplate {
        let yaml = format!(
            r#"
apiVersion: whatsapp-operator.dev/v1alpha1
kind: MessageTemplate
metadata: {{ name: {name}, namespace: toys, uid: uid-of-{name} }}
spec:
  senderRefs: [{{ name: counter }}]
  category: UTILITY
  localizations: [{{ language: en_US, body: "Your parcel has left." }}]
  fallbackLanguage: en_US
"#
        );
        let mut object: MessageTemplate = serde_yaml::from_str(&yaml).unwrap();
        object.metadata.creation_timestamp = Some(Time(Timestamp::from_second(created).unwrap()));
        object
    }

    fn naming_it(mut object: MessageTemplate) -> MessageTemplate {
        object.spec.localizations[0].adopt = vec!["HX1".into()];
        object
    }

    fn saying_more(mut object: MessageTemplate) -> MessageTemplate {
        object.spec.localizations[0].body.push_str(" It is heavy.");
        object
    }

    fn having(mut object: MessageTemplate, handle: &str) -> MessageTemplate {
        let revision = RevisionStatus {
            name: "n".into(),
            handle: Some(TemplateHandle::new(handle)),
            state: RevisionState::Approved,
            origin: None,
            reason: None,
            category: None,
            last_action_at: None,
        };
        let location = TemplateLocationStatus {
            account: ACCOUNT.into(),
            language: "en_US".into(),
            serving: None,
            newest: Some(revision),
            retiring: vec![],
        };
        object.status = Some(MessageTemplateStatus { locations: vec![location], ..MessageTemplateStatus::default() });
        object
    }

    fn elsewhere(mut object: MessageTemplate) -> MessageTemplate {
        object.metadata.namespace = Some("bank".into());
        object
    }

    fn going(mut object: MessageTemplate) -> MessageTemplate {
        object.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        object
    }

    fn listed(name: &str) -> TemplateObservation {
        let (_, revision) = &validate(&object("any", 0)).unwrap().languages["en_US"];
        TemplateObservation {
            handle: TemplateHandle::new("HX1"),
            name: name.into(),
            language: "en_US".into(),
            approval: Approval::Approved,
            category: Some(revision.category),
            content: Ok(content_of(revision)),
        }
    }

    impl Objects for Vec<Arc<MessageTemplate>> {
        fn all(&self) -> Vec<Arc<MessageTemplate>> {
            self.clone()
        }
        fn holding(&self, handle: &TemplateHandle) -> Vec<Arc<MessageTemplate>> {
            self.iter().filter(|one| recorded_or_named(one).any(|has| has == handle.as_str())).cloned().collect()
        }
    }

    fn by(me: &MessageTemplate, other: MessageTemplate, listed: &TemplateObservation) -> Option<String> {
        let account_of = |_: &str, sender: &str| (sender == "counter").then(|| ACCOUNT.to_owned());
        let all = vec![Arc::new(me.clone()), Arc::new(other)];
        claims(me, std::iter::once((ACCOUNT, listed)), &all, &account_of).taken.remove(&listed.handle)
    }

    #[test]
    fn of_two_objects_with_one_template_the_one_that_uses_it_comes_first_and_then_the_older() {
        let (old, young) = (|| object("old", 1), || object("young", 2));
        let found = listed("made in a console");
        let taken = |me: &MessageTemplate, other| by(me, other, &found).is_some();
        for (why, me, other, expected) in [
            ("nobody has it, and the older is about to", young(), old(), true),
            ("nobody has it, and the younger is about to", old(), young(), false),
            ("the older has another one already", young(), having(old(), "HX2"), false),
            ("the younger has it already", old(), having(young(), "HX1"), true),
            ("the older has it", young(), having(old(), "HX1"), true),
            ("both have it, and this is the older", having(old(), "HX1"), having(young(), "HX1"), false),
            ("both have it, and this is the younger", having(young(), "HX1"), having(old(), "HX1"), true),
            ("both name it, and this is the older", naming_it(old()), naming_it(young()), false),
            ("both name it, and this is the younger", naming_it(young()), naming_it(old()), true),
            ("the older names it, and this one has it", having(young(), "HX1"), naming_it(old()), false),
            ("the younger has it, and this one names it", naming_it(old()), having(young(), "HX1"), true),
            ("the older names it, and says something else", naming_it(young()), saying_more(naming_it(old())), false),
            ("the younger names it, and this one has it", having(old(), "HX1"), naming_it(young()), false),
            ("the younger names it, and this one only says the same", old(), naming_it(young()), true),
            ("the older has it, and is being deleted", young(), going(having(old(), "HX1")), false),
        ] {
            assert_eq!(taken(&me, other), expected, "{why}");
        }
    }

    #[test]
    fn what_an_object_created_is_its_own_as_long_as_it_exists() {
        let creator = object("creator", 2);
        let created = listed(&validate(&creator).unwrap().languages["en_US"].1.name);
        let me = naming_it(object("me", 1));
        assert_eq!(by(&me, creator.clone(), &created).as_deref(), Some("the MessageTemplate \"creator\""));
        assert!(by(&me, going(creator.clone()), &created).is_some());
        let mut next = creator;
        next.metadata.uid = Some("applied again".into());
        assert_eq!(by(&me, next, &created), None);
    }

    #[test]
    fn only_who_has_the_accounts_credentials_can_claim_a_template_and_other_namespaces_stay_unnamed() {
        let (me, found) = (object("young", 2), listed("made in a console"));
        let mut without = naming_it(object("old", 1));
        without.spec.sender_refs[0].name = "stranger".into();
        assert_eq!(by(&me, without.clone(), &found), None);
        without.spec.localizations[0].adopt.clear();
        assert_eq!(by(&me, without, &found), None, "it would take it up, and can't");
        let other = naming_it(elsewhere(object("old", 1)));
        assert_eq!(by(&me, other, &found).as_deref(), Some("a MessageTemplate of another namespace"));
    }

    #[test]
    fn what_another_object_has_or_names_is_shared_unless_that_object_goes() {
        let me = object("me", 1);
        let handles: BTreeSet<_> = ["HX1", "HX2"].map(TemplateHandle::new).into();
        let of = |other: MessageTemplate| shared(&me, &handles, &vec![Arc::new(me.clone()), Arc::new(other)]);
        assert_eq!(of(having(object("other", 2), "HX2")), BTreeSet::from([TemplateHandle::new("HX2")]));
        assert_eq!(of(naming_it(object("other", 2))), BTreeSet::from([TemplateHandle::new("HX1")]));
        assert_eq!(of(going(having(object("other", 2), "HX2"))), BTreeSet::new());
        let alone = having(me.clone(), "HX1");
        assert_eq!(shared(&alone, &handles, &vec![Arc::new(alone.clone())]), BTreeSet::new());
    }
}
