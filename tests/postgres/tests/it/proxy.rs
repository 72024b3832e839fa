//! The proxy, between a client and a server that echoes.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use postgres_cluster::Proxy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Long enough for any byte to pass on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Without a byte for this long, the proxy counts as frozen. If this is too short, only a proxy that does not freeze
/// goes unnoticed.
const SILENCE: Duration = Duration::from_millis(200);

/// Echoes what it reads, and reports how each connection ended.
struct Echo {
    address: SocketAddr,
    ends: tokio::sync::mpsc::UnboundedReceiver<Option<ErrorKind>>,
    _tasks: JoinSet<()>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, ends) = tokio::sync::mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let tell = tell.clone();
                connections.spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let end = tokio::io::copy(&mut from, &mut to).await.err().map(|error| error.kind());
                    tell.send(end).unwrap();
                });
            }
        });
        Self { address, ends, _tasks: tasks }
    }

    async fn end(&mut self) -> Option<ErrorKind> {
        timeout(PATIENCE, self.ends.recv()).await.unwrap().unwrap()
    }
}

async fn ask(stream: &mut TcpStream, text: &str) -> std::io::Result<String> {
    stream.write_all(text.as_bytes()).await?;
    let mut answer = vec![0; text.len()];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.expect("an answer")?;
    Ok(String::from_utf8(answer).unwrap())
}

async fn parts() -> (Echo, Proxy, TcpStream) {
    let echo = Echo::start().await;
    let proxy = Proxy::start(echo.address).await.unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut stream, "hello").await.unwrap(), "hello");
    (echo, proxy, stream)
}

#[tokio::test]
async fn everything_passes_in_order_and_so_does_the_end() {
    let (mut echo, _proxy, mut stream) = parts().await;
    let sent: Vec<u8> = (0..5_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let (mut from, mut to) = stream.split();
    let mut received = Vec::new();
    let sending = async {
        to.write_all(&sent).await?;
        to.shutdown().await
    };
    timeout(PATIENCE, async { tokio::try_join!(sending, from.read_to_end(&mut received)) }).await.unwrap().unwrap();
    assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
    assert_eq!(echo.end().await, None);
}

#[tokio::test]
async fn a_client_that_reads_late_still_gets_everything() {
    let (mut echo, _proxy, mut stream) = parts().await;
    stream.write_all(&[7; 300_000]).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(echo.end().await, None);
    // Both sides have ended. A proxy that resets here would discard what the client has not read yet.
    tokio::time::sleep(SILENCE).await;
    let mut received = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut received)).await.unwrap().unwrap();
    assert_eq!(received.len(), 300_000);
}

#[tokio::test]
async fn a_cut_resets_both_sides_and_the_next_connection_works() {
    let (mut echo, proxy, mut stream) = parts().await;
    assert_eq!(proxy.cut().await.unwrap(), 1);
    assert_eq!(stream.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(echo.end().await, Some(ErrorKind::ConnectionReset));

    assert_eq!(proxy.cut().await.unwrap(), 0);
    let mut next = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut next, "again").await.unwrap(), "again");
}

