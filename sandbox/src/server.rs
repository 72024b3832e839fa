//! The listener: reads a request, injects faults, answers, and logs.

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
    http::{Answer, Request},
    provider::{Answered, Credentials, Injected},
    stage::Shared,
    types::{RequestEffect, RequestRecord},
    world::faults::Met,
};

const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// Cuts the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut on purpose")]
struct Cut;

/// Serves until `stop` is cancelled.
pub(crate) async fn run(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                // Answers are small and must not be delayed.
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
    let body = Limited::new(body, LARGEST_BODY).collect().await;
    let base = shared.look(|stage| stage.configured_base().map(str::to_owned)).unwrap_or_else(|| {
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        format!("http://{host}")
    });
    let path_and_query = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::new(parts.method, path_and_query, parts.headers, Bytes::new(), base);
    match body {
        Ok(body) => request.body = body.to_bytes(),
        Err(_) => {
            let message = Some("too large".to_owned());
            let too_large = Injected { code: Some(20413), message, ..Injected::status(413) };
            return Ok(response(shared.look(|stage| stage.error(&request, too_large))));
        }
    }
    if request.segments.first().is_some_and(|first| first == "sandbox") {
        return Ok(response(control::answer(shared, &request).await));
    }
    provider(shared, &request).await.map(response)
}

/// A request to an imitated API.
async fn provider(shared: &Shared, request: &Request) -> Result<Answer, Cut> {
    let (met, record) = shared.look(|stage| {
        let Credentials { username, account } = stage.credentials(request);
        let world = &mut stage.world;
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
            let mut answer = error(shared, request, Injected { status, code, message, shape });
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
            shared.look(|stage| {
                if let Some(record) = stage.world.requests.get_mut(record) {
                    record.account = account;
                }
            });
            return Err(Cut);
        }
        Some(RequestEffect::StatusAfter { status }) => {
            let answer = error(shared, request, Injected::status(status));
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
    match shared.attempt(|stage| stage.answer(request)) {
        Some(Some(Answered { answer, account })) => (answer, account),
        Some(None) => (error(shared, request, Injected::status(404)), None),
        None => {
            let message = Some("the sandbox has a defect".to_owned());
            (error(shared, request, Injected { message, ..Injected::status(500) }), None)
        }
    }
}

/// An error in the format of the provider that the request is for.
fn error(shared: &Shared, request: &Request, injected: Injected) -> Answer {
    shared.look(|stage| stage.error(request, injected))
}

fn note(shared: &Shared, record: u64, account: Option<String>, status: StatusCode) {
    shared.look(|stage| {
        if let Some(record) = stage.world.requests.get_mut(record) {
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
        // The content type is from a request and is not a valid header value.
        let mut plain = Response::new(Full::new(Bytes::new()));
        *plain.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        plain
    })
}
