//! Follows the object with the hints, and has looked at what they are about.

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::watcher::{Config, Event};
use kube::{Api, Client};
use messaging::hints::{About, Hint, Hints, KEY, OBJECT};
use messaging::id::{SenderName, TemplateName, TenantId};
use tokio::time::Instant;

use super::board::Board;
use super::pace::Pace;
use crate::clock::sleep_until;
use crate::metrics::{HintOutcome, Metrics};
use crate::watch::{Watched, endless};

/// An object to look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Template(TemplateName),
    Sender(SenderName),
}

/// Has looked at what new hints are about, until the watch ends.
pub async fn follow_hints(client: Client, namespace: &str, board: &Board, watched: &Watched, metrics: &Metrics) {
    let api: Api<ConfigMap> = Api::namespaced(client, namespace);
    let selection = Config::default().fields(&format!("metadata.name={OBJECT}"));
    let mut events = endless(api, selection, "configmaps", metrics).boxed();
    let mut pace = Pace::default();
    let mut listed = false;
    loop {
        let next = pace.next(Instant::now());
        tokio::select! {
            event = events.next() => match event {
                None => return,
                Some(event) => {
                    for hint in new_hints(event, &mut listed, board) {
                        let targets = targets(&hint, watched);
                        metrics.hint(outcome(&targets));
                        targets.into_iter().for_each(|target| pace.add(&hint.tenant, target));
                    }
                }
            },
            () = sleep_until(next) => {}
        }
        let now = Instant::now();
        for (tenant, target) in pace.due(now) {
            look(&tenant, &target, board, watched, now);
        }
    }
}

/// Takes over what the watch shows, and returns the hints that are new. `listed` is whether the list that it began
/// with, or begins again with, has the object.
fn new_hints(event: Event<ConfigMap>, listed: &mut bool, board: &Board) -> Vec<Hint> {
    match event {
        Event::Init => *listed = false,
        Event::InitDone => board.set_exists(*listed),
        Event::Delete(_) => board.set_exists(false),
        Event::InitApply(object) | Event::Apply(object) => {
            *listed = true;
            board.set_exists(true);
            return board.take(hints_in(&object));
        }
    }
    Vec::new()
}

fn hints_in(object: &ConfigMap) -> Hints {
    Hints::parse(object.data.as_ref().and_then(|data| data.get(KEY)).map_or("", String::as_str))
}

/// What a hint is about, of the tenant at whose webhook it came.
pub fn targets(hint: &Hint, watched: &Watched) -> Vec<Target> {
    match &hint.about {
        About::Template(handle) => {
            let keys = watched.holders.of(handle).into_iter().filter(|(tenant, _)| *tenant == hint.tenant.as_str());
            keys.filter_map(|(_, name)| Some(Target::Template(name.parse().ok()?))).collect()
        }
        About::Test(_) => {
            let known = watched.senders.stores.get(&hint.tenant, hint.sender.as_str());
            known.map(|_| Target::Sender(hint.sender.clone())).into_iter().collect()
        }
    }
}

/// What becomes of a hint about these.
fn outcome(targets: &[Target]) -> HintOutcome {
    if targets.is_empty() { HintOutcome::Unknown } else { HintOutcome::Followed }
}

