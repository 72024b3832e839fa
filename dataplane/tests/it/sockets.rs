//! What reaches the process's sockets from clients that mean harm, or that do not finish what they began.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use dataplane::serve::Server;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{bytes, tenant_json};
use crate::serve::settings;
use crate::world::{soon, until};

/// A process that serves the tenant `shop`, in this one.
struct Serving {
    webhooks: SocketAddr,
    api: SocketAddr,
    admin: SocketAddr,
    running: JoinSet<anyhow::Result<()>>,
    shutdown: CancellationToken,
    _directory: TempDir,
}

impl Serving {
    async fn start(more: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("shop.json"), bytes(&tenant_json("shop"))).unwrap();
        let server = Server::start(settings(directory.path(), more)).await.unwrap();
        let (addresses, shutdown, mut running) = (server.addresses(), CancellationToken::new(), JoinSet::new());
        running.spawn(server.run(shutdown.clone()));
        let (webhooks, api) = (addresses.webhooks.unwrap(), addresses.api.unwrap());
        Self { webhooks, api, admin: addresses.admin, running, shutdown, _directory: directory }
    }

    fn addresses(&self) -> [SocketAddr; 3] {
        [self.webhooks, self.api, self.admin]
    }

    async fn end(mut self) {
        self.shutdown.cancel();
        soon(self.running.join_next()).await.unwrap().unwrap().unwrap();
    }
}

/// A client's connection, byte by byte.
struct Client(TcpStream);

