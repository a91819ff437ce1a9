//! What clients and containers may take: the defaults, and how each is set by its name.
//!
//! [`LIMITS`] is the one table of names. What is typed is read by it, and help shows it.

use doprax_core::spelling;
use doprax_core::unit::{format_bytes, format_duration, parse_bytes, parse_duration};
use std::str::FromStr;
use std::time::Duration;

/// What clients and containers may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open client connections; more are closed as soon as they are accepted.
    pub connections: usize,
    /// Open connections of one client: an IPv4 address or an IPv6 /64. Trusted
    /// proxies are not counted, and behind a load balancer its clients are.
    pub connections_per_client: usize,
    /// From the opening of a connection to the end of its PROXY header, and from there
    /// to the end of its TLS handshake.
    pub handshake_timeout: Duration,
    /// Bytes of a request line and its header fields.
    pub head_bytes: usize,
    /// Number of a request's header fields.
    pub head_fields: usize,
    /// From the first byte of a request to the end of its header fields, and from
    /// the opening of a connection to that first byte.
    pub head_timeout: Duration,
    /// Between two requests on one connection.
    pub idle_timeout: Duration,
    /// Without a byte of a request's body while the container waits for it, and
    /// without a byte of a response taken by the client.
    pub stall_timeout: Duration,
    /// Requests that one HTTP/2 connection may have open.
    pub http2_streams: usize,
    /// Requests of an HTTP/2 connection that the client has cancelled before anything
    /// looked at them; with more at a time, the connection is closed.
    pub http2_pending_resets: usize,
    /// Requests of an HTTP/2 connection that are refused as malformed; with more, the
    /// connection is closed.
    pub http2_errors: usize,
    /// Requests of an HTTP/2 connection that the client has cancelled before they were
    /// answered; with more, and if most were cancelled, the connection is closed.
    pub http2_cancelled_requests: usize,
    /// Between two pings on an HTTP/2 connection.
    pub http2_ping_interval: Duration,
    /// Until the answer to such a ping.
    pub http2_ping_timeout: Duration,
    /// Until a connection to a container is made.
    pub connect_timeout: Duration,
    /// From the whole request to the container's answer.
    pub response_timeout: Duration,
    /// Without a byte from the container in a response that has begun, and without a
    /// byte in either direction through a tunnel, such as a WebSocket.
    pub quiet_timeout: Duration,
    /// For how long an unused connection to a container is kept.
    pub upstream_idle_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_client: 1_024,
            handshake_timeout: Duration::from_secs(10),
            head_bytes: 64 * 1024,
            head_fields: 100,
            head_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(60),
            http2_streams: 128,
            http2_pending_resets: 20,
            http2_errors: 256,
            http2_cancelled_requests: 500,
            http2_ping_interval: Duration::from_secs(45),
            http2_ping_timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(120),
            quiet_timeout: Duration::from_secs(3_600),
            upstream_idle_timeout: Duration::from_secs(15),
        }
    }
}

/// A limit that has a name.
#[derive(Debug)]
pub struct Limit {
    /// Its name: that of its field, with dashes.
    pub name: &'static str,
    /// What is limited, in a few words.
    pub meaning: &'static str,
    field: Field,
    least: u64,
    most: u64,
}

/// Where a limit stands, and how it is written. Durations are in milliseconds.
#[derive(Debug)]
enum Field {
    Count(fn(&mut Limits) -> &mut usize),
    Bytes(fn(&mut Limits) -> &mut usize),
    Time(fn(&mut Limits) -> &mut Duration),
}

