//! An API server in memory, as far as unit tests need one: it keeps what is written, by path, and gives each write a
//! version. A watch never tells anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};

#[derive(Debug, Default)]
pub(crate) struct FakeApi {
    objects: Mutex<BTreeMap<String, Value>>,
    listed_whole: Mutex<Vec<String>>,
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

    pub(crate) fn put(&self, path: &str, object: Value) {
        self.objects.lock().insert(path.to_owned(), object);
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.objects.lock().get(path).cloned()
    }

    /// The objects in a collection.
    pub(crate) fn list(&self, collection: &str) -> Vec<Value> {
        let objects = self.objects.lock();
        let within = |path: &str| path.strip_prefix(collection).is_some_and(|name| name.starts_with('/'));
        objects.iter().filter(|(path, _)| within(path)).map(|(_, object)| object.clone()).collect()
    }

    /// The collections that were listed with more than their metadata.
    pub(crate) fn listed_whole(&self) -> Vec<String> {
        self.listed_whole.lock().clone()
    }

    async fn handle(&self, request: Request<Body>) -> Result<Response<Body>, kube::Error> {
        let (parts, body) = request.into_parts();
        if parts.uri.query().is_some_and(|query| query.contains("watch=true")) {
            return std::future::pending().await;
        }
        let body = serde_json::from_slice(&body.collect_bytes().await?).unwrap_or_default();
        let asked = parts.headers.get(http::header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        if is_collection(parts.uri.path()) && parts.method == Method::GET && !asked.contains("as=PartialObjectMetadata")
        {
            self.listed_whole.lock().push(parts.uri.path().to_owned());
        }
        let (status, answer) = self.answer(&parts.method, parts.uri.path(), body);
        let answer = Response::builder().status(status).body(Body::from(answer.to_string().into_bytes()));
        Ok(answer.unwrap())
    }

    fn answer(&self, method: &Method, path: &str, body: Value) -> (StatusCode, Value) {
        let missing = json!({ "kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound" });
        match *method {
            Method::GET if is_collection(path) => {
                let list = json!({ "apiVersion": "v1", "kind": "List", "metadata": { "resourceVersion": "1" }, "items": self.list(path) });
                (StatusCode::OK, list)
            }
            Method::GET => self.get(path).map_or((StatusCode::NOT_FOUND, missing), |object| (StatusCode::OK, object)),
            Method::POST => {
                let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                (StatusCode::CREATED, self.write(&format!("{path}/{name}"), body))
            }
            _ => (StatusCode::OK, self.write(path, body)),
        }
    }

    fn write(&self, path: &str, mut object: Value) -> Value {
        let mut objects = self.objects.lock();
        let version =
            |object: &Value| object["metadata"]["resourceVersion"].as_str().and_then(|v| v.parse::<u64>().ok());
        let before = objects.get(path).and_then(version).unwrap_or(0);
        object["metadata"]["resourceVersion"] = json!((before + 1).to_string());
        objects.insert(path.to_owned(), object.clone());
        object
    }
}

fn is_collection(path: &str) -> bool {
    ["secrets", "leases", "events"].iter().any(|plural| path.ends_with(&format!("/{plural}")))
}
