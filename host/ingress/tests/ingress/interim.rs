//! What a container that speaks HTTP/2 says before its answer.

use crate::grpc::{call, ending_once, goes_away, status};
use crate::rig::{Origin, Rig, app, read_head, soon, until};
use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Request, Response};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};

/// Room for more than one call that nobody reads.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Serves the calls of a connection.
async fn serve<F, R>(stream: TcpStream, answer: F)
where
    F: Fn(Request<RecvStream>, SendResponse<Bytes>) -> R,
    R: Future<Output = ()> + Send + 'static,
{
    let connection = h2::server::Builder::new()
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake(stream);
    let mut connection = connection.await.unwrap();
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(answer(request, respond));
    }
}

/// A container that does with each call what it is told.
pub async fn server<F, R>(answer: F) -> Origin
where
    F: Fn(Request<RecvStream>, SendResponse<Bytes>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    Origin::raw(move |stream| serve(stream, answer.clone())).await
}

pub fn head(status: u16) -> Response<()> {
    Response::builder().status(status).body(()).unwrap()
}

fn hint(link: &str) -> Response<()> {
    let head = Response::builder().status(103).header("link", link);
    head.body(()).unwrap()
}

/// A client of one thread, so that there is one connection to the container.
pub async fn client(origin: &Origin) -> (Rig, SendRequest<Bytes>) {
    let rig = Rig::of(origin.target(), |config| {
        config.threads = std::num::NonZeroUsize::MIN;
    });
    let connection = h2::client::Builder::new()
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake(rig.connect().await);
    let (client, connection) = connection.await.unwrap();
    tokio::spawn(connection);
    (rig, client)
}

/// What comes before an answer: status and link.
pub type Before = Vec<(u16, String)>;

/// What comes before the answer to a call, and the answer. A body that waits to be wanted is
/// sent once it is.
pub async fn ask(
    client: &mut SendRequest<Bytes>,
    expects: bool,
) -> (Before, Result<Response<RecvStream>, h2::Error>) {
    let mut request = call("Get", ());
    if expects {
        let fields = request.headers_mut();
        fields.insert("expect", "100-continue".parse().unwrap());
    }
    let (mut response, mut body) = client.send_request(request, false).unwrap();
    if !expects {
        body.send_data(Bytes::from("body"), true).unwrap();
    }
    let mut before = Vec::new();
    let answer = poll_fn(|cx| {
        while let Poll::Ready(Some(Ok(told))) = response.poll_informational(cx) {
            if told.status() == 100 {
                body.send_data(Bytes::from("body"), true).unwrap();
            }
            let link = told.headers().get("link");
            let link = link.map_or("", |link| link.to_str().unwrap());
            before.push((told.status().as_u16(), link.to_owned()));
        }
        Pin::new(&mut response).poll(cx)
    });
    let answer = soon("the answer", answer).await;
    (before, answer)
}

