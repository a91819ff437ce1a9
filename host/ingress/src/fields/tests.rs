//! Fields of requests and responses, and what becomes of them.

use super::*;

fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let field = |(name, value): &(&'static str, &'static str)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    };
    fields.iter().map(field).collect()
}

fn text(headers: &HeaderMap) -> Vec<String> {
    let line =
        |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
    let mut lines: Vec<String> = headers.iter().map(line).collect();
    lines.sort();
    lines
}

#[test]
fn fields_of_the_connection_end_here() {
    let mut headers = map(&[
        ("host", "a"),
        ("connection", "close, X-Private"),
        ("connection", "host, content-length, keep-alive"),
        ("x-private", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("te", "gzip, Trailers;q=0.5, trailers"),
        ("upgrade", "websocket"),
        ("content-length", "3"),
        ("accept", "*/*"),
    ]);
    assert_eq!(
        strip_hop_by_hop(&mut headers),
        None,
        "Connection does not name Upgrade"
    );
    assert_eq!(
        text(&headers),
        [
            "accept: */*",
            "connection: te",
            "content-length: 3",
            "host: a",
            "te: trailers"
        ]
    );
}

#[test]
fn a_length_beside_a_transfer_coding_is_dropped() {
    let mut headers = map(&[("transfer-encoding", "chunked"), ("content-length", "3")]);
    strip_hop_by_hop(&mut headers);
    assert!(headers.is_empty());
}

#[test]
fn grpc_is_told_from_grpc_web() {
    for (kind, expected) in [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("application/grpc;charset=utf-8", true),
        ("application/grpc-web", false),
        ("application/grpc-web+proto", false),
        ("application/json", false),
    ] {
        assert_eq!(is_grpc(&map(&[("content-type", kind)])), expected, "{kind}");
    }
    assert!(!is_grpc(&HeaderMap::new()));
}

#[test]
fn an_offer_to_switch_protocols_is_returned() {
    let mut headers = map(&[
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "websocket"),
    ]);
    let protocol = strip_hop_by_hop(&mut headers).unwrap();
    assert_eq!(protocol, "websocket");
    assert!(headers.is_empty());
}

fn forwarded(address: &str, trusted: bool, fields: &[(&'static str, &'static str)]) -> Vec<String> {
    let mut headers = map(fields);
    let host = HeaderValue::from_static("shop.localhost:8080");
    Origin::new(address.parse().unwrap(), trusted, false).write(&mut headers, &host, true);
    text(&headers)
}

const CLAIMS: &[(&str, &str)] = &[
    ("x-forwarded-for", "198.51.100.7"),
    ("x-forwarded-for", "10.0.0.1"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "example.com"),
    ("forwarded", "for=198.51.100.7"),
    ("x_forwarded_for", "1"),
    ("x-real-ip", "1"),
    ("x-forwarded-port", "1"),
    ("user_agent", "kept"),
];

#[test]
fn a_strangers_claims_are_replaced() {
    assert_eq!(
        forwarded("2001:db8::1", false, CLAIMS),
        [
            "forwarded: for=\"[2001:db8::1]\";host=\"shop.localhost:8080\";proto=http",
            "user_agent: kept",
            "x-forwarded-for: 2001:db8::1",
            "x-forwarded-host: shop.localhost:8080",
            "x-forwarded-proto: http",
        ]
    );
}

#[test]
fn claims_are_known_by_their_names_and_by_those_that_servers_take_for_them() {
    for (name, claims) in [
        ("forwarded", true),
        ("x-real-ip", true),
        ("x-forwarded-for", true),
        ("x-forwarded-port", true),
        ("x_forwarded_for", true),
        ("x-forwarded_for", true),
        ("any_thing", true),
        ("x-forwarded", false),
        ("host", false),
    ] {
        assert_eq!(
            has_claims(&map(&[("a", "b"), (name, "1")])),
            claims,
            "{name}"
        );
    }
    assert!(!has_claims(&HeaderMap::new()));
}

#[test]
fn what_says_who_sends_a_message_does_not_come_after_its_body() {
    for (name, may) in [
        ("digest", true),
        ("grpc-status", true),
        ("x_sum", true),
        ("cookie", false),
        ("x-forwarded-for", false),
        ("x_forwarded_for", false),
        ("x-real_ip", false),
    ] {
        assert_eq!(may_trail(&HeaderName::from_static(name)), may, "{name}");
    }
}

#[test]
fn fields_are_as_long_as_http1_writes_them() {
    assert_eq!(bytes(&HeaderMap::new()), 0);
    let headers = map(&[("a", "b"), ("a", ""), ("host", "shop")]);
    assert_eq!(bytes(&headers), "a: b\r\na: \r\nhost: shop\r\n".len());
}

#[test]
fn only_a_trusted_proxy_is_believed() {
    let address: IpAddr = "192.0.2.9".parse().unwrap();
    let named = map(&[
        ("x-forwarded-for", "198.51.100.1, 198.51.100.2"),
        ("x-forwarded-for", "198.51.100.3, 198.51.100.4"),
        ("x-forwarded-proto", "https"),
    ]);
    let nonsense = map(&[("x-forwarded-for", "me"), ("x-forwarded-proto", "http")]);
    let last: IpAddr = "198.51.100.4".parse().unwrap();
    for (trusted, headers, client, by_https) in [
        (true, &named, last, true),
        (false, &named, address, false),
        (true, &nonsense, address, false),
        (true, &HeaderMap::new(), address, false),
    ] {
        let origin = Origin::new(address, trusted, false);
        assert_eq!(origin.client(headers), client);
        assert_eq!(origin.got_by_https(headers), by_https);
    }
}

#[test]
fn a_trusted_proxys_claims_are_added_to() {
    assert_eq!(
        forwarded("::ffff:192.0.2.9", true, &CLAIMS[..5]),
        [
            "forwarded: for=198.51.100.7, for=192.0.2.9;host=\"shop.localhost:8080\";proto=http",
            "x-forwarded-for: 198.51.100.7, 10.0.0.1, 192.0.2.9",
            "x-forwarded-host: example.com",
            "x-forwarded-proto: https",
        ]
    );
}