/// Requests a reconcile, in which a list that began before `now` is too old.
pub fn look(tenant: &TenantId, target: &Target, board: &Board, watched: &Watched, now: Instant) {
    match target {
        Target::Template(name) => {
            board.hint(tenant, name, now);
            if let Some(template) = watched.templates.stores.get(tenant, name.as_str()) {
                watched.templates.trigger.ask(&template);
            }
        }
        Target::Sender(name) => {
            if let Some(sender) = watched.senders.stores.get(tenant, name.as_str()) {
                watched.senders.trigger.ask(&sender);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use crds::{MessageTemplate, WhatsAppSender};
    use futures::FutureExt;
    use jiff::Timestamp;
    use kube::runtime::reflector::ObjectRef;
    use kube::runtime::watcher::Event;
    use messaging::provider::admin::TemplateHandle;

    use super::*;
    use crate::controllers::Drivers;
    use crate::sender::validate::tests::sender as quickstart;
    use crate::testing::dependencies;
    use crate::watch::stores::Scope;

    const NAMING: &str = r#"
apiVersion: whatsapp-operator.dev/v1alpha1
kind: MessageTemplate
metadata: { name: greeting, namespace: shop }
spec:
  senderRefs: [{ name: support }]
  category: UTILITY
  localizations: [{ language: en_US, body: "Hello.", adopt: [HX1] }]
  fallbackLanguage: en_US
"#;

    fn hint(tenant: &str, about: About) -> Hint {
        Hint { tenant: tenant.parse().unwrap(), sender: "support".parse().unwrap(), about, at: Timestamp::UNIX_EPOCH }
    }

    fn template(handle: &str) -> About {
        About::Template(TemplateHandle::new(handle))
    }

    /// A watch that knows one template and one sender of the namespace `shop`.
    fn watched() -> Watched {
        let mut drivers = Drivers::new(dependencies());
        let greeting: MessageTemplate = serde_yaml::from_str(NAMING).unwrap();
        let mut support: WhatsAppSender = quickstart();
        support.metadata.namespace = Some("shop".to_owned());
        support.metadata.name = Some("support".to_owned());
        drivers.watched.holders.note(&greeting, true);
        drivers.templates.1.apply_watcher_event(&Event::Apply(greeting));
        drivers.senders.1.apply_watcher_event(&Event::Apply(support));
        drivers.watched
    }

    #[tokio::test]
    async fn a_hint_is_about_the_objects_of_its_own_tenant_alone_and_one_about_nothing_known_costs_nothing() {
        let watched = watched();
        let found = |tenant: &str, about| targets(&hint(tenant, about), &watched);
        assert_eq!(found("shop", template("HX1")), [Target::Template("greeting".parse().unwrap())]);
        assert_eq!(found("shop", About::Test("TE1".into())), [Target::Sender("support".parse().unwrap())]);
        assert_eq!(found("bank", template("HX1")), []);
        assert_eq!(found("bank", About::Test("TE1".into())), []);
        assert_eq!(found("shop", template("HX2")), []);
        assert_eq!(outcome(&found("shop", template("HX1"))), HintOutcome::Followed);
        assert_eq!(outcome(&found("shop", template("HX2"))), HintOutcome::Unknown);
    }

    #[tokio::test]
    async fn what_is_looked_at_is_reconciled_with_a_list_that_began_after_the_hint() {
        let (watched, board) = (watched(), Arc::<Board>::default());
        let mut asked = watched.templates.trigger.listen(Scope::Cluster);
        let (tenant, name): (TenantId, TemplateName) = ("shop".parse().unwrap(), "greeting".parse().unwrap());
        assert_eq!(board.since_hint(&tenant, &name), None);
        let began = Instant::now();
        look(&tenant, &Target::Template(name.clone()), &board, &watched, began);
        assert_eq!(asked.recv().now_or_never(), Some(Some(ObjectRef::new("greeting").within("shop"))));
        assert!(board.since_hint(&tenant, &name).unwrap() <= began.elapsed());
        let mut asked = watched.senders.trigger.listen(Scope::Cluster);
        look(&tenant, &Target::Sender("support".parse().unwrap()), &board, &watched, began);
        assert_eq!(asked.recv().now_or_never(), Some(Some(ObjectRef::new("support").within("shop"))));
        // It is remembered until every list is newer.
        board.hint(&tenant, &"other".parse().unwrap(), began + Duration::from_secs(601));
        assert_eq!(board.since_hint(&tenant, &name), None);
    }

    #[test]
    fn whether_there_is_an_object_is_what_the_watch_showed_last() {
        let (board, mut listed) = (Board::default(), false);
        let mut hints = Hints::default();
        hints.add(hint("shop", template("HX1")));
        let data = [(KEY.to_owned(), hints.text())].into();
        let object = || ConfigMap { data: Some(std::collections::BTreeMap::clone(&data)), ..ConfigMap::default() };
        for (event, exists, new) in [
            (Event::Init, false, 0),
            (Event::InitDone, false, 0),
            (Event::Apply(object()), true, 1),
            (Event::Delete(object()), false, 0),
            (Event::Apply(object()), true, 0),
            // It was deleted while the watch was broken.
            (Event::Init, true, 0),
            (Event::InitDone, false, 0),
            (Event::Init, false, 0),
            (Event::InitApply(object()), true, 0),
            (Event::InitDone, true, 0),
        ] {
            let what = format!("{event:?}");
            let found = new_hints(event, &mut listed, &board).len();
            assert_eq!((board.has_object(), found), (exists, new), "{what}");
        }
    }

    #[test]
    fn the_object_is_read_as_what_is_new_in_it() {
        let board = Board::default();
        let (mut hints, first) = (Hints::default(), hint("shop", template("HX1")));
        hints.add(first.clone());
        assert_eq!(board.take(hints.clone()), std::slice::from_ref(&first));
        assert_eq!(board.take(hints.clone()), []);
        let again = Hint { at: Timestamp::from_second(1).unwrap(), ..first };
        hints.add(again.clone());
        hints.add(hint("shop", About::Test("TE1".into())));
        assert_eq!(board.take(hints.clone()), [again, hint("shop", About::Test("TE1".into()))]);

        let (tenant, sender) = ("shop".parse().unwrap(), "support".parse().unwrap());
        assert_eq!(board.tests(&tenant, &sender), ["TE1"]);
        let none = Vec::<String>::new();
        assert_eq!(board.tests(&"bank".parse().unwrap(), &sender), none, "another tenant's");
        assert_eq!(board.tests(&tenant, &"sales".parse().unwrap()), none, "another sender's");
        hints.add(hint("shop", About::Test("TE2".into())));
        board.take(hints.clone());
        assert_eq!(board.tests(&tenant, &sender), ["TE2", "TE1"], "the newest first");
        board.refuse("TE1");
        board.take(hints.clone());
        assert_eq!(board.tests(&tenant, &sender), ["TE2"]);

        // A sender of the same name may be made anew.
        board.forget(&tenant, "sales");
        assert_eq!(board.tests(&tenant, &sender), ["TE2"]);
        board.forget(&tenant, "support");
        board.take(hints.clone());
        assert_eq!(board.tests(&tenant, &sender), none);

        // What was refused is not kept for longer than its hint.
        board.take(Hints::default());
        board.take(hints);
        assert_eq!(board.tests(&tenant, &sender), ["TE2", "TE1"]);
    }
}
