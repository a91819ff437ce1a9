//! What the ingress answers itself.

use crate::rig::{Rig, routes};
use doprax_core::route::{Outage, Target};

const HTML: &str = "Accept: text/html,*/*;q=0.8\r\n";
const JSON: &str = "Accept: application/json\r\n";

#[tokio::test]
async fn an_unknown_host_is_told_what_was_asked_for_and_what_to_do() {
    let rig = Rig::new(Target::Stopped);
    let page = rig.get("Shopp.localhost:8080", "/", HTML).await;
    assert!(page.starts_with("HTTP/1.1 404 Not Found\r\n"), "{page}");
    assert!(
        page.contains("content-type: text/html; charset=utf-8\r\n"),
        "{page}"
    );
    assert!(page.contains("asked for shopp.localhost,"), "{page}");
    assert!(page.contains("<code>doprax up</code>"), "{page}");
    let id = page.split("x-request-id: ").nth(1).unwrap()[..16].to_owned();
    assert!(page.contains(&format!("request {id}")), "{page}");
    let text = rig.get("shopp.localhost", "/", "").await;
    assert!(
        text.contains("content-type: text/plain; charset=utf-8\r\n"),
        "{text}"
    );
    assert!(!text.contains('<'), "{text}");
}

#[tokio::test]
async fn an_app_that_does_not_serve_says_its_name_and_state() {
    let rig = Rig::new(Target::Starting);
    let starting = rig.get("shop.localhost", "/", HTML).await;
    assert!(starting.starts_with("HTTP/1.1 503 "), "{starting}");
    assert!(starting.contains("retry-after: 3\r\n"), "{starting}");
    assert!(starting.contains("<h1>shop is starting</h1>"), "{starting}");
    assert!(starting.contains("http-equiv=\"refresh\""), "{starting}");

    rig.ingress.publish(routes(Target::Stopped));
    let stopped = rig.get("shop.localhost", "/", HTML).await;
    assert!(
        stopped.contains("<code>doprax start shop</code>"),
        "{stopped}"
    );
    assert!(!stopped.contains("retry-after"), "{stopped}");

    rig.ingress
        .publish(routes(Target::Failed(Outage::Crashing)));
    let failed = rig.get("shop.localhost", "/", JSON).await;
    let body: serde_json::Value =
        serde_json::from_str(failed.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body["status"], 503);
    assert_eq!(body["app"], "shop");
    assert_eq!(body["state"], "failed");
    assert!(
        body["detail"]
            .as_str()
            .unwrap()
            .contains("It ends soon after each start.")
    );

    // One without a port may run or crash: its page does not say.
    rig.ingress.publish(routes(Target::Nowhere));
    let worker = rig.get("shop.localhost", "/", JSON).await;
    let body: serde_json::Value =
        serde_json::from_str(worker.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(
        (&body["status"], &body["app"]),
        (&404.into(), &"shop".into())
    );
    assert_eq!(body.get("state"), None, "{body}");
    assert!(!failed.contains("retry-after"), "{failed}");
}

#[tokio::test]
async fn a_method_that_is_not_allowed_is_told_which_are() {
    let rig = Rig::new(Target::Stopped);
    for (request, status, allowed) in [
        ("CONNECT shop.localhost:80", "405", true),
        ("GET shop.localhost", "400", false),
    ] {
        let request = format!("{request} HTTP/1.1\r\nHost: shop.localhost\r\n\r\n");
        let page = rig.exchange(request.as_bytes()).await;
        assert!(page.starts_with(&format!("HTTP/1.1 {status} ")), "{page}");
        assert_eq!(page.contains("\r\nallow: GET, HEAD, "), allowed, "{page}");
        assert!(page.contains("\r\nconnection: close\r\n"), "{page}");
    }
}

#[tokio::test]
async fn a_head_request_gets_the_head_of_a_page_only() {
    let rig = Rig::new(Target::Stopped);
    let request = b"HEAD / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n";
    let head = rig.exchange(request).await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
}
