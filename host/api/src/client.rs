//! Asks a host, by its Unix socket or a TCP port. One connection for each request:
//! on a Unix socket that costs less than keeping one alive does in code.

mod address;
mod away;
mod connect;
mod exec;
mod follow;
mod ndjson;
mod watch;

pub use address::{Address, AddressError};
pub use exec::{ExecEvent, ExecReader, ExecWriter};
pub use follow::{Followed, RECONNECT};
pub use watch::{Begin, Watch, Watched};

use crate::wire::{
    Access, App, AppSummary, Certificate, Control, DeployRequest, Domain, Edit, EnvVariable,
    ExecRequest, Failure, Finding, LocalCa, LogLine, NewDomain, Operation, OperationEvent, Plugin,
    Proposal, Rollback, RollbackProposal, SecretsOnRemoval, SetVariables, Started, Verification,
    Version, Volume,
};
use bytes::Bytes;
use doprax_core::name::{AppName, ServiceName, VolumeName};
use doprax_core::release::{ReleaseDetails, Releases};
use futures_util::stream::BoxStream;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;

/// Largest answer that is read as a whole, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// The field by which an intermediary says that an answer is its own (RFC 9209), and what
/// the ingress says in it.
const PROXY_STATUS: &str = "proxy-status";
const INGRESS: &str = "doprax";

/// What a request sends.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers there.
    #[error("cannot reach a host at {address}")]
    Unreachable {
        /// Where.
        address: Address,
        /// Why.
        source: io::Error,
    },
    /// The host refused or failed.
    #[error("{}", failure.error)]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// What the host said.
        failure: Box<Failure>,
    },
    /// That is not the API but the port on which apps are served.
    #[error("{address} is where the apps of a host are served, not its API")]
    Ingress {
        /// Where.
        address: Address,
    },
    /// The connection broke.
    #[error("the connection to {address} broke")]
    Broken {
        /// To whom.
        address: Address,
        /// How.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer is not what this client understands.
    #[error("{address} gave an answer that is not understood")]
    Answer {
        /// Who gave it.
        address: Address,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ClientError {
    /// Whether it was refused because it takes something else by now than was confirmed.
    pub fn is_outdated(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::PRECONDITION_FAILED)
    }
}

impl ClientError {
    /// Whether the host may answer again soon: it is not there, or went away.
    pub fn is_lost(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } => true,
            Self::Refused { status, .. } => *status == StatusCode::SERVICE_UNAVAILABLE,
            Self::Ingress { .. } | Self::Answer { .. } => false,
        }
    }
}

/// Which part of an app's log.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Only this container; absent: all, interleaved.
    pub container: Option<ServiceName>,
    /// Only what is newer than this Unix time in seconds.
    pub since: Option<i64>,
    /// Only this many lines of each container, from the end.
    pub tail: Option<u32>,
    /// Whether new lines follow until the stream is dropped.
    pub follow: bool,
}

/// Asks one host.
#[derive(Clone)]
pub struct Client {
    address: Address,
    token: Option<String>,
    waiting: bool,
}

impl Client {
    /// A client of the host at `address`; `token` opens a TCP port.
    pub fn new(address: Address, token: Option<String>) -> Self {
        Self {
            address,
            token,
            waiting: true,
        }
    }

    /// The same, whose operations wait while others are under way on their app, as they do
    /// unless it is said otherwise, or are refused.
    pub fn waiting(self, waiting: bool) -> Self {
        Self { waiting, ..self }
    }

    /// Where it asks.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Which host answers.
    pub async fn version(&self) -> Result<Version, ClientError> {
        self.get("/v1/version").await
    }

    /// What the host finds about itself and its machine.
    pub async fn doctor(&self) -> Result<Vec<Finding>, ClientError> {
        self.get("/v1/doctor").await
    }

    /// The installed plugins.
    pub async fn plugins(&self) -> Result<Vec<Plugin>, ClientError> {
        self.get("/v1/plugins").await
    }

    /// What a deploy would do.
    pub async fn plan(&self, request: &DeployRequest) -> Result<Proposal, ClientError> {
        self.ask(Method::POST, "/v1/plan", json(request)).await
    }

    /// Begins a deploy.
    pub async fn deploy(&self, request: &DeployRequest) -> Result<Started, ClientError> {
        self.begin(Method::POST, "/v1/deploy", json(request)).await
    }

