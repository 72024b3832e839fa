//! A migration runs beside replicas of version 1: what they logged before it, and what they log after it, keeps its
//! route and takes effect.

use std::time::Duration;

use dataplane::apply::{Applier, ApplyContext};
use dataplane::config::Applied;
use dataplane::dispatch::brakes::Brakes;
use dataplane::shared::Shared;
use dataplane::store::webhook::ReplayFilter;
use providers::HttpSettings;

use super::*;
use crate::config::{bytes, tenant_json};
use crate::world::{CUSTOMER, shared};

const SQLITE: &str = include_str!("../../../src/store/database/sqlite/migrations/0001_first.sql");
const POSTGRES: &str = include_str!("../../../src/store/database/postgres/migrations/0001_first.sql");

const IN_THE_LOG: &str = "+447700900124";
const AFTER_THE_MIGRATION: &str = "+447700900125";
/// The attempt that the status callbacks name.
const ATTEMPT: &str = "att-0192d3b8c7a97c3e8f1e2d3c4b5a6978";

/// The statuses that wait for their messages, with the attempts that their routes named.
const PARKED: &str =
    "SELECT COUNT(*) FROM parked_statuses WHERE status_update LIKE '%att-0192d3b8c7a97c3e8f1e2d3c4b5a6978%'";

/// A webhook with one event, as version 1 logs it: without a route.
struct Logged {
    tenant: &'static str,
    sender: &'static str,
    id: &'static str,
    url: String,
    dedupe_key: String,
    body: String,
    /// The route that the current build reads it by.
    route: String,
}

impl Logged {
    /// Inserts it with the columns that version 1 knows. Any replica may apply the event.
    fn insert(&self, bytes: impl Fn(&str) -> String) -> String {
        let Self { tenant, sender, id, url, dedupe_key, body, route: _ } = self;
        let (received_at, body) = (at(0).as_microsecond(), bytes(body));
        format!(
            "INSERT INTO webhooks (tenant, received_at, id, sender, url, headers, body)
                 VALUES ('{tenant}', {received_at}, '{id}', '{sender}', '{url}', '{{}}', {body});
             INSERT INTO webhook_events
                 (tenant, sender, dedupe_key, received_at, webhook, position, available_at, tries)
                 VALUES ('{tenant}', '{sender}', '{dedupe_key}', {received_at}, '{id}', 0, {received_at}, 0);"
        )
    }
}

fn stop(id: &'static str, from: &str) -> Logged {
    let from = format!("whatsapp:{from}");
    let fields = [("MessageSid", id), ("From", &from), ("To", "whatsapp:+14155238886"), ("Body", "STOP")];
    Logged {
        tenant: "shop",
        sender: "support",
        id,
        url: "https://hooks.example.com/webhooks/shop/support/twilio/inbound".to_owned(),
        dedupe_key: format!("in:{id}"),
        body: url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish(),
        route: "twilio POST inbound".to_owned(),
    }
}

fn delivered(id: &'static str, tenant: &'static str, sender: &'static str) -> Logged {
    Logged {
        tenant,
        sender,
        id,
        url: format!("https://hooks.example.com/webhooks/{tenant}/{sender}/twilio/status/{ATTEMPT}?to=/twilio/inbound"),
        dedupe_key: format!("st:{id}:delivered:{ATTEMPT}"),
        body: format!("MessageSid={id}&MessageStatus=delivered"),
        route: format!("twilio POST status/{ATTEMPT}"),
    }
}

/// A STOP that no webhook brought, found in the provider's own log.
fn stop_in_the_log(id: &'static str) -> Logged {
    let (from, to) = (format!("whatsapp:{IN_THE_LOG}"), "whatsapp:+14155238886");
    let entry = serde_json::json!({ "body": "STOP", "direction": "inbound", "from": from, "sid": id, "to": to });
    Logged {
        url: format!("https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/{id}.json"),
        body: entry.to_string(),
        route: "twilio LOG".to_owned(),
        ..stop(id, IN_THE_LOG)
    }
}

/// A webhook of every kind. The names of the second status callback's tenant and sender are words that its path
/// repeats.
fn before_the_migration() -> Vec<Logged> {
    vec![
        stop("SM1", CUSTOMER),
        delivered("SM2", "shop", "support"),
        delivered("SM3", "twilio", "status"),
        stop_in_the_log("SM4"),
    ]
}

