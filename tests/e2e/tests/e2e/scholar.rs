//! Scholar: Django, Celery and beat in main, with MySQL, Redis, Elasticsearch, and Nginx
//! in front that serves static and media files from shared volumes.

use crate::host;
use doprax_e2e::{App, Response, Site, wait_for};
use std::time::Duration;

/// Adds an article through the page's form, as a browser does.
#[track_caller]
fn add(site: &Site, title: &str, attachment: Option<(&str, &str)>, later: bool) -> Response {
    let path = if later {
        "/articles/add/?later"
    } else {
        "/articles/add/"
    };
    let page = site.get(path).with_status(200);
    let cookie = page
        .header("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let text = page.text();
    let (_, token) = text
        .split_once("name=\"csrfmiddlewaretoken\" value=\"")
        .unwrap();
    let token = token.split('"').next().unwrap();
    let mut body = String::new();
    let field = |name: &str, value: &str| {
        format!("--border\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    body.push_str(&field("csrfmiddlewaretoken", token));
    body.push_str(&field("title", title));
    body.push_str(&field("text", "About the sea and its ships."));
    if let Some((name, content)) = attachment {
        body.push_str(&format!(
            "--border\r\nContent-Disposition: form-data; name=\"attachment\"; filename=\"{name}\"\r\n\
             Content-Type: text/plain\r\n\r\n{content}\r\n"
        ));
    }
    body.push_str("--border--\r\n");
    let request = site
        .request("POST", path)
        .header("content-type", "multipart/form-data; boundary=border")
        .header("cookie", cookie)
        .header("origin", format!("http://{}", site.authority()))
        .body(body.into_bytes().into());
    site.send(request.unwrap()).unwrap().with_status(302)
}

/// Waits until the search page finds a title.
#[track_caller]
fn find(site: &Site, word: &str, title: &str) {
    wait_for(&format!("the search page to find {title}"), 60, || {
        let page = site.get(&format!("/search/?q={word}"));
        (page.status == 200 && page.text().contains(title)).then_some(())
    });
}

#[test]
fn articles_are_added_indexed_and_found() {
    let app = App::copy("scholar");
    let Some(host) = host() else { return };
    let (cli, site) = (host.cli(), host.site("scholar"));
    cli.command(["up", app.path(), "--yes"])
        .within(240)
        .run()
        .succeeded();

    // Its task indexes the first; the second is left to beat.
    let added = add(&site, "Whales", Some(("whales.txt", "They sing.")), false);
    find(&site, "whales", "Whales");
    add(&site, "Dolphins", None, true);
    find(&site, "dolphins", "Dolphins");
    find(&site, "ships", "Whales");
    assert!(
        !site
            .get("/search/?q=elephants")
            .with_status(200)
            .text()
            .contains("Whales")
    );

    let article = site
        .get(added.header("location").unwrap())
        .with_status(200)
        .text();
    let (_, media) = article.split_once("href=\"/media/").unwrap();
    let media = format!("/media/{}", media.split('"').next().unwrap());
    let nginx_serves = |path: &str, content: &str| {
        let file = site.get(path).with_status(200);
        assert!(
            file.header("server").unwrap_or_default().contains("nginx"),
            "{file:?}"
        );
        // Django's answers bear this field, files that Nginx serves do not.
        assert!(file.header("x-content-type-options").is_none(), "{file:?}");
        assert!(file.text().contains(content), "{file:?}");
    };
    nginx_serves(&media, "They sing.");
    nginx_serves("/static/articles/style.css", "Georgia");

    // Elasticsearch may not lock its memory where the machine forbids it; it runs, and
    // whoever looks is told.
    let status = cli.status("scholar");
    let locked =
        host.docker.inspect("scholar", "elasticsearch")["HostConfig"]["Ulimits"].to_string();
    if !locked.contains("memlock") {
        assert!(status["notes"].to_string().contains("memlock"), "{status}");
        cli.ok(["status", "scholar"]).says(&["memlock"]);
    }

    app.replace(
        "articles/templates/articles/index.html",
        "<h1>",
        "<h1>Second release: ",
    );
    cli.command(["up", app.path(), "--yes"])
        .within(240)
        .run()
        .succeeded();
    assert!(
        site.get("/")
            .with_status(200)
            .text()
            .contains("Second release: 2 articles")
    );
    find(&site, "whales", "Whales");
    nginx_serves(&media, "They sing.");
    let again = cli.status("scholar");
    assert_eq!(again["state"].as_str(), Some("running"), "{again}");
    // Beat goes on in the new copy.
    let beat = || site.get("/status/").with_status(200).json()["last_beat"].as_f64();
    let now = || {
        std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap_or(Duration::ZERO)
            .as_secs_f64()
    };
    let begin = now();
    wait_for("a beat of the new copy", 30, || {
        beat().filter(|at| *at > begin)
    });
    cli.ok(["up", app.path(), "--yes"]).says(&["nothing to do"]);
}
