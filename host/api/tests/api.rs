//! The API of a host whose engine cannot be reached: a real server on a real socket,
//! asked by the real client, and by hand where the client would not ask so.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails where it finds what it did not expect"
)]

use bytes::Bytes;
use doprax_api::client::{Address, Begin, Client, ClientError, Followed, Watch, Watched};
use doprax_api::listen;
use doprax_api::server::{self, Listeners, Refusal};
use doprax_api::token::Token;
use doprax_api::wire::{Change, Changed, DeployRequest, ExecRequest, Failure, Level, SetVariables};
use doprax_core::name::{AppName, Instance, ServiceName, VolumeName};
use doprax_reconcile::{Config, Host, Parts, Predecessor, Remedies};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;

const TOKEN: &str = "a-token-of-this-test";

struct Api {
    client: Client,
    tcp: String,
    host: Arc<Host>,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<()>,
    folder: TempDir,
}

impl Api {
    async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    async fn start_in(folder: TempDir) -> Self {
        let config = Config {
            state: folder.path().to_owned(),
            engine: "unix:///nowhere/engine.sock".to_owned(),
            instance: Instance::named(AppName::new("api-test").unwrap()),
            base_domain: "localhost".to_owned(),
            http: vec![([127, 0, 0, 1], 0).into()],
            https: Vec::new(),
            public_https_port: None,
            trusted_proxies: Vec::new(),
            proxy_protocol: Vec::new(),
            limits: Default::default(),
            log_health_checks: false,
            certificates: Default::default(),
            addresses: Vec::new(),
            dns: None,
            pool: vec!["10.254.0.0/16".parse().unwrap()],
            build_timeout: Duration::from_secs(60),
            build_cache: None,
            retain: 10,
            allow_metadata: true,
            interval: Duration::from_secs(3600),
            remedies: Remedies {
                error: |error| Some(format!("do something about: {error}")),
                problem: |problem| format!("do something about: {problem:?}"),
            },
        };
        let host = Host::start(config, Predecessor::default(), Parts::default())
            .await
            .unwrap();
        let path = folder.path().join("doprax.sock");
        let unix = listen::unix(&path, None).await.unwrap();
        let tcp = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = tcp.local_addr().unwrap().to_string();
        let stop = CancellationToken::new();
        let listeners = Listeners {
            unix,
            tcp: Some((tcp, Token::new(TOKEN))),
            metrics: None,
        };
        let remedy = |refusal| match refusal {
            Refusal::NoSuchPath => "look elsewhere",
            Refusal::NoToken => "give the token",
            Refusal::NoHttps => "serve HTTPS",
        };
        let served = server::serve(Arc::clone(&host), listeners, remedy, stop.clone());
        let served = tokio::spawn(served);
        Self {
            client: Client::new(Address::Unix(path), None),
            tcp: address,
            host,
            stop,
            served,
            folder,
        }
    }

    async fn end(self) {
        self.stop().await;
    }

    /// Ends it. Returns its state folder.
    async fn stop(self) -> TempDir {
        self.stop.cancel();
        self.served.await.unwrap();
        self.host.shutdown().await;
        self.folder
    }

    /// What the host answers to these bytes on its socket.
    async fn raw(&self, request: &str) -> String {
        let mut stream = UnixStream::connect(self.folder.path().join("doprax.sock"))
            .await
            .unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }
}

fn app() -> AppName {
    AppName::new("shop").unwrap()
}

fn request(manifest: &str) -> DeployRequest {
    DeployRequest {
        default_app: Some(app()),
        file_name: "doprax.yaml".to_owned(),
        manifest: manifest.to_owned(),
        source: "0".repeat(64),
        dockerfile: "FROM x\nEXPOSE 80\n".to_owned(),
        files: BTreeMap::new(),
        variables: BTreeMap::new(),
        commit: None,
        pull: false,
        build: false,
        no_cache: false,
        confirmed: None,
        actor: None,
    }
}

