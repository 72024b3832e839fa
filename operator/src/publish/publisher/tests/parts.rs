//! Promises about configs that one Secret does not hold.

use std::sync::LazyLock;

use messaging::config::kubernetes::part_name;

use super::*;
use crate::publish::leftovers::MOST_LEFTOVERS;

static TEXT: LazyLock<String> = LazyLock::new(|| noise(300_000));

/// More than one Secret holds.
const LARGE: [&str; 5] = ["a/1", "b/1", "c/1", "d/1", "e/1"];

const PARTS: &str = "/api/v1/namespaces/system/secrets";

/// An operator that has just started: the tenant has these templates, each with a text of 300 kB, and they were
/// contributed. Replicas are alive that read parts.
fn started(api: &Arc<FakeApi>, templates: &[&str]) -> Arc<Publisher> {
    let (tenant, drivers) = ("shop".parse().unwrap(), Drivers::new(dependencies_with(api.client(), Arc::default())));
    let Drivers { publisher, templates: (_, mut stored), .. } = drivers;
    for text in templates {
        let name = text.split('/').next().unwrap();
        let spec = json!({
            "senderRefs": [{ "name": "gone" }], "category": "UTILITY", "fallbackLanguage": "en", "localizations": [],
        });
        let object = json!({
            "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "MessageTemplate", "spec": spec,
            "metadata": { "namespace": "shop", "name": name },
        });
        stored.apply_watcher_event(&Event::Apply(serde_json::from_value(object).unwrap()));
        let body = format!("{text} {}", *TEXT);
        publisher.contributions.set_template(&tenant, &name.parse().unwrap(), Some(template(&body)));
    }
    acknowledge(&publisher, None);
    // What the watch shows first.
    for secret in api.list(PARTS) {
        let name = secret["metadata"]["name"].as_str().unwrap();
        if let Some(part) = part_of(&tenant, name) {
            publisher.known_parts.see(&tenant, &part, secret["metadata"]["resourceVersion"].as_str());
        }
    }
    publisher
}

/// The live replica runs the config with this index.
fn acknowledge(publisher: &Publisher, index: Option<ContentId>) {
    let parts = index.map(|index| ("shop".to_owned(), index.to_string())).into_iter().collect();
    let replica = Acknowledged { version: u128::MAX, parts: Some(parts), ..Acknowledged::default() };
    publisher.data_plane.set_alive([("whatsapp-dataplane-a".to_owned(), replica)].into());
}

/// The published index; `None` when the config is in one Secret.
fn index(api: &FakeApi) -> Option<PartIndex> {
    let secret: Secret = serde_json::from_value(api.get(CONFIG)?).unwrap();
    match Stored::read(&"shop".parse().unwrap(), &secret.data.unwrap()["tenant.json"].0).unwrap() {
        Stored::Parts(index) => Some(index),
        Stored::Whole(_) => None,
    }
}

fn texts(api: &FakeApi) -> Option<Vec<String>> {
    let config = published(api, &"shop".parse().unwrap())?;
    let text = |template: &TemplateConfig| {
        template.localizations["en"].content.body.split(' ').next().unwrap_or_default().to_owned()
    };
    Some(config.templates.values().map(text).collect())
}

fn existing(api: &FakeApi) -> BTreeSet<ContentId> {
    parts(api).into_iter().map(|(id, _)| id).collect()
}

fn named(api: &FakeApi) -> BTreeSet<ContentId> {
    index(api).into_iter().flat_map(|index| index.parts().to_vec()).collect()
}

