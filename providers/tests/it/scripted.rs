//! A peer that answers each request as the test scripts it, byte by byte.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The peer's reaction to one request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Sends these bytes and keeps the connection open.
    Say(String),
    /// Sends these bytes and closes the connection.
    SayAndClose(String),
    /// Reads the request and closes the connection.
    Close,
    /// Reads the request and never answers.
    Hang,
}

/// A listening peer; it stops when it is dropped.
pub(crate) struct Scripted {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Scripted {
    /// Plays the acts in order, over any number of connections, and repeats the last one.
    pub(crate) async fn start(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, acts) = (Arc::clone(&requests), Arc::new(acts));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&seen), Arc::clone(&acts)));
            }
        });
        Self { url, requests, _tasks: tasks }
    }

    /// Every request so far: its head and body as text.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic").clone()
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Vec<String>>>, acts: Arc<Vec<Act>>) {
    while let Some(request) = read_request(&mut stream).await {
        let act = {
            let mut seen = seen.lock().expect("no panic");
            seen.push(request);
            acts[(seen.len() - 1).min(acts.len() - 1)].clone()
        };
        match act {
            Act::Say(bytes) => stream.write_all(bytes.as_bytes()).await.expect("the client listens"),
            Act::SayAndClose(bytes) => return stream.write_all(bytes.as_bytes()).await.expect("the client listens"),
            Act::Close => return,
            Act::Hang => std::future::pending().await,
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok()
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(text.into_owned());
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
        }
    }
}

pub(crate) fn json(status: u16, body: &serde_json::Value) -> String {
    answer(status, "", &body.to_string())
}

/// An answer with further header lines, each ending in CR LF.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} Whatever\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}
