//! What a webhook costs: distinct, rightly signed inbound webhooks over real sockets, each committed with fsync before
//! its answer.
//!
//! The load generator shares the machine's cores with what it measures, so compare figures of one run with each other,
//! and with nothing else. Prints a table and writes `target/bench/results.json`.

#![expect(clippy::print_stdout, reason = "it prints a table")]

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use messaging::config::{FORMAT, ProviderAccount, SenderConfig, TenantConfig, TwilioAccount};
use messaging::id::{SenderName, TenantId};
use messaging::secret::Secret;
use serde_json::{Value, json};
use sha1::Sha1;
use tests::eventually::eventually;
use tests::process::{Process, binary, root};
use tests::world::Ports;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const AUTH_TOKEN: &str = "0123456789abcdef0123456789abcdef";
const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
const PUBLIC_URL: &str = "https://whatsapp.example.com";
const PATH: &str = "/webhooks/shop/support/twilio/inbound";
/// How many webhooks one measurement sends, and over how many connections at most.
const COUNT: usize = 40_000;

/// One measurement.
struct Figures {
    requests_per_second: f64,
    p50: Duration,
    p99: Duration,
    /// Processor time of the data plane for each request, all threads, its database included.
    cpu_per_request: Duration,
    resident_mib: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    ensure!(!cfg!(debug_assertions), "a debug build measures nothing: run `make bench`");
    tests::install_crypto();
    println!("{}", machine()?);
    println!("{COUNT} distinct signed webhooks of about 1 KiB for each row; committed with fsync before the answer\n");
    println!(
        "{:<14} {:>12} {:>10} {:>10} {:>16} {:>10}",
        "connections", "requests/s", "p50 ms", "p99 ms", "CPU µs/request", "RSS MiB"
    );
    let mut results = Vec::new();
    for connections in [1, 16, 64, 256] {
        let figures = measure(connections).await?;
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        let cpu = figures.cpu_per_request.as_secs_f64() * 1e6;
        println!(
            "{connections:<14} {:>12.0} {:>10.2} {:>10.2} {cpu:>16.1} {:>10}",
            figures.requests_per_second,
            ms(figures.p50),
            ms(figures.p99),
            figures.resident_mib
        );
        let mut record = |name: &str, value: f64, unit: &str| {
            results.push(json!({"name": format!("webhook.sqlite.{name}_at_{connections}_connections"), "value": value, "unit": unit}));
        };
        record("requests_per_s", figures.requests_per_second, "1/s");
        record("p99_ms", ms(figures.p99), "ms");
        record("cpu_us", cpu, "µs");
        record("memory_mb", figures.resident_mib as f64, "MiB");
    }
    let path = root().join("target/bench/results.json");
    std::fs::create_dir_all(path.parent().context("a parent")?)?;
    std::fs::write(&path, serde_json::to_string_pretty(&Value::from(results))?)?;
    println!("\nwritten to target/bench/results.json");
    Ok(())
}

/// One row: a fresh data plane with an empty database.
async fn measure(connections: usize) -> Result<Figures> {
    let dir = tempfile::Builder::new().prefix("whatsapp-bench-").tempdir_in(root().join("target"))?;
    let config = dir.path().join("config");
    std::fs::create_dir(&config)?;
    std::fs::write(config.join("shop.json"), tenant()?.to_json())?;
    let ports = Ports::free()?;
    let at = |port: u16| format!("127.0.0.1:{port}");
    let mut command = Command::new(binary("whatsapp-dataplane")?);
    command
        .arg("serve")
        .args([
            "--webhook-listen",
            &at(ports.webhooks),
            "--api-listen",
            &at(ports.api),
            "--admin-listen",
            &at(ports.admin),
        ])
        .arg("--store")
        .arg(format!("sqlite://{}", dir.path().join("data.db").display()))
        .arg("--config-dir")
        .arg(&config)
        .env("RUST_LOG", "warn");
    let process = Process::start("data-plane", dir.path(), &mut command)?;
    let ready = format!("http://{}/readyz", at(ports.admin));
    eventually("the data plane is ready", async || match reqwest::get(&ready).await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;

    let requests: Arc<Vec<Vec<u8>>> = Arc::new((0..COUNT).map(request).collect::<Result<_>>()?);
    let next = Arc::new(AtomicUsize::new(0));
    let cpu_before = cpu(process.id())?;
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        clients.spawn(client(at(ports.webhooks), requests.clone(), next.clone()));
    }
    let mut latencies = Vec::with_capacity(COUNT);
    while let Some(done) = clients.join_next().await {
        latencies.extend(done??);
    }
    let elapsed = began.elapsed();
    let spent = cpu(process.id())?.saturating_sub(cpu_before);
    ensure!(latencies.len() == COUNT, "{} of {COUNT} were answered", latencies.len());
    latencies.sort_unstable();
    let percentile = |p: usize| latencies[(COUNT - 1) * p / 100];
    Ok(Figures {
        requests_per_second: COUNT as f64 / elapsed.as_secs_f64(),
        p50: percentile(50),
        p99: percentile(99),
        cpu_per_request: spent / u32::try_from(COUNT)?,
        resident_mib: process.resident_mib()?,
    })
}