#[tokio::test]
async fn after_a_crash_at_any_write_readers_see_a_whole_config_and_the_next_leader_leaves_nothing_behind() {
    let tenant = "shop".parse().unwrap();
    let nothing: &[&str] = &[];
    let (small, large): (&[&str], &[&str]) = (&["a/1"], &LARGE);
    let changed: &[&str] = &["a/1", "b/1", "c/2", "d/1", "e/1"];
    for (from, to) in [(small, large), (large, changed), (large, small), (large, nothing)] {
        let begun = Arc::<FakeApi>::default();
        publish(&started(&begun, from), &tenant).await.unwrap();
        let mut crashes = 0;
        loop {
            let api = begun.copy();
            let before = texts(&api);
            let publisher = started(&api, to);
            api.crash_after(Some(crashes));
            let crashed = publish(&publisher, &tenant).await.is_err();
            api.crash_after(None);
            let expected = (!to.is_empty()).then(|| to.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
            let seen = texts(&api);
            assert!(seen == before || seen == expected, "{from:?} {to:?} {crashes}: {seen:?}");

            let next = started(&api, to);
            publish(&next, &tenant).await.unwrap();
            assert_eq!(texts(&api), expected, "{from:?} {to:?} {crashes}");
            acknowledge(&next, index(&api).map(|index| index.id()));
            publish(&next, &tenant).await.unwrap();
            assert_eq!(existing(&api), named(&api), "{from:?} {to:?} {crashes}");
            if !crashed {
                let writes = api.writes();
                publish(&next, &tenant).await.unwrap();
                assert_eq!(api.writes(), writes, "at rest nothing is written");
                break;
            }
            crashes += 1;
        }
        assert!(crashes > 0, "{from:?} {to:?}");
    }
}

#[tokio::test]
async fn old_parts_stay_until_every_live_replica_names_the_new_index() {
    let (api, tenant) = (Arc::<FakeApi>::default(), "shop".parse().unwrap());
    let publisher = started(&api, &LARGE);
    publish(&publisher, &tenant).await.unwrap();
    let (first, before) = (index(&api).unwrap(), existing(&api));
    let changed = Some(template(&format!("c/2 {}", *TEXT)));
    publisher.contributions.set_template(&tenant, &"c".parse().unwrap(), changed);
    publish(&publisher, &tenant).await.unwrap();
    let second = index(&api).unwrap();
    let shared = second.parts().iter().filter(|part| before.contains(*part)).count();
    assert!(shared > 0, "what did not change is not written again");

    acknowledge(&publisher, Some(first.id()));
    publish(&publisher, &tenant).await.unwrap();
    assert!(existing(&api).is_superset(&before));
    assert_eq!(publisher.data_plane.ripe(), []);
    acknowledge(&publisher, Some(second.id()));
    assert_eq!(publisher.data_plane.ripe(), std::slice::from_ref(&tenant), "it is told when");
    publish(&publisher, &tenant).await.unwrap();
    assert_eq!(existing(&api), named(&api));
}

#[tokio::test]
async fn a_replica_that_never_takes_a_config_over_does_not_have_parts_pile_up() {
    let (api, tenant) = (Arc::<FakeApi>::default(), "shop".parse::<TenantId>().unwrap());
    for n in 0..MOST_LEFTOVERS + 20 {
        let name = part_name(&tenant, &ContentId::of(&n.to_be_bytes()));
        let metadata = json!({
            "name": name, "namespace": "system", "resourceVersion": n.to_string(),
            "creationTimestamp": format!("2026-11-29T00:{:02}:{:02}Z", n / 60, n % 60),
        });
        let part = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata });
        api.put(&format!("{PARTS}/{name}"), part);
    }
    let publisher = started(&api, &["a/1"]);
    publisher.data_plane.set_alive([("whatsapp-dataplane-a".to_owned(), Acknowledged::default())].into());
    publish(&publisher, &tenant).await.unwrap();
    let left: BTreeSet<ContentId> =
        (api.list(PARTS).iter()).filter_map(|secret| part_of(&tenant, secret["metadata"]["name"].as_str()?)).collect();
    let youngest: BTreeSet<_> = (20..MOST_LEFTOVERS + 20).map(|n| ContentId::of(&n.to_be_bytes())).collect();
    assert!(left == youngest, "{} of {}", left.len(), youngest.len());
}

#[tokio::test]
async fn a_part_that_is_named_again_is_removed_by_no_leader_that_saw_it_left_over() {
    let (api, tenant) = (Arc::<FakeApi>::default(), "shop".parse().unwrap());
    let held_up = started(&api, &LARGE);
    publish(&held_up, &tenant).await.unwrap();
    let publish_as = async |publisher: &Publisher, body: &str| {
        let changed = Some(template(&format!("{body} {}", *TEXT)));
        publisher.contributions.set_template(&tenant, &"c".parse().unwrap(), changed);
        publish(publisher, &tenant).await.unwrap();
    };
    publish_as(&held_up, "c/2").await;
    let parts = held_up.published.parts(&tenant);
    let (listed, published) = (parts.list().await.unwrap(), index(&api).unwrap());
    let left = leftovers(&listed, Some(&published));
    assert!(!left.is_empty(), "the replica still runs the config before");

    let next = started(&api, &LARGE);
    publish_as(&next, "c/1").await;
    parts.remove(&left).await.unwrap();
    assert!(existing(&api).is_superset(&named(&api)));
    assert_eq!(texts(&api).unwrap(), ["a/1", "b/1", "c/1", "d/1", "e/1"]);
    let writes = api.writes();
    publish(&next, &tenant).await.unwrap();
    assert_eq!(api.writes(), writes, "it is renewed once");
}

