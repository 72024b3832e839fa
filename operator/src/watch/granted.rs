//! Follows tenants' Secrets where the operator has no right to those of all namespaces.
//!
//! ```text
//! a reconcile reads a Secret ─> wanted ─> probe until a RoleBinding permits it ─> follow ─> the last sender is gone
//! ```
//!
//! Each namespace is followed by itself, so one without a grant keeps nobody from being served.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::{Api, Client};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::{Id, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep};

/// How long the waits are.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The first pause between two probes. It doubles, because a person grants at once or much later.
    probe_again: Duration,
    probe_at_least_every: Duration,
    /// How often to look whether a namespace still has senders.
    look_for_senders_every: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            probe_again: Duration::from_secs(2),
            probe_at_least_every: Duration::from_secs(60),
            look_for_senders_every: Duration::from_secs(5 * 60),
        }
    }
}

impl Pace {
    /// The pause that follows another one.
    fn after(self, pause: Duration) -> Duration {
        (pause * 2).min(self.probe_at_least_every)
    }
}

/// The namespaces in which a reconcile has read a Secret. There is at most one for each namespace with senders.
#[derive(Debug, Default)]
pub struct Wanted {
    namespaces: Mutex<BTreeSet<String>>,
    more: Notify,
}

impl Wanted {
    pub fn note(&self, namespace: &str) {
        let mut namespaces = self.namespaces.lock();
        if !namespaces.contains(namespace) {
            namespaces.insert(namespace.to_owned());
            self.more.notify_one();
        }
    }

    #[cfg(test)]
    pub(crate) fn has(&self, namespace: &str) -> bool {
        self.namespaces.lock().contains(namespace)
    }

    fn forget(&self, namespace: &str) {
        self.namespaces.lock().remove(namespace);
    }
}

/// A namespace's Secrets, as this module needs them.
#[async_trait]
pub trait Followed: Send + Sync + 'static {
    fn has_senders(&self, namespace: &str) -> bool;
    /// Whether its Secrets may be read.
    async fn is_granted(&self, namespace: &str) -> bool;
    /// Follows its Secrets for ever.
    async fn follow(&self, namespace: &str);
}

/// Whether a namespace's Secrets may be listed. Only metadata is asked for.
pub async fn may_list(client: &Client, namespace: &str) -> bool {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    api.list_metadata(&ListParams::default().limit(1)).await.is_ok()
}

/// Follows every wanted namespace. Ends only when following one of them panicked.
pub async fn follow_granted<F: Followed + Clone>(wanted: &Wanted, followed: &F, pace: Pace) {
    let mut tasks = JoinSet::new();
    let mut running: Vec<(Id, String)> = Vec::new();
    loop {
        let namespaces = wanted.namespaces.lock().clone();
        for namespace in namespaces {
            if running.iter().all(|(_, known)| *known != namespace) {
                let (followed, own) = (followed.clone(), namespace.clone());
                let task = tasks.spawn(async move { while_it_has_senders(&followed, &own, pace).await });
                running.push((task.id(), namespace));
            }
        }
        tokio::select! {
            () = wanted.more.notified() => {}
            Some(ended) = tasks.join_next_with_id() => {
                let Ok((id, ())) = ended else { return };
                let Some(at) = running.iter().position(|(task, _)| *task == id) else { continue };
                let (_, namespace) = running.swap_remove(at);
                wanted.forget(&namespace);
                // One may have come since the task looked.
                if followed.has_senders(&namespace) {
                    wanted.note(&namespace);
                }
            }
        }
    }
}

