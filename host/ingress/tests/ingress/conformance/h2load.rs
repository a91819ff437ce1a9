//! h2load: many requests at once, each of which has to succeed.

use super::{Site, run};
use tokio::process::Command;

/// All of `count` requests of a run with these arguments are answered with 200.
async fn all_succeed(site: &Site, count: usize, arguments: &[&str], url: &str) {
    let before = served(site);
    let mut command = Command::new("h2load");
    command.arg(format!("--requests={count}"));
    command.args(arguments).arg(url);
    let (ended, said) = run(&mut command).await;
    let lines = [
        format!(
            "requests: {count} total, {count} started, {count} done, {count} succeeded, \
             0 failed, 0 errored, 0 timeout"
        ),
        format!("status codes: {count} 2xx, 0 3xx, 0 4xx, 0 5xx"),
    ];
    for line in &lines {
        assert!(ended && said.contains(line), "{command:?}: {said}");
    }
    assert_eq!(served(site) - before, count, "{command:?}");
}

/// Requests that were passed on and answered.
fn served(site: &Site) -> usize {
    let metrics = site.rig.ingress.metrics();
    let statuses = metrics.apps.values().flat_map(|app| app.requests);
    usize::try_from(statuses.sum::<u64>()).unwrap()
}

#[tokio::test]
async fn all_requests_of_many_streams_on_many_connections_succeed() {
    let Some(site) = Site::start().await else {
        return;
    };
    let many = ["--clients=20", "--max-concurrent-streams=100"];
    all_succeed(&site, 4000, &many, &site.https("/")).await;
    all_succeed(&site, 4000, &many, &site.http("/")).await;
    // More at a time than a connection may have open.
    let more = ["--clients=2", "--max-concurrent-streams=1000"];
    all_succeed(&site, 4000, &more, &site.https("/")).await;
}

#[tokio::test]
async fn all_requests_by_http1_succeed() {
    let Some(site) = Site::start().await else {
        return;
    };
    for url in [site.https("/"), site.http("/")] {
        all_succeed(&site, 2000, &["--h1", "--clients=50"], &url).await;
    }
}

#[tokio::test]
async fn all_uploads_succeed() {
    let Some(site) = Site::start().await else {
        return;
    };
    let body = format!("--data={}", site.file(100_000).display());
    let many = [&body, "--clients=5", "--max-concurrent-streams=20"];
    all_succeed(&site, 500, &many, &site.https("/")).await;
    all_succeed(&site, 500, &many, &site.http("/")).await;
    let http1 = [&body, "--h1", "--clients=5"];
    all_succeed(&site, 200, &http1, &site.https("/")).await;
}
