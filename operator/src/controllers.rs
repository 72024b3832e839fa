//! The controllers: for each kind and scope a watch, a queue and reconciles. Beside them run the watches of Secrets,
//! Leases and published configs. Every task is in one set, and the first that ends ends them all.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use crds::{MessageTemplate, RoutingPolicy, WhatsAppSender};
use futures::{StreamExt, stream};
use kube::runtime::controller::{Action, Config, Error, ReconcileRequest, applier};
use kube::runtime::reflector::store::{Writer, store};
use kube::{Api, Client};
use messaging::clock::Clock;
use messaging::id::TenantId;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::accounts::{Accounts, Connect};
use crate::clock::WholeSeconds;
use crate::leader::tenure::Tenure;
use crate::metrics::Metrics;
use crate::publish::known_parts::KnownParts;
use crate::publish::published::{ConfigSecrets, PublishedConfigs};
use crate::publish::{self, Contributions, DataPlane, Publisher, publish_forever};
use crate::push::Push;
use crate::push::board::{Board, ClusterObject};
use crate::push::follow::follow_hints;
use crate::reconcile::backoff::Attempts;
use crate::reconcile::drive::drive;
use crate::reconcile::events::Events;
use crate::reconcile::freshness::Freshness;
use crate::reconcile::intent::Recorder;
use crate::reconcile::kind::Kind;
use crate::reconcile::listings::Listings;
use crate::reconcile::machinery::{Driver, LastFound, Machinery};
use crate::rotation::Rotation;
use crate::rotation::records::RecordSecrets;
use crate::rotation::secrets::ClusterSecret;
use crate::routing::RoutingContext;
use crate::sender::credentials::follow_credentials;
use crate::sender::dereference::ClusterSecrets;
use crate::sender::directory::SenderDirectory;
use crate::sender::grant::Grant;
use crate::sender::owner::{OwnerLeases, PoolOwners};
use crate::sender::provider::BaseUrls;
use crate::sender::retiring::Ends;
use crate::sender::{SenderContext, SenderSettings};
use crate::settings::{SecretAccess, Settings};
use crate::template::TemplateContext;
use crate::watch::edges::Awaited;
use crate::watch::granted::{Followed, Pace, Wanted, follow_granted, may_list};
use crate::watch::stores::{Scope, Stores};
use crate::watch::{self, Objects, Watched};

/// How many reconciles may run at once, over all kinds and scopes. They mostly wait for providers.
const RECONCILES: usize = 32;

/// What the controllers share, built once per process.
pub struct Dependencies {
    pub client: Client,
    pub settings: Arc<Settings>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub connect: Connect,
}

/// The writers that fill the stores of one kind.
type Writers<K> = Vec<(Scope, Writer<K>)>;

fn objects<K: Kind>(scopes: &[Scope]) -> (Arc<Objects<K>>, Writers<K>) {
    let (readers, writers) = scopes
        .iter()
        .map(|scope| {
            let (reader, writer) = store();
            ((scope.clone(), reader), (scope.clone(), writer))
        })
        .unzip();
    (Arc::new(Objects::new(Stores::new(readers))), writers)
}

/// What each watch covers.
fn scopes(settings: &Settings) -> Vec<Scope> {
    match settings.watch_namespaces.as_slice() {
        [] => vec![Scope::Cluster],
        watched => {
            let names: BTreeSet<String> = watched.iter().cloned().collect();
            names.into_iter().map(Scope::Namespace).collect()
        }
    }
}

/// The controllers of one term of leadership, not yet running.
pub struct Controllers {
    pub watched: Watched,
    publisher: Arc<Publisher>,
    machinery: Arc<Machinery>,
    board: Arc<Board>,
    /// Where Secrets are followed namespace by namespace.
    wanted: Option<Arc<Wanted>>,
    senders: (SenderContext, Writers<WhatsAppSender>),
    templates: (TemplateContext, Writers<MessageTemplate>),
    policies: (RoutingContext, Writers<RoutingPolicy>),
}

