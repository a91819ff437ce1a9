//! Where a host is asked.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a host is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP port; the text is `HOST:PORT`, an IPv6 address in brackets.
    Tcp(String),
}

/// A text is no address of a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It begins with nothing that is known.
    #[error("{text:?} is no address of a host: write unix:///PATH or http://HOST:PORT")]
    Scheme {
        /// The text.
        text: String,
    },
    /// The path of a Unix socket must be absolute.
    #[error("{text:?} names no absolute path: write unix:///PATH, with three slashes")]
    RelativePath {
        /// The text.
        text: String,
    },
    /// There is no port in it.
    #[error("{text:?} names no port: write http://HOST:PORT")]
    NoPort {
        /// The text.
        text: String,
    },
    /// The API is not served with TLS.
    #[error(
        "{text:?}: the API is plain HTTP; reach it through a tunnel, such as `ssh -L`, and write http://HOST:PORT"
    )]
    Tls {
        /// The text.
        text: String,
    },
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let owned = || text.to_owned();
        if let Some(path) = text.strip_prefix("unix://") {
            if !path.starts_with('/') {
                return Err(AddressError::RelativePath { text: owned() });
            }
            return Ok(Self::Unix(path.into()));
        }
        if text.starts_with("https://") {
            return Err(AddressError::Tls { text: owned() });
        }
        let Some(rest) = text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("tcp://"))
        else {
            return Err(AddressError::Scheme { text: owned() });
        };
        let authority = rest.trim_end_matches('/');
        let port = authority
            .rsplit_once(':')
            .and_then(|(host, port)| (!host.is_empty()).then_some(port));
        match port.map(str::parse::<u16>) {
            Some(Ok(_)) => Ok(Self::Tcp(authority.to_owned())),
            _ => Err(AddressError::NoPort { text: owned() }),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(authority) => write!(f, "http://{authority}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_addresses_or_say_why_not() {
        let unix = |path: &str| Ok(Address::Unix(path.into()));
        let tcp = |authority: &str| Ok(Address::Tcp(authority.to_owned()));
        let cases = [
            ("unix:///run/doprax.sock", unix("/run/doprax.sock")),
            ("http://127.0.0.1:7000", tcp("127.0.0.1:7000")),
            ("http://127.0.0.1:7000/", tcp("127.0.0.1:7000")),
            ("tcp://[::1]:7000", tcp("[::1]:7000")),
            (
                "unix://run/x",
                Err(AddressError::RelativePath {
                    text: "unix://run/x".to_owned(),
                }),
            ),
            (
                "http://example.com",
                Err(AddressError::NoPort {
                    text: "http://example.com".to_owned(),
                }),
            ),
            (
                "http://:80",
                Err(AddressError::NoPort {
                    text: "http://:80".to_owned(),
                }),
            ),
            (
                "https://a:1",
                Err(AddressError::Tls {
                    text: "https://a:1".to_owned(),
                }),
            ),
            (
                "/run/doprax.sock",
                Err(AddressError::Scheme {
                    text: "/run/doprax.sock".to_owned(),
                }),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Address>(), expected, "{text}");
        }
    }
}
