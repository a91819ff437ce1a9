//! The probes of a service, and when it is restarted.

use super::{Scope, granted_command, user};
use crate::bindings::plugin::exports::doprax::plugin::service as wit;
use crate::reason::Reason;
use crate::value::{ENTRIES, LINE, excerpt, line, milliseconds, port, range, unique, word};
use doprax_core::service::{CheckTemplate, Liveness, ProbeTemplate};
use std::collections::BTreeMap;

/// The most bytes of a host: a name and a port.
const HOST: usize = 255;

impl Scope<'_> {
    pub(super) fn probe(&self, probe: wit::Probe) -> Result<ProbeTemplate, Reason> {
        Ok(ProbeTemplate {
            check: self.check(probe.check)?,
            interval_ms: milliseconds(probe.interval_ms, 10)?,
            timeout_ms: milliseconds(probe.timeout_ms, 10)?,
        })
    }

    fn check(&self, check: wit::Check) -> Result<CheckTemplate, Reason> {
        Ok(match check {
            wit::Check::Tcp(tcp) => {
                if tcp.send.as_ref().is_some_and(|text| text.len() > LINE) {
                    return Err(Reason::Long(LINE));
                }
                CheckTemplate::Tcp {
                    port: port(tcp.port)?,
                    send: tcp.send,
                }
            }
            wit::Check::Http(check) => http(check)?,
            wit::Check::Exec(exec) => CheckTemplate::Exec {
                command: granted_command(exec.command, self.grants)?,
                env: exec
                    .env
                    .into_iter()
                    .map(|env| Ok((word(env.name)?, self.text(env.value)?)))
                    .collect::<Result<_, Reason>>()?,
                user: exec.user.map(user).transpose()?,
            },
            wit::Check::Log(contains) => CheckTemplate::Log {
                contains: line(contains)?,
            },
        })
    }
}

fn http(check: wit::HttpCheck) -> Result<CheckTemplate, Reason> {
    let path = line(check.path)?;
    if !path.starts_with('/') || path.contains(' ') {
        return Err(Reason::Path(excerpt(&path)));
    }
    if check.headers.len() > ENTRIES || check.statuses.len() > ENTRIES {
        return Err(Reason::Many(ENTRIES));
    }
    unique(check.headers.iter().map(|header| header.name.as_str()))?;
    let statuses = check.statuses.into_iter();
    Ok(CheckTemplate::Http {
        port: port(check.port)?,
        path,
        tls: check.tls,
        host: check.host.map(host).transpose()?,
        headers: check
            .headers
            .into_iter()
            .map(header)
            .collect::<Result<BTreeMap<_, _>, Reason>>()?,
        status: statuses.map(statuses_of).collect::<Result<_, _>>()?,
    })
}

/// A host and perhaps a port (RFC 9110 section 7.2).
fn host(text: String) -> Result<String, Reason> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
    match (1..=HOST).contains(&text.len()) && text.bytes().all(fits) {
        true => Ok(text),
        false => Err(Reason::Word(excerpt(&text))),
    }
}

/// A field (RFC 9110 section 5): what decides about the connection is the host's.
fn header(header: wit::Header) -> Result<(String, String), Reason> {
    let wit::Header { name, value } = header;
    let token =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
    let is_hosts = matches!(
        name.as_str(),
        "host" | "connection" | "content-length" | "transfer-encoding" | "upgrade" | "te"
    );
    if is_hosts || !(1..=128).contains(&name.len()) || !name.bytes().all(token) {
        return Err(Reason::Word(excerpt(&name)));
    }
    if value.len() > LINE {
        return Err(Reason::Long(LINE));
    }
    match value.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        true => Ok((name, value)),
        false => Err(Reason::Control),
    }
}

fn statuses_of(statuses: wit::StatusRange) -> Result<(u16, u16), Reason> {
    range(statuses.last.into(), 200, 599)?;
    range(statuses.first.into(), 200, statuses.last.into())?;
    Ok((statuses.first, statuses.last))
}

/// When a service is restarted.
pub(super) fn liveness(alive: wit::Liveness) -> Result<Liveness, Reason> {
    range(alive.failures.into(), 1, 100)?;
    Ok(Liveness {
        interval_ms: milliseconds(alive.interval_ms, 1000)?,
        failures: alive.failures.into(),
    })
}