impl Controllers {
    pub fn new(dependencies: Dependencies, tenure: Tenure) -> Self {
        let Dependencies { client, settings, clock, metrics, connect } = dependencies;
        let scopes = scopes(&settings);
        let (senders, sender_writers) = objects(&scopes);
        let (templates, template_writers) = objects(&scopes);
        let (policies, policy_writers) = objects(&scopes);
        let watched = Watched { senders, templates, policies, holders: Arc::default() };
        let listings = Arc::new(Listings::new(sender_writers.len() + template_writers.len() + policy_writers.len()));
        let contributions = Arc::<Contributions>::default();
        let data_plane = Arc::<DataPlane>::default();
        let freshness = Arc::<Freshness>::default();
        let accounts = Arc::new(Accounts::new(connect, Arc::clone(&metrics)).during(tenure.clone()));
        let known_parts = Arc::<KnownParts>::default();
        let configs = ConfigSecrets::new(
            client.clone(),
            &settings.config_namespace,
            Arc::clone(&known_parts),
            Arc::clone(&data_plane),
        );
        let published: Arc<dyn PublishedConfigs> = Arc::new(configs.clone());
        let events = Events::new(client.clone(), &settings.pod_name);
        let publisher = Arc::new(Publisher {
            client: client.clone(),
            metrics: Arc::clone(&metrics),
            events: events.clone(),
            watched: watched.clone(),
            scopes,
            tenure: tenure.clone(),
            contributions: Arc::clone(&contributions),
            data_plane: Arc::clone(&data_plane),
            known_parts,
            published: configs,
            namespace: settings.config_namespace.clone(),
            public_base_url: settings.public_base_url.clone(),
        });
        let directory = Arc::new(SenderDirectory {
            senders: Arc::clone(&watched.senders),
            contributions: Arc::clone(&contributions),
            published: Arc::clone(&published),
            accounts: Arc::clone(&accounts),
        });
        let wanted = (settings.secret_access == SecretAccess::Granted).then(Arc::<Wanted>::default);
        let owners: Arc<dyn PoolOwners> =
            Arc::new(OwnerLeases(Api::namespaced(client.clone(), &settings.config_namespace)));
        let board = Arc::<Board>::default();
        let whole: Arc<dyn Clock> = Arc::new(WholeSeconds(Arc::clone(&clock)));
        let recorder = Arc::new(Recorder { client: client.clone(), freshness: Arc::clone(&freshness) });
        let senders = SenderContext {
            settings: SenderSettings {
                public_base_url: settings.public_base_url.clone(),
                provider_base_urls: BaseUrls { twilio: settings.twilio_base_url.clone() },
                allow_private_sinks: settings.allow_private_sinks,
                poll_interval: settings.poll_interval,
            },
            secrets: Arc::new(ClusterSecrets {
                client: client.clone(),
                grant: Grant::of(&settings),
                wanted: wanted.clone(),
            }),
            accounts: Arc::clone(&accounts),
            contributions: Arc::clone(&contributions),
            directory: Arc::clone(&directory),
            watched: watched.clone(),
            owners: Arc::clone(&owners),
            ends: Ends::default(),
            rotation: Rotation {
                records: Arc::new(RecordSecrets(Api::namespaced(client.clone(), &settings.config_namespace))),
                secret: Arc::new(ClusterSecret { client: client.clone(), tenure }),
                accounts: Arc::clone(&accounts),
                acknowledgements: Arc::clone(&data_plane) as _,
                unrecorded: Mutex::default(),
            },
            push: Push {
                board: Arc::clone(&board),
                object: Arc::new(ClusterObject {
                    api: Api::namespaced(client.clone(), &settings.config_namespace),
                    board: Arc::clone(&board),
                }),
            },
            memberships: Arc::clone(&recorder) as _,
            registrations: Arc::clone(&recorder) as _,
            clock: Arc::clone(&whole),
        };
        let templates = TemplateContext {
            board: Arc::clone(&board),
            clock: Arc::clone(&whole),
            poll_interval: settings.poll_interval,
            template_poll: settings.template_poll,
            directory: Arc::clone(&directory),
            templates: Arc::clone(&watched.templates),
            holders: Arc::clone(&watched.holders),
            intents: recorder,
            contributions: Arc::clone(&contributions),
            data_plane,
        };
        let policies = RoutingContext {
            directory,
            published,
            contributions,
            senders: Arc::clone(&watched.senders),
            policies: Arc::clone(&watched.policies),
            owners,
            clock: Arc::clone(&whole),
        };
        let machinery = Arc::new(Machinery {
            events,
            attempts: Attempts::default(),
            found: LastFound::default(),
            permits: Semaphore::new(RECONCILES),
            poll_interval: settings.poll_interval,
            publication: Arc::clone(&publisher) as _,
            watched: watched.clone(),
            client,
            clock,
            metrics,
            freshness,
            listings,
        });
        Self {
            watched,
            publisher,
            machinery,
            board,
            wanted,
            senders: (senders, sender_writers),
            templates: (templates, template_writers),
            policies: (policies, policy_writers),
        }
    }

