//! curl: each version of HTTP, with and without TLS, and what is rare in one.

use super::{Site, run};
use tokio::process::Command;

/// What curl writes at the end, and all that it says.
async fn curl(site: &Site, arguments: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--verbose", "--max-time", "120"]);
    command
        .arg("--cacert")
        .arg(site.folder.path().join("root.pem"));
    command.args([
        "--write-out",
        "version %{http_version} status %{http_code}\n",
    ]);
    let (ended, said) = run(command.args(arguments)).await;
    assert!(ended, "{command:?}: {said}");
    said
}

#[tokio::test]
async fn each_version_is_spoken() {
    let Some(site) = Site::start().await else {
        return;
    };
    let (http, https) = (site.http("/"), site.https("/"));
    let versions = [
        (&https, "--http2", "2"),
        (&https, "--http1.1", "1.1"),
        (&https, "--http1.0", "1"),
        (&https, "--http2-prior-knowledge", "2"),
        (&http, "--http2-prior-knowledge", "2"),
        (&http, "--http1.1", "1.1"),
        (&http, "--http1.0", "1"),
        // Asks for h2c by Upgrade, which RFC 9113 has given up.
        (&http, "--http2", "1.1"),
    ];
    for (url, argument, version) in versions {
        let said = curl(&site, &[argument, url]).await;
        let expected = format!("0 bytes\nversion {version} status 200\n");
        assert!(said.contains(&expected), "{argument} {url}: {said}");
        if (url, argument) == (&http, "--http2-prior-knowledge") {
            // Of a second request curl 7.88 makes nonsense, whichever server it asks.
            continue;
        }
        // HTTP/1.0 ends with its connection, the others go on.
        let twice = curl(&site, &[argument, url, url]).await;
        assert_eq!(twice.matches(" status 200").count(), 2, "{twice}");
        let reused = twice.contains("Re-using existing connection");
        assert_eq!(reused, version != "1", "{argument} {url}: {twice}");
    }
}

#[tokio::test]
async fn a_big_upload_waits_for_leave_and_gets_it() {
    let Some(site) = Site::start().await else {
        return;
    };
    let file = site.file(20_000_000);
    let upload = ["--upload-file", file.to_str().unwrap()];
    // Without leave curl would go on after that time, and the test would take it.
    let expect = [
        "--header",
        "Expect: 100-continue",
        "--expect100-timeout",
        "100",
    ];
    for (version, url) in [
        ("--http1.1", site.https("/")),
        ("--http1.1", site.http("/")),
        ("--http2", site.https("/")),
        ("--http2-prior-knowledge", site.http("/")),
    ] {
        for more in [&expect[..], &["--header", "Expect:"]] {
            let arguments = [&[version, &url], &upload[..], more].concat();
            let said = curl(&site, &arguments).await;
            assert!(said.contains("20000000 bytes\n"), "{arguments:?}: {said}");
            let leave = said.contains("< HTTP/1.1 100 Continue") || said.contains("< HTTP/2 100");
            let asked = said.to_lowercase().contains("> expect: 100-continue");
            // By HTTP/2 curl may send the body at once, and then needs no leave any more.
            let is_needed = asked && version == "--http1.1";
            assert!(leave || !is_needed, "{arguments:?}: {said}");
            assert!(asked || !leave, "{arguments:?}: {said}");
        }
        let chunked = ["--header", "Transfer-Encoding: chunked"];
        let said = curl(&site, &[&[version, &url], &upload[..], &chunked].concat()).await;
        assert!(said.contains("20000000 bytes\n"), "{version} {url}: {said}");
    }
}

#[tokio::test]
async fn an_upload_that_is_not_wanted_is_not_sent() {
    let Some(site) = Site::start().await else {
        return;
    };
    site.rig.ingress.publish(Default::default());
    let file = site.file(20_000_000);
    let arguments = ["--upload-file", file.to_str().unwrap()];
    let expect = [
        "--header",
        "Expect: 100-continue",
        "--expect100-timeout",
        "100",
    ];
    let out = ["--write-out", "sent %{size_upload} status %{http_code}\n"];
    let url = site.https("/");
    let all = [&["--http1.1", &url], &arguments[..], &expect, &out].concat();
    let said = curl(&site, &all).await;
    assert!(said.contains("sent 0 status 404"), "{said}");
}

#[tokio::test]
async fn trailers_arrive() {
    let Some(site) = Site::start().await else {
        return;
    };
    for (version, url) in [
        ("--http1.1", site.https("/trailers")),
        ("--http1.1", site.http("/trailers")),
        ("--http2", site.https("/trailers")),
        ("--http2-prior-knowledge", site.http("/trailers")),
    ] {
        let fields = ["--header", "TE: trailers", "--header", "Connection: TE"];
        let fields = &fields[..if version == "--http1.1" { 4 } else { 2 }];
        let arguments = [&[version, &url, "--dump-header", "-"], fields].concat();
        let said = curl(&site, &arguments).await;
        assert!(said.contains("hello\n"), "{arguments:?}: {said}");
        assert!(said.contains("\ndigest: abc"), "{arguments:?}: {said}");
    }
}
