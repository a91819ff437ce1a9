//! Where a host name leads, by the servers that have the last word on it.
//!
//! A cache on the way would tell what was true some time ago, for as long as the old
//! record allowed. So the servers of the name's zone are looked up and asked themselves,
//! and again for every alias on the way. Why a name is asked about, and what follows from the
//! answer, is not known here.

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Longest wait for one server's answer, of which there may be two.
const PATIENCE: Duration = Duration::from_secs(3);

/// Longest search in all, whatever the servers of a name do.
const LONGEST: Duration = Duration::from_secs(30);

/// Aliases (CNAME) that are followed, as many as resolvers do.
const MOST_ALIASES: usize = 8;

/// Servers of a zone that are asked.
const MOST_SERVERS: usize = 4;

/// Why nobody could say where a name leads.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine's own settings cannot be read.
    #[error("cannot read this machine's DNS settings")]
    Settings(#[source] Box<NetError>),
    /// The text is no name.
    #[error("{name} is no host name")]
    Name {
        /// The text.
        name: String,
    },
    /// No server is in charge of the name.
    #[error("no name server is in charge of {name}: DNS knows neither it nor a domain above it")]
    NoServer {
        /// The name.
        name: String,
    },
    /// A server that is in charge of the name cannot be found.
    #[error("{server}, a name server of {zone}, has no address")]
    NoAddress {
        /// The server.
        server: String,
        /// Its zone.
        zone: String,
    },
    /// Nobody says which servers are in charge of the name.
    #[error("cannot find the name servers of {name}")]
    NotFound {
        /// The name.
        name: String,
        /// What the search for them ended with.
        source: Box<NetError>,
    },
    /// No server that finds others answers.
    #[error("no DNS server could be asked about {name}")]
    Unasked {
        /// The name.
        name: String,
        /// What asking ended with.
        source: Box<NetError>,
    },
    /// The servers of the zone are not in charge of the name.
    #[error("the name servers of {zone} refer to others about {name}")]
    Referral {
        /// The name.
        name: String,
        /// Their zone.
        zone: String,
    },
    /// The servers did not say.
    #[error("the name servers of {zone} give no answer about {name}")]
    NoAnswer {
        /// The name.
        name: String,
        /// Their zone.
        zone: String,
        /// What asking ended with.
        source: Box<NetError>,
    },
    /// The search takes too long.
    #[error("the name servers of {name} did not lead anywhere within {} s", limit.as_secs_f64())]
    Slow {
        /// The name.
        name: String,
        /// How long it may take.
        limit: Duration,
    },
    /// The aliases have no end.
    #[error("{name} leads through more than {MOST_ALIASES} aliases")]
    Aliases {
        /// The name.
        name: String,
    },
}

/// Where a name leads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Every address; none if the name does not exist.
    pub addresses: BTreeSet<IpAddr>,
    /// The zone whose servers said so.
    pub zone: String,
}

/// Asks where `name` leads, for at most half a minute. `server` finds the zones' servers, in
/// the place of the machine's own.
pub async fn resolve(name: &str, server: Option<SocketAddr>) -> Result<Answer, Error> {
    resolve_within(LONGEST, name, server).await
}

async fn resolve_within(
    limit: Duration,
    name: &str,
    server: Option<SocketAddr>,
) -> Result<Answer, Error> {
    let found = tokio::time::timeout(limit, search(name, server)).await;
    found.unwrap_or_else(|_| {
        Err(Error::Slow {
            name: name.to_owned(),
            limit,
        })
    })
}