    /// Sends the source archive of this digest, piece by piece.
    pub async fn send_source(
        &self,
        digest: &str,
        pieces: impl futures_util::Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<(), ClientError> {
        use futures_util::TryStreamExt as _;
        let body = StreamBody::new(pieces.map_ok(Frame::data)).boxed_unsync();
        self.tell(Method::PUT, &format!("/v1/sources/{digest}"), body)
            .await
    }

    /// All apps.
    pub async fn apps(&self) -> Result<Vec<AppSummary>, ClientError> {
        self.get("/v1/apps").await
    }

    /// All about one app.
    pub async fn app(&self, app: &AppName) -> Result<App, ClientError> {
        self.get(&format!("/v1/apps/{app}")).await
    }

    /// Starts, stops or restarts one container of an app, or all.
    pub async fn control(
        &self,
        app: &AppName,
        container: Option<&ServiceName>,
        control: Control,
    ) -> Result<Started, ClientError> {
        let selection = container
            .map(|name| format!("?container={name}"))
            .unwrap_or_default();
        let path = format!("/v1/apps/{app}/{}{selection}", control.as_str());
        self.begin(Method::POST, &path, empty()).await
    }

    /// What a removal would do.
    pub async fn plan_removal(
        &self,
        app: &AppName,
        secrets: Option<SecretsOnRemoval>,
    ) -> Result<Proposal, ClientError> {
        let query = secrets_query(secrets);
        self.get(&format!("/v1/apps/{app}/removal{query}")).await
    }

    /// Begins to remove an app; its volumes stay. `confirmed` is the digest of the proposal
    /// that a person confirmed: nothing else is carried out.
    pub async fn remove(
        &self,
        app: &AppName,
        secrets: Option<SecretsOnRemoval>,
        confirmed: Option<&str>,
    ) -> Result<Started, ClientError> {
        let mut path = format!("/v1/apps/{app}{}", secrets_query(secrets));
        if let Some(confirmed) = confirmed {
            path.push(if path.contains('?') { '&' } else { '?' });
            path.push_str(&format!("confirmed={confirmed}"));
        }
        self.begin(Method::DELETE, &path, empty()).await
    }

    /// Lines of an app's log.
    pub async fn logs(
        &self,
        app: &AppName,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine, ClientError>>, ClientError> {
        let mut path = format!("/v1/apps/{app}/logs?follow={}", query.follow);
        if let Some(container) = &query.container {
            path.push_str(&format!("&container={container}"));
        }
        if let Some(since) = query.since {
            path.push_str(&format!("&since={since}"));
        }
        if let Some(tail) = query.tail {
            path.push_str(&format!("&tail={tail}"));
        }
        let answer = self.send(Method::GET, &path, empty()).await?;
        Ok(ndjson::values(answer.into_body(), self.address.clone()))
    }

    /// The latest requests for an app, or else all, those for no app among them; `tail` of
    /// them at most, and those that follow until the stream is dropped.
    pub async fn access(
        &self,
        app: Option<&AppName>,
        tail: Option<u32>,
        follow: bool,
    ) -> Result<BoxStream<'static, Result<Access, ClientError>>, ClientError> {
        let mut path = match app {
            Some(app) => format!("/v1/apps/{app}/access?follow={follow}"),
            None => format!("/v1/access?follow={follow}"),
        };
        if let Some(tail) = tail {
            path.push_str(&format!("&tail={tail}"));
        }
        let answer = self.send(Method::GET, &path, empty()).await?;
        Ok(ndjson::values(answer.into_body(), self.address.clone()))
    }

    /// Runs a command in a container.
    pub async fn exec(
        &self,
        app: &AppName,
        request: &ExecRequest,
    ) -> Result<(ExecWriter, ExecReader), ClientError> {
        exec::start(self, app, request).await
    }

    /// The environment that people gave a container.
    pub async fn env(
        &self,
        app: &AppName,
        container: &ServiceName,
    ) -> Result<Vec<EnvVariable>, ClientError> {
        self.get(&format!("/v1/apps/{app}/env?container={container}"))
            .await
    }

    /// Begins to change a container by hand.
    pub async fn edit(&self, app: &AppName, edit: &Edit) -> Result<Started, ClientError> {
        self.begin(Method::PATCH, &format!("/v1/apps/{app}/env"), json(edit))
            .await
    }

    /// The releases of an app, and the deploys that came to none.
    pub async fn releases(&self, app: &AppName) -> Result<Releases, ClientError> {
        self.get(&format!("/v1/apps/{app}/releases")).await
    }

    /// What a release was made of.
    pub async fn release(&self, app: &AppName, number: u64) -> Result<ReleaseDetails, ClientError> {
        self.get(&format!("/v1/apps/{app}/releases/{number}")).await
    }

    /// What a rollback to a release would do, or to the one before the current.
    pub async fn plan_rollback(
        &self,
        app: &AppName,
        to: Option<u64>,
        allow_downgrade: bool,
    ) -> Result<RollbackProposal, ClientError> {
        let to = to.map(|to| format!("&to={to}")).unwrap_or_default();
        let query = format!("allow_downgrade={allow_downgrade}{to}");
        self.get(&format!("/v1/apps/{app}/rollback?{query}")).await
    }

    /// Begins to bring an earlier release back.
    pub async fn roll_back(
        &self,
        app: &AppName,
        rollback: &Rollback,
    ) -> Result<Started, ClientError> {
        let path = format!("/v1/apps/{app}/rollback");
        self.begin(Method::POST, &path, json(rollback)).await
    }

    /// The names of the variables that are set for an app.
    pub async fn variables(&self, app: &AppName) -> Result<Vec<String>, ClientError> {
        self.get(&format!("/v1/apps/{app}/variables")).await
    }

    /// Sets and unsets variables for the app's next deploy.
    pub async fn set_variables(
        &self,
        app: &AppName,
        variables: &SetVariables,
    ) -> Result<(), ClientError> {
        self.tell(
            Method::PUT,
            &format!("/v1/apps/{app}/variables"),
            json(variables),
        )
        .await
    }

    /// How things stand with every certificate.
    pub async fn certificates(&self) -> Result<Vec<Certificate>, ClientError> {
        self.get("/v1/certificates").await
    }

    /// The certificate of the host's own CA.
    pub async fn local_ca(&self) -> Result<LocalCa, ClientError> {
        self.get("/v1/ca").await
    }

    /// The host names of one app, or of all.
    pub async fn domains(&self, app: Option<&AppName>) -> Result<Vec<Domain>, ClientError> {
        match app {
            None => self.get("/v1/domains").await,
            Some(app) => self.get(&format!("/v1/apps/{app}/domains")).await,
        }
    }

    /// Gives an app a host name.
    pub async fn add_domain(
        &self,
        app: &AppName,
        domain: &NewDomain,
    ) -> Result<Vec<Domain>, ClientError> {
        let path = format!("/v1/apps/{app}/domains");
        self.ask(Method::POST, &path, json(domain)).await
    }

    /// Takes a host name from an app.
    pub async fn remove_domain(&self, app: &AppName, name: &str) -> Result<(), ClientError> {
        let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
        let path = format!("/v1/apps/{app}/domains/{name}");
        self.tell(Method::DELETE, &path, empty()).await
    }

    /// Asks where an app's host names lead: one with its `www.`, or all.
    pub async fn verify_domains(
        &self,
        app: &AppName,
        name: Option<&str>,
    ) -> Result<Vec<Verification>, ClientError> {
        let wanted = name
            .map(|name| format!("?name={}", utf8_percent_encode(name, NON_ALPHANUMERIC)))
            .unwrap_or_default();
        let path = format!("/v1/apps/{app}/verification{wanted}");
        self.ask(Method::POST, &path, empty()).await
    }

    /// All volumes of all apps.
    pub async fn volumes(&self) -> Result<Vec<Volume>, ClientError> {
        self.get("/v1/volumes").await
    }

    /// Whether a volume can be removed.
    pub async fn check_volume(
        &self,
        app: &AppName,
        volume: &VolumeName,
    ) -> Result<(), ClientError> {
        let name = utf8_percent_encode(volume.as_str(), NON_ALPHANUMERIC);
        let path = format!("/v1/apps/{app}/volumes/{name}/removal");
        self.tell(Method::GET, &path, empty()).await
    }

    /// Removes a volume and everything in it.
    pub async fn remove_volume(
        &self,
        app: &AppName,
        volume: &VolumeName,
    ) -> Result<(), ClientError> {
        let name = utf8_percent_encode(volume.as_str(), NON_ALPHANUMERIC);
        self.tell(
            Method::DELETE,
            &format!("/v1/apps/{app}/volumes/{name}"),
            empty(),
        )
        .await
    }

    /// The latest operations of one app, or of all, the latest first.
    pub async fn operations(&self, app: Option<&AppName>) -> Result<Vec<Operation>, ClientError> {
        let of = app.map(|app| format!("?app={app}")).unwrap_or_default();
        self.get(&format!("/v1/operations{of}")).await
    }

    /// Asks an operation under way to end early.
    pub async fn cancel(&self, id: &str) -> Result<(), ClientError> {
        let id = utf8_percent_encode(id, NON_ALPHANUMERIC);
        let path = format!("/v1/operations/{id}/cancel");
        self.tell(Method::POST, &path, empty()).await
    }

    /// Makes an empty volume in the place of one that is gone.
    pub async fn recreate_volume(
        &self,
        app: &AppName,
        volume: &VolumeName,
    ) -> Result<(), ClientError> {
        let name = utf8_percent_encode(volume.as_str(), NON_ALPHANUMERIC);
        self.tell(
            Method::PUT,
            &format!("/v1/apps/{app}/volumes/{name}"),
            empty(),
        )
        .await
    }

    /// How far an operation is.
    pub async fn operation(&self, id: &str) -> Result<Operation, ClientError> {
        let id = utf8_percent_encode(id, NON_ALPHANUMERIC);
        self.get(&format!("/v1/operations/{id}")).await
    }

    /// The events of an operation after number `after`, until its end.
    pub async fn events(
        &self,
        id: &str,
        after: u64,
    ) -> Result<BoxStream<'static, Result<OperationEvent, ClientError>>, ClientError> {
        let id = utf8_percent_encode(id, NON_ALPHANUMERIC);
        let answer = self
            .send(
                Method::GET,
                &format!("/v1/operations/{id}/events?after={after}"),
                empty(),
            )
            .await?;
        Ok(ndjson::values(answer.into_body(), self.address.clone()))
    }