impl Client {
    /// Connects and sends this.
    async fn sends(address: SocketAddr, text: &str) -> Self {
        let mut client = Self(TcpStream::connect(address).await.unwrap());
        client.send(text).await;
        client
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads an answer. Answers with its head, in lower case.
    async fn answer(&mut self) -> Option<String> {
        Some(self.whole_answer().await?.0)
    }

    /// Reads an answer: its head, in lower case, and its body.
    async fn whole_answer(&mut self) -> Option<(String, String)> {
        let (mut head, mut byte) = (Vec::new(), [0; 1]);
        while !head.ends_with(b"\r\n\r\n") {
            if soon(self.0.read(&mut byte)).await.unwrap_or(0) == 0 {
                return None;
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
        let mut body = vec![0; length];
        soon(self.0.read_exact(&mut body)).await.unwrap();
        Some((head, String::from_utf8(body).unwrap()))
    }

    /// Waits until the other side closes.
    async fn closed(mut self) {
        let mut rest = Vec::new();
        match soon(self.0.read_to_end(&mut rest)).await {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

#[tokio::test]
async fn a_half_sent_request_does_not_delay_the_end() {
    let serving = Serving::start(&["--drain-timeout", "1h"]).await;
    let mut clients = Vec::new();
    for address in serving.addresses() {
        for text in [
            "",
            "GET / HTT",
            "GET / HTTP/1.1\r\nhost: x\r\n",
            "POST /webhooks/shop/support/twilio/inbound HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nab",
            "PUT /admin/v1/tenants/shop/pause HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nab",
        ] {
            clients.push(Client::sends(address, text).await);
        }
        let mut used = Client::sends(address, "GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(used.answer().await.is_some());
        used.send("GET /nothing HTTP/1.1\r\nhost: x\r\n").await;
        clients.push(used);
    }
    serving.end().await;
    for client in clients {
        client.closed().await;
    }
}

#[tokio::test]
async fn a_client_whose_body_was_not_read_knows_whether_its_connection_lives_on() {
    let serving = Serving::start(&[]).await;
    let requests = [
        (serving.webhooks, "POST /nothing HTTP/1.1\r\n", "404"),
        (serving.webhooks, "POST /webhooks/shop/unknown/twilio/inbound HTTP/1.1\r\n", "40"),
        (serving.api, "POST /v1/messages HTTP/1.1\r\n", "401"),
        (serving.api, "POST /v1/messages HTTP/1.1\r\nauthorization: Bearer key-of-shop\r\n", "415"),
        (serving.api, "PUT /v1/messages HTTP/1.1\r\n", "405"),
        (serving.admin, "POST /nothing HTTP/1.1\r\n", "404"),
    ];
    for (address, head, status) in requests {
        let head = format!("{head}host: localhost\r\ncontent-length: 5\r\n\r\n");
        // A body that comes at last is not taken for the next request.
        let mut client = Client::sends(address, &head).await;
        client.send("hello").await;
        let second = "GET /nothing HTTP/1.1\r\nhost: localhost\r\n\r\n";
        client.send(second).await;
        let answer = client.answer().await.unwrap();
        assert!(answer.starts_with(&format!("http/1.1 {status}")), "{head}{answer}");
        assert!(!answer.contains("connection: close"), "{head}{answer}");
        let answer = client.answer().await.unwrap_or_else(|| panic!("after {head}"));
        assert!(answer.starts_with("http/1.1 404"), "{head}{answer}");
        // One that does not come ends the connection, and the answer says so.
        let mut client = Client::sends(address, &head).await;
        let answer = client.answer().await.unwrap();
        assert!(answer.contains("connection: close"), "{head}{answer}");
        client.closed().await;
    }
    serving.end().await;
}

#[tokio::test]
async fn a_client_that_sends_far_too_much_can_still_read_why_it_was_refused() {
    let serving = Serving::start(&[]).await;
    let body = "a".repeat(900_000);
    let head = "POST /v1/messages HTTP/1.1\r\nhost: x\r\nauthorization: Bearer key-of-shop\r\ncontent-type: application/json\r\n";
    let mut client = Client::sends(serving.api, &format!("{head}content-length: 900000\r\n\r\n{body}")).await;
    let answer = client.answer().await.unwrap();
    assert!(answer.starts_with("http/1.1 413") && answer.contains("connection: close"), "{answer}");
    // A reset may reach a client before the answer that was sent ahead of it.
    assert_eq!(soon(client.0.read(&mut [0])).await.unwrap(), 0, "it ends in order");
    let header = "a".repeat(40_000);
    for address in serving.addresses() {
        let mut client =
            Client::sends(address, &format!("GET / HTTP/1.1\r\nhost: x\r\nx-long: {header}\r\n\r\n")).await;
        let answer = client.answer().await.unwrap();
        assert!(answer.starts_with("http/1.1 431"), "{answer}");
    }
    serving.end().await;
}

#[tokio::test]
async fn who_keeps_a_listener_waiting_is_disconnected() {
    let limits = ["--header-timeout", "50ms", "--idle-timeout", "50ms", "--body-timeout", "50ms"];
    let serving = Serving::start(&limits).await;
    for address in serving.addresses() {
        Client::sends(address, "").await.closed().await;
        Client::sends(address, "GET / HTTP/1.1\r\nhost: x\r\n").await.closed().await;
        let mut idle = Client::sends(address, "GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(idle.answer().await.is_some());
        idle.closed().await;
    }
    serving.end().await;
}

#[tokio::test]
async fn a_client_that_sends_its_body_too_slowly_is_told_so_and_disconnected() {
    let serving = Serving::start(&["--body-timeout", "50ms"]).await;
    let message =
        "POST /v1/messages HTTP/1.1\r\nauthorization: Bearer key-of-shop\r\ncontent-type: application/json\r\n";
    let webhook = "POST /webhooks/shop/support/twilio/inbound HTTP/1.1\r\n";
    for (address, head) in [(serving.api, message), (serving.webhooks, webhook)] {
        let mut slow = Client::sends(address, &format!("{head}host: x\r\ncontent-length: 5\r\n\r\nab")).await;
        let (answer, problem) = slow.whole_answer().await.unwrap();
        assert!(answer.starts_with("http/1.1 408") && answer.contains("connection: close"), "{head}{answer}");
        assert!(answer.contains("content-type: application/problem+json"), "{head}{answer}");
        let problem: serde_json::Value = serde_json::from_str(&problem).unwrap();
        assert_eq!(problem["type"], "urn:whatsapp-operator:problem:slow-body", "{head}{problem}");
        slow.closed().await;
    }
    serving.end().await;
}

#[tokio::test]
async fn a_listener_that_is_full_of_silent_clients_serves_the_next_one() {
    let serving = Serving::start(&["--max-connections", "8", "--header-timeout", "1h"]).await;
    let mut silent = Vec::new();
    for address in [serving.webhooks, serving.api] {
        for _ in 0..20 {
            silent.push(Client::sends(address, "GET / HTTP/1.1\r\n").await);
        }
        let mut client = Client::sends(address, "GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(client.answer().await.is_some());
        drop(client);
        // Others made room for those that came later.
        let mut closed: FuturesUnordered<_> = silent.drain(..).map(Client::closed).collect();
        for _ in 0..12 {
            closed.next().await.unwrap();
        }
    }
    serving.end().await;
}

#[tokio::test]
async fn one_peer_takes_no_more_connections_than_it_may() {
    let serving = Serving::start(&["--max-connections-per-peer", "2", "--header-timeout", "1h"]).await;
    let request = "GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut first = Client::sends(serving.webhooks, request).await;
    assert!(first.answer().await.is_some());
    let mut second = Client::sends(serving.webhooks, request).await;
    assert!(second.answer().await.is_some());
    second.send("GET ").await;
    Client(TcpStream::connect(serving.webhooks).await.unwrap()).closed().await;
    first.send(request).await;
    assert!(first.answer().await.is_some());
    drop((first, second));
    serving.end().await;
}

/// The binary, in a process with few descriptors. It is killed with the value.
struct Confined(Child);

impl Drop for Confined {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Confined {
    fn start(directory: &Path, ports: &[SocketAddr; 3], descriptors: u32) -> Self {
        let [webhooks, api, admin] = ports;
        let command = format!(
            "ulimit -n {descriptors}; exec {} serve --store sqlite://{dir}/store.db --config-dir {dir} \
             --webhook-listen {webhooks} --api-listen {api} --admin-listen {admin}",
            env!("CARGO_BIN_EXE_whatsapp-dataplane"),
            dir = directory.display(),
        );
        Self(Command::new("sh").args(["-c", &command]).stderr(Stdio::null()).spawn().unwrap())
    }
}

#[tokio::test]
async fn readiness_is_told_while_more_clients_hang_on_than_there_are_descriptors() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("shop.json"), bytes(&tenant_json("shop"))).unwrap();
    let free = || std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let held = [free(), free(), free()];
    let ports = held.each_ref().map(|listener| listener.local_addr().unwrap());
    drop(held);
    let _process = Confined::start(directory.path(), &ports, 256);
    let ready = async || {
        let Ok(connection) = TcpStream::connect(ports[2]).await else { return false };
        let mut client = Client(connection);
        client.send("GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n").await;
        client.answer().await.is_some_and(|answer| answer.starts_with("http/1.1 200"))
    };
    until(async || ready().await).await;
    let mut hanging = Vec::new();
    for address in ports.into_iter().cycle().take(600) {
        hanging.push(Client::sends(address, "GET / HTTP/1.1\r\n").await);
    }
    assert!(soon(ready()).await);
    let mut client = Client::sends(ports[0], "GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(client.answer().await.is_some());
}