async fn search(name: &str, server: Option<SocketAddr>) -> Result<Answer, Error> {
    let finder = finder(server)?;
    let not_a_name = |_| Error::Name {
        name: name.to_owned(),
    };
    let mut wanted = Name::from_utf8(format!("{name}.")).map_err(not_a_name)?;
    for _ in 0..=MOST_ALIASES {
        let (zone, servers) = servers(&finder, &wanted).await?;
        let ask = |kind| ask(&servers, &zone, &wanted, kind);
        // The servers of an alias have the last word on it, whatever these say.
        let aliases = ask(RecordType::CNAME).await?;
        let alias = aliases.iter().find_map(|data| match data {
            RData::CNAME(target) => Some(target.0.clone()),
            _ => None,
        });
        if let Some(target) = alias {
            wanted = target;
            continue;
        }
        let (v4, v6) = tokio::try_join!(ask(RecordType::A), ask(RecordType::AAAA))?;
        let addresses = v4.iter().chain(&v6).filter_map(|data| match data {
            RData::A(address) => Some(IpAddr::from(address.0)),
            RData::AAAA(address) => Some(IpAddr::from(address.0)),
            _ => None,
        });
        return Ok(Answer {
            addresses: addresses.collect(),
            zone: text(&zone),
        });
    }
    Err(Error::Aliases {
        name: name.to_owned(),
    })
}

/// What the servers of a zone have of one kind about a name; nothing where they say that
/// there is nothing.
async fn ask(
    servers: &TokioResolver,
    zone: &Name,
    name: &Name,
    kind: RecordType,
) -> Result<Vec<RData>, Error> {
    match servers.lookup(name.clone(), kind).await {
        Ok(found) => {
            let records = found.answers().iter();
            Ok(records.map(|record| record.data.clone()).collect())
        }
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
            // Servers without a word of their own name others (RFC 2308 section 2.2).
            if none.response_code != ResponseCode::NXDomain
                && none.soa.is_none()
                && none.ns.is_some()
            {
                return Err(Error::Referral {
                    name: text(name),
                    zone: text(zone),
                });
            }
            Ok(Vec::new())
        }
        Err(source) => Err(Error::NoAnswer {
            name: text(name),
            zone: text(zone),
            source: Box::new(source),
        }),
    }
}

/// What finds the servers of zones.
fn finder(server: Option<SocketAddr>) -> Result<TokioResolver, Error> {
    let mut builder = match server {
        None => TokioResolver::builder_tokio().map_err(unset)?,
        Some(server) => {
            let mut config = NameServerConfig::udp_and_tcp(server.ip());
            for connection in &mut config.connections {
                connection.port = server.port();
            }
            TokioResolver::builder_with_config(
                ResolverConfig::from_name_servers(vec![config]),
                TokioRuntimeProvider::default(),
            )
        }
    };
    let options = builder.options_mut();
    options.use_hosts_file = ResolveHosts::Never;
    options.timeout = PATIENCE;
    options.cache_size = 0;
    builder.build().map_err(unset)
}

/// The zone that a name is in, and what asks its servers.
async fn servers(finder: &TokioResolver, name: &Name) -> Result<(Name, TokioResolver), Error> {
    let mut zone = name.clone();
    let failed = |source| unfound(name, source);
    let found = loop {
        match finder.lookup(zone.clone(), RecordType::NS).await {
            Ok(found) if !names(&found).is_empty() => break found,
            Ok(_) => {}
            Err(error) if error.is_no_records_found() || error.is_nx_domain() => {
                // Above the last label is nobody's zone but the root's.
                if zone.num_labels() <= 1 {
                    return Err(Error::NoServer { name: text(name) });
                }
            }
            Err(error) => return Err(failed(error)),
        }
        zone = zone.base_name();
    };
    let mut addresses = Vec::new();
    let mut failure = None;
    for server in names(&found).into_iter().take(MOST_SERVERS) {
        match finder.lookup_ip(server.clone()).await {
            Ok(found) => addresses.extend(found.iter()),
            Err(error) if error.is_no_records_found() => {
                failure = Some(Error::NoAddress {
                    server: text(&server),
                    zone: text(&zone),
                });
            }
            Err(error) => failure = Some(failed(error)),
        }
    }
    if let (true, Some(failure)) = (addresses.is_empty(), failure) {
        return Err(failure);
    }
    let config = addresses.into_iter().map(NameServerConfig::udp_and_tcp);
    let mut builder = TokioResolver::builder_with_config(
        ResolverConfig::from_name_servers(config.collect()),
        TokioRuntimeProvider::default(),
    );
    let options = builder.options_mut();
    options.use_hosts_file = ResolveHosts::Never;
    options.timeout = PATIENCE;
    options.cache_size = 0;
    options.recursion_desired = false;
    builder.build().map_err(failed).map(|asker| (zone, asker))
}

