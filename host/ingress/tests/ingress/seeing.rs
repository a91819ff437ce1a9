//! Metrics and access records.

use crate::http2::{client, request as encrypted};
use crate::rig::{
    Fed, Origin, Rig, any, app, empty, nobody, read_all, read_head, request, routes, soon, text,
    until,
};
use bytes::Bytes;
use doprax_core::route::Target;
use doprax_ingress::{AccessLog, AccessRecord, Traffic};
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

fn logged(target: Target, capacity: usize) -> (Rig, mpsc::Receiver<AccessRecord>) {
    let (records, taken) = mpsc::channel(capacity);
    let rig = Rig::of(target, |config| {
        config.access_log = Some(AccessLog {
            records,
            health_checks: false,
        });
        config.limits.response_timeout = Duration::from_millis(150);
    });
    (rig, taken)
}

fn traffic(rig: &Rig) -> Traffic {
    rig.ingress.metrics().apps[&app()].clone()
}

#[tokio::test]
async fn a_record_says_what_was_asked_and_what_became_of_it() {
    let origin = Origin::echo().await;
    let (rig, mut records) = logged(origin.target(), 10);
    let before = SystemTime::now();
    let answer = rig
        .get(
            "Shop.localhost:80",
            "/a/b?secret=1",
            "User-Agent: curl/8\r\n",
        )
        .await;
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let record = soon("the record", records.recv()).await.unwrap();
    assert!(record.time >= before && record.time <= SystemTime::now());
    let expected = AccessRecord {
        time: record.time,
        app: Some(app()),
        host: "shop.localhost".to_owned(),
        method: "GET".to_owned(),
        path: "/a/b".to_owned(),
        protocol: "HTTP/1.1",
        secure: false,
        status: Some(200),
        bytes: body.len() as u64,
        duration: record.duration,
        client: "127.0.0.1".parse().unwrap(),
        request_id: None,
        error: None,
    };
    assert_eq!(record, expected);
}

#[tokio::test]
async fn the_id_on_a_page_is_in_its_record_with_the_cause() {
    let (_nobody, unreachable) = nobody();
    let silent = Origin::new(|_| pending()).await;
    let (rig, mut records) = logged(Target::Stopped, 10);
    for (target, host, status, error) in [
        (Target::Stopped, "shop.localhost", 503, "shop is stopped"),
        (
            unreachable,
            "shop.localhost",
            502,
            "shop cannot be reached: cannot connect: Connection refused (os error 111)",
        ),
        (
            silent.target(),
            "shop.localhost",
            504,
            "shop does not answer: the response took too long",
        ),
        (
            Target::Stopped,
            "other.localhost",
            404,
            "No app answers to this name",
        ),
        (
            Target::Stopped,
            "a b",
            400,
            "Bad Request: The host of the request is malformed.",
        ),
    ] {
        rig.ingress.publish(routes(target));
        let answer = rig.get(host, "/", "").await;
        let id = answer
            .lines()
            .find_map(|line| line.strip_prefix("x-request-id: "));
        let record = soon("the record", records.recv()).await.unwrap();
        assert!(id.is_some());
        assert_eq!(record.request_id.as_deref(), id);
        assert_eq!(record.status, Some(status));
        assert_eq!(record.error.as_deref(), Some(error));
    }
    let _ = rig.exchange(b"GET / HTTP/1.1\nHost: a\n\n").await;
    let record = soon("the record", records.recv()).await.unwrap();
    assert_eq!((record.status, record.method.as_str()), (Some(400), ""));
    assert_eq!(record.path, "");
}