/// Takes requests one after the other until there are none left.
async fn client(address: String, requests: Arc<Vec<Vec<u8>>>, next: Arc<AtomicUsize>) -> Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let mut latencies = Vec::new();
    let mut buffer = vec![0; 4096];
    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        let began = Instant::now();
        stream.write_all(request).await?;
        answer(&mut stream, &mut buffer).await?;
        latencies.push(began.elapsed());
    }
    Ok(latencies)
}

/// Reads one answer, which must be a success.
async fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<()> {
    let mut length = 0;
    loop {
        let read = stream.read(&mut buffer[length..]).await?;
        ensure!(read > 0, "the data plane closed the connection");
        length += read;
        let text = std::str::from_utf8(&buffer[..length]).context("the answer's head")?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        if !head.starts_with("HTTP/1.1 2") {
            bail!("the data plane answered {text}");
        }
        let expected = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(Ok(0), |(_, value)| value.trim().parse::<usize>())?;
        if body.len() >= expected {
            return Ok(());
        }
    }
}

/// The nth webhook, as bytes on the wire. Every one has another SID, so none is a duplicate.
fn request(n: usize) -> Result<Vec<u8>> {
    let from = format!("+44770{n:07}");
    let fields = BTreeMap::from([
        ("AccountSid", ACCOUNT.to_owned()),
        ("ApiVersion", "2010-04-01".to_owned()),
        ("Body", format!("Hello, I would like to know where my order {n} is. {}", "It was due yesterday. ".repeat(20))),
        ("ChannelMetadata", r#"{"type":"whatsapp","data":{"context":{"ProfileName":"Ava"}}}"#.to_owned()),
        ("From", format!("whatsapp:{from}")),
        ("MessageSid", format!("SM{n:032x}")),
        ("MessageType", "text".to_owned()),
        ("NumMedia", "0".to_owned()),
        ("NumSegments", "1".to_owned()),
        ("ProfileName", "Ava".to_owned()),
        ("SmsMessageSid", format!("SM{n:032x}")),
        ("SmsSid", format!("SM{n:032x}")),
        ("SmsStatus", "received".to_owned()),
        ("To", "whatsapp:+14155238886".to_owned()),
        ("WaId", from[1..].to_owned()),
    ]);
    let mut mac = Hmac::<Sha1>::new_from_slice(AUTH_TOKEN.as_bytes())?;
    mac.update(format!("{PUBLIC_URL}{PATH}").as_bytes());
    for (key, value) in &fields {
        mac.update(key.as_bytes());
        mac.update(value.as_bytes());
    }
    let signature = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: whatsapp.example.com\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         x-twilio-signature: {signature}\r\ni-twilio-idempotency-token: {n:036}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Ok([head.as_bytes(), body.as_bytes()].concat())
}

/// One tenant with one sender and nobody to tell.
fn tenant() -> Result<TenantConfig> {
    let account = TwilioAccount {
        account_sid: ACCOUNT.to_owned(),
        username: ACCOUNT.to_owned(),
        password: Secret::new(AUTH_TOKEN),
        webhook_keys: vec![Secret::new(AUTH_TOKEN)],
        messaging_service_sid: None,
        base_url: None,
    };
    let sender = SenderConfig {
        phone_number: "+14155238886".parse()?,
        provider: ProviderAccount::Twilio(account),
        limits: messaging::config::Limits::default(),
        opt_out: messaging::config::OptOutConfig::default(),
        consent: messaging::config::ConsentConfig::default(),
        retention: messaging::config::Retention::default(),
        events: Vec::new(),
        paused: false,
    };
    Ok(TenantConfig {
        format: FORMAT,
        tenant: TenantId::new("shop")?,
        cell: None,
        public_base_url: PUBLIC_URL.parse()?,
        senders: BTreeMap::from([(SenderName::new("support")?, sender)]),
        templates: BTreeMap::new(),
        policies: BTreeMap::new(),
        default_policy: None,
        api_keys: Vec::new(),
    })
}

/// Processor time that a process has used so far, user and system.
fn cpu(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the program's name in brackets, which may hold spaces.
    let rest = stat.rsplit_once(')').context("/proc/<pid>/stat")?.1;
    let ticks: u64 = rest.split_whitespace().skip(11).take(2).map(|t| t.parse::<u64>()).sum::<Result<_, _>>()?;
    // Linux counts in hundredths of a second towards user space, whatever the kernel's own tick is.
    Ok(Duration::from_millis(ticks * 10))
}

/// What the figures were measured on.
fn machine() -> Result<String> {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = cpuinfo
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .map_or("unknown", |m| m.trim_start_matches(['\t', ':', ' ']));
    let cores = cpuinfo.lines().filter(|l| l.starts_with("processor")).count();
    Ok(format!("{cores} cores of {model}; load generator on the same cores"))
}
