//! An API server in memory, as far as unit tests need one: it keeps what is written, by path, and gives each write a
//! version. A write that is based on another version than the newest is refused. A watch never tells anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode, Uri};
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};

#[derive(Debug, Default)]
pub(crate) struct FakeApi {
    objects: Mutex<Objects>,
    listed_whole: Mutex<Vec<String>>,
    trouble: Mutex<Trouble>,
}

#[derive(Debug, Default, Clone)]
struct Objects {
    by_path: BTreeMap<String, Value>,
    newest: u64,
    writes: u64,
}

/// What tests have go wrong.
#[derive(Debug, Default)]
struct Trouble {
    /// Requests for these paths are never answered.
    silent: BTreeSet<String>,
    /// Requests for these paths are refused.
    refused: BTreeMap<String, StatusCode>,
    /// Happens once, right before the next write to this path.
    before_write: Option<(String, Value)>,
    /// After so many more writes, no request succeeds.
    writes_left: Option<usize>,
}

impl FakeApi {
    pub(crate) fn client(self: &Arc<Self>) -> kube::Client {
        let api = Arc::clone(self);
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = Arc::clone(&api);
            async move { api.handle(request).await }
        });
        kube::Client::new(service, "default")
    }

    /// Another one, that holds the same.
    pub(crate) fn copy(&self) -> Arc<Self> {
        Arc::new(Self { objects: Mutex::new(self.objects.lock().clone()), ..Self::default() })
    }

    pub(crate) fn put(&self, path: &str, object: Value) {
        self.objects.lock().by_path.insert(path.to_owned(), object);
    }

    pub(crate) fn remove(&self, path: &str) {
        self.objects.lock().by_path.remove(path);
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.objects.lock().by_path.get(path).cloned()
    }

    /// The objects in a collection.
    pub(crate) fn list(&self, collection: &str) -> Vec<Value> {
        let objects = self.objects.lock();
        let within = |path: &str| path.strip_prefix(collection).is_some_and(|name| name.starts_with('/'));
        objects.by_path.iter().filter(|(path, _)| within(path)).map(|(_, object)| object.clone()).collect()
    }

    /// The collections that were listed with more than their metadata.
    pub(crate) fn listed_whole(&self) -> Vec<String> {
        self.listed_whole.lock().clone()
    }

    /// Never answers a request for this path.
    pub(crate) fn fall_silent_about(&self, path: &str) {
        self.trouble.lock().silent.insert(path.to_owned());
    }

    /// Refuses every request for this path.
    pub(crate) fn refuse(&self, path: &str, status: StatusCode) {
        self.trouble.lock().refused.insert(path.to_owned(), status);
    }

    /// Has something else write an object right before the next write to its path.
    pub(crate) fn write_before(&self, path: &str, object: Value) {
        self.trouble.lock().before_write = Some((path.to_owned(), object));
    }

    /// Lets so many more writes succeed, and then no request, as if the process had crashed; `None` for all again.
    pub(crate) fn crash_after(&self, writes: Option<usize>) {
        self.trouble.lock().writes_left = writes;
    }

    pub(crate) fn writes(&self) -> u64 {
        self.objects.lock().writes
    }

    async fn handle(&self, request: Request<Body>) -> Result<Response<Body>, kube::Error> {
        let (parts, body) = request.into_parts();
        let is_silent = self.trouble.lock().silent.contains(parts.uri.path());
        if is_silent || parts.uri.query().is_some_and(|query| query.contains("watch=true")) {
            return std::future::pending().await;
        }
        if self.trouble.lock().crashes_at(&parts.method) {
            let answer = Response::builder().status(StatusCode::SERVICE_UNAVAILABLE).body(Body::empty());
            return Ok(answer.unwrap());
        }
        let body = serde_json::from_slice(&body.collect_bytes().await?).unwrap_or_default();
        let asked = parts.headers.get(http::header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        if is_collection(parts.uri.path()) && parts.method == Method::GET && !asked.contains("as=PartialObjectMetadata")
        {
            self.listed_whole.lock().push(parts.uri.path().to_owned());
        }
        let is_refused = self.trouble.lock().refused.get(parts.uri.path()).copied();
        let (status, answer) = match is_refused {
            Some(status) => refused(status, "Refused"),
            None => self.answer(&parts.method, &parts.uri, body),
        };
        let answer = Response::builder().status(status).body(Body::from(answer.to_string().into_bytes()));
        Ok(answer.unwrap())
    }

    fn answer(&self, method: &Method, uri: &Uri, body: Value) -> (StatusCode, Value) {
        let path = uri.path();
        match *method {
            Method::GET if is_collection(path) => {
                (StatusCode::OK, page(self.list(path), uri.query().unwrap_or_default()))
            }
            Method::GET => self.get(path).map_or_else(missing, |object| (StatusCode::OK, object)),
            Method::POST => {
                let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                self.write(&format!("{path}/{name}"), |before| match before {
                    Some(_) => Err(refused(StatusCode::CONFLICT, "AlreadyExists")),
                    None => Ok((StatusCode::CREATED, Some(body))),
                })
            }
            Method::DELETE => self.write(path, |before| match before {
                None => Err(missing()),
                Some(before) if is_another(before, &body["preconditions"]) => {
                    Err(refused(StatusCode::CONFLICT, "Conflict"))
                }
                Some(_) => Ok((StatusCode::OK, None)),
            }),
            _ if path.ends_with("/status") => self.write(path.trim_end_matches("/status"), |before| {
                let before = before.ok_or_else(missing)?;
                if is_another(before, &body["metadata"]) {
                    return Err(refused(StatusCode::CONFLICT, "Conflict"));
                }
                let mut object = before.clone();
                let status = object.as_object_mut().expect("an object").entry("status").or_insert_with(|| json!({}));
                merge(status, &body["status"]);
                Ok((StatusCode::OK, Some(object)))
            }),
            _ => self.write(path, |before| {
                let based_on = &body["metadata"];
                // Of an object that is gone, only the uid is missed.
                if before.map_or(!based_on["uid"].is_null(), |before| is_another(before, based_on)) {
                    return Err(refused(StatusCode::CONFLICT, "Conflict"));
                }
                Ok((StatusCode::OK, Some(body)))
            }),
        }
    }

    /// Writes what `change` makes of the object at a path; `None` removes it.
    fn write(
        &self,
        path: &str,
        change: impl FnOnce(Option<&Value>) -> Result<(StatusCode, Option<Value>), (StatusCode, Value)>,
    ) -> (StatusCode, Value) {
        let mut objects = self.objects.lock();
        if let Some((_, object)) = self.trouble.lock().before_write.take_if(|(before, _)| before == path) {
            objects.set(path, object);
        }
        objects.writes += 1;
        match change(objects.by_path.get(path)) {
            Ok((status, Some(object))) => (status, objects.set(path, object)),
            Ok((status, None)) => (status, objects.by_path.remove(path).unwrap_or_default()),
            Err(refused) => refused,
        }
    }
}

