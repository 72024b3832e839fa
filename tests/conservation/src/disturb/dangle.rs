//! Strangers open connections and say nothing, or begin a request that they never finish.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Result;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::Around;

/// The newest so many are kept open here. The data plane closes them earlier.
const KEPT: usize = 300;
const AT_ONCE: usize = 10;
const BEGINNINGS: [&[u8]; 4] = [
    b"",
    b"POST /v1/messages HTTP/1.1\r\nhost: a",
    b"POST /webhooks/tenant-0/support/twilio/inbound HTTP/1.1\r\nhost: a\r\ncontent-length: 900\r\n\r\nFrom=",
    b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
];

/// Returns how many were opened.
pub(super) async fn act(around: &Around, end: Instant, mut chance: StdRng) -> Result<usize> {
    let (mut open, mut opened) = (VecDeque::new(), 0);
    while Instant::now() < end {
        let listener = around.listeners[chance.random_range(0..around.listeners.len())];
        for _ in 0..AT_ONCE {
            // The replica may be down.
            let Ok(mut connection) = TcpStream::connect(listener).await else { break };
            let beginning = BEGINNINGS[chance.random_range(0..BEGINNINGS.len())];
            if connection.write_all(beginning).await.is_ok() {
                open.push_back(connection);
                opened += 1;
            }
        }
        while open.len() > KEPT {
            open.pop_front();
        }
        sleep(Duration::from_millis(chance.random_range(300..900))).await;
    }
    Ok(opened)
}
