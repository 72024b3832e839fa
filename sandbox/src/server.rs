//! The listener: reads a request, lets faults have their way, answers, and logs.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request as HttpRequest, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    control,
    control::types::{RequestEffect, RequestRecord},
    faults::Met,
    http::{Answer, Request},
    twilio::{
        self, auth,
        errors::{ApiError, usual_code},
    },
    world::Shared,
};

const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// The connection is to be cut without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut on purpose")]
struct Cut;

/// Serves until it is told to stop.
pub(crate) async fn run(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                // Answers are small and must not wait for more.
                drop(stream.set_nodelay(true));
                let shared = shared.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let shared = shared.clone();
                        async move { respond(&shared, request).await }
                    });
                    let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "connection ended");
                    }
                });
            }
            Some(_) = connections.join_next() => {}
            () = stop.cancelled() => break,
        }
    }
    connections.shutdown().await;
}

async fn respond(shared: &Shared, request: HttpRequest<Incoming>) -> Result<Response<Full<Bytes>>, Cut> {
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(response(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, 20413, "too large").answer())),
    };
    let base = shared.look(|world| world.config.public_base.clone()).unwrap_or_else(|| {
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        format!("http://{host}")
    });
    let path_and_query = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::new(parts.method, path_and_query, parts.headers, body, base);
    if request.segments.first().is_some_and(|first| first == "sandbox") {
        return Ok(response(control::answer(shared, &request).await));
    }
    provider(shared, &request).await.map(response)
}

/// A request to an imitated API.
async fn provider(shared: &Shared, request: &Request) -> Result<Answer, Cut> {
    let (met, record) = shared.look(|world| {
        let username = auth::basic(request).map(|(username, _)| username);
        let account = username.as_deref().and_then(|username| world.twilio.account_of(username));
        let (method, path) = (request.method.as_str(), request.path.as_str());
        let met = world.faults.meet_request(method, path, &request.body, account.as_deref(), &mut world.rng);
        let now = world.now();
        let record = world.requests.add(|id| {
            let json = serde_json::from_slice(&request.body).ok();
            RequestRecord {
                id,
                at: now,
                method: method.to_owned(),
                path: path.to_owned(),
                query: request.query.0.clone(),
                form: if json.is_some() { Vec::new() } else { request.form().0 },
                json,
                account: None,
                username,
                status: None,
                faults: met.names.clone(),
            }
        });
        (met, record)
    });
    let Met { latency_ms, effect, .. } = met;
    wait(latency_ms).await;
    match effect {
        Some(RequestEffect::Refuse) => return Err(Cut),
        Some(RequestEffect::Status { status, retry_after, code, message, shape }) => {
            let mut answer = injected(status, code, message).in_shape(shape).answer();
            if let Some(seconds) = retry_after {
                answer = answer.with_header("retry-after", seconds.to_string());
            }
            note(shared, record, None, answer.status);
            return Ok(answer);
        }
        _ => {}
    }
    let (answer, account) = process(shared, request);
    match effect {
        Some(RequestEffect::DropResponse) => {
            shared.look(|world| {
                if let Some(record) = world.requests.get_mut(record) {
                    record.account = account;
                }
            });
            return Err(Cut);
        }
        Some(RequestEffect::StatusAfter { status }) => {
            let answer = injected(status, None, None).answer();
            note(shared, record, account, answer.status);
            return Ok(answer);
        }
        Some(RequestEffect::AnswerDelay { ms }) => wait(ms).await,
        _ => {}
    }
    note(shared, record, account, answer.status);
    Ok(answer)
}

fn process(shared: &Shared, request: &Request) -> (Answer, Option<String>) {
    match shared.attempt(|world| twilio::answer(world, request)) {
        Some(answered) => (answered.answer, answered.account),
        None => (injected(500, None, Some("the sandbox has a defect".to_owned())).answer(), None),
    }
}

fn injected(status: u16, code: Option<i64>, message: Option<String>) -> ApiError {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (usual_code, usual_message) = usual_code(status);
    ApiError::new(status, code.unwrap_or(usual_code), message.unwrap_or_else(|| usual_message.to_owned()))
}

fn note(shared: &Shared, record: u64, account: Option<String>, status: StatusCode) {
    shared.look(|world| {
        if let Some(record) = world.requests.get_mut(record) {
            record.account = account;
            record.status = Some(status.as_u16());
        }
    });
}

async fn wait(ms: u64) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(answer.status);
    if !answer.content_type.is_empty() {
        response = response.header(header::CONTENT_TYPE, &answer.content_type);
    }
    for (name, value) in &answer.headers {
        response = response.header(*name, value);
    }
    response.body(Full::new(answer.body)).unwrap_or_else(|_| {
        // A content type that came from outside was no header value.
        let mut plain = Response::new(Full::new(Bytes::new()));
        *plain.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        plain
    })
}