#[track_caller]
fn refused<T>(result: Result<T, ClientError>) -> (u16, Failure) {
    match result {
        Err(ClientError::Refused { status, failure }) => (status.as_u16(), *failure),
        Err(error) => panic!("not refused but {error:?}"),
        Ok(_) => panic!("not refused"),
    }
}

#[tokio::test]
async fn what_needs_no_engine_is_answered() {
    let api = Api::start().await;
    assert_eq!(
        api.client.version().await.unwrap().version,
        env!("CARGO_PKG_VERSION")
    );
    let plugins = api.client.plugins().await.unwrap();
    assert!(
        plugins.iter().any(|plugin| plugin.id == "redis"),
        "{plugins:?}"
    );
    let findings = api.client.doctor().await.unwrap();
    let engine = findings
        .iter()
        .find(|finding| finding.subject == "engine")
        .unwrap();
    assert_eq!(engine.level, Level::Bad);
    assert_eq!(
        engine.remedy.as_deref(),
        Some("do something about: EngineAway")
    );
    api.end().await;
}

#[tokio::test]
async fn refusals_have_a_status_and_help() {
    let api = Api::start().await;
    let client = &api.client;
    let (status, failure) = refused(client.app(&app()).await);
    assert_eq!(
        (status, failure.error.as_str()),
        (404, "there is no app shop")
    );
    assert_eq!(
        failure.help.unwrap(),
        "do something about: there is no app shop"
    );

    let (status, failure) = refused(client.plan(&request("volums:\n  - a\n")).await);
    assert_eq!(status, 422);
    assert_eq!(failure.diagnostics[0].span.line, 1);

    let (status, _) = refused(client.plan(&request("app: shop\n")).await);
    assert_eq!(status, 503, "the engine cannot be reached");

    let (status, failure) = refused(client.operation("no/such").await);
    assert_eq!(
        (status, failure.error.as_str()),
        (404, "there is no operation no/such")
    );

    let volume = VolumeName::new("new volume/01").unwrap();
    assert!(matches!(
        refused(client.remove_volume(&app(), &volume).await).0,
        404 | 503
    ));

    let pieces = stream::iter([Ok(Bytes::from_static(b"this is no archive"))]);
    let (status, failure) = refused(client.send_source(&"0".repeat(64), pieces).await);
    assert!(matches!(status, 400 | 409), "{status} {failure:?}");
    let (status, _) = refused(
        client
            .send_source("../../etc/passwd", stream::empty())
            .await,
    );
    assert!(matches!(status, 400 | 404), "{status}");

    let exec = ExecRequest {
        container: ServiceName::main(),
        command: vec!["true".to_owned()],
        env: Vec::new(),
        terminal: None,
        stdin: false,
    };
    let (_writer, mut reader) = client.exec(&app(), &exec).await.unwrap();
    let (_, failure) = refused(reader.next().await);
    assert_eq!(failure.error, "there is no app shop");
    assert_eq!(
        failure.help.unwrap(),
        "do something about: there is no app shop"
    );

    let mut followed = client.follow("no-such");
    let first: Option<Result<Followed, ClientError>> = followed.next().await;
    assert_eq!(refused(first.unwrap()).0, 404);
    assert!(followed.next().await.is_none());
    api.end().await;
}

