//! What a container may answer, when, and in how many parts.

use crate::rig::{Fed, Origin, Rig, empty, read_all, read_head, request, soon, until};
use bytes::Bytes;
use doprax_ingress::AccessLog;
use http_body_util::{BodyExt, Full};
use hyper::StatusCode;
use hyper::body::Frame;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Answers one request with these bytes, in parts of `step`, and ends.
async fn says(answer: Vec<u8>, step: usize) -> Origin {
    Origin::raw(move |mut stream| {
        let answer = answer.clone();
        async move {
            read_head(&mut stream).await;
            stream.set_nodelay(true).unwrap();
            for part in answer.chunks(step) {
                stream.write_all(part).await.unwrap();
                tokio::task::yield_now().await;
            }
            stream.shutdown().await.unwrap();
            let _ = stream.read(&mut [0]).await;
        }
    })
    .await
}

/// The status and the body that a client gets for such an answer; no body if it breaks off.
async fn got(method: &str, answer: &[u8], step: usize) -> (u16, Option<String>) {
    let origin = says(answer.to_vec(), step).await;
    let rig = Rig::new(origin.target());
    let mut client = rig.client().await;
    let response = client.send_request(request(method, "/", empty())).await;
    let response = response.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await;
    let body = body.map(|body| String::from_utf8(body.to_bytes().to_vec()).unwrap());
    (status, body.ok())
}

#[tokio::test]
async fn every_framing_of_a_response_is_understood_in_whatever_parts_it_comes() {
    let fields = "a: b\r\n".repeat(90);
    let many = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok");
    for (method, answer) in [
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ("GET", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"),
        ("GET", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
        ("GET", "HTTP/1.0 200 OK\r\n\r\nok"),
        ("GET", "HTTP/1.1 200 OK\r\n\r\nok"),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\n\r\n",
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 7\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        ),
        (
            "GET",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok"),
        (
            "GET",
            "HTTP/1.1  200  OK\r\nContent-Type : text/plain\r\nContent-Length\t: 2\r\n\r\nok",
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\na: b\r\n folded\r\nContent-Length: 2\r\n\r\nok",
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok",
        ),
        ("GET", &many),
    ] {
        for step in [1, 7, answer.len()] {
            let got = got(method, answer.as_bytes(), step).await;
            assert_eq!(got, (200, Some("ok".to_owned())), "{answer} by {step}");
        }
    }
    for (method, answer, status) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", 200),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            200,
        ),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n",
            304,
        ),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204),
        (
            "GET",
            "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n",
            204,
        ),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200),
    ] {
        let got = got(method, answer.as_bytes(), 7).await;
        assert_eq!(got, (status, Some(String::new())), "{answer}");
    }
}

#[tokio::test]
async fn a_response_without_one_meaning_is_a_bad_gateway() {
    let wide = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(200_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(2000));
    for answer in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
        "HTTP/1.1 200 OK\r\na: b\x01c\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
        "\r\n\r\n",
        &wide,
        &many,
    ] {
        let (status, body) = got("GET", answer.as_bytes(), 4096).await;
        assert_eq!(status, 502, "{body:?} for {answer:.80}");
    }
}

