//! A client's socket that somebody reads, in memory.

use super::*;
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::MissedTickBehavior;

const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(3600);
/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A gate whose client may take as long as `limit` says for anything, and that client.
fn gate(limit: Duration) -> (Gate<DuplexStream>, DuplexStream) {
    let (client, socket) = duplex(4096);
    let limits = Limits {
        head_timeout: limit,
        idle_timeout: limit,
        stall_timeout: limit,
        ..Limits::default()
    };
    let facts = Arc::new(Facts::default());
    (Gate::new(socket, facts, &limits, true), client)
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, future).await;
    waited.expect("it does not end")
}

/// Writes a byte of `text` every so often, and never two at a time; counts them.
async fn drip(client: &mut DuplexStream, text: &[u8], pause: Duration, written: &mut usize) {
    let mut pause = tokio::time::interval(pause);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for byte in text {
        pause.tick().await;
        if client.write_all(&[*byte]).await.is_err() {
            break;
        }
        *written += 1;
    }
    std::future::pending().await
}

/// Once the time is used up, nothing that comes later brings it back.
#[tokio::test]
async fn a_head_that_comes_byte_by_byte_has_the_time_of_one_that_does_not() {
    let timeout = (Some(Refusal::HeadTimeout), STAND_IN);
    for (head, (refusal, handed_on)) in [
        (&[b'a'; 20][..], timeout),
        // What may be HTTP/2 for all of its length.
        (&PREFACE[..PREFACE.len() - 1], timeout),
        (b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n", (None, b"")),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: b", timeout),
    ] {
        let (mut gate, mut client) = gate(SHORT);
        let (mut got, mut written) = (Vec::new(), 0);
        tokio::select! {
            () = drip(&mut client, head, SHORT / 3, &mut written) => {}
            read = soon(gate.read_to_end(&mut got)) => drop(read),
        }
        assert_eq!((gate.facts.refusal(), &got[..]), (refusal, handed_on));
        assert!(written < head.len(), "{}", String::from_utf8_lossy(head));
    }
}

/// Bytes that a client is heard out for.
const HEARD: usize = 524_288;

/// What may not stand in a target takes more room once it is encoded.
#[tokio::test]
async fn a_head_is_as_large_as_it_is_handed_on() {
    let bytes = Limits::default().head_bytes;
    let rest = " HTTP/1.1\r\nHost: a\r\nA: \r\n\r\n";
    for (more, refusal) in [(0, None), (1, Some(Refusal::TargetTooLong))] {
        let value = "b".repeat(bytes - 5 - 300 - rest.len() + more);
        let rest = rest.replace("A: ", &format!("A: {value}"));
        let head = format!("GET /{}{rest}", "<".repeat(100));
        let (mut gate, mut client) = gate(LONG);
        let sent = async {
            client.write_all(head.as_bytes()).await.unwrap();
            client.shutdown().await.unwrap();
        };
        let mut got = Vec::new();
        let (read, ()) = soon(async { tokio::join!(gate.read_to_end(&mut got), sent) }).await;
        read.unwrap();
        assert_eq!(gate.facts.refusal(), refusal);
        let expected = head.replace('<', "%3C").into_bytes();
        let expected = if more == 0 { &expected } else { STAND_IN };
        assert!(got == expected, "{} bytes", got.len());
    }
}

const BODY: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";
const MALFORMED: &[u8] = b"GET /\r\n\r\n";
const WHOLE: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A gate that has handed on what its client has said, and that lingers for so long.
async fn said(text: &[u8], linger: Duration) -> (Gate<DuplexStream>, DuplexStream) {
    let (mut gate, mut client) = gate(LONG);
    gate.limits.linger = linger;
    client.write_all(text).await.unwrap();
    assert_ne!(gate.read(&mut [0; 1024]).await.unwrap(), 0);
    (gate, client)
}

#[tokio::test]
async fn a_client_that_goes_on_sending_is_heard_out_for_so_many_bytes() {
    for text in [BODY, MALFORMED] {
        let (mut gate, mut client) = said(text, LONG).await;
        let sent = tokio::spawn(async move {
            let mut sent = 0;
            while let Ok(bytes) = client.write(&[0; 1024]).await {
                sent += bytes;
            }
            sent
        });
        soon(gate.shutdown()).await.unwrap();
        drop(gate);
        let sent = soon(sent).await.unwrap();
        let most = HEARD + 4 * 4096;
        assert!((HEARD..most).contains(&sent), "{sent}");
    }
}

#[tokio::test]
async fn a_client_that_goes_on_sending_is_heard_out_for_so_long() {
    for text in [BODY, MALFORMED] {
        let (mut gate, mut client) = said(text, SHORT).await;
        let (begin, mut written) = (Instant::now(), 0);
        tokio::select! {
            () = drip(&mut client, &[0; 10_000], SHORT / 10, &mut written) => {}
            shut = soon(gate.shutdown()) => shut.unwrap(),
        }
        assert!(begin.elapsed() >= SHORT);
    }
}

#[tokio::test]
async fn nobody_waits_for_a_client_that_has_sent_all() {
    // It closes, or there was no more to come.
    for text in [BODY, MALFORMED] {
        let (mut gate, mut client) = said(text, LONG).await;
        let closing = async {
            let shut = client.shutdown().await;
            let mut rest = Vec::new();
            let read = client.read_to_end(&mut rest).await;
            shut.and(read)
        };
        let (shut, closed) = soon(async { tokio::join!(gate.shutdown(), closing) }).await;
        assert_eq!((shut.unwrap(), closed.unwrap()), ((), 0));
    }
    let (mut gate, _client) = said(WHOLE, LONG).await;
    soon(gate.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_given_up() {
    let (mut gate, client) = gate(SHORT);
    let all = soon(gate.write_all(&[0; 10_000])).await;
    assert_eq!(all.unwrap_err().kind(), io::ErrorKind::TimedOut);
    drop(client);
}
