//! Host names and where the ingress finds what answers to them.

use crate::name::AppName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Every host name the ingress answers to, in lower case, without port or dot at
/// the end. A key `*.example.com` answers for every name one label below.
pub type Routes = BTreeMap<String, Route>;

/// Where requests for a host name go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The app.
    pub app: AppName,
    /// What answers.
    pub target: Target,
    /// What else is done for this name.
    #[serde(default)]
    pub options: HostOptions,
}

impl Route {
    /// A route that does nothing else.
    pub fn new(app: AppName, target: Target) -> Self {
        Self {
            app,
            target,
            options: HostOptions::default(),
        }
    }
}

/// What the ingress does for a host name beside sending its requests on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct HostOptions {
    /// For how long browsers are to use nothing but HTTPS for it (RFC 6797).
    pub hsts: Option<Duration>,
    /// The name that every request is sent to instead, such as `example.com` from
    /// `www.example.com`.
    pub redirect_to: Option<String>,
    /// Whether HTTP is answered although there is a certificate: visitors need not
    /// trust the CA that it is of.
    pub keep_http: bool,
}

/// What answers for an app at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A container.
    Address(SocketAddr),
    /// A container that speaks only TLS.
    Tls(SocketAddr),
    /// Nothing yet: the app starts.
    Starting,
    /// Nothing ever: the app listens on no port.
    Nowhere,
    /// Nothing: the app was stopped by its owner.
    Stopped,
    /// Nothing: the app does not answer, for this reason.
    Failed(Outage),
}

impl Target {
    /// Where the container is, if one answers.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Address(address) | Self::Tls(address) => Some(*address),
            Self::Starting | Self::Nowhere | Self::Stopped | Self::Failed(_) => None,
        }
    }

    /// Whether the container speaks only TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

/// Why an app does not answer, as far as visitors may know. It has no text of an error:
/// such a text may name what is nobody else's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outage {
    /// None of its deploys has succeeded yet.
    NeverDeployed,
    /// Its process ends again and again.
    Crashing,
    /// It should run and does not.
    NotRunning,
    /// A volume that it needs is gone.
    NoVolume,
    /// The engine has not been seen yet.
    Unknown,
}
