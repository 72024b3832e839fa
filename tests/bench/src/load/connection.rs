//! One keep-alive connection, and just enough HTTP to know where an answer ends.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// No answer that is expected here is longer.
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

    /// Sends a request and reads the whole answer, which must be a success.
    pub(super) async fn call(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).await?;
        let mut length = 0;
        loop {
            ensure!(length < LONGEST, "an answer of more than {LONGEST} bytes");
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

/// Whether these bytes are a whole answer, and a good one.
fn parse(bytes: &[u8]) -> Result<Answer> {
    let Some(head_end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(Answer::Incomplete) };
    let (head, body) = (&bytes[..head_end], bytes.len() - head_end - 4);
    let length = content_length(head)?;
    Ok(match body.cmp(&length) {
        std::cmp::Ordering::Less => Answer::Incomplete,
        std::cmp::Ordering::Greater => bail!("the server answered more than was asked"),
        std::cmp::Ordering::Equal if head.starts_with(b"HTTP/1.1 2") => Answer::Success,
        std::cmp::Ordering::Equal => Answer::Failure,
    })
}

/// Without the header there is no body, as with 204; chunks are not understood, and nothing here sends them.
fn content_length(head: &[u8]) -> Result<usize> {
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.eq_ignore_ascii_case(b"content-length") {
            let text = std::str::from_utf8(value).context("a content-length")?;
            return text.trim().parse().with_context(|| format!("a content-length of {text:?}"));
        }
        ensure!(!name.eq_ignore_ascii_case(b"transfer-encoding"), "an answer in chunks");
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
    fn what_is_not_a_success_is_told_apart() {
        assert_eq!(parse(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").unwrap(), Answer::Failure);
        assert!(parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 204 No Content\r\n\r\nmore").is_err(), "two answers to one request");
    }
}