/// Applies a merge patch.
fn merge(target: &mut Value, patch: &Value) {
    let (Value::Object(fields), Value::Object(changes)) = (&mut *target, patch) else {
        *target = patch.clone();
        return;
    };
    for (field, change) in changes {
        match change {
            Value::Null => drop(fields.remove(field)),
            change => merge(fields.entry(field.as_str()).or_insert(json!({})), change),
        }
    }
}

impl Trouble {
    fn crashes_at(&mut self, method: &Method) -> bool {
        match &mut self.writes_left {
            Some(0) => true,
            Some(left) => {
                *left -= usize::from(method != Method::GET);
                false
            }
            None => false,
        }
    }
}

impl Objects {
    fn set(&mut self, path: &str, mut object: Value) -> Value {
        self.newest += 1;
        object["metadata"]["resourceVersion"] = json!(self.newest.to_string());
        let uid = self.by_path.get(path).map(|before| before["metadata"]["uid"].clone());
        match uid.filter(|uid| !uid.is_null()) {
            Some(uid) => object["metadata"]["uid"] = uid,
            None if object["metadata"]["uid"].is_null() => {
                object["metadata"]["uid"] = json!(format!("uid-{}", self.newest));
            }
            None => {}
        }
        self.by_path.insert(path.to_owned(), object.clone());
        object
    }
}

/// Whether an object is not the one that a request is based on, or not in that version.
fn is_another(object: &Value, based_on: &Value) -> bool {
    ["uid", "resourceVersion"]
        .iter()
        .any(|field| !based_on[field].is_null() && based_on[field] != object["metadata"][field])
}

/// One page of a list, where one is asked for.
fn page(items: Vec<Value>, query: &str) -> Value {
    let asked =
        |name: &str| query.split('&').find_map(|field| field.strip_prefix(name)?.strip_prefix('=')?.parse().ok());
    let (all, first) = (items.len(), asked("continue").unwrap_or(0_usize));
    let next = first.saturating_add(asked("limit").unwrap_or(usize::MAX));
    let items: Vec<Value> = items.into_iter().take(next).skip(first).collect();
    let more = if next < all { next.to_string() } else { String::new() };
    json!({ "apiVersion": "v1", "kind": "List", "metadata": { "resourceVersion": "1", "continue": more }, "items": items })
}

fn missing() -> (StatusCode, Value) {
    refused(StatusCode::NOT_FOUND, "NotFound")
}

fn refused(status: StatusCode, reason: &str) -> (StatusCode, Value) {
    (status, json!({ "kind": "Status", "status": "Failure", "code": status.as_u16(), "reason": reason }))
}

fn is_collection(path: &str) -> bool {
    let plurals =
        ["configmaps", "secrets", "leases", "events", "whatsappsenders", "messagetemplates", "routingpolicies"];
    plurals.iter().any(|plural| path.ends_with(&format!("/{plural}")))
}
