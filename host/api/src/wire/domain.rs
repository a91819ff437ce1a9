//! Host names of apps beside their free subdomains.

use doprax_core::name::AppName;
use doprax_reconcile::report;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A host name of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// The name.
    pub name: String,
    /// The app.
    pub app: AppName,
    /// The name that its requests are sent on to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_to: Option<String>,
    /// Whether browsers are told to use nothing but HTTPS for it.
    pub hsts: bool,
    /// Whether it was added by hand; else doprax.yaml names it.
    pub by_hand: bool,
    /// Unix time in milliseconds when it was last seen to lead here.
    pub verified_ms: Option<i64>,
    /// Whether it is reserved for private use: no public DNS has it, and its certificate is
    /// of the host's own CA.
    #[serde(default)]
    pub private: bool,
    /// The DNS records with which it leads here.
    pub records: Vec<DnsRecord>,
}

/// A DNS record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsRecord {
    /// `A` or `AAAA`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The address.
    pub value: String,
}

/// A host name to be given to an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDomain {
    /// The name.
    pub name: String,
    /// Whether the name with `www.` before it sends on to it.
    #[serde(default)]
    pub www: bool,
    /// Whether browsers are told to use nothing but HTTPS for it.
    #[serde(default)]
    pub hsts: bool,
}

/// Where a host name leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// The name.
    pub name: String,
    /// Whether it leads to this host and nowhere else.
    pub verified: bool,
    /// The addresses that it leads to.
    pub found: Vec<IpAddr>,
    /// The addresses that it should lead to.
    pub expected: Vec<IpAddr>,
    /// The zone whose name servers were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub servers_of: Option<String>,
    /// Why nobody could say where it leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl From<report::DomainStatus> for Domain {
    fn from(status: report::DomainStatus) -> Self {
        let report::DomainStatus {
            name,
            app,
            redirect_to,
            hsts,
            by_hand,
            verified_ms,
            private,
            records,
        } = status;
        let record = |record: report::DnsRecord| DnsRecord {
            kind: record.kind.to_owned(),
            name: record.name,
            value: record.value,
        };
        Self {
            name,
            app,
            redirect_to,
            hsts,
            by_hand,
            verified_ms,
            private,
            records: records.into_iter().map(record).collect(),
        }
    }
}

impl From<report::Verification> for Verification {
    fn from(verification: report::Verification) -> Self {
        let report::Verification {
            name,
            verified,
            found,
            expected,
            servers_of,
            problem,
        } = verification;
        Self {
            name,
            verified,
            found,
            expected,
            servers_of,
            problem,
        }
    }
}
