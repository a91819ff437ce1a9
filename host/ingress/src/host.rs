//! The host that a request is for (RFC 9110 section 7.2, RFC 3986 section 3.2.2).

use std::borrow::Cow;

/// A host name or address, in lower case, without port or dot at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host<'a>(Cow<'a, str>);

impl<'a> Host<'a> {
    /// The host of a `Host` field or of a target's authority, if it has a valid one.
    /// User information is not valid there.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, rest) = rest.split_once(']')?;
                address.parse::<std::net::Ipv6Addr>().ok()?;
                let port = if rest.is_empty() {
                    ""
                } else {
                    rest.strip_prefix(':')?
                };
                (&text[..address.len() + 2], port)
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, port),
                None => (text, ""),
            },
        };
        if !port.is_empty() && (port.len() > 5 || !port.bytes().all(|b| b.is_ascii_digit())) {
            return None;
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        if host.is_empty() || host.len() > 253 {
            return None;
        }
        let named = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if !host.starts_with('[') && !host.bytes().all(named) {
            return None;
        }
        Some(Self(if host.bytes().any(|b| b.is_ascii_uppercase()) {
            Cow::Owned(host.to_ascii_lowercase())
        } else {
            Cow::Borrowed(host)
        }))
    }

    /// The port in such a text.
    pub(crate) fn port(text: &[u8]) -> Option<u16> {
        let (_, port) = std::str::from_utf8(text).ok()?.rsplit_once(':')?;
        port.parse().ok()
    }

    /// The name.
    pub(crate) fn name(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_are_hosts() {
        let cases = [
            ("example.com", Some("example.com")),
            ("EXAMPLE.com.:8080", Some("example.com")),
            ("a_b.example", Some("a_b.example")),
            ("[::1]:80", Some("[::1]")),
            ("[::1]", Some("[::1]")),
            ("127.0.0.1:1", Some("127.0.0.1")),
            ("example.com:", Some("example.com")),
            ("", None),
            (".", None),
            (":80", None),
            ("example.com:http", None),
            ("example.com:800000", None),
            ("user@example.com", None),
            ("a b", None),
            ("a/b", None),
            ("a,b", None),
            ("<script>", None),
            ("[::1", None),
            ("[::1]x", None),
            ("[nonsense]", None),
            ("caf\u{e9}.example", None),
        ];
        for (text, expected) in cases {
            let host = Host::parse(text.as_bytes());
            assert_eq!(host.as_ref().map(Host::name), expected, "{text:?}");
        }
    }

    #[test]
    fn a_host_may_be_as_long_as_a_name_and_its_port_as_long_as_a_number() {
        let parse = |text: &str| Host::parse(text.as_bytes()).is_some();
        for (length, is_host) in [(253, true), (254, false)] {
            let name = "a".repeat(length);
            assert_eq!(parse(&name), is_host);
            assert_eq!(parse(&format!("{name}.:65535")), is_host);
        }
        assert!(!parse("a:065535"));
        assert!(parse("a:80") && !parse("a:8a"));
    }

    #[test]
    fn a_port_stands_after_the_last_colon() {
        let cases = [
            ("example.com", None),
            ("example.com:", None),
            ("example.com:8080", Some(8080)),
            ("[::1]", None),
            ("[::1]:8080", Some(8080)),
        ];
        for (text, expected) in cases {
            assert_eq!(Host::port(text.as_bytes()), expected, "{text}");
        }
    }
}