#[tokio::test]
async fn parts_begin_once_the_last_replica_that_does_not_read_them_is_gone() {
    let (api, tenant) = (Arc::<FakeApi>::default(), "shop".parse().unwrap());
    let publisher = started(&api, &["a/1"]);
    publish(&publisher, &tenant).await.unwrap();
    let publisher = started(&api, &LARGE);
    let replica = |parts| Acknowledged { version: u128::MAX, parts, ..Acknowledged::default() };
    let alive = |replicas: &[(&str, Option<BTreeMap<String, String>>)]| {
        let lease = |(pod, parts): &(&str, _)| (format!("whatsapp-dataplane-{pod}"), replica(Clone::clone(parts)));
        publisher.data_plane.set_alive(replicas.iter().map(lease).collect());
    };
    alive(&[("new", Some(BTreeMap::new())), ("old", None)]);
    let refused = publish(&publisher, &tenant).await.unwrap_err();
    assert!(refused.message().contains("these do not: old;"), "{}", refused.message());
    assert_eq!((texts(&api).unwrap().len(), index(&api), publisher.data_plane.ripe().len()), (1, None, 0));

    alive(&[("new", Some(BTreeMap::new())), ("newer", Some(BTreeMap::new()))]);
    assert_eq!(publisher.data_plane.ripe(), std::slice::from_ref(&tenant), "it is told when");
    publish(&publisher, &tenant).await.unwrap();
    assert_eq!((texts(&api).unwrap().len(), index(&api).is_some()), (5, true));

    // An older one that comes back refuses it, and the others go on.
    alive(&[("new", Some(BTreeMap::new())), ("old", None)]);
    publisher.contributions.set_template(&tenant, &"a".parse().unwrap(), None);
    publish(&publisher, &tenant).await.unwrap();
    assert_eq!(texts(&api).unwrap().len(), 4);
}

#[tokio::test]
async fn a_part_that_somebody_damaged_or_removed_is_written_again() {
    let (api, tenant) = (Arc::<FakeApi>::default(), "shop".parse::<TenantId>().unwrap());
    let publisher = started(&api, &LARGE);
    publish(&publisher, &tenant).await.unwrap();
    let whole = texts(&api);
    let named: Vec<ContentId> = named(&api).into_iter().collect();
    let path = |id: &ContentId| format!("{PARTS}/{}", part_name(&tenant, id));
    let mut damaged = api.get(&path(&named[0])).unwrap();
    damaged["data"]["tenant.json"] = json!("AAAA");
    damaged["metadata"]["resourceVersion"] = json!("999");
    api.put(&path(&named[0]), damaged);
    publisher.known_parts.see(&tenant, &named[0], Some("999"));
    api.remove(&path(&named[1]));
    publisher.known_parts.forget(&tenant, &named[1]);
    publish(&publisher, &tenant).await.unwrap();
    assert_eq!(texts(&api), whole);
}

#[tokio::test]
async fn what_is_published_and_cannot_be_read_is_not_replaced_by_what_happens_to_be_known() {
    let (api, tenant) = (Arc::<FakeApi>::default(), "shop".parse::<TenantId>().unwrap());
    publish(&started(&api, &LARGE), &tenant).await.unwrap();
    let part = named(&api).into_iter().next().unwrap();
    api.remove(&format!("{PARTS}/{}", part_name(&tenant, &part)));
    let before = (api.get(CONFIG), existing(&api));

    let next = started(&api, &LARGE);
    next.contributions.forget_template(&tenant, &"d".parse().unwrap());
    let refused = publish(&next, &tenant).await.unwrap_err();
    for said in ["is not there", "the MessageTemplate d", "delete the secret whatsapp-tenant-shop"] {
        assert!(refused.message().contains(said), "{}", refused.message());
    }
    assert_eq!((api.get(CONFIG), existing(&api)), before);

    // Once everything is known again, it is mended.
    next.contributions.set_template(&tenant, &"d".parse().unwrap(), Some(template(&format!("d/2 {}", *TEXT))));
    publish(&next, &tenant).await.unwrap();
    assert_eq!(texts(&api).unwrap().len(), 5);
}

#[tokio::test]
async fn a_restarted_operator_reads_what_is_in_parts_and_writes_nothing() {
    let (api, tenant) = (Arc::<FakeApi>::default(), "shop".parse().unwrap());
    publish(&started(&api, &LARGE), &tenant).await.unwrap();
    let (whole, writes) = (texts(&api), api.writes());
    let next = started(&api, &LARGE);
    for name in ["a", "b", "c", "d", "e"] {
        next.contributions.forget_template(&tenant, &name.parse().unwrap());
    }
    assert_eq!(publish(&next, &tenant).await.unwrap(), Published::Unchanged);
    assert_eq!((texts(&api), api.writes()), (whole, writes));
}