#[tokio::test]
async fn a_cut_includes_connections_that_were_only_just_made() {
    let (_echo, proxy, _stream) = parts().await;
    let mut fresh: Vec<_> = (0..20).map(|_| std::net::TcpStream::connect(proxy.address()).unwrap()).collect();
    assert_eq!(proxy.cut().await.unwrap(), 21);
    for stream in &mut fresh {
        let end = std::io::Read::read(stream, &mut [0]).unwrap_err();
        assert_eq!(end.kind(), ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn while_it_refuses_new_connections_end_and_open_ones_stay() {
    let (_echo, proxy, mut stream) = parts().await;
    proxy.refuse(true);
    let mut refused = TcpStream::connect(proxy.address()).await.unwrap();
    let end = timeout(PATIENCE, refused.read(&mut [0])).await.unwrap().unwrap_err();
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
    assert_eq!(ask(&mut stream, "open").await.unwrap(), "open");

    proxy.refuse(false);
    let mut next = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut next, "again").await.unwrap(), "again");
}

#[tokio::test]
async fn while_it_is_frozen_nothing_passes_and_afterwards_everything_does() {
    let (mut echo, proxy, mut stream) = parts().await;
    proxy.freeze(true);
    stream.write_all(b"open").await.unwrap();
    let mut fresh = TcpStream::connect(proxy.address()).await.unwrap();
    fresh.write_all(b"fresh").await.unwrap();
    let leaving = TcpStream::connect(proxy.address()).await.unwrap();
    drop(leaving);
    let (mut four, mut five) = ([0; 4], [0; 5]);
    tokio::select! {
        read = stream.read(&mut four) => panic!("{read:?} passed"),
        read = fresh.read(&mut five) => panic!("{read:?} passed"),
        end = echo.ends.recv() => panic!("an end passed: {end:?}"),
        () = tokio::time::sleep(SILENCE) => {}
    }

    proxy.freeze(false);
    timeout(PATIENCE, stream.read_exact(&mut four)).await.unwrap().unwrap();
    timeout(PATIENCE, fresh.read_exact(&mut five)).await.unwrap().unwrap();
    assert_eq!((&four, &five), (b"open", b"fresh"));
    assert_eq!(echo.end().await, None);
}

#[tokio::test]
async fn a_client_that_resets_while_it_is_frozen_is_noticed_only_afterwards() {
    let (mut echo, proxy, stream) = parts().await;
    proxy.freeze(true);
    stream.set_zero_linger().unwrap();
    drop(stream);
    assert!(timeout(SILENCE, echo.ends.recv()).await.is_err(), "the reset passed");
    proxy.freeze(false);
    assert_eq!(echo.end().await, Some(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_frozen_connection_can_be_cut() {
    let (mut echo, proxy, mut stream) = parts().await;
    proxy.freeze(true);
    stream.write_all(b"lost").await.unwrap();
    assert_eq!(proxy.cut().await.unwrap(), 1);
    assert_eq!(stream.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(echo.end().await, Some(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_delay_makes_everything_later_and_nothing_slower() {
    let (_echo, proxy, mut stream) = parts().await;
    let delay = Duration::from_millis(100);
    proxy.delay(delay);
    let begun = Instant::now();
    assert_eq!(ask(&mut stream, "there and back").await.unwrap(), "there and back");
    assert!(begun.elapsed() >= 2 * delay, "{:?}", begun.elapsed());

    // Forty pieces sent one by one would take eight seconds if each waited for the one before.
    let begun = Instant::now();
    let (mut from, mut to) = stream.split();
    let sending = async {
        for _ in 0..40 {
            to.write_all(&[7; 1024]).await?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    };
    let mut received = [0; 40 * 1024];
    timeout(PATIENCE, async { tokio::try_join!(sending, from.read_exact(&mut received)) }).await.unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn while_the_target_is_down_a_client_is_reset_and_later_served() {
    let (echo, proxy, _stream) = parts().await;
    let address = echo.address;
    drop(echo);
    let mut lost = TcpStream::connect(proxy.address()).await.unwrap();
    let end = timeout(PATIENCE, lost.read(&mut [0])).await.unwrap().unwrap_err();
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);

    let mut tasks = JoinSet::new();
    let listener = TcpListener::bind(address).await.unwrap();
    tasks.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"back").await.unwrap();
    });
    let mut next = TcpStream::connect(proxy.address()).await.unwrap();
    let mut four = [0; 4];
    timeout(PATIENCE, next.read_exact(&mut four)).await.unwrap().unwrap();
    assert_eq!(&four, b"back");
}

#[tokio::test]
async fn dropping_it_resets_its_connections_and_closes_its_port() {
    let (mut echo, proxy, mut stream) = parts().await;
    let address = proxy.address();
    drop(proxy);
    assert_eq!(timeout(PATIENCE, stream.read(&mut [0])).await.unwrap().unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(echo.end().await, Some(ErrorKind::ConnectionReset));
    assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