#[tokio::test]
async fn the_log_names_what_is_wrong_with_a_response() {
    let long = format!("{}x y: z", "long-".repeat(20));
    for (line, expected) in [
        ("X-Ok: 1", None),
        ("no colon", Some("malformed name: \"no colon\"")),
        ("X Y: 1", Some("malformed name: \"X Y: 1\"")),
        ("X-Bell: \x07", Some("malformed value: \"X-Bell: \\x07\"")),
        (&long, Some("malformed name: \"long-long-")),
        ("Content-Length: 1, 2", Some("no clear Content-Length")),
        (
            "Transfer-Encoding: br",
            Some("a Transfer-Encoding other than chunked"),
        ),
    ] {
        let origin = says(format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n").into(), 4096).await;
        let (records, mut log) = tokio::sync::mpsc::channel(1);
        let rig = Rig::of(origin.target(), |config| {
            config.access_log = Some(AccessLog {
                records,
                health_checks: true,
            });
        });
        rig.get("shop.localhost", "/", "").await;
        let said = soon("a record", log.recv()).await.unwrap().error;
        match expected {
            None => assert_eq!(said, None),
            Some(expected) => {
                let said = said.unwrap();
                assert!(said.contains(expected) && said.len() < 200, "{said}");
            }
        }
    }
}

/// What a client gets for such an answer before and with the answer itself.
async fn said_before(answer: &[u8], step: usize) -> String {
    let origin = says(answer.to_vec(), step).await;
    let rig = Rig::new(origin.target());
    rig.get("shop.localhost", "/", "").await
}

#[tokio::test]
async fn a_response_may_have_many_fields() {
    let fields = "a: b\r\n".repeat(900);
    let answer = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok");
    let said = said_before(answer.as_bytes(), 4096).await;
    assert_eq!(said.matches("a: b\r\n").count(), 900);
    assert!(said.ends_with("\r\n\r\nok"));
}

/// 128 KiB, before the line that ends the head, and 1024 fields.
#[tokio::test]
async fn the_head_of_a_response_may_be_so_large_and_not_larger() {
    let begin = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\na: ";
    let wide = |bytes: usize| {
        let value = "b".repeat(bytes - begin.len() - 2);
        format!("{begin}{value}\r\n\r\nok")
    };
    let many = |fields: usize| {
        let others = "a: b\r\n".repeat(fields - 1);
        format!("HTTP/1.1 200 OK\r\n{others}Content-Length: 2\r\n\r\nok")
    };
    for (answer, status) in [
        (wide(100_000), 200),
        (wide(128 << 10), 200),
        (wide((128 << 10) + 1), 502),
        (many(128), 200),
        (many(129), 200),
        (many(1024), 200),
        (many(1025), 502),
    ] {
        for step in [4096, answer.len()] {
            let said = said_before(answer.as_bytes(), step).await;
            let begins = said.starts_with(&format!("HTTP/1.1 {status} "));
            assert!(begins, "{} bytes: {said:.40}", answer.len());
            assert_eq!(said.ends_with("\r\n\r\nok"), status == 200);
        }
    }
}

/// Whoever says two things about the length of a body, or says in HTTP/1.0 what there is only in
/// HTTP/1.1, may have meant another (RFC 9112 section 6.3).
#[tokio::test]
async fn a_connection_on_which_two_lengths_were_said_is_not_used_again() {
    for (head, connections) in [
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", 1),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n",
            3,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nTransfer-Encoding: chunked\r\n",
            3,
        ),
        (
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n",
            3,
        ),
    ] {
        let answer = format!("{head}\r\n2\r\nok\r\n0\r\n\r\n");
        let origin = Origin::raw(move |mut stream| {
            let answer = answer.clone();
            async move {
                while !read_head(&mut stream).await.is_empty() {
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            }
        })
        .await;
        let rig = Rig::of(origin.target(), |config| {
            config.threads = std::num::NonZeroUsize::MIN;
        });
        let mut client = rig.client().await;
        for _ in 0..3 {
            client.ready().await.unwrap();
            let response = client.send_request(request("GET", "/", empty())).await;
            let body = response.unwrap().into_body().collect().await.unwrap();
            assert_eq!(body.to_bytes(), "ok");
        }
        assert_eq!(origin.accepted(), connections, "{head}");
    }
}

#[tokio::test]
async fn a_reason_is_passed_on() {
    for line in ["200 OK", "299 Fine", "404 Nothing there", "599 "] {
        let answer = format!("HTTP/1.1 {line}\r\nContent-Length: 2\r\n\r\nok");
        let said = said_before(answer.as_bytes(), 4096).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {line}\r\n")), "{said}");
    }
}

#[tokio::test]
async fn lengths_that_say_the_same_are_one() {
    for lengths in [
        "Content-Length: 2\r\nContent-Length: 2",
        "Content-Length: 2, 2",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{lengths}\r\n\r\nok");
        let said = said_before(answer.as_bytes(), 4096).await;
        assert_eq!(said.matches("content-length: 2\r\n").count(), 1, "{said}");
    }
    for status in [204, 304] {
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\n");
        let said = said_before(answer.as_bytes(), 4096).await;
        assert!(!said.contains("content-length"), "{said}");
    }
}

#[tokio::test]
async fn what_may_not_come_after_a_body_does_not() {
    let trailers = "Content-Length: 9\r\nSet-Cookie: a=1\r\nDigest: abc\r\n";
    let answer = format!(
        "HTTP/1.1 200 OK\r\nTrailer: digest\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nok\r\n0\r\n{trailers}\r\n"
    );
    let origin = says(answer.into_bytes(), 4096).await;
    let rig = Rig::new(origin.target());
    let said = rig.get("shop.localhost", "/", "TE: trailers\r\n").await;
    assert!(
        said.ends_with("2\r\nok\r\n0\r\ndigest: abc\r\n\r\n"),
        "{said}"
    );
}

#[tokio::test]
async fn interim_answers_are_passed_on() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\
        Keep-Alive: x\r\nContent-Length: 5\r\n\r\n";
    let answer = format!(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n{hints}\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    );
    for step in [1, 50, answer.len()] {
        let said = said_before(answer.as_bytes(), step).await;
        let expected = "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\
             link: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n";
        assert!(said.starts_with(expected) && said.ends_with("ok"), "{said}");
    }
    let origin = says(answer.into_bytes(), 4096).await;
    let rig = Rig::new(origin.target());
    let said = rig
        .exchange(b"GET / HTTP/1.0\r\nHost: shop.localhost\r\n\r\n")
        .await;
    assert!(said.starts_with("HTTP/1.0 200 OK\r\n"), "{said}");
}

const EXPECTING: &[u8] = b"PUT / HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 4\r\n\
    Expect: 100-continue\r\n\r\n";