pub async fn read(body: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut bytes = Vec::new();
    while let Some(data) = soon("the body", body.data()).await {
        let data = data?;
        body.flow_control().release_capacity(data.len()).unwrap();
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// Answers with what came, and a status.
pub async fn echo(mut request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let body = read(request.body_mut()).await.unwrap();
    let mut answer = respond.send_response(head(200), false).unwrap();
    answer.send_data(body.into(), false).unwrap();
    answer.send_trailers(status("0")).unwrap();
}

pub async fn assert_echoed(answer: Result<Response<RecvStream>, h2::Error>) {
    let mut answer = answer.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(read(answer.body_mut()).await.unwrap(), b"body");
    let trailers = answer.body_mut().trailers().await.unwrap();
    assert_eq!(trailers, Some(status("0")));
}

#[tokio::test]
async fn interim_answers_to_a_call_are_passed_on_and_its_status_comes_last() {
    let origin = server(|request, mut respond| async move {
        respond.send_informational(head(102)).unwrap();
        // There is none by HTTP/2.
        respond.send_informational(head(101)).unwrap();
        respond.send_informational(hint("</a>")).unwrap();
        respond.send_informational(hint("</b>")).unwrap();
        echo(request, respond).await;
    })
    .await;
    let (_rig, mut client) = client(&origin).await;
    for _ in 0..2 {
        let (before, answer) = ask(&mut client, false).await;
        let expected = [(102, ""), (103, "</a>"), (103, "</b>")];
        assert_eq!(before, expected.map(|(status, link)| (status, link.into())));
        assert_echoed(answer).await;
    }
    assert_eq!(origin.accepted(), 1);
}

/// They are no part of an answer, and do not wait for it.
#[tokio::test]
async fn an_interim_answer_comes_before_there_is_an_answer() {
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let origin = server(move |request, mut respond| {
        let go = Arc::clone(&wait);
        async move {
            respond.send_informational(hint("</a>")).unwrap();
            go.notified().await;
            echo(request, respond).await;
        }
    })
    .await;
    let (_rig, mut client) = client(&origin).await;
    let (mut response, mut body) = client.send_request(call("Get", ()), false).unwrap();
    let told = poll_fn(|cx| response.poll_informational(cx));
    let told = soon("the hint", told).await.unwrap().unwrap();
    assert_eq!(told.headers()["link"], "</a>");
    body.send_data(Bytes::from("body"), true).unwrap();
    go.notify_one();
    assert_echoed(soon("the answer", response).await).await;
}

#[tokio::test]
async fn a_container_refuses_an_upload_before_it_is_sent() {
    for refusal in [413, 417] {
        let (seen, mut arrived) = mpsc::channel(1);
        let origin = server(move |mut request, mut respond| {
            let seen = seen.clone();
            async move {
                assert_eq!(request.headers()["expect"], "100-continue");
                respond.send_response(head(refusal), true).unwrap();
                let rest = read(request.body_mut()).await;
                let rest = rest.map_err(|error| error.reason());
                seen.send(rest).await.unwrap();
            }
        })
        .await;
        let (rig, mut client) = client(&origin).await;
        for _ in 0..2 {
            let (before, answer) = ask(&mut client, true).await;
            assert_eq!(before, []);
            assert_eq!(answer.unwrap().status(), refusal);
            // Nothing of the body came, and nothing will.
            let rest = soon("the end of the upload", arrived.recv()).await;
            assert_eq!(rest, Some(Err(Some(Reason::CANCEL))));
        }
        until("nothing is in flight", || {
            rig.ingress.in_flight(&app()) == 0
        })
        .await;
        assert_eq!(origin.accepted(), 1);
    }
}

#[tokio::test]
async fn an_upload_goes_on_once_a_container_wants_it_or_says_nothing() {
    for says in [true, false] {
        let origin = server(move |request, mut respond| async move {
            assert_eq!(request.headers()["expect"], "100-continue");
            if says {
                respond.send_informational(hint("</a>")).unwrap();
                respond.send_informational(head(100)).unwrap();
            }
            echo(request, respond).await;
        })
        .await;
        let (_rig, mut client) = client(&origin).await;
        let (before, answer) = ask(&mut client, true).await;
        let expected = [(103, "</a>".to_owned()), (100, String::new())];
        assert_eq!(before, expected[usize::from(!says)..]);
        assert_echoed(answer).await;
    }
}

/// Whatever protocol it speaks.
#[tokio::test]
async fn a_container_that_never_stops_to_hint_is_cut_short() {
    const HINTS: usize = 5000;
    let calls = server(|request, mut respond| async move {
        for _ in 0..HINTS {
            respond.send_informational(hint("</a>")).unwrap();
        }
        echo(request, respond).await;
    })
    .await;
    let (_rig, mut client) = client(&calls).await;
    for _ in 0..2 {
        let (before, answer) = ask(&mut client, false).await;
        assert!((100..HINTS / 2).contains(&before.len()), "{}", before.len());
        assert_echoed(answer).await;
    }
    let requests = Origin::raw(|mut stream| async move {
        while !read_head(&mut stream).await.is_empty() {
            let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(HINTS);
            let answer = hints + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let rig = Rig::new(requests.target());
    let get = "GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n";
    let last = "GET / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n";
    let said = rig.exchange((get.to_owned() + last).as_bytes()).await;
    let (first, second) = said.split_once("\r\n\r\nok").unwrap();
    for said in [first, second] {
        let hints = said.matches("103 Early Hints").count();
        assert!((100..HINTS / 2).contains(&hints), "{hints}");
        assert!(said.contains("HTTP/1.1 200 OK\r\n"));
    }
}

/// Who has been told something by a container that was not looking is not told it again.
#[tokio::test]
async fn a_call_that_was_refused_has_the_interim_answers_of_the_one_that_was_not() {
    let asked = Arc::new(AtomicUsize::new(0));
    let refusing = {
        let asked = Arc::clone(&asked);
        move |request: Request<RecvStream>, mut respond: SendResponse<Bytes>| {
            let first = asked.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                if first {
                    return respond.send_reset(Reason::REFUSED_STREAM);
                }
                respond.send_informational(hint("</a>")).unwrap();
                echo(request, respond).await;
            }
        }
    };
    let going_away = ending_once(1, goes_away(0), |stream| {
        serve(stream, |request, mut respond| async move {
            respond.send_informational(hint("</a>")).unwrap();
            echo(request, respond).await;
        })
    });
    for (origin, connections) in [(server(refusing).await, 1), (going_away.await, 2)] {
        let (_rig, mut client) = client(&origin).await;
        let (before, answer) = ask(&mut client, false).await;
        assert_eq!(before, [(103, "</a>".to_owned())]);
        assert_echoed(answer).await;
        assert_eq!(origin.accepted(), connections);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

/// It has looked at it, whatever it says.
#[tokio::test]
async fn a_call_of_which_a_container_has_said_something_is_not_made_again() {
    let (asked, told) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (count, heard) = (Arc::clone(&asked), Arc::clone(&told));
    let origin = server(move |_, mut respond| {
        count.fetch_add(1, Ordering::SeqCst);
        let heard = Arc::clone(&heard);
        async move {
            respond.send_informational(hint("</a>")).unwrap();
            // A reset takes back what has not been sent.
            heard.notified().await;
            respond.send_reset(Reason::REFUSED_STREAM);
        }
    })
    .await;
    let (_rig, mut client) = client(&origin).await;
    let (mut response, _body) = client.send_request(call("Get", ()), false).unwrap();
    let hint = poll_fn(|cx| response.poll_informational(cx));
    assert!(soon("the hint", hint).await.unwrap().is_ok());
    told.notify_one();
    let answer = soon("the answer", response).await;
    assert_eq!(answer.unwrap().status(), 502);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