#[tokio::test]
async fn records_come_when_the_response_has_ended_or_its_client_is_gone() {
    let (feed, fed) = mpsc::channel(1);
    let fed = Arc::new(std::sync::Mutex::new(Some(fed)));
    let origin = Origin::new(move |request: hyper::Request<_>| {
        let fed = fed
            .lock()
            .unwrap()
            .take_if(|_| request.uri().path() == "/stream");
        async move {
            match fed {
                Some(fed) => Response::new(any(Fed(fed))),
                None => pending().await,
            }
        }
    })
    .await;
    let (sink, mut records) = mpsc::channel(10);
    let (rig, authority) = crate::http2::rig(origin.target(), |config| {
        config.access_log = Some(AccessLog {
            records: sink,
            health_checks: false,
        });
    });
    let mut client = client(&rig, &authority).await;
    let answer = client
        .send_request(encrypted("GET", "/stream", empty()))
        .await;
    let mut body = answer.unwrap().into_body();
    feed.send(Frame::data(Bytes::from_static(b"abc")))
        .await
        .unwrap();
    assert!(soon("the part", body.frame()).await.is_some());
    assert!(records.try_recv().is_err());
    drop(feed);
    let rest = soon("the end", body.collect()).await.unwrap();
    assert!(rest.to_bytes().is_empty());
    let record = soon("the record", records.recv()).await.unwrap();
    assert_eq!((record.status, record.bytes), (Some(200), 3));

    let leaving = tokio::spawn(client.send_request(encrypted("GET", "/slow", empty())));
    until("it is in flight", || rig.ingress.in_flight(&app()) == 1).await;
    leaving.abort();
    let record = soon("the record", records.recv()).await.unwrap();
    assert_eq!(record.path, "/slow");
    assert_eq!((record.status, record.error), (None, None));
    assert_eq!(traffic(&rig).requests[0], 1);
}

#[tokio::test]
async fn health_checks_are_not_recorded_and_proxies_name_the_client() {
    let origin = Origin::echo().await;
    let (sink, mut records) = mpsc::channel(10);
    let rig = Rig::of(origin.target(), |config| {
        config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        config.access_log = Some(AccessLog {
            records: sink,
            health_checks: false,
        });
    });
    let check = "User-Agent: kube-probe/1.33\r\n";
    rig.get("shop.localhost", "/", check).await;
    let field = "X-Forwarded-For: 10.0.0.1, 203.0.113.7\r\n";
    rig.get("shop.localhost", "/", field).await;
    let record = soon("the record", records.recv()).await.unwrap();
    assert_eq!(record.client.to_string(), "203.0.113.7");
    until("both are counted", || traffic(&rig).requests[2] == 2).await;
    assert!(records.try_recv().is_err());
}

#[tokio::test]
async fn nobody_waits_for_a_log_that_is_not_read() {
    let origin = Origin::echo().await;
    let (rig, mut records) = logged(origin.target(), 2);
    for _ in 0..5 {
        let answer = rig.get("shop.localhost", "/", "").await;
        assert!(answer.starts_with("HTTP/1.1 200 "));
    }
    until("three are dropped", || {
        rig.ingress.metrics().dropped_records == 3
    })
    .await;
    assert!(records.recv().await.is_some());
}

#[tokio::test]
async fn requests_are_counted_for_their_app() {
    let origin = Origin::new(
        |request: hyper::Request<hyper::body::Incoming>| async move {
            let status = request.uri().path()[1..].parse().unwrap_or(200);
            request.into_body().collect().await.unwrap();
            let response = Response::builder().status(status);
            response.body(text("0123456789")).unwrap()
        },
    )
    .await;
    let rig = Rig::new(origin.target());
    for path in ["/200", "/201", "/404", "/500"] {
        rig.get("shop.localhost", path, "").await;
    }
    rig.get("other.localhost", "/", "").await;
    let mut client = rig.client().await;
    let upload = client.send_request(request("POST", "/200", text("12345")));
    upload.await.unwrap().into_body().collect().await.unwrap();
    until("all are counted", || {
        traffic(&rig).requests.iter().sum::<u64>() == 5
    })
    .await;
    let counted = traffic(&rig);
    assert_eq!(counted.requests, [0, 0, 3, 0, 1, 1]);
    assert_eq!((counted.received_bytes, counted.sent_bytes), (5, 50));
    assert_eq!(counted.durations.counts.iter().sum::<u64>(), 5);
    assert_eq!((counted.in_flight, counted.upstream_errors), (0, 0));
    let metrics = rig.ingress.metrics();
    assert_eq!(metrics.others.requests, [0, 0, 0, 0, 1, 0]);
    assert_eq!(metrics.connections, 1);
    let text = metrics.to_prometheus();
    let line = "doprax_ingress_requests_total{app=\"shop\",status=\"2xx\"} 3\n";
    assert!(text.contains(line), "{text}");
    // They go on counting where routes move, and are forgotten with the app.
    rig.ingress.publish(routes(Target::Stopped));
    rig.get("shop.localhost", "/", "").await;
    until("it is counted", || traffic(&rig).requests[5] == 2).await;
    rig.ingress.publish(doprax_core::route::Routes::new());
    assert!(rig.ingress.metrics().apps.is_empty());
}