    /// Which of its watches have listed their objects.
    pub fn listings(&self) -> Arc<Listings> {
        Arc::clone(&self.machinery.listings)
    }

    /// Runs until `stop`, then lets running reconciles finish. Returns early with a task's name when that task ends by
    /// itself.
    pub async fn run(self, stop: CancellationToken) -> Result<(), &'static str> {
        let Self { watched, publisher, machinery, board, wanted, senders, templates, policies } = self;
        let mut tasks = JoinSet::new();
        spawn_kind(&mut tasks, &machinery, senders, &watched.senders, &stop);
        spawn_kind(&mut tasks, &machinery, templates, &watched.templates, &stop);
        spawn_kind(&mut tasks, &machinery, policies, &watched.policies, &stop);
        let secrets = TenantSecrets {
            machinery: Arc::clone(&machinery),
            publisher: Arc::clone(&publisher),
            senders: Arc::clone(&watched.senders),
        };
        if let Some(wanted) = wanted {
            spawn(&mut tasks, "watch of granted Secrets", stop.clone(), async move {
                follow_granted(&wanted, &secrets, Pace::default()).await;
            });
        } else {
            for scope in publisher.scopes.clone() {
                let secrets = secrets.clone();
                spawn(&mut tasks, "watch of Secrets", stop.clone(), async move { secrets.follow_in(&scope).await });
            }
        }
        let shared = Arc::clone(&publisher);
        spawn(&mut tasks, "replica watch", stop.clone(), async move {
            publish::follow::follow_replicas(&shared).await;
        });
        let (shared, reporting) = (Arc::clone(&publisher), Arc::clone(&machinery));
        spawn(&mut tasks, "replica report", stop.clone(), async move {
            publish::report::report_forever(&shared, &reporting).await;
        });
        let shared = Arc::clone(&machinery);
        let namespace = publisher.namespace.clone();
        spawn(&mut tasks, "hint watch", stop.clone(), async move {
            shared.listings.complete().await;
            follow_hints(shared.client.clone(), &namespace, &board, &shared.watched, &shared.metrics).await;
        });
        spawn(&mut tasks, "publisher", stop.clone(), async move {
            // Before everything is listed, objects that exist look as if they were gone.
            machinery.listings.complete().await;
            tokio::join!(publish::follow::follow_published(&publisher), publish_forever(&publisher));
        });
        supervise(tasks, &stop).await
    }
}

/// The Secrets of tenants: the credentials that senders name, and API keys.
#[derive(Clone)]
struct TenantSecrets {
    machinery: Arc<Machinery>,
    publisher: Arc<Publisher>,
    senders: Arc<Objects<WhatsAppSender>>,
}

impl TenantSecrets {
    async fn follow_in(&self, scope: &Scope) {
        tokio::join!(
            follow_credentials(&self.machinery, &self.senders, scope),
            publish::follow::follow_api_keys(&self.publisher, scope),
        );
    }
}

#[async_trait]
impl Followed for TenantSecrets {
    fn has_senders(&self, namespace: &str) -> bool {
        TenantId::new(namespace).is_ok_and(|tenant| !self.senders.stores.of(&tenant).is_empty())
    }
    async fn is_granted(&self, namespace: &str) -> bool {
        may_list(&self.machinery.client, namespace).await
    }
    async fn follow(&self, namespace: &str) {
        self.follow_in(&Scope::Namespace(namespace.to_owned())).await;
    }
}