#[tokio::test]
async fn variables_are_kept_and_only_their_names_are_told() {
    let api = Api::start().await;
    let set = |value: Option<&str>| SetVariables {
        values: BTreeMap::from([("API_KEY".to_owned(), value.map(str::to_owned))]),
    };
    api.client
        .set_variables(&app(), &set(Some("hidden")))
        .await
        .unwrap();
    assert_eq!(api.client.variables(&app()).await.unwrap(), ["API_KEY"]);
    let answer = api
        .raw("GET /v1/apps/shop/variables HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    assert!(!answer.contains("hidden"), "{answer}");
    api.client.set_variables(&app(), &set(None)).await.unwrap();
    assert_eq!(api.client.variables(&app()).await.unwrap(), [""; 0]);
    api.end().await;
}

#[tokio::test]
async fn every_error_has_the_same_shape() {
    let api = Api::start().await;
    let long = "x".repeat(100_000);
    let cases = [
        ("GET /v1/nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(), 404),
        ("DELETE /v1/version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(), 405),
        ("GET /v1/apps/No_Such HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(), 400),
        ("POST /v1/apps/shop/explode HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(), 400),
        ("GET /v1/apps/shop/logs?tail=many HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(), 400),
        (
            "POST /v1/plan HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: 2\r\n\r\n{}"
                .to_owned(),
            422,
        ),
    ];
    for (request, status) in cases {
        let answer = api.raw(&request).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}{answer}"
        );
        let failure: Failure =
            serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}\n{request}{answer}"));
        assert!(!failure.error.is_empty(), "{answer}");
        let elsewhere = (status == 404).then_some("look elsewhere");
        assert_eq!(failure.help.as_deref(), elsewhere, "{answer}");
    }
    let answer = api
        .raw(&format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"))
        .await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    api.end().await;
}

#[tokio::test]
async fn a_tcp_port_opens_with_the_token_only() {
    let api = Api::start().await;
    for token in [None, Some(""), Some("wrong"), Some("a-token-of-this-tes")] {
        let client = Client::new(Address::Tcp(api.tcp.clone()), token.map(str::to_owned));
        let (status, failure) = refused(client.version().await);
        assert_eq!(status, StatusCode::UNAUTHORIZED.as_u16(), "{token:?}");
        assert_eq!(failure.help.as_deref(), Some("give the token"));
        let wrong = token.is_some_and(|token| !token.is_empty());
        let said = if wrong {
            "the token is not the host's"
        } else {
            "the host wants a token"
        };
        assert_eq!(failure.error, said, "{token:?}");
        let exec = ExecRequest {
            container: ServiceName::main(),
            command: Vec::new(),
            env: Vec::new(),
            terminal: None,
            stdin: false,
        };
        let exec = client.exec(&app(), &exec).await;
        assert_eq!(refused(exec.map(drop)).0, 401, "{token:?}");
    }
    let client = Client::new(Address::Tcp(api.tcp.clone()), Some(TOKEN.to_owned()));
    client.version().await.unwrap();
    api.end().await;
}

#[tokio::test]
async fn who_sends_nothing_for_ever_makes_room_for_who_does() {
    let api = Api::start().await;
    let mut slow = Vec::new();
    for number in 0..1024 {
        let path = api.folder.path().join("doprax.sock");
        let mut stream = UnixStream::connect(path).await.unwrap();
        // Some owe a head, some a body.
        let head = match number % 2 {
            0 => "GET /v1/version HTTP/1.1\r\n",
            _ => {
                "PUT /v1/apps/shop/variables HTTP/1.1\r\nHost: x\r\n\
                  Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
            }
        };
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let answered = tokio::time::timeout(Duration::from_secs(5), api.client.version()).await;
    answered.expect("an answer within 5 s").unwrap();
    drop(slow);
    api.end().await;
}

#[tokio::test]
async fn the_ingress_is_told_apart_from_the_api() {
    let api = Api::start().await;
    let sockets = api.host.sockets().unwrap();
    let address = sockets[0].local_addr().unwrap();
    let client = Client::new(Address::Tcp(address.to_string()), None);
    let error = client.apps().await.unwrap_err();
    assert!(matches!(error, ClientError::Ingress { .. }), "{error:?}");
    api.end().await;
}

#[tokio::test]
async fn apps_are_listed_while_the_engine_is_away() {
    let api = Api::start().await;
    assert_eq!(api.client.apps().await.unwrap(), []);
    api.end().await;
}

/// The next of what changes.
async fn change(watched: &mut BoxStream<'static, Result<Watched, ClientError>>) -> Change {
    match watched.next().await {
        Some(Ok(Watched::Change(change))) => *change,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_changes_is_told_from_any_place_on() {
    let api = Api::start().await;
    let mut watched = api.client.watch(Watch {
        follow: true,
        ..Watch::default()
    });
    let begun = watched.next().await;
    assert!(matches!(begun, Some(Ok(Watched::Begun))), "{begun:?}");
    let away = change(&mut watched).await;
    assert_eq!(away.what, Changed::Engine { away: true });
    assert_eq!(away.id.number, 1);

    let ask = async |query: &str, field: &str| {
        let head = format!("GET /v1/events?{query} HTTP/1.1\r\nHost: x\r\n{field}");
        api.raw(&format!("{head}Connection: close\r\n\r\n")).await
    };
    let id = away.id;
    let all = ask("follow=false", "").await;
    assert!(all.contains("content-type: text/event-stream"), "{all}");
    let event = format!("id: {id}\ndata: {{\"id\":\"{id}\",");
    assert!(all.contains(&event), "{all}");
    // Only where it is is told to whoever has seen everything, and to who asks for an app
    // of which there is nothing.
    let last = format!("Last-Event-ID: {id}\r\n");
    for nothing in [
        ask("follow=false&after=now", "").await,
        ask(&format!("follow=false&after={id}"), "").await,
        ask("follow=false&after=1-1", &last).await,
        ask("follow=false&app=shop", "").await,
    ] {
        assert!(nothing.contains("id: "), "{nothing}");
        assert!(!nothing.contains("data:"), "{nothing}");
    }
    let gap = ask("follow=false&after=1-1", "").await;
    assert!(gap.contains("\"event\":\"gap\",\"after\":\"1-1\""), "{gap}");
    assert!(gap.contains("\"away\":true"), "{gap}");
    let refused = ask("after=yesterday", "").await;
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
    drop(watched);
    api.end().await;
}

#[tokio::test]
async fn who_watches_hears_that_the_host_was_started_anew() {
    let api = Api::start().await;
    let mut watched = api.client.watch(Watch {
        after: Some(Begin::Now),
        follow: true,
        ..Watch::default()
    });
    let begun = watched.next().await;
    assert!(matches!(begun, Some(Ok(Watched::Begun))), "{begun:?}");
    let folder = api.stop().await;
    let mut seen = Vec::new();
    let api = loop {
        match watched.next().await {
            Some(Ok(Watched::Change(change))) => seen.push(change.id),
            Some(Ok(Watched::Lost)) => break Api::start_in(folder).await,
            other => panic!("{other:?}"),
        }
    };
    let back = watched.next().await;
    assert!(matches!(back, Some(Ok(Watched::Back))), "{back:?}");
    let gap = change(&mut watched).await;
    let Changed::Gap { after, missed } = gap.what else {
        panic!("{gap:?}");
    };
    assert_eq!(missed, None);
    assert!(seen.last().is_none_or(|last| *last == after), "{after}");
    assert!(gap.id.start > after.start, "{gap:?}");
    // What this host tells comes after it.
    let away = change(&mut watched).await;
    assert_eq!(away.what, Changed::Engine { away: true });
    drop(watched);
    api.end().await;
}

#[tokio::test]
async fn ending_waits_for_no_idle_connection() {
    let api = Api::start().await;
    let _idle = TcpStream::connect(&api.tcp).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(8), api.end()).await;
    assert!(ended.is_ok(), "the server did not end");
}

#[tokio::test]
async fn nobody_there_is_told_apart_from_a_refusal() {
    let folder = tempfile::tempdir().unwrap();
    let client = Client::new(Address::Unix(folder.path().join("doprax.sock")), None);
    let error = client.version().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }) && error.is_lost());
    let first: Option<Result<Followed, ClientError>> = client.follow("x").next().await;
    assert!(
        matches!(first, Some(Err(ClientError::Unreachable { .. }))),
        "{first:?}"
    );
}
