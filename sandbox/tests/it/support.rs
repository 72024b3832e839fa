//! A sandbox with one account, a client of the provider's API, and a webhook receiver.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use reqwest::Method;
use sandbox::{
    Client, Config, Running, Sandbox,
    seed::{EXAMPLE_ACCOUNT_SID, EXAMPLE_AUTH_TOKEN, EXAMPLE_SERVICE_SID},
    twilio::types::{CreatedAccount, MessageFilter, MessageRecord, NewAccount, NewService},
    types::{WebhookFilter, WebhookKind, WebhookRecord},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

pub(crate) const SENDER: &str = "+14155238886";
pub(crate) const FROM: &str = "whatsapp:+14155238886";
pub(crate) const CUSTOMER: &str = "+447700900123";
pub(crate) const TO: &str = "whatsapp:+447700900123";

/// Whatever is awaited must happen within this time.
const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Bench {
    pub(crate) sandbox: Running,
    pub(crate) control: Client,
    pub(crate) account: CreatedAccount,
    http: reqwest::Client,
}

impl Bench {
    pub(crate) async fn start() -> Self {
        Self::start_with(Config::default()).await
    }

    pub(crate) async fn start_with(config: Config) -> Self {
        let sandbox = Sandbox::start(config).await.unwrap();
        let control = sandbox.control();
        let account = control.create_account(&one_sender(SENDER)).await.unwrap();
        Self { sandbox, control, account, http: reqwest::Client::new() }
    }

    /// Starts with the seed's example account instead of a new one.
    pub(crate) async fn start_with_seed_account(config: Config) -> Self {
        let sandbox = Sandbox::start(config).await.unwrap();
        let account = CreatedAccount {
            account_sid: EXAMPLE_ACCOUNT_SID.to_owned(),
            auth_token: EXAMPLE_AUTH_TOKEN.to_owned(),
            senders: vec![],
            services: vec![EXAMPLE_SERVICE_SID.to_owned()],
            contents: vec![],
        };
        Self { control: sandbox.control(), sandbox, account, http: reqwest::Client::new() }
    }

    pub(crate) fn service(&self) -> &str {
        &self.account.services[0]
    }

    /// A path under the account in the 2010 API.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/2010-04-01/Accounts/{}/{rest}", self.account.account_sid)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.sandbox.base_url()) };
        self.http.request(method, url).basic_auth(&self.account.account_sid, Some(&self.account.auth_token))
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.request(Method::GET, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> u16 {
        answer(self.request(Method::DELETE, path)).await.0
    }

    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        answer(self.request(Method::POST, path).form(form)).await
    }

    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> (u16, Value) {
        answer(self.request(Method::POST, path).json(body)).await
    }

    /// Sends a message from the sender to the customer; returns the provider's answer.
    pub(crate) async fn send(&self, fields: &[(&str, &str)]) -> (u16, Value) {
        let mut form = vec![("To", TO), ("From", FROM)];
        form.retain(|(name, _)| !fields.iter().any(|(other, _)| name == other));
        form.extend(fields);
        form.retain(|(_, value)| !value.is_empty());
        self.post(&self.path("Messages.json"), &form).await
    }

    /// Like [`Self::send`], but must succeed; returns the message's SID.
    pub(crate) async fn sent(&self, fields: &[(&str, &str)]) -> String {
        let (status, body) = self.send(fields).await;
        assert_eq!(status, 201, "{body}");
        body["sid"].as_str().unwrap().to_owned()
    }

    /// The customer writes, and so opens the window.
    pub(crate) async fn open_window(&self) {
        let reply =
            sandbox::types::Reply { to: Some(SENDER.to_owned()), body: "Hello".to_owned(), ..Default::default() };
        self.control.reply(CUSTOMER, &reply).await.unwrap();
    }

    pub(crate) async fn message(&self, sid: &str) -> MessageRecord {
        let messages = self.control.messages(&MessageFilter::default()).await.unwrap();
        messages.into_iter().find(|message| message.sid == sid).unwrap()
    }

    /// Waits until a message has a status.
    pub(crate) async fn until_status(&self, sid: &str, status: &str) -> MessageRecord {
        until(&format!("{sid} is {status}"), async || {
            let message = self.message(sid).await;
            (message.status == status).then_some(message)
        })
        .await
    }

    /// Waits until the status webhooks of a message satisfy a condition.
    pub(crate) async fn until_webhooks(
        &self,
        message_sid: &str,
        satisfied: impl Fn(&[WebhookRecord]) -> bool,
    ) -> Vec<WebhookRecord> {
        let filter = WebhookFilter { message_sid: Some(message_sid.to_owned()), ..WebhookFilter::default() };
        until(&format!("webhooks about {message_sid}"), async || {
            let webhooks = self.control.webhooks(&filter).await.unwrap();
            satisfied(&webhooks).then_some(webhooks)
        })
        .await
    }

    /// Creates a content with this body; returns its SID.
    pub(crate) async fn content(&self, name: &str, body: &str) -> String {
        let body = json!({
            "friendly_name": name,
            "language": "en",
            "variables": {"1": "Ava"},
            "types": {"twilio/text": {"body": body}},
        });
        let (status, content) = self.post_json("/v1/Content", &body).await;
        assert_eq!(status, 201, "{content}");
        content["sid"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn submit(&self, content: &str, name: &str) -> (u16, Value) {
        let body = json!({"name": name, "category": "UTILITY"});
        self.post_json(&format!("/v1/Content/{content}/ApprovalRequests/whatsapp"), &body).await
    }

    /// Has events about approvals sent to this URL; returns the SIDs of the sink and of the subscription.
    pub(crate) async fn subscribe(&self, destination: &str) -> (String, String) {
        let configuration = json!({"destination": destination, "method": "POST", "batch_events": false}).to_string();
        let sink =
            [("Description", "approvals"), ("SinkType", "webhook"), ("SinkConfiguration", configuration.as_str())];
        let (status, sink) = self.post("/v1/Sinks", &sink).await;
        assert_eq!((status, &sink["status"]), (201, &json!("active")), "{sink}");
        let sink = sink["sid"].as_str().unwrap().to_owned();
        let types = r#"{"type":"com.twilio.messaging.template.approval.updated"}"#;
        let form = [("Description", "approvals"), ("SinkSid", sink.as_str()), ("Types", types)];
        let (status, subscription) = self.post("/v1/Subscriptions", &form).await;
        assert_eq!(status, 201, "{subscription}");
        (sink, subscription["sid"].as_str().unwrap().to_owned())
    }

    /// Waits until a review has this status.
    pub(crate) async fn until_approval(&self, content: &str, status: &str) -> Value {
        until(&format!("{content} is {status}"), async || {
            let (_, approval) = self.get(&format!("/v1/Content/{content}/ApprovalRequests")).await;
            (approval["whatsapp"]["status"] == status).then(|| approval["whatsapp"].clone())
        })
        .await
    }
}

/// An account with one sender, in one messaging service.
pub(crate) fn one_sender(number: &str) -> NewAccount {
    NewAccount { senders: vec![number.into()], services: vec![NewService::default()], ..NewAccount::default() }
}

/// The status and the JSON of an answer; null if it has none.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let body = response.bytes().await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// Polls until there is a result.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let watch = async {
        loop {
            ticks.tick().await;
            if let Some(seen) = look().await {
                return seen;
            }
        }
    };
    tokio::time::timeout(DEADLINE, watch).await.unwrap_or_else(|_| panic!("not within {DEADLINE:?}: {what}"))
}

/// The statuses that webhooks reported, in the order of sending.
pub(crate) fn statuses(webhooks: &[WebhookRecord]) -> Vec<&str> {
    let of_status = webhooks.iter().filter(|webhook| webhook.kind == WebhookKind::Status);
    of_status.map(|webhook| webhook.message_status.as_str()).collect()
}

/// A webhook as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    pub(crate) method: String,
    pub(crate) path_and_query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Arrived {
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(&self.body).into_owned().collect()
    }

    pub(crate) fn value(&self, name: &str) -> Option<String> {
        self.form().into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    pub(crate) fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }
}