/// Waits for the tasks. The first that ends before the stop, or panics, ends them all.
async fn supervise(mut tasks: JoinSet<&'static str>, stop: &CancellationToken) -> Result<(), &'static str> {
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok(_) if stop.is_cancelled() => {}
            Ok(task) => return Err(task),
            Err(error) => {
                tracing::error!(%error, "a task died");
                return Err("a task that panicked");
            }
        }
    }
    Ok(())
}

/// Spawns a task that may be dropped at any await when it must stop.
fn spawn(
    tasks: &mut JoinSet<&'static str>,
    name: &'static str,
    stop: CancellationToken,
    task: impl Future<Output = ()> + Send + 'static,
) {
    tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = task => {}
        }
        name
    });
}

fn spawn_kind<K: Awaited>(
    tasks: &mut JoinSet<&'static str>,
    machinery: &Arc<Machinery>,
    (context, writers): (K::Context, Writers<K>),
    objects: &Arc<Objects<K>>,
    stop: &CancellationToken,
) {
    let driver = Arc::new(Driver { machinery: Arc::clone(machinery), context });
    for (scope, writer) in writers {
        let (driver, objects, stop) = (Arc::clone(&driver), Arc::clone(objects), stop.clone());
        tasks.spawn(async move {
            let reader = writer.as_reader();
            let mut asked = objects.trigger.listen(scope.clone());
            let asked = stream::poll_fn(move |cx| asked.poll_recv(cx));
            let seen = watch::objects(&driver, &objects.stores, &scope, writer);
            // After the stop no new reconcile begins, and running ones finish.
            let queue = stream::select(seen, asked)
                .map(|object| Ok::<_, Infallible>(ReconcileRequest::from(object)))
                .take_until(stop.cancelled())
                .boxed();
            let config = Config::default().concurrency(u16::try_from(RECONCILES).unwrap_or(u16::MAX));
            applier(
                |object, driver| Box::pin(drive::<K>(object, driver)),
                |_, _: &Infallible, _| Action::await_change(),
                Arc::clone(&driver),
                reader,
                queue,
                config,
            )
            .for_each(|reconciled| async move {
                match reconciled {
                    // It was deleted while it was queued.
                    Ok(_) | Err(Error::ObjectNotFound(_)) => {}
                    Err(error) => tracing::error!(kind = K::PLURAL, %error, "the controller's queue failed"),
                }
            })
            .await;
            K::PLURAL
        });
    }
}

/// The drivers of the three kinds, with the writers of their stores, for tests that play the API server.
#[cfg(test)]
pub(crate) struct Drivers {
    pub(crate) watched: Watched,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) senders: (Driver<WhatsAppSender>, Writer<WhatsAppSender>),
    pub(crate) templates: (Driver<MessageTemplate>, Writer<MessageTemplate>),
    pub(crate) policies: (Driver<RoutingPolicy>, Writer<RoutingPolicy>),
}

#[cfg(test)]
impl Drivers {
    pub(crate) fn new(dependencies: Dependencies) -> Self {
        fn driver<K: Kind>(
            machinery: &Arc<Machinery>,
            (context, mut writers): (K::Context, Writers<K>),
        ) -> (Driver<K>, Writer<K>) {
            let (_, writer) = writers.remove(0);
            (Driver { machinery: Arc::clone(machinery), context }, writer)
        }
        let Controllers { watched, publisher, machinery, board: _, wanted: _, senders, templates, policies } =
            Controllers::new(dependencies, Tenure::Unelected);
        Self {
            watched,
            publisher,
            senders: driver(&machinery, senders),
            templates: driver(&machinery, templates),
            policies: driver(&machinery, policies),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::dependencies;

    #[tokio::test]
    async fn what_a_reconcile_notes_of_the_time_is_what_it_reads_back() {
        #[derive(Debug)]
        struct Precise;
        impl Clock for Precise {
            fn now(&self) -> jiff::Timestamp {
                "2026-11-30T20:12:02.211932457Z".parse().unwrap()
            }
        }
        let drivers = Drivers::new(Dependencies { clock: Arc::new(Precise), ..dependencies() });
        let (senders, templates, policies) = (drivers.senders.0, drivers.templates.0, drivers.policies.0);
        for clock in [senders.context.clock, templates.context.clock, policies.context.clock] {
            assert_eq!(clock.now().to_string(), "2026-11-30T20:12:02Z");
        }
    }
}
