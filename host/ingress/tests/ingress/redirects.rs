//! From HTTP to HTTPS, from one name to another, and HSTS.

use crate::pki::{Authority, BOTH};
use crate::rig::{Origin, Rig, app, read_all};
use doprax_core::route::{HostOptions, Route, Target};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

const NAME: &str = "shop.localhost";

fn location(answer: &str) -> Option<&str> {
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    answer
        .lines()
        .find_map(|line| line.strip_prefix("location: "))
}

fn serve(rig: &Rig, authority: &Authority, names: &[&str]) {
    let key = authority.issue(names);
    for name in names {
        rig.certificates.serve(name, &key);
    }
}

fn publish(rig: &Rig, target: &Target, name: &str, options: HostOptions) {
    let route = |options| Route {
        options,
        ..Route::new(app(), target.clone())
    };
    let routes = [
        (NAME.to_owned(), route(HostOptions::default())),
        (name.to_owned(), route(options)),
    ];
    rig.ingress.publish(routes.into());
}

async fn ask_encrypted(rig: &Rig, authority: &Authority, host: &str, path: &str) -> String {
    let visitor = authority.trusting(BOTH);
    let mut stream = visitor.connect(rig.https, host).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    read_all(stream).await
}

#[tokio::test]
async fn http_is_served_until_a_certificate_is_there_and_then_sent_to_https() {
    let (authority, origin) = (Authority::new(), Origin::echo().await);
    let rig = Rig::new(origin.target());
    assert!(rig.get(NAME, "/", "").await.starts_with("HTTP/1.1 200 "));
    serve(&rig, &authority, &[NAME]);
    let port = rig.https.port();
    let answer = rig.get("Shop.localhost:80", "/a%20b?c=d", "").await;
    let expected = format!("https://shop.localhost:{port}/a%20b?c=d");
    assert_eq!(location(&answer), Some(expected.as_str()));
    let answer = rig
        .exchange(b"POST / HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")
        .await;
    assert!(location(&answer).is_some(), "the method is kept: {answer}");
    let challenge = "/.well-known/acme-challenge/of-the-app";
    let answer = rig.get(NAME, challenge, "").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    rig.ingress.publish(crate::rig::routes(Target::Stopped));
    assert!(
        location(&rig.get(NAME, "/", "").await).is_some(),
        "a stopped app"
    );
    let answer = rig.get("other.localhost", "/", "").await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    rig.certificates.withdraw(NAME);
    let answer = rig.get(NAME, "/", "").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[tokio::test]
async fn redirects_name_the_port_that_visitors_see() {
    for (public, expected) in [
        (443, "https://shop.localhost/"),
        (8443, "https://shop.localhost:8443/"),
    ] {
        let rig = Rig::of(Target::Stopped, |config| {
            config.public_https_port = Some(public);
        });
        serve(&rig, &Authority::new(), &[NAME]);
        assert_eq!(location(&rig.get(NAME, "/", "").await), Some(expected));
    }
}

#[tokio::test]
async fn a_proxy_that_is_believed_and_speaks_https_is_not_sent_in_a_circle() {
    let origin = Origin::echo().await;
    let field = "X-Forwarded-Proto: https\r\n";
    for (trusted, status) in [
        (vec!["127.0.0.0/8".parse().unwrap()], "200"),
        (vec![], "308"),
    ] {
        let rig = Rig::of(origin.target(), |config| config.trusted_proxies = trusted);
        serve(&rig, &Authority::new(), &[NAME]);
        let answer = rig.get(NAME, "/", field).await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{answer}");
        let answer = rig.get(NAME, "/", "").await;
        assert_eq!(answer.split(' ').nth(1), Some("308"), "{answer}");
    }
}

#[tokio::test]
async fn a_name_that_another_stands_for_is_sent_there_in_one_step() {
    let (authority, origin) = (Authority::new(), Origin::echo().await);
    let rig = Rig::new(origin.target());
    let www = "www.shop.localhost";
    let options = HostOptions {
        redirect_to: Some(NAME.to_owned()),
        ..HostOptions::default()
    };
    publish(&rig, &origin.target(), www, options);
    let answer = rig.get(&format!("{www}:8080"), "/a?b", "").await;
    assert_eq!(location(&answer), Some("http://shop.localhost:8080/a?b"));
    let answer = rig.get(www, "/a?b", "").await;
    assert_eq!(location(&answer), Some("http://shop.localhost/a?b"));
    serve(&rig, &authority, &[NAME, www]);
    let expected = format!("https://shop.localhost:{}/a?b", rig.https.port());
    let answer = rig.get(www, "/a?b", "").await;
    assert_eq!(location(&answer), Some(expected.as_str()));
    let answer = ask_encrypted(&rig, &authority, www, "/a?b").await;
    assert_eq!(location(&answer), Some(expected.as_str()));
}

#[tokio::test]
async fn hsts_is_said_by_https_only_and_on_every_answer() {
    let (authority, origin) = (Authority::new(), Origin::echo().await);
    let rig = Rig::new(origin.target());
    let name = "safe.localhost";
    serve(&rig, &authority, &[NAME, name]);
    let expected = "strict-transport-security: max-age=31536000\r\n";
    for target in [origin.target(), Target::Stopped] {
        let options = HostOptions {
            hsts: Some(Duration::from_secs(31_536_000)),
            ..HostOptions::default()
        };
        publish(&rig, &target, name, options);
        let answer = ask_encrypted(&rig, &authority, name, "/").await;
        assert!(answer.contains(expected), "{answer}");
        let answer = ask_encrypted(&rig, &authority, NAME, "/").await;
        assert!(!answer.contains("strict-transport"), "{answer}");
        let answer = rig.get(name, "/", "").await;
        assert!(!answer.contains("strict-transport"), "{answer}");
    }
}
