//! Building the probes of a service.

use crate::{Check, ExecCheck, ExecEnv, Header, HttpCheck, Probe, StatusRange, TcpCheck, Text};
use std::ops::RangeInclusive;

impl Probe {
    /// A probe of this check, every 100 ms, each try within two seconds.
    pub fn new(check: Check) -> Self {
        Self {
            check,
            interval_ms: 100,
            timeout_ms: 2_000,
        }
    }

    /// The port accepts a connection.
    pub fn tcp(port: u16) -> Self {
        Self::new(Check::Tcp(TcpCheck { port, send: None }))
    }

    /// `GET path` is answered.
    pub fn http(port: u16, path: &str) -> Self {
        Self::new(Check::Http(HttpCheck {
            port,
            path: path.to_owned(),
            tls: false,
            host: None,
            headers: Vec::new(),
            statuses: Vec::new(),
        }))
    }

    /// A command in the container exits with 0. Dearer than the others: an engine
    /// takes tens of milliseconds for each.
    pub fn exec<A: Into<String>>(command: impl IntoIterator<Item = A>) -> Self {
        let command = command.into_iter().map(Into::into).collect();
        Self {
            interval_ms: 500,
            timeout_ms: 5_000,
            ..Self::new(Check::Exec(ExecCheck {
                command,
                env: Vec::new(),
                user: None,
            }))
        }
    }

    /// Of a TCP probe: sends this once connected, and waits for an answer. Of others:
    /// nothing.
    pub fn send(mut self, text: &str) -> Self {
        if let Check::Tcp(check) = &mut self.check {
            check.send = Some(text.to_owned());
        }
        self
    }

    /// Of an HTTP probe: asks by TLS. Of others: nothing.
    pub fn tls(mut self) -> Self {
        if let Check::Http(check) = &mut self.check {
            check.tls = true;
        }
        self
    }

    /// Of an HTTP probe: asks for this host. Of others: nothing.
    pub fn host(mut self, host: &str) -> Self {
        if let Check::Http(check) = &mut self.check {
            check.host = Some(host.to_owned());
        }
        self
    }

    /// Of an HTTP probe: adds a field, its name in lower case. Of others: nothing.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Check::Http(check) = &mut self.check {
            check.headers.push(Header {
                name: name.to_owned(),
                value: value.to_owned(),
            });
        }
        self
    }

    /// Of an HTTP probe: counts these statuses as good, in place of all below 400; more
    /// of them with each call. Of others: nothing.
    pub fn statuses(mut self, statuses: RangeInclusive<u16>) -> Self {
        if let Check::Http(check) = &mut self.check {
            check.statuses.push(StatusRange {
                first: *statuses.start(),
                last: *statuses.end(),
            });
        }
        self
    }

    /// Of a command: runs it as this user. Of others: nothing.
    pub fn user(mut self, user: &str) -> Self {
        if let Check::Exec(check) = &mut self.check {
            check.user = Some(user.to_owned());
        }
        self
    }

    /// Of a command: adds a variable. Of others: nothing.
    pub fn env(mut self, name: &str, value: Text) -> Self {
        if let Check::Exec(check) = &mut self.check {
            check.env.push(ExecEnv {
                name: name.to_owned(),
                value,
            });
        }
        self
    }

    /// Pauses this long between two tries, in milliseconds.
    pub fn every(mut self, milliseconds: u32) -> Self {
        self.interval_ms = milliseconds;
        self
    }
}