#[tokio::test]
async fn what_containers_fail_to_do_is_counted() {
    let origin = Origin::raw(|mut stream| async move {
        let head = read_head(&mut stream).await;
        if head.starts_with("GET /break ") {
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc";
            let _ = stream.write_all(answer).await;
        }
    })
    .await;
    let (rig, mut records) = logged(origin.target(), 10);
    for (path, errors) in [("/none", 1), ("/break", 2)] {
        let _ = rig.get("shop.localhost", path, "").await;
        until("it is counted", || traffic(&rig).upstream_errors == errors).await;
        let record = soon("the record", records.recv()).await.unwrap();
        assert!(record.error.is_some(), "{record:?}");
    }
}

#[tokio::test]
async fn an_upload_that_its_client_breaks_off_is_no_error_of_the_container() {
    let origin = Origin::echo().await;
    let (rig, mut records) = logged(origin.target(), 10);
    for half in [false, true] {
        let mut stream = rig.connect().await;
        let upload = b"POST / HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 10\r\n\r\nabc";
        stream.write_all(upload).await.unwrap();
        until("it is in flight", || rig.ingress.in_flight(&app()) == 1).await;
        if half {
            stream.shutdown().await.unwrap();
            let answer = soon("the answer", read_all(stream)).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        } else {
            drop(stream);
        }
        let record = soon("the record", records.recv()).await.unwrap();
        assert_eq!(record.method, "POST");
        assert_eq!(traffic(&rig).upstream_errors, 0, "half: {half}");
    }
    let (rig, authority) = crate::http2::rig(origin.target(), |_| {});
    let mut client = client(&rig, &authority).await;
    let parts = futures_util::stream::iter([
        Ok(Frame::data(Bytes::from_static(b"abc"))),
        Err(std::io::Error::other("the client has no more")),
    ]);
    let upload = client.send_request(encrypted("POST", "/", StreamBody::new(parts)));
    soon("the end", upload).await.unwrap_err();
    until("it is counted", || {
        traffic(&rig).requests.iter().sum::<u64>() == 1
    })
    .await;
    assert_eq!(traffic(&rig).upstream_errors, 0);
}

#[tokio::test]
async fn requests_of_http2_are_seen_one_by_one() {
    let origin = Origin::echo().await;
    let (sink, mut records) = mpsc::channel(10);
    let (rig, authority) = crate::http2::rig(origin.target(), |config| {
        config.access_log = Some(AccessLog {
            records: sink,
            health_checks: false,
        });
    });
    let mut client = client(&rig, &authority).await;
    for path in ["/a", "/b"] {
        let answer = client.send_request(encrypted("GET", path, empty())).await;
        answer.unwrap().into_body().collect().await.unwrap();
        let record = soon("the record", records.recv()).await.unwrap();
        assert_eq!((record.protocol, record.secure), ("HTTP/2.0", true));
        assert_eq!(record.path, path);
    }
    assert_eq!(traffic(&rig).requests[2], 2);
}
