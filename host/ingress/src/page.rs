//! What the ingress answers itself: a small page, or JSON or plain text for clients
//! that ask for no page.

use crate::account::Account;
use crate::body::ResponseBody;
use crate::refusal::Refusal;
use bytes::Bytes;
use doprax_core::name::AppName;
use doprax_core::route::{Outage, Target};
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use std::fmt::Write as _;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Says that the answer is no app's (RFC 9209).
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// Seconds after which a browser asks again for an app that is starting.
const RETRY_SECONDS: u32 = 3;

/// What the client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Html,
    Json,
    Text,
}

impl Format {
    /// What a client with these request fields reads.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let accept = headers.get(ACCEPT).map_or(&b""[..], HeaderValue::as_bytes);
        if memchr::memmem::find(accept, b"text/html").is_some() {
            Self::Html
        } else if memchr::memmem::find(accept, b"json").is_some() {
            Self::Json
        } else {
            Self::Text
        }
    }
}

/// An answer of the ingress itself.
#[derive(Debug)]
pub(crate) struct Page {
    status: StatusCode,
    title: String,
    /// Paragraphs.
    text: Vec<String>,
    app: Option<String>,
    state: Option<&'static str>,
    retry: bool,
    close: bool,
    /// What the log says beside the title.
    cause: Option<String>,
}

impl Page {
    fn new(status: StatusCode, title: impl Into<String>, text: Vec<String>) -> Self {
        let title = title.into();
        Self {
            status,
            title,
            text,
            app: None,
            state: None,
            retry: false,
            close: false,
            cause: None,
        }
    }

    /// With what is not for visitors to see.
    pub(crate) fn because(self, cause: String) -> Self {
        Self {
            cause: Some(cause),
            ..self
        }
    }

    /// What went wrong, for the log.
    fn reason(&self) -> String {
        match &self.cause {
            Some(cause) => format!("{}: {cause}", self.title),
            None => self.title.clone(),
        }
    }

    /// For a request that is refused as it is; the connection ends with it.
    pub(crate) fn refused(refusal: Refusal) -> Self {
        let status = refusal.status();
        let title = status.canonical_reason().unwrap_or("Refused");
        let text = vec![refusal.reason().to_owned()];
        Self {
            close: true,
            cause: text.first().cloned(),
            ..Self::new(status, title, text)
        }
    }

    /// For a host name that no app has.
    pub(crate) fn unknown(host: &str) -> Self {
        let text = vec![
            format!("This server was asked for {host}, and no app here has that name."),
            "If it is your server: `doprax apps` lists the apps with their addresses, and `doprax up` in a folder with a Dockerfile deploys one.".to_owned(),
        ];
        Self::new(StatusCode::NOT_FOUND, "No app answers to this name", text)
    }

