//! The controllers: for each kind and scope a watch, a queue and reconciles; besides them what follows Secrets, Leases
//! and the published configs. Every task is in one set, and the first that ends ends them all.

use std::convert::Infallible;
use std::sync::Arc;

use crds::{MessageTemplate, RoutingPolicy, WhatsAppSender};
use futures::{StreamExt, stream};
use kube::Client;
use kube::runtime::controller::{Action, Config, Error, ReconcileRequest, applier};
use kube::runtime::reflector::store::{Writer, store};
use messaging::clock::Clock;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::accounts::{Accounts, Connect};
use crate::context::Context;
use crate::metrics::Metrics;
use crate::publish::publish_forever;
use crate::reconcile::drive::drive;
use crate::reconcile::events::Events;
use crate::reconcile::kind::Kind;
use crate::settings::Settings;
use crate::watch;
use crate::watch::stores::{Scope, Stores};
use crate::watch::triggers::Trigger;

/// Reconciles at once, over all kinds and scopes. They mostly wait for providers.
const RECONCILES: usize = 32;

/// What the controllers are made of.
pub struct Parts {
    pub client: Client,
    pub settings: Arc<Settings>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub connect: Connect,
}

/// The stores of one kind, and what fills them.
type Writers<K> = Vec<(Scope, Writer<K>)>;

fn stores<K: Kind>(scopes: &[Scope]) -> (Stores<K>, Writers<K>) {
    let (readers, writers) = scopes
        .iter()
        .map(|scope| {
            let (reader, writer) = store();
            ((scope.clone(), reader), (scope.clone(), writer))
        })
        .unzip();
    (Stores::new(readers), writers)
}

/// The controllers of one time of leading, not yet running.
pub struct Controllers {
    pub context: Arc<Context>,
    scopes: Vec<Scope>,
    senders: Writers<WhatsAppSender>,
    templates: Writers<MessageTemplate>,
    policies: Writers<RoutingPolicy>,
}

impl Controllers {
    pub fn new(parts: Parts) -> Self {
        let Parts { client, settings, clock, metrics, connect } = parts;
        let scopes: Vec<Scope> = match settings.watch_namespaces.as_slice() {
            [] => vec![Scope::Cluster],
            watched => {
                let mut names = watched.to_vec();
                names.sort();
                names.dedup();
                names.into_iter().map(Scope::Namespace).collect()
            }
        };
        let (senders, sender_writers) = stores(&scopes);
        let (templates, template_writers) = stores(&scopes);
        let (policies, policy_writers) = stores(&scopes);
        let context = Context {
            events: Events::new(client.clone(), &settings.pod_name),
            accounts: Accounts::new(connect, Arc::clone(&metrics)),
            contributions: Default::default(),
            data_plane: Default::default(),
            attempts: Default::default(),
            freshness: Default::default(),
            senders,
            templates,
            policies,
            sender_trigger: Trigger::default(),
            template_trigger: Trigger::default(),
            policy_trigger: Trigger::default(),
            permits: Semaphore::new(RECONCILES),
            client,
            settings,
            clock,
            metrics,
        };
        Self {
            context: Arc::new(context),
            scopes,
            senders: sender_writers,
            templates: template_writers,
            policies: policy_writers,
        }
    }

    /// Runs until told to stop, then lets reconciles that run finish. It returns early when a task ends by itself,
    /// with that task's name.
    pub async fn run(self, stop: CancellationToken) -> Result<(), &'static str> {
        let Self { context, scopes, senders, templates, policies } = self;
        let mut tasks = JoinSet::new();
        spawn_kind(&mut tasks, &context, senders, |c| &c.senders, |c| &c.sender_trigger, &stop);
        spawn_kind(&mut tasks, &context, templates, |c| &c.templates, |c| &c.template_trigger, &stop);
        spawn_kind(&mut tasks, &context, policies, |c| &c.policies, |c| &c.policy_trigger, &stop);
        for scope in scopes {
            let (shared, own, until) = (Arc::clone(&context), scope.clone(), stop.clone());
            spawn(&mut tasks, "credentials watch", until, async move {
                watch::secrets::follow_credentials(&shared, &own).await;
            });
            let (shared, until) = (Arc::clone(&context), stop.clone());
            spawn(&mut tasks, "API key watch", until, async move {
                watch::secrets::follow_api_keys(&shared, &scope).await;
            });
        }
        let shared = Arc::clone(&context);
        spawn(&mut tasks, "replica watch", stop.clone(), async move { watch::leases::follow_replicas(&shared).await });
        let shared = Arc::clone(&context);
        spawn(&mut tasks, "replica report", stop.clone(), async move { watch::leases::report_forever(&shared).await });
        let shared = Arc::clone(&context);
        spawn(&mut tasks, "publisher", stop.clone(), async move {
            // Before everything is listed, what is there would look as if it were gone.
            shared.senders.wait_until_listed().await;
            shared.templates.wait_until_listed().await;
            shared.policies.wait_until_listed().await;
            tokio::join!(watch::secrets::follow_published(&shared), publish_forever(&shared));
        });
        supervise(tasks, &stop).await
    }
}

/// Waits for the tasks. The first that ends while nobody told it to, or panics, is the end of all.
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

/// A task that may be dropped at any await when it is to stop.
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

fn spawn_kind<K: Kind>(
    tasks: &mut JoinSet<&'static str>,
    context: &Arc<Context>,
    writers: Writers<K>,
    stores: fn(&Context) -> &Stores<K>,
    trigger: fn(&Context) -> &Trigger<K>,
    stop: &CancellationToken,
) {
    for (scope, writer) in writers {
        let (context, stop) = (Arc::clone(context), stop.clone());
        tasks.spawn(async move {
            let reader = writer.as_reader();
            let mut asked = trigger(&context).listen(scope.clone());
            let asked = stream::poll_fn(move |cx| asked.poll_recv(cx));
            let seen = watch::objects(&context, stores(&context), &scope, writer);
            // When told to stop nothing more is begun, and what runs is finished.
            let queue = stream::select(seen, asked)
                .map(|object| Ok::<_, Infallible>(ReconcileRequest::from(object)))
                .take_until(stop.cancelled())
                .boxed();
            let config = Config::default().concurrency(u16::try_from(RECONCILES).unwrap_or(u16::MAX));
            applier(
                |object, context| Box::pin(drive::<K>(object, context)),
                |_, _: &Infallible, _| Action::await_change(),
                Arc::clone(&context),
                reader,
                queue,
                config,
            )
            .for_each(|reconciled| async move {
                match reconciled {
                    // It was deleted while it waited for its turn.
                    Ok(_) | Err(Error::ObjectNotFound(_)) => {}
                    Err(error) => tracing::error!(kind = K::PLURAL, %error, "the controller's queue failed"),
                }
            })
            .await;
            K::PLURAL
        });
    }
}