#[tokio::test]
async fn an_app_refuses_an_upload_before_it_is_sent() {
    for status in ["413 Content Too Large", "417 Expectation Failed"] {
        let origin = Origin::raw(move |mut stream| async move {
            let head = read_head(&mut stream).await;
            assert!(head.contains("expect: 100-continue\r\n"), "{head}");
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno");
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _ = stream.read(&mut [0]).await;
        })
        .await;
        let rig = Rig::new(origin.target());
        let answer = rig.exchange(EXPECTING).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{answer}"
        );
        assert!(answer.contains("connection: close\r\n"), "{answer}");
        assert!(answer.ends_with("no"), "{answer}");
    }
}

#[tokio::test]
async fn an_upload_goes_on_once_an_app_wants_it_or_says_nothing() {
    for interim in ["HTTP/1.1 100 Continue\r\n\r\n", ""] {
        let origin = Origin::raw(move |mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(interim.as_bytes()).await.unwrap();
            let mut body = [0; 4];
            stream.read_exact(&mut body).await.unwrap();
            let answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", &body[..]].concat();
            stream.write_all(&answer).await.unwrap();
            let _ = stream.read(&mut [0]).await;
        })
        .await;
        let rig = Rig::new(origin.target());
        let mut stream = rig.connect().await;
        stream.write_all(EXPECTING).await.unwrap();
        assert_eq!(
            read_head(&mut stream).await,
            "HTTP/1.1 100 Continue\r\n\r\n"
        );
        stream.write_all(b"body").await.unwrap();
        let answer = read_head(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_does_not_pass_for_a_whole_one() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n",
    ] {
        let got = got("GET", answer.as_bytes(), 4096).await;
        assert_eq!(got, (200, None), "{answer}");
    }
}

/// What comes after a response that nobody asked for is not the answer to the next
/// request, whoever sends it.
#[tokio::test]
async fn what_a_container_says_unasked_is_nobodys_answer() {
    let origin = Origin::raw(|mut stream| async move {
        while !read_head(&mut stream).await.is_empty() {
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue\
                HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse";
            // In one part, so that both are there when the first is read.
            let _ = stream.write_all(answer).await;
        }
    })
    .await;
    let rig = Rig::new(origin.target());
    let mut client = rig.client().await;
    for number in 1..=3 {
        client.ready().await.unwrap();
        let response = client.send_request(request("GET", "/", empty())).await;
        let body = response.unwrap().into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), "true");
        assert_eq!(
            origin.accepted(),
            number,
            "its connection is not used again"
        );
    }
}

#[tokio::test]
async fn a_container_may_answer_before_it_has_read_all() {
    let read = Arc::new(AtomicUsize::new(0));
    let noted = Arc::clone(&read);
    let origin = Origin::raw(move |mut stream| {
        let noted = Arc::clone(&noted);
        async move {
            read_head(&mut stream).await;
            stream
                .write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok")
                .await
                .unwrap();
            let mut part = [0; 4096];
            while let Ok(bytes @ 1..) = stream.read(&mut part).await {
                noted.fetch_add(bytes, Ordering::SeqCst);
            }
        }
    })
    .await;
    let rig = Rig::new(origin.target());
    let mut client = rig.client().await;
    let (feed, fed) = tokio::sync::mpsc::channel(1);
    let asked = client.send_request(request("POST", "/", Fed(fed)));
    let response = soon("the answer", asked).await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "ok");
    for _ in 0..100 {
        let part = Frame::data(Bytes::from(vec![b'x'; 10_000]));
        feed.send(part).await.unwrap();
    }
    drop(feed);
    until("all is read", || read.load(Ordering::SeqCst) > 1_000_000).await;
}

/// Both directions are full at once.
#[tokio::test]
async fn a_client_may_send_all_before_it_reads() {
    const BYTES: usize = 32 * 1024 * 1024;
    let origin = Origin::raw(|mut stream| async move {
        read_head(&mut stream).await;
        let (mut reading, mut writing) = stream.split();
        let answer = async {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n");
            writing.write_all(head.as_bytes()).await.unwrap();
            writing.write_all(&vec![b'y'; BYTES]).await.unwrap();
        };
        let read = async {
            let mut part = vec![0; 65536];
            while let Ok(1..) = reading.read(&mut part).await {}
        };
        tokio::join!(answer, read);
    })
    .await;
    let rig = Rig::new(origin.target());
    let mut client: TcpStream = rig.connect().await;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\nContent-Length: {BYTES}\r\n\r\n"
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let sent = client.write_all(&vec![b'x'; BYTES]).await;
    soon("all is sent", async { sent }).await.unwrap();
    let answer = read_all(client).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(answer.len() > BYTES);
}

#[tokio::test]
async fn a_request_without_a_body_says_so_where_one_is_expected() {
    let origin = Origin::echo().await;
    let rig = Rig::new(origin.target());
    for (method, says) in [
        ("POST", true),
        ("PUT", true),
        ("GET", false),
        ("DELETE", false),
    ] {
        let mut client = rig.client().await;
        // A length of hyper's own would spoil it.
        let mut asked = request(method, "/", Full::<Bytes>::default());
        asked
            .headers_mut()
            .insert("content-length", "0".parse().unwrap());
        if !says {
            asked.headers_mut().remove("content-length");
        }
        let response = client.send_request(asked).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!(body.contains("content-length: 0"), says, "{body}");
        assert!(!body.contains("transfer-encoding"), "{body}");
    }
}