use Field::{Bytes, Count, Time};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// Every limit, in the order in which people look for them.
pub static LIMITS: &[Limit] = &[
    Limit {
        name: "connections",
        meaning: "open connections of clients",
        field: Count(|limits| &mut limits.connections),
        least: 1,
        most: 1_000_000,
    },
    Limit {
        name: "connections-per-client",
        meaning: "those of one IPv4 address, or IPv6 /64",
        field: Count(|limits| &mut limits.connections_per_client),
        least: 1,
        most: 1_000_000,
    },
    Limit {
        name: "handshake-timeout",
        meaning: "for a PROXY header, and again for TLS",
        field: Time(|limits| &mut limits.handshake_timeout),
        least: SECOND,
        most: 10 * MINUTE,
    },
    Limit {
        name: "head-bytes",
        meaning: "request line and header fields of a request",
        field: Bytes(|limits| &mut limits.head_bytes),
        least: 1 << 10,
        most: 1 << 20,
    },
    Limit {
        name: "head-fields",
        meaning: "number of these header fields",
        field: Count(|limits| &mut limits.head_fields),
        least: 10,
        most: 1_000,
    },
    Limit {
        name: "head-timeout",
        meaning: "until all of them are there",
        field: Time(|limits| &mut limits.head_timeout),
        least: SECOND,
        most: HOUR,
    },
    Limit {
        name: "idle-timeout",
        meaning: "between two requests of a connection",
        field: Time(|limits| &mut limits.idle_timeout),
        least: SECOND,
        most: 24 * HOUR,
    },
    Limit {
        name: "stall-timeout",
        meaning: "a client sends, or takes, no byte of a body",
        field: Time(|limits| &mut limits.stall_timeout),
        least: SECOND,
        most: 24 * HOUR,
    },
    Limit {
        name: "http2-streams",
        meaning: "open requests of one HTTP/2 connection",
        field: Count(|limits| &mut limits.http2_streams),
        least: 1,
        most: 10_000,
    },
    Limit {
        name: "http2-pending-resets",
        meaning: "those cancelled before they were read",
        field: Count(|limits| &mut limits.http2_pending_resets),
        least: 1,
        most: 10_000,
    },
    Limit {
        name: "http2-errors",
        meaning: "those refused as malformed",
        field: Count(|limits| &mut limits.http2_errors),
        least: 1,
        most: 100_000,
    },
    Limit {
        name: "http2-cancelled-requests",
        meaning: "those cancelled before they were answered",
        field: Count(|limits| &mut limits.http2_cancelled_requests),
        least: 1,
        most: 100_000,
    },
    Limit {
        name: "http2-ping-interval",
        meaning: "between two pings to a client",
        field: Time(|limits| &mut limits.http2_ping_interval),
        least: SECOND,
        most: HOUR,
    },
    Limit {
        name: "http2-ping-timeout",
        meaning: "until such a ping is answered",
        field: Time(|limits| &mut limits.http2_ping_timeout),
        least: SECOND,
        most: HOUR,
    },
    Limit {
        name: "connect-timeout",
        meaning: "until a container takes a connection",
        field: Time(|limits| &mut limits.connect_timeout),
        least: SECOND,
        most: 10 * MINUTE,
    },
    Limit {
        name: "response-timeout",
        meaning: "until a container begins to answer",
        field: Time(|limits| &mut limits.response_timeout),
        least: SECOND,
        most: 24 * HOUR,
    },
    Limit {
        name: "quiet-timeout",
        meaning: "no byte passes in a response or WebSocket",
        field: Time(|limits| &mut limits.quiet_timeout),
        least: SECOND,
        most: 24 * HOUR,
    },
    Limit {
        name: "upstream-idle-timeout",
        meaning: "an unused connection to a container is kept",
        field: Time(|limits| &mut limits.upstream_idle_timeout),
        least: SECOND,
        most: HOUR,
    },
];

impl Limit {
    /// Its value where nothing is said, as it is written.
    pub fn usual(&self) -> String {
        let mut limits = Limits::default();
        match self.field {
            Count(field) => field(&mut limits).to_string(),
            Bytes(field) => format_bytes(*field(&mut limits) as u64),
            Time(field) => format_duration(field(&mut limits).as_millis() as u64),
        }
    }

    fn read(&'static self, text: &str) -> Result<Setting, LimitError> {
        let (read, wanted, write): (_, _, fn(u64) -> String) = match self.field {
            Count(_) => (text.parse().ok(), "a number", |count| count.to_string()),
            Bytes(_) => (parse_bytes(text), "a size", format_bytes),
            Time(_) => (parse_duration(text), "a duration", format_duration),
        };
        match read {
            Some(value) if (self.least..=self.most).contains(&value) => {
                Ok(Setting { limit: self, value })
            }
            _ => Err(LimitError::Value {
                name: self.name,
                wanted,
                least: write(self.least),
                most: write(self.most),
            }),
        }
    }
}

/// A limit as somebody set it: `NAME=VALUE`.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    limit: &'static Limit,
    value: u64,
}

/// Why a limit cannot be set.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// There is no `=`.
    #[error("NAME=VALUE is wanted, such as idle-timeout=2m")]
    Form,
    /// There is no limit of this name.
    #[error("there is no limit {name}{}", did_you_mean(*nearest))]
    Unknown {
        /// What was written.
        name: String,
        /// What was probably meant.
        nearest: Option<&'static str>,
    },
    /// The value is none, or out of bounds.
    #[error("{name} is {wanted} from {least} to {most}")]
    Value {
        /// The limit.
        name: &'static str,
        /// What it takes.
        wanted: &'static str,
        /// Its bounds.
        least: String,
        /// Its bounds.
        most: String,
    },
    /// It is set more than once.
    #[error("the limit {name} is given twice")]
    Twice {
        /// The limit.
        name: &'static str,
    },
}

fn did_you_mean(nearest: Option<&str>) -> String {
    match nearest {
        Some(name) => format!("; did you mean {name}?"),
        None => "; `doprax serve --help` lists them".to_owned(),
    }
}

impl FromStr for Setting {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let (name, value) = text.split_once('=').ok_or(LimitError::Form)?;
        let unknown = || LimitError::Unknown {
            name: name.to_owned(),
            nearest: spelling::nearest(name, LIMITS.iter().map(|limit| limit.name)),
        };
        let limit = LIMITS.iter().find(|limit| limit.name == name);
        limit.ok_or_else(unknown)?.read(value)
    }
}

