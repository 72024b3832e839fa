//! One keep-alive connection, with just enough HTTP to find the end of a response.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than any response that is expected here.
const LONGEST: usize = 16 * 1024;

pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; LONGEST] })
    }

    /// Sends a request and reads the whole response, which must be a success.
    pub(super) async fn call(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).await?;
        let mut length = 0;
        loop {
            ensure!(length < LONGEST, "the response is longer than {LONGEST} bytes");
            let read = self.stream.read(&mut self.buffer[length..]).await?;
            ensure!(read > 0, "the server closed the connection");
            length += read;
            let answer = &self.buffer[..length];
            match parse(answer)? {
                Answer::Incomplete => {}
                Answer::Success => return Ok(()),
                Answer::Failure => bail!("the server answered {}", String::from_utf8_lossy(answer)),
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Incomplete,
    Success,
    Failure,
}

/// Whether these bytes are a complete and successful response.
fn parse(bytes: &[u8]) -> Result<Answer> {
    let Some(head_end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(Answer::Incomplete) };
    let (head, body) = (&bytes[..head_end], bytes.len() - head_end - 4);
    let length = content_length(head)?;
    Ok(match body.cmp(&length) {
        std::cmp::Ordering::Less => Answer::Incomplete,
        std::cmp::Ordering::Greater => bail!("the server sent more than one response to one request"),
        std::cmp::Ordering::Equal if head.starts_with(b"HTTP/1.1 2") => Answer::Success,
        std::cmp::Ordering::Equal => Answer::Failure,
    })
}

/// A response without the header has no body, as with 204. Chunked bodies are not supported, and no server here sends
/// any.
fn content_length(head: &[u8]) -> Result<usize> {
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.eq_ignore_ascii_case(b"content-length") {
            let text = std::str::from_utf8(value).context("the content-length is not text")?;
            return text.trim().parse().with_context(|| format!("the content-length is {text:?}, expected a number"));
        }
        ensure!(!name.eq_ignore_ascii_case(b"transfer-encoding"), "the response is chunked, expected a content-length");
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_length_says() {
        let whole = b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 5\r\n\r\nhello";
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]).unwrap(), Answer::Incomplete, "{end} bytes");
        }
        assert_eq!(parse(whole).unwrap(), Answer::Success);
        assert_eq!(parse(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap(), Answer::Success);
    }

    #[test]
    fn a_response_that_is_not_a_success_is_a_failure() {
        assert_eq!(parse(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").unwrap(), Answer::Failure);
        assert!(parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 204 No Content\r\n\r\nmore").is_err(), "two answers to one request");
    }
}
