//! Where a request is sent to instead of being answered: another scheme, another name.

use http::header::LOCATION;
use http::{HeaderValue, Response, StatusCode, Uri};

use crate::body::ResponseBody;

/// The root of the URL that a request is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Base<'a> {
    pub(crate) https: bool,
    pub(crate) host: &'a str,
    /// Nothing: the scheme's own.
    pub(crate) port: Option<u16>,
}

impl Base<'_> {
    /// Path and query of `uri` below this root.
    fn location(self, uri: &Uri) -> String {
        let (scheme, usual) = if self.https {
            ("https", 443)
        } else {
            ("http", 80)
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        // `OPTIONS *` asks about the server as a whole.
        let path = if path.starts_with('/') { path } else { "/" };
        match self.port.filter(|port| *port != usual) {
            Some(port) => format!("{scheme}://{}:{port}{path}", self.host),
            None => format!("{scheme}://{}{path}", self.host),
        }
    }

    /// Sends a request there, for good and as it is (RFC 9110 section 15.4.9).
    pub(crate) fn response(self, uri: &Uri) -> Option<Response<ResponseBody>> {
        let location = HeaderValue::from_str(&self.location(uri)).ok()?;
        let mut response = Response::new(ResponseBody::empty());
        *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
        response.headers_mut().insert(LOCATION, location);
        Some(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_and_query_stay_and_usual_ports_are_left_out() {
        let cases = [
            (true, None, "/a?b=c", "https://a.example/a?b=c"),
            (true, Some(443), "/", "https://a.example/"),
            (true, Some(8443), "/a", "https://a.example:8443/a"),
            (false, Some(80), "/a", "http://a.example/a"),
            (false, Some(8080), "//b", "http://a.example:8080//b"),
            (false, Some(443), "/%0d%0a", "http://a.example:443/%0d%0a"),
            (true, None, "*", "https://a.example/"),
            (true, None, "http://b.example/a?b", "https://a.example/a?b"),
            (true, None, "http://b.example", "https://a.example/"),
        ];
        for (https, port, uri, expected) in cases {
            let host = "a.example";
            let base = Base { https, host, port };
            assert_eq!(base.location(&uri.parse().unwrap()), expected, "{uri}");
        }
    }
}