async fn while_it_has_senders<F: Followed>(followed: &F, namespace: &str, pace: Pace) {
    let granted = async {
        let mut pause = pace.probe_again;
        while !followed.is_granted(namespace).await {
            sleep(pause).await;
            pause = pace.after(pause);
        }
        followed.follow(namespace).await;
    };
    let abandoned = async {
        let mut look = interval(pace.look_for_senders_every);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is at once.
        look.tick().await;
        while followed.has_senders(namespace) {
            look.tick().await;
        }
    };
    tokio::select! {
        () = granted => {}
        () = abandoned => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::testing::api::FakeApi;

    const PACE: Pace = Pace {
        probe_again: Duration::from_millis(1),
        probe_at_least_every: Duration::from_millis(2),
        look_for_senders_every: Duration::from_millis(1),
    };

    #[derive(Debug, Default)]
    struct World {
        granted: BTreeSet<String>,
        with_senders: BTreeSet<String>,
        /// How often it is still said that nobody has senders.
        looks_abandoned: u32,
        following_panics: bool,
        probes: BTreeMap<String, u32>,
        /// How often following it began.
        followed: BTreeMap<String, u32>,
    }

    #[derive(Clone, Default)]
    struct Cluster(Arc<Mutex<World>>, Arc<Notify>);

    impl Cluster {
        /// Waits for something to become true of the world.
        async fn until(&self, what: impl Fn(&World) -> bool) {
            let reached = async {
                while !what(&self.0.lock()) {
                    self.1.notified().await;
                }
            };
            let reached = tokio::time::timeout(Duration::from_secs(30), reached).await;
            assert!(reached.is_ok(), "it never came: {:?}", self.0.lock());
        }
    }

    #[async_trait]
    impl Followed for Cluster {
        fn has_senders(&self, namespace: &str) -> bool {
            let mut world = self.0.lock();
            if world.looks_abandoned > 0 {
                world.looks_abandoned -= 1;
                self.1.notify_one();
                return false;
            }
            world.with_senders.contains(namespace)
        }
        async fn is_granted(&self, namespace: &str) -> bool {
            let mut world = self.0.lock();
            *world.probes.entry(namespace.to_owned()).or_default() += 1;
            self.1.notify_one();
            world.granted.contains(namespace)
        }
        async fn follow(&self, namespace: &str) {
            *self.0.lock().followed.entry(namespace.to_owned()).or_default() += 1;
            self.1.notify_one();
            assert!(!self.0.lock().following_panics, "as the test wants it");
            std::future::pending::<()>().await;
        }
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    async fn during(wanted: &Wanted, cluster: &Cluster, story: impl Future<Output = ()>) {
        tokio::select! {
            () = follow_granted(wanted, cluster, PACE) => panic!("it ended"),
            () = story => {}
        }
    }

    #[tokio::test]
    async fn a_namespace_is_followed_as_soon_as_it_is_granted_and_holds_up_no_other() {
        let (wanted, cluster) = (Wanted::default(), Cluster::default());
        cluster.0.lock().with_senders = names(&["shop", "bakery"]);
        cluster.0.lock().granted = names(&["bakery"]);
        let story = async {
            wanted.note("shop");
            wanted.note("bakery");
            wanted.note("bakery");
            cluster.until(|world| world.followed.contains_key("bakery") && world.probes["shop"] > 3).await;
            assert!(!cluster.0.lock().followed.contains_key("shop"), "without a grant");
            cluster.0.lock().granted = names(&["shop", "bakery"]);
            cluster.until(|world| world.followed.contains_key("shop")).await;
            assert!(cluster.0.lock().followed.values().all(|times| *times == 1), "each once");
        };
        during(&wanted, &cluster, story).await;
    }

    #[tokio::test]
    async fn a_namespace_whose_senders_are_gone_is_left_and_followed_again_when_one_comes_back() {
        let (wanted, cluster) = (Wanted::default(), Cluster::default());
        cluster.0.lock().granted = names(&["shop"]);
        cluster.0.lock().with_senders = names(&["shop"]);
        let story = async {
            wanted.note("shop");
            cluster.until(|world| world.followed.contains_key("shop")).await;
            cluster.0.lock().with_senders.clear();
            let left = async {
                while !wanted.namespaces.lock().is_empty() {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), left).await.expect("it is left");
            cluster.0.lock().with_senders = names(&["shop"]);
            wanted.note("shop");
            cluster.until(|world| world.followed["shop"] == 2).await;
        };
        during(&wanted, &cluster, story).await;
    }

    #[tokio::test]
    async fn a_namespace_whose_sender_came_back_while_it_was_left_is_not_forgotten() {
        let (wanted, cluster) = (Wanted::default(), Cluster::default());
        cluster.0.lock().with_senders = names(&["shop"]);
        cluster.0.lock().looks_abandoned = 1;
        let story = async {
            wanted.note("shop");
            cluster.until(|world| world.looks_abandoned == 0).await;
            // Nobody notes it again.
            cluster.0.lock().granted = names(&["shop"]);
            cluster.until(|world| world.followed.contains_key("shop")).await;
        };
        during(&wanted, &cluster, story).await;
    }

    #[tokio::test]
    async fn a_panic_while_a_namespace_is_followed_ends_it_all() {
        let (wanted, cluster) = (Wanted::default(), Cluster::default());
        cluster.0.lock().with_senders = names(&["shop"]);
        cluster.0.lock().granted = names(&["shop"]);
        cluster.0.lock().following_panics = true;
        wanted.note("shop");
        let ended = tokio::time::timeout(Duration::from_secs(30), follow_granted(&wanted, &cluster, PACE)).await;
        assert!(ended.is_ok(), "a part of the process is dead, and the rest goes on");
    }

    #[test]
    fn who_is_not_granted_is_asked_about_ever_more_seldom_and_at_least_once_a_minute() {
        let pace = Pace::default();
        let pauses = std::iter::successors(Some(pace.probe_again), |pause| Some(pace.after(*pause)));
        let seconds: Vec<u64> = pauses.take(8).map(|pause| pause.as_secs()).collect();
        assert_eq!(seconds, [2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[tokio::test]
    async fn a_namespace_is_granted_where_its_secrets_may_be_listed() {
        let api = Arc::<FakeApi>::default();
        api.refuse("/api/v1/namespaces/bakery/secrets", http::StatusCode::FORBIDDEN);
        assert_eq!((may_list(&api.client(), "shop").await, may_list(&api.client(), "bakery").await), (true, false));
        assert_eq!(api.listed_whole(), Vec::<String>::new());
    }
}
