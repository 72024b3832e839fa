//! The whole process over a database that does not answer: every request is answered, nothing is done twice, and the
//! process says that it is not ready.

use std::net::SocketAddr;

use dataplane::serve::{Addresses, Server, open_store};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use postgres_cluster::Proxy;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{bytes, tenant_json};
use crate::serve::settings_over;
use crate::webhooks::says;
use crate::world::{CUSTOMER, soon, until};

/// A replica, with a proxy between it and its database.
struct Replica {
    proxy: Proxy,
    database: String,
    addresses: Addresses,
    running: JoinSet<anyhow::Result<()>>,
    shutdown: CancellationToken,
    http: reqwest::Client,
    _directory: TempDir,
}

/// An answer's status, its headers and its body.
type Answer = (StatusCode, http::HeaderMap, Value);

impl Replica {
    async fn start() -> Self {
        let postgres = postgres_cluster::shared().await.unwrap();
        let database = format!("test_{}", uuid::Uuid::new_v4().simple());
        postgres.create_database(&database).await.unwrap();
        let proxy = Proxy::start(postgres.tcp_address()).await.unwrap();
        let store = format!("postgres://postgres@{}/{database}?sslmode=disable", proxy.address());
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("shop.json"), bytes(&tenant_json("shop"))).unwrap();
        let more = ["--roles", "webhooks,api,apply", "--drain-timeout", "1s"];
        let server = Server::start(settings_over(&store, directory.path(), &more)).await.unwrap();
        let (addresses, shutdown) = (server.addresses(), CancellationToken::new());
        let mut running = JoinSet::new();
        running.spawn(server.run(shutdown.clone()));
        Self { proxy, database, addresses, running, shutdown, http: reqwest::Client::new(), _directory: directory }
    }

    /// Lets it drain.
    async fn ends(mut self) {
        self.shutdown.cancel();
        soon(self.running.join_next()).await.unwrap().unwrap().unwrap();
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let answer = self.http.get(format!("http://{}{path}", self.addresses.admin)).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    async fn send(&self, key: &str) -> Answer {
        let body = json!({ "to": CUSTOMER, "from": "support", "text": { "body": "hello" } });
        let request = Request::post("/v1/messages")
            .header("authorization", "Bearer key-of-shop")
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .body(axum::body::Body::from(body.to_string()))
            .unwrap();
        self.ask(self.addresses.api.unwrap(), request).await
    }

    async fn webhook(&self, id: &str) -> Answer {
        self.ask(self.addresses.webhooks.unwrap(), says(id, "Hi")).await
    }

    async fn ask(&self, address: SocketAddr, request: Request<axum::body::Body>) -> Answer {
        let (parts, body) = request.into_parts();
        let url = format!("http://{address}{}", parts.uri);
        let body = body.collect().await.unwrap().to_bytes();
        let answer = self.http.request(parts.method, url).headers(parts.headers).body(body).send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        (status, headers, answer.json().await.unwrap_or_default())
    }
}

#[tokio::test]
async fn while_the_database_hangs_requests_end_with_an_unknown_outcome_and_the_replica_is_not_ready() {
    let replica = Replica::start().await;
    assert_eq!(replica.webhook("SM1").await.0, StatusCode::OK);
    until(async || replica.send("first").await.0 == StatusCode::ACCEPTED).await;
    assert_eq!(replica.get("/readyz").await.0, StatusCode::OK);

    replica.proxy.freeze(true);
    let ((status, headers, problem), webhook, readyz, metrics) =
        tokio::join!(replica.send("second"), replica.webhook("SM2"), replica.get("/readyz"), replica.get("/metrics"));
    assert_eq!((status, &headers["retry-after"]), (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap()));
    assert_eq!(problem["type"], "urn:whatsapp-operator:problem:outcome-unknown", "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("same Idempotency-Key"), "{problem}");
    assert_eq!((webhook.0, webhook.1.contains_key("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, true));
    assert_eq!(
        (readyz.0, readyz.1.contains(r#""store":false"#)),
        (StatusCode::SERVICE_UNAVAILABLE, true),
        "{readyz:?}"
    );
    assert_eq!(metrics.0, StatusCode::OK);

    replica.proxy.freeze(false);
    until(async || replica.send("second").await.0 == StatusCode::ACCEPTED).await;
    until(async || replica.get("/readyz").await.0 == StatusCode::OK).await;
    assert_eq!(replica.webhook("SM2").await.0, StatusCode::OK, "the provider sends it again");
    let counted = "SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM webhook_events)";
    let postgres = postgres_cluster::shared().await.unwrap();
    assert_eq!(postgres.query(&replica.database, counted).await.unwrap(), "2|2", "nothing was done twice");

    replica.proxy.freeze(true);
    // Its probe waits in the commit queue.
    assert_eq!(replica.get("/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    replica.ends().await;
}

#[tokio::test]
async fn a_replica_whose_database_has_no_room_is_not_ready_although_it_answers() {
    let replica = Replica::start().await;
    assert_eq!(replica.get("/readyz").await.0, StatusCode::OK);
    let postgres = postgres_cluster::shared().await.unwrap();
    let full = "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
         CREATE TRIGGER full_disk BEFORE INSERT ON webhook_events EXECUTE FUNCTION full_disk()";
    postgres.query(&replica.database, full).await.unwrap();
    assert_eq!(replica.webhook("SM1").await.0, StatusCode::SERVICE_UNAVAILABLE);
    let (status, parts) = replica.get("/readyz").await;
    assert_eq!((status, parts.contains(r#""store":false"#)), (StatusCode::SERVICE_UNAVAILABLE, true), "{parts}");
    replica.ends().await;
}

/// Ends the sessions of this database that wait for a lock, and counts them.
const BREAK: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'";

#[tokio::test]
async fn a_start_bears_a_database_that_breaks_off_while_it_is_asked() {
    let postgres = postgres_cluster::shared().await.unwrap();
    let database = format!("test_{}", uuid::Uuid::new_v4().simple());
    postgres.create_database(&database).await.unwrap();
    let url = format!("{}?sslmode=disable", postgres.tcp_url(&database));
    let (store, writers) = open_store(&url.parse().unwrap(), None).await.unwrap();
    tokio::join!(writers.run(), store.close());
    // The clock is read behind a table, too, so that another session can keep the answer back.
    let turnstile = format!(
        "CREATE TABLE turnstile ();
         CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql
           AS 'SELECT pg_catalog.clock_timestamp() FROM (SELECT count(*) FROM turnstile) AS passed';
         ALTER DATABASE {database} SET search_path = public, pg_catalog"
    );
    postgres.query(&database, &turnstile).await.unwrap();
    for table in ["turnstile", "holds"] {
        let (session, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        let mut connected = JoinSet::new();
        connected.spawn(connection);
        session.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let mut starting = std::pin::pin!(Server::start(settings_over(&url, directory.path(), &["--roles", "api"])));
        let mut broken = 0;
        let breaking = until(async || {
            broken += postgres.query(&database, BREAK).await.unwrap().parse::<u32>().unwrap();
            broken >= 3
        });
        tokio::select! {
            started = &mut starting => panic!("{table}: {:?}", started.map(drop)),
            () = breaking => {}
        }
        session.batch_execute("ROLLBACK").await.unwrap();
        let server = soon(starting).await.unwrap();
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        soon(server.run(shutdown)).await.unwrap();
    }
}