    /// The events of an operation until its end. When the host goes away, asks again
    /// for up to [`RECONNECT`] and goes on after the last event seen.
    pub fn follow(&self, id: &str) -> BoxStream<'static, Result<Followed, ClientError>> {
        follow::follow(self.clone(), id.to_owned())
    }

    /// What changes on the host. When it goes away, asks again until it is back, and goes on
    /// after the last change seen.
    pub fn watch(&self, watch: Watch) -> BoxStream<'static, Result<Watched, ClientError>> {
        watch::watch(self.clone(), watch)
    }

    /// Begins an operation, or has it wait for its turn.
    async fn begin(&self, method: Method, path: &str, body: Body) -> Result<Started, ClientError> {
        let mut path = path.to_owned();
        if !self.waiting {
            path.push(if path.contains('?') { '&' } else { '?' });
            path.push_str("wait=false");
        }
        self.ask(method, &path, body).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.ask(Method::GET, path, empty()).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<T, ClientError> {
        let answer = self.send(method, path, body).await?;
        let bytes = self.read(answer.into_body()).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.not_understood(error))
    }

    async fn tell(&self, method: Method, path: &str, body: Body) -> Result<(), ClientError> {
        self.send(method, path, body).await.map(drop)
    }

    /// Sends a request and returns its answer if it is a good one.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<http::Response<Incoming>, ClientError> {
        let answer =
            connect::request(&self.address, self.token.as_deref(), method, path, body).await?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let (head, body) = answer.into_parts();
        let bytes = self.read(body).await?;
        Err(self.refused(status, &head.headers, &bytes))
    }

    /// What an answer means that is no good one.
    fn refused(&self, status: StatusCode, fields: &HeaderMap, body: &[u8]) -> ClientError {
        let by_ingress = fields
            .get(PROXY_STATUS)
            .is_some_and(|value| value == INGRESS);
        if by_ingress {
            let address = self.address.clone();
            return ClientError::Ingress { address };
        }
        let failure = serde_json::from_slice(body).unwrap_or_else(|_| Failure {
            error: format!("the host answered with {status}"),
            ..Failure::default()
        });
        ClientError::Refused {
            status,
            failure: Box::new(failure),
        }
    }

    async fn read(&self, body: Incoming) -> Result<Bytes, ClientError> {
        let body = http_body_util::Limited::new(body, MAX_ANSWER);
        let whole = body.collect().await.map_err(|source| ClientError::Broken {
            address: self.address.clone(),
            source,
        })?;
        Ok(whole.to_bytes())
    }

    fn not_understood(&self, error: impl std::error::Error + Send + Sync + 'static) -> ClientError {
        ClientError::Answer {
            address: self.address.clone(),
            source: Box::new(error),
        }
    }
}

fn secrets_query(secrets: Option<SecretsOnRemoval>) -> String {
    secrets
        .map(|secrets| format!("?secrets={}", secrets.as_str()))
        .unwrap_or_default()
}

fn empty() -> Body {
    http_body_util::Empty::new()
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn json(value: &impl Serialize) -> Body {
    let bytes =
        serde_json::to_vec(value).expect("wire types have only string keys, so they serialize");
    Full::new(Bytes::from(bytes))
        .map_err(|never| match never {})
        .boxed_unsync()
}