/// How a receiver answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Manner {
    Status(u16),
    /// Never.
    Silence,
}

/// Receives webhooks. Answers in the given manners, and then with 204.
pub(crate) struct Receiver {
    pub(crate) base: String,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    _server: JoinSet<()>,
}

impl Receiver {
    pub(crate) async fn start(manners: &[Manner]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let manners = Arc::new(Mutex::new(VecDeque::from(manners.to_vec())));
        let mut server = JoinSet::new();
        let noted = arrived.clone();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (noted, manners) = (noted.clone(), manners.clone());
                let service = service_fn(move |request| take(request, noted.clone(), manners.clone()));
                connections.spawn(async move {
                    // A sender that goes away ends the connection, which does not matter here.
                    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Self { base, arrived, _server: server }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }

    pub(crate) async fn until_arrived(&self, count: usize) -> Vec<Arrived> {
        until(&format!("{count} webhooks arrived"), async || {
            let arrived = self.arrived();
            (arrived.len() >= count).then_some(arrived)
        })
        .await
    }
}

async fn take(
    request: Request<Incoming>,
    noted: Arc<Mutex<Vec<Arrived>>>,
    manners: Arc<Mutex<VecDeque<Manner>>>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let arrived = Arrived {
        method: parts.method.to_string(),
        path_and_query: parts.uri.to_string(),
        headers: parts.headers,
        body: body.collect().await?.to_bytes(),
    };
    noted.lock().unwrap().push(arrived);
    let manner = manners.lock().unwrap().pop_front().unwrap_or(Manner::Status(204));
    let status = match manner {
        Manner::Status(status) => status,
        Manner::Silence => std::future::pending().await,
    };
    Ok(Response::builder().status(status).body(Full::default()).unwrap())
}