/// Why the servers of a name were not found. That there is nothing is no such failure:
/// hickory's text for it shows the query as Rust has it.
fn unfound(name: &Name, source: NetError) -> Error {
    let (name, source) = (text(name), Box::new(source));
    match *source {
        NetError::Timeout | NetError::NoConnections | NetError::Io(_) => {
            Error::Unasked { name, source }
        }
        _ => Error::NotFound { name, source },
    }
}

/// The servers that an answer names.
fn names(found: &hickory_resolver::lookup::Lookup) -> Vec<Name> {
    let servers = found
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::NS(server) => Some(server.0.clone()),
            _ => None,
        });
    servers.collect()
}

fn unset(error: NetError) -> Error {
    Error::Settings(Box::new(error))
}

fn text(name: &Name) -> String {
    name.to_utf8().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;
    use std::net::UdpSocket;
    use tokio::time::{Instant, timeout};

    /// The servers of a name may each be slow in their own way; that adds up to no more
    /// than the limit.
    #[tokio::test]
    async fn a_search_that_leads_nowhere_ends_in_time() {
        assert_eq!(LONGEST, Duration::from_secs(30));
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let limit = Duration::from_millis(50);
        let server = silent.local_addr().unwrap();
        let begin = Instant::now();
        let search = resolve_within(limit, "shop.example.com", Some(server));
        // Long before one server's silence is taken for an answer.
        let error = timeout(PATIENCE / 2, search).await.unwrap().unwrap_err();
        assert!(begin.elapsed() >= limit);
        assert_eq!(
            error.to_string(),
            "the name servers of shop.example.com did not lead anywhere within 0.05 s"
        );
        silent.set_read_timeout(Some(PATIENCE)).unwrap();
        let asked = silent.recv_from(&mut [0; 512]);
        assert!(asked.is_ok(), "the server was not asked");
    }

    /// Answers every question with this code and no records, as a server that knows nothing.
    async fn answering(code: u8) -> SocketAddr {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut message = [0; 512];
            while let Ok((length, client)) = socket.recv_from(&mut message).await {
                // The header of RFC 1035 section 4.1.1: a response, without other sections
                // than the question.
                message[2] |= 0x80;
                message[3] = 0x80 | code;
                message[6..12].fill(0);
                let end = question_end(&message[..length]);
                let _ = socket.send_to(&message[..end], client).await;
            }
        });
        address
    }

    /// An error with its causes.
    fn chain(error: &Error) -> String {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }

    fn question_end(message: &[u8]) -> usize {
        let mut at = 12;
        while message[at] != 0 {
            at += usize::from(message[at]) + 1;
        }
        at + 5
    }

    #[tokio::test]
    async fn what_is_not_found_is_said_in_words() {
        let (no_error, failure, no_such_name) = (0, 2, 3);
        let none = "no name server is in charge of shop.internal: \
                    DNS knows neither it nor a domain above it";
        for (code, words) in [
            (no_error, none),
            (no_such_name, none),
            (failure, "cannot find the name servers of shop.internal: "),
        ] {
            let server = answering(code).await;
            let error = resolve("shop.internal", Some(server)).await.unwrap_err();
            let said = chain(&error);
            assert!(said.starts_with(words), "{said}");
            assert!(!said.contains('{'), "{said}");
        }
        // Nobody listens there.
        let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr();
        let server = Some(closed.unwrap());
        let error = resolve("shop.internal", server).await.unwrap_err();
        let said = chain(&error);
        let words = "no DNS server could be asked about shop.internal: ";
        assert!(said.starts_with(words), "{said}");
    }
}