    /// For an app that answers no requests at this moment.
    pub(crate) fn idle(app: &AppName, target: &Target) -> Self {
        let (state, title, text) = match target {
            Target::Address(_) | Target::Tls(_) => {
                (Some("running"), format!("{app} is running"), Vec::new())
            }
            Target::Starting => (
                Some("starting"),
                format!("{app} is starting"),
                vec!["It will answer in a moment. This page asks again by itself.".to_owned()],
            ),
            // How it is, no visitor can tell from that.
            Target::Nowhere => (
                None,
                format!("{app} has no pages"),
                vec!["It listens on no port: its work is done behind the scenes.".to_owned()],
            ),
            Target::Stopped => (
                Some("stopped"),
                format!("{app} is stopped"),
                vec![format!(
                    "Its owner stopped it. `doprax start {app}` starts it again."
                )],
            ),
            Target::Failed(Outage::Unknown) => (
                Some("unknown"),
                format!("{app} cannot be reached"),
                vec![
                    "This server does not know yet how it is. This page asks again by itself."
                        .to_owned(),
                ],
            ),
            Target::Failed(outage) => (
                Some("failed"),
                format!("{app} has failed"),
                vec![
                    outage_text(*outage).to_owned(),
                    format!("`doprax status {app}` and `doprax logs {app}` tell its owner more."),
                ],
            ),
        };
        let retry = matches!(target, Target::Starting | Target::Failed(Outage::Unknown));
        let status = match target {
            Target::Nowhere => StatusCode::NOT_FOUND,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        let page = Self::new(status, title, text);
        Self {
            app: Some(app.to_string()),
            state,
            retry,
            ..page
        }
    }

    /// For an app whose container gave no response.
    pub(crate) fn no_response(app: &AppName, timeout: bool) -> Self {
        let (status, title, text) = if timeout {
            let text = "It took too long to answer.";
            (
                StatusCode::GATEWAY_TIMEOUT,
                format!("{app} does not answer"),
                text,
            )
        } else {
            let text = "It accepts no connections or broke this one off; it may be restarting.";
            (
                StatusCode::BAD_GATEWAY,
                format!("{app} cannot be reached"),
                text,
            )
        };
        let more = format!("`doprax status {app}` and `doprax logs {app}` tell more.");
        let page = Self::new(status, title, vec![text.to_owned(), more]);
        Self {
            app: Some(app.to_string()),
            ..page
        }
    }

    /// The response, with an id of its own by which it is found in the log.
    pub(crate) fn response(self, format: Format, account: &mut Account) -> Response<ResponseBody> {
        let id = request_id();
        account.paged(&id, || self.reason());
        tracing::debug!(
            id,
            status = self.status.as_u16(),
            title = self.title,
            "answered by the ingress"
        );
        let (kind, body) = match format {
            Format::Html => ("text/html; charset=utf-8", self.html(&id)),
            Format::Json => ("application/json", self.json(&id)),
            Format::Text => ("text/plain; charset=utf-8", self.plain(&id)),
        };
        let mut response = Response::new(ResponseBody::page(Bytes::from(body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(PROXY_STATUS, HeaderValue::from_static("doprax"));
        if let Ok(id) = HeaderValue::from_str(&id) {
            headers.insert(X_REQUEST_ID, id);
        }
        if self.retry {
            headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
        }
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(
                ALLOW,
                HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
            );
        }
        response
    }

    fn html(&self, id: &str) -> String {
        let status = self.status.as_u16();
        let title = escaped(&self.title);
        let retry = if self.retry {
            format!("<meta http-equiv=\"refresh\" content=\"{RETRY_SECONDS}\">\n")
        } else {
            String::new()
        };
        let text = self.text.iter().fold(String::new(), |mut text, paragraph| {
            let _ = writeln!(text, "<p>{}</p>", with_code(&escaped(paragraph)));
            text
        });
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n{retry}\
             <title>{title}</title>\n<style>{STYLE}</style>\n\
             <main>\n<p class=\"status\">{status}</p>\n<h1>{title}</h1>\n{text}\
             <footer>Doprax · request {id}</footer>\n</main>\n</html>\n"
        )
    }

    fn json(&self, id: &str) -> String {
        let mut json = serde_json::json!({
            "status": self.status.as_u16(),
            "error": self.title,
            "detail": self.text.join(" "),
            "request": id,
        });
        if let Some(app) = &self.app {
            json["app"] = app.as_str().into();
        }
        if let Some(state) = self.state {
            json["state"] = state.into();
        }
        format!("{json}\n")
    }

    fn plain(&self, id: &str) -> String {
        format!(
            "{}\n\n{}\n\nrequest {id}\n",
            self.title,
            self.text.join("\n")
        )
    }
}

const STYLE: &str = "body{margin:0;font:1rem/1.6 system-ui,sans-serif;color:#1c2330;background:#f6f7f9}\
main{max-width:34rem;margin:14vh auto 0;padding:0 1.5rem}\
h1{font-size:1.6rem;line-height:1.25;margin:.2em 0 .6em;overflow-wrap:anywhere}\
p{overflow-wrap:anywhere}.status{margin:0;color:#6b7688;font-weight:600;letter-spacing:.08em}\
code{background:#e6e9ee;border-radius:.3em;padding:.1em .35em}\
footer{margin-top:2.5rem;color:#6b7688;font-size:.85rem}\
@media(prefers-color-scheme:dark){body{color:#e3e7ee;background:#14181f}code{background:#262c37}}";

fn escaped(text: &str) -> String {
    text.chars()
        .fold(String::with_capacity(text.len()), |mut escaped, c| {
            match c {
                '&' => escaped.push_str("&amp;"),
                '<' => escaped.push_str("&lt;"),
                '>' => escaped.push_str("&gt;"),
                '"' => escaped.push_str("&quot;"),
                '\'' => escaped.push_str("&#39;"),
                c => escaped.push(c),
            }
            escaped
        })
}

/// Text between back-quotes as code.
fn with_code(text: &str) -> String {
    let mut parts = text.split('`');
    let mut marked = parts.next().unwrap_or_default().to_owned();
    for (number, part) in parts.enumerate() {
        marked.push_str(if number % 2 == 0 { "<code>" } else { "</code>" });
        marked.push_str(part);
    }
    if text.matches('`').count() % 2 == 1 {
        marked.push_str("</code>");
    }
    marked
}

/// Why an app does not answer, for its visitors.
fn outage_text(outage: Outage) -> &'static str {
    match outage {
        Outage::NeverDeployed => "It has not been deployed successfully yet.",
        Outage::Crashing => "It ends soon after each start.",
        Outage::NotRunning => "It does not run.",
        Outage::NoVolume => "A volume that it needs is gone.",
        Outage::Unknown => "How it is is not known.",
    }
}

fn request_id() -> String {
    let mut bytes = [0; 8];
    // An answer without a unique id is better than none.
    let _ = getrandom::fill(&mut bytes);
    format!("{:016x}", u64::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_field_decides_the_format() {
        let cases = [
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Html),
            ("application/json", Format::Json),
            ("application/problem+json, */*", Format::Json),
            ("*/*", Format::Text),
        ];
        for (accept, expected) in cases {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(Format::of(&headers), expected, "{accept}");
        }
        assert_eq!(Format::of(&HeaderMap::new()), Format::Text);
    }

    #[test]
    fn commands_stand_out() {
        assert_eq!(
            with_code("a `b` c `d`."),
            "a <code>b</code> c <code>d</code>."
        );
        assert_eq!(with_code("a"), "a");
    }

    #[test]
    fn each_outage_is_told_apart() {
        use std::collections::HashSet;
        let outages = [
            Outage::NeverDeployed,
            Outage::Crashing,
            Outage::NotRunning,
            Outage::NoVolume,
            Outage::Unknown,
        ];
        let app = AppName::new("shop").unwrap();
        let page = |outage| Page::idle(&app, &Target::Failed(outage));
        let texts: HashSet<String> = outages.map(|outage| page(outage).plain("1")).into();
        assert_eq!(texts.len(), outages.len());
        // How it is will be known in a moment.
        let retried = outages.map(|outage| page(outage).retry);
        assert_eq!(retried, [false, false, false, false, true]);
    }

    #[test]
    fn an_id_is_found_again() {
        let ids = [request_id(), request_id()];
        assert_ne!(ids[0], ids[1]);
        for id in ids {
            assert_eq!(id.len(), 16);
            assert!(u64::from_str_radix(&id, 16).is_ok(), "{id}");
        }
    }

    #[test]
    fn what_comes_from_outside_is_escaped() {
        let page = Page::unknown("<script>\"&'");
        assert!(
            page.html("1")
                .contains("asked for &lt;script&gt;&quot;&amp;&#39;,")
        );
        let page = Page::unknown("a ` <b>");
        let html = page.html("1");
        assert!(html.contains("a <code> &lt;b&gt;"), "{html}");
    }
}