/// A database as a build of version 1 leaves it.
fn version_1(schema: &str, bytes: impl Fn(&str) -> String) -> String {
    let logged: String = before_the_migration().iter().map(|logged| logged.insert(&bytes)).collect();
    format!(
        "CREATE TABLE schema_versions (version BIGINT NOT NULL PRIMARY KEY);
         {schema}
         INSERT INTO schema_versions (version) VALUES (1);
         {logged}"
    )
}

/// A replica of the current build that applies what other replicas left in the log.
struct Late {
    shared: Shared,
}

impl Late {
    /// A replica with the configs of both tenants.
    fn over(store: Store) -> Self {
        let client = providers::http_client(HttpSettings::default()).unwrap();
        let connect = move |account: &_| providers::connect(account, &client);
        let (shared, _) = shared(store, Arc::new(connect), providers::webhook_adapters().into());
        for (name, sender) in [("shop", "support"), ("twilio", "status")] {
            let mut config = tenant_json(name);
            let support = config["senders"]["support"].take();
            config["senders"] = serde_json::json!({ sender: support });
            assert_eq!(shared.configs.apply(&crate::world::tenant(name), &bytes(&config)), Applied::New);
        }
        shared.configs.mark_ready();
        Self { shared }
    }

    async fn applies(&self) -> usize {
        let brakes = Arc::new(Brakes::new(Arc::clone(&self.shared.metrics)));
        let context = ApplyContext { shared: self.shared.clone(), brakes, ask_after: Duration::from_secs(600) };
        let (mut applier, _) = Applier::new(context);
        applier.turn().await.unwrap()
    }

    async fn reads_back(&self, logged: &[Logged]) {
        for Logged { tenant, sender, id, url, body, route, .. } in logged {
            let (tenant, sender) = (TenantId::new(*tenant).unwrap(), SenderName::new(*sender).unwrap());
            let filter = ReplayFilter { tenant, sender, since: None, until: None, after: None, limit: 100 };
            let read = self.shared.store.webhooks(&filter).await.unwrap();
            let read = read.iter().find(|webhook| webhook.id == *id).unwrap();
            assert_eq!((read.route.to_string(), &read.url), (route.clone(), url));
            assert_eq!(read.body, body.as_bytes());
        }
    }

    async fn suppresses(&self, customer: &str) {
        let contact = self.shared.store.contact(&tenant(), &sender(), &customer.parse().unwrap()).await.unwrap();
        assert!(contact.state.suppression(at(1000)).is_some(), "{customer}: {contact:?}");
    }

    /// Everything from before the migration keeps its route and takes effect.
    async fn inherits_the_log(&self) {
        self.reads_back(&before_the_migration()).await;
        assert_eq!((self.applies().await, self.applies().await), (4, 0));
        self.suppresses(CUSTOMER).await;
        self.suppresses(IN_THE_LOG).await;
    }
}

#[tokio::test]
async fn webhooks_of_version_1_keep_their_routes_and_take_effect_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    let blob = |text: &str| format!("x'{}'", hex::encode(text));
    let old = rusqlite::Connection::open(&file).unwrap();
    old.execute_batch(&version_1(SQLITE, blob)).unwrap();
    drop(old);

    let database = Sqlite::open(directory).await;
    Late::over(database.store().clone()).inherits_the_log().await;
    let parked: i64 = rusqlite::Connection::open(&file).unwrap().query_row(PARKED, [], |row| row.get(0)).unwrap();
    assert_eq!(parked, 2);
}

#[tokio::test]
async fn webhooks_that_version_1_logs_before_and_after_the_migration_take_effect_on_postgresql() {
    let server = postgres_cluster::shared().await.unwrap();
    let name = format!("test_{}", uuid::Uuid::new_v4().simple());
    let bytea = |text: &str| format!("'\\x{}'", hex::encode(text));
    server.create_database(&name).await.unwrap();
    server.query(&name, &version_1(POSTGRES, bytea)).await.unwrap();

    let database = Postgres::open(server.url(&name)).await;
    let late = Late::over(database.store().clone());
    late.inherits_the_log().await;
    assert_eq!(server.query(&name, PARKED).await.unwrap(), "2");

    // The old replica still runs, and knows nothing of the migration.
    let after = stop("SM5", AFTER_THE_MIGRATION);
    server.query(&name, &after.insert(bytea)).await.unwrap();
    late.reads_back(&[after]).await;
    assert_eq!(late.applies().await, 1);
    late.suppresses(AFTER_THE_MIGRATION).await;
}