impl Limits {
    /// The defaults, with what was set in their place.
    pub fn with(settings: &[Setting]) -> Result<Self, LimitError> {
        let mut limits = Self::default();
        for (number, Setting { limit, value }) in settings.iter().enumerate() {
            let name = limit.name;
            if settings[..number].iter().any(|s| s.limit.name == name) {
                return Err(LimitError::Twice { name });
            }
            match limit.field {
                // The bounds of both fit into 32 bits.
                Count(field) | Bytes(field) => *field(&mut limits) = *value as usize,
                Time(field) => *field(&mut limits) = Duration::from_millis(*value),
            }
        }
        Ok(limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Result<Limits, LimitError> {
        let settings: Result<Vec<Setting>, _> = texts.iter().map(|text| text.parse()).collect();
        Limits::with(&settings?)
    }

    #[test]
    fn every_field_can_be_set_by_its_name_and_no_other_changes() {
        let names: Vec<String> = LIMITS
            .iter()
            .map(|limit| limit.name.replace('-', "_"))
            .collect();
        let fields = |limits: &Limits| -> Vec<(String, String)> {
            let text = format!("{limits:?}");
            let inner = &text["Limits { ".len()..text.len() - " }".len()];
            let parts = inner.split(", ").map(|part| part.split_once(": ").unwrap());
            parts
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect()
        };
        let usual = fields(&Limits::default());
        let all: Vec<&String> = usual.iter().map(|(name, _)| name).collect();
        assert_eq!(all, names.iter().collect::<Vec<_>>());
        for (number, limit) in LIMITS.iter().enumerate() {
            let mut expected = usual.clone();
            let (value, shown) = match limit.field {
                Count(_) => ("77", "77"),
                Bytes(_) => ("2KiB", "2048"),
                Time(_) => ("1m17s", "77s"),
            };
            expected[number].1 = shown.to_owned();
            let set = read(&[&format!("{}={value}", limit.name)]).unwrap();
            assert_eq!(fields(&set), expected);
        }
    }

    #[test]
    fn each_default_is_within_its_bounds() {
        for limit in LIMITS {
            let usual = limit.usual();
            assert!(limit.read(&usual).is_ok(), "{}={usual}", limit.name);
        }
    }

    /// As help shows them.
    #[test]
    fn each_limit_has_its_bounds() {
        let said = |limit: &'static Limit| {
            let Err(error) = limit.read("") else {
                panic!("{} is nothing", limit.name);
            };
            format!("{error}; else {}", limit.usual())
        };
        let said: Vec<String> = LIMITS.iter().map(said).collect();
        let expected = "\
connections is a number from 1 to 1000000; else 10000
connections-per-client is a number from 1 to 1000000; else 1024
handshake-timeout is a duration from 1s to 600s; else 10s
head-bytes is a size from 1KiB to 1MiB; else 64KiB
head-fields is a number from 10 to 1000; else 100
head-timeout is a duration from 1s to 1h; else 15s
idle-timeout is a duration from 1s to 24h; else 75s
stall-timeout is a duration from 1s to 24h; else 60s
http2-streams is a number from 1 to 10000; else 128
http2-pending-resets is a number from 1 to 10000; else 20
http2-errors is a number from 1 to 100000; else 256
http2-cancelled-requests is a number from 1 to 100000; else 500
http2-ping-interval is a duration from 1s to 1h; else 45s
http2-ping-timeout is a duration from 1s to 1h; else 20s
connect-timeout is a duration from 1s to 600s; else 5s
response-timeout is a duration from 1s to 24h; else 120s
quiet-timeout is a duration from 1s to 24h; else 1h
upstream-idle-timeout is a duration from 1s to 1h; else 15s";
        assert_eq!(said.join("\n"), expected);
    }

    #[test]
    fn several_are_set_at_once() {
        let limits = read(&["head-bytes=32KiB", "idle-timeout=2m", "connections=5"]).unwrap();
        assert_eq!(
            (limits.head_bytes, limits.idle_timeout, limits.connections),
            (32_768, Duration::from_secs(120), 5)
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_what_would() {
        for (texts, message) in [
            (
                &["idle-timeout"][..],
                "NAME=VALUE is wanted, such as idle-timeout=2m",
            ),
            (
                &["idle-timout=2m"],
                "there is no limit idle-timout; did you mean idle-timeout?",
            ),
            (
                &["speed=1"],
                "there is no limit speed; `doprax serve --help` lists them",
            ),
            (
                &["idle-timeout=0s"],
                "idle-timeout is a duration from 1s to 24h",
            ),
            (
                &["idle-timeout=90"],
                "idle-timeout is a duration from 1s to 24h",
            ),
            (
                &["idle-timeout="],
                "idle-timeout is a duration from 1s to 24h",
            ),
            (
                &["idle-timeout=9999999999h"],
                "idle-timeout is a duration from 1s to 24h",
            ),
            (
                &["head-bytes=1GiB"],
                "head-bytes is a size from 1KiB to 1MiB",
            ),
            (
                &["connections=0"],
                "connections is a number from 1 to 1000000",
            ),
            (
                &["connections=-1"],
                "connections is a number from 1 to 1000000",
            ),
            (
                &["head-fields=20", "head-fields=30"],
                "the limit head-fields is given twice",
            ),
        ] {
            let error = read(texts).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
