//! Serves the API on its listeners.
//!
//! Flow: a connection is accepted, its requests are routed to one function each, and
//! each function asks the host and converts. Guarantees: nothing is answered on a TCP
//! port without the token; heads and bodies are bounded in size and in time, and all bodies
//! together in size; whoever sends or follows something leaves connections for the others.
//! Assumption: who may open the Unix socket may do everything.

mod apps;
mod budget;
mod certificates;
mod connection;
mod deploy;
mod domains;
mod events;
mod exec;
mod operations;
mod paced;
mod place;
mod plugins;
mod problem;
mod releases;
mod stream;

use crate::token::Token;
use crate::wire::Version;
use axum::extract::{DefaultBodyLimit, FromRef, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use budget::Budget;
use doprax_reconcile::{Host, PROMETHEUS_CONTENT_TYPE};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use problem::Problem;
use std::sync::Arc;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Largest body of a request in bytes, source archives excepted.
const MAX_BODY: usize = 64 << 20;

/// Where the API is served.
pub struct Listeners {
    /// The socket that is guarded by its file's permissions.
    pub unix: UnixListener,
    /// A port, and the token that opens it.
    pub tcp: Option<(TcpListener, Token)>,
    /// A port with the metrics alone, open to whoever reaches it.
    pub metrics: Option<TcpListener>,
}

/// What the API refuses by itself and something can be done about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is nothing at a path.
    NoSuchPath,
    /// The request has no token, or not the host's.
    NoToken,
    /// Nothing is served by HTTPS.
    NoHttps,
}

/// What people are told to do about a refusal: in the words of the program that serves.
pub type Remedy = fn(Refusal) -> &'static str;

/// What requests are answered with.
#[derive(Clone)]
struct Served {
    host: Arc<Host>,
    remedy: Remedy,
}

impl FromRef<Served> for Arc<Host> {
    fn from_ref(served: &Served) -> Self {
        Self::clone(&served.host)
    }
}

/// Serves until `stop` is cancelled. Connections then end after their current
/// request, or after two seconds.
pub async fn serve(host: Arc<Host>, listeners: Listeners, remedy: Remedy, stop: CancellationToken) {
    let Listeners {
        unix,
        tcp,
        metrics: port,
    } = listeners;
    let budget = Budget::new(budget::MAX_BODIES);
    let served = Served {
        host: Arc::clone(&host),
        remedy,
    };
    let local = router(served.clone(), Arc::clone(&budget));
    let local = connection::serve(unix, local, stop.clone());
    let remote = async {
        if let Some((listener, token)) = tcp {
            let guarded = router(served, budget);
            let guarded = guarded.layer(from_fn_with_state((token, remedy), require_token));
            connection::serve(listener, guarded, stop.clone()).await;
        }
    };
    let scraped = async {
        if let Some(listener) = port {
            let router = Router::new()
                .route("/metrics", get(metrics))
                .with_state(Arc::clone(&host));
            connection::serve(listener, router, stop.clone()).await;
        }
    };
    tokio::join!(local, remote, scraped);
}

fn router(served: Served, budget: Arc<Budget>) -> Router {
    let streams = Arc::new(Semaphore::new(connection::MAX_STREAMS));
    let streams = Router::new()
        .route("/v1/apps/{app}/logs", get(apps::logs))
        .route("/v1/access", get(apps::all_access))
        .route("/v1/apps/{app}/access", get(apps::access))
        .route("/v1/apps/{app}/exec", get(exec::exec))
        .route("/v1/operations/{id}/events", get(operations::events))
        .route("/v1/events", get(events::events))
        .route_layer(from_fn_with_state(streams, stream::limit));
    Router::new()
        .merge(streams)
        .route("/metrics", get(metrics))
        .route("/v1/version", get(version))
        .route("/v1/doctor", get(plugins::doctor))
        .route("/v1/plugins", get(plugins::list))
        .route("/v1/plan", post(deploy::plan))
        .route("/v1/deploy", post(deploy::deploy))
        .route("/v1/apps", get(apps::list))
        .route("/v1/apps/{app}", get(apps::status).delete(apps::remove))
        .route("/v1/apps/{app}/removal", get(apps::removal))
        .route("/v1/apps/{app}/releases", get(releases::list))
        .route("/v1/apps/{app}/releases/{number}", get(releases::one))
        .route(
            "/v1/apps/{app}/rollback",
            get(releases::plan_rollback).post(releases::roll_back),
        )
        .route("/v1/apps/{app}/{control}", post(apps::control))
        .route("/v1/apps/{app}/env", get(apps::env).patch(apps::edit))
        .route(
            "/v1/apps/{app}/variables",
            get(apps::variables).put(apps::set_variables),
        )
        .route(
            "/v1/apps/{app}/volumes/{name}",
            delete(apps::remove_volume).put(apps::recreate_volume),
        )
        .route(
            "/v1/apps/{app}/volumes/{name}/removal",
            get(apps::check_volume),
        )
        .route("/v1/volumes", get(apps::volumes))
        .route("/v1/certificates", get(certificates::list))
        .route("/v1/ca", get(certificates::local_ca))
        .route("/v1/domains", get(domains::all))
        .route(
            "/v1/apps/{app}/domains",
            get(domains::of_app).post(domains::add),
        )
        .route("/v1/apps/{app}/domains/{name}", delete(domains::remove))
        .route("/v1/apps/{app}/verification", post(domains::verify))
        .route("/v1/operations", get(operations::list))
        .route("/v1/operations/{id}", get(operations::one))
        .route("/v1/operations/{id}/cancel", post(operations::cancel))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(budget, budget::limit))
        // Bounded by itself, see there.
        .route(
            "/v1/sources/{digest}",
            put(deploy::receive_source).layer(DefaultBodyLimit::disable()),
        )
        .layer(from_fn_with_state(served.clone(), problem::phrase))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(served)
}

async fn version() -> Json<Version> {
    Json(Version {
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

async fn metrics(State(host): State<Arc<Host>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, PROMETHEUS_CONTENT_TYPE)], host.metrics())
}

async fn unknown(State(served): State<Served>, request: Request) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        format!("there is nothing at {}", request.uri().path()),
    )
    .help((served.remedy)(Refusal::NoSuchPath))
}

async fn wrong_method(request: Request) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!(
            "{} is not possible on {}",
            request.method(),
            request.uri().path()
        ),
    )
}

async fn require_token(
    State((token, remedy)): State<(Token, Remedy)>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let given = request
        .headers()
        .get(http::header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let problem = match given {
        Some((_, text)) if token.matches(text.trim()) => return Ok(next.run(request).await),
        Some(_) => "the token is not the host's",
        None => "the host wants a token",
    };
    Err(Problem::new(StatusCode::UNAUTHORIZED, problem).help(remedy(Refusal::NoToken)))
}
