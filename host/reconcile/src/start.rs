//! Starting a host: opens what it works with, makes its parts of that, and begins to keep
//! apps.
//!
//! A part gets what it needs when it is made, and knows nothing of those that are made after
//! it.

mod assemble;

use crate::access::AccessRecords;
use crate::certificate::{self, Certificates, Shown};
use crate::config::Config;
use crate::error::StartError;
use crate::events::Events;
use crate::host::Host;
use crate::journal::Intent;
use crate::network::guard::Guard;
use crate::observe::Observer;
use crate::routes::{self, AppRoutes, RouteTable, RoutesByApp};
use crate::status::{self, Circumstances};
use crate::takeover::{Predecessor, Takeover};
use crate::{Clock, Parts, Resolve};
use assemble::{Assembled, assemble};
use doprax_core::name::AppName;
use doprax_core::observed::Observed;
use doprax_engine::Engine;
use doprax_ingress::{AccessLog, Ingress};
use doprax_plugin::{BUILTIN, Earlier, Limits, Plugins};
use doprax_store::{AppRecord, OwnedDomain, Store};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a start waits for what the engine runs.
const FIRST_LOOK: Duration = Duration::from_secs(3);

/// Access records that may wait to be kept; more are dropped and counted.
const WAITING_RECORDS: usize = 8_192;

/// What parts are made of: nothing in it knows what an app is done to.
struct Base {
    config: Arc<Config>,
    store: Store,
    engine: Arc<dyn Engine>,
    plugins: Arc<Plugins>,
    ingress: Arc<Ingress>,
    access: Arc<AccessRecords>,
    events: Arc<Events>,
    certificates: Arc<Certificates>,
    guard: Arc<Guard>,
    observer: Arc<Observer>,
    routes: Arc<RouteTable>,
    takeover: Arc<Takeover>,
    clock: Clock,
    resolve: Resolve,
    ending: CancellationToken,
}

/// Starts a host, see [`Host::start`].
pub(crate) async fn start(
    config: Config,
    predecessor: Predecessor,
    parts: Parts,
) -> Result<Host, StartError> {
    let base = open(config, predecessor, parts).await?;
    base.certificates.renew().await?;
    let routes = Arc::clone(&base.routes);
    let Assembled {
        host,
        upkeep,
        checkup,
    } = assemble(base);
    let (operations, ending) = (&host.operations, &host.ending);
    operations.end_overtaken().await;
    for (operation, intent) in host.store.unfinished::<Intent>().await? {
        tracing::info!(app = %operation.app, operation = operation.id, "resuming");
        operations.resume(operation, intent).await?;
    }
    until(ending, async move { upkeep.keep().await });
    until(ending, async move { checkup.keep_looking().await });
    let domains = Arc::clone(&host.domains);
    until(ending, async move { domains.keep_verifying().await });
    let (certificates, events) = (Arc::clone(&host.certificates), Arc::clone(&host.events));
    until(ending, async move {
        certificate::tell(&certificates, &events, || routes.owners()).await;
    });
    Ok(host)
}

/// Has something go on until the host ends.
fn until(ending: &CancellationToken, work: impl Future<Output = ()> + Send + 'static) {
    let ending = ending.clone();
    tokio::spawn(async move { ending.run_until_cancelled(work).await });
}

async fn open(config: Config, predecessor: Predecessor, parts: Parts) -> Result<Base, StartError> {
    let Predecessor { sockets, ended } = predecessor;
    let config = Arc::new(config);
    let store = Store::open(&config.state).await?;
    let host_id = store.host_id().await?;
    let guard = Guard::of(&config, &host_id);
    let engine = (parts.connect)(&config, host_id);
    let cache = config.state.join("plugins");
    let earlier = Earlier {
        folder: &config.state.join("components"),
        needed: &store.components().await?,
    };
    let limits = Limits::default();
    let plugins = Plugins::open_with(Some(&cache), BUILTIN, Some(earlier), limits)?;
    for error in plugins.unkept() {
        let error = crate::error::chain(error);
        tracing::warn!(error, "a plugin is not kept");
    }
    let plugins = Arc::new(plugins);
    // Visitors find every app from the first moment on, as far as the engine says how
    // it is.
    let records = store.apps().await?;
    let observed = tokio::time::timeout(FIRST_LOOK, engine.observe_all()).await;
    let observed = observed.ok().and_then(Result::ok);
    let domains = store.domains(None).await?;
    let events = Arc::<Events>::default();
    let first = first_routes(&records, observed.as_ref(), domains, &events);
    let observer = Observer::new(Arc::clone(&engine));
    if let Some(observed) = &observed {
        observer.know(observed);
    }
    let served = Arc::<doprax_certificates::Served>::default();
    let certificates = Certificates::start(&config, &store, Arc::clone(&served)).await?;
    let certificates = Arc::new(certificates);
    let (sender, records) = tokio::sync::mpsc::channel(WAITING_RECORDS);
    let settings = doprax_ingress::Config {
        access_log: Some(AccessLog {
            records: sender,
            health_checks: config.log_health_checks,
        }),
        https: config.https.clone(),
        public_https_port: config.public_https_port,
        trusted_proxies: config.trusted_proxies.clone(),
        proxy_protocol: config.proxy_protocol.clone(),
        limits: config.limits.clone(),
        ..doprax_ingress::Config::new(config.http.clone())
    };
    let start = doprax_ingress::Start {
        sockets,
        routes: routes::all(&config, &first),
        certificates: Arc::new(Shown(served)),
    };
    let ingress = Arc::new(Ingress::start_with(settings, start)?);
    let routes = RouteTable::new(
        Arc::clone(&config),
        Arc::clone(&ingress),
        Arc::clone(&certificates),
        Arc::clone(&events),
        first,
    );
    Ok(Base {
        config,
        store,
        engine,
        plugins,
        ingress,
        access: AccessRecords::of(records),
        events,
        certificates,
        guard: Arc::new(guard),
        observer: Arc::new(observer),
        routes: Arc::new(routes),
        takeover: Arc::new(Takeover(ended)),
        clock: parts.clock,
        resolve: parts.resolve,
        ending: CancellationToken::new(),
    })
}

/// The routes of every app as it is remembered and as the engine has it, if that is known.
fn first_routes(
    records: &[AppRecord],
    observed: Option<&BTreeMap<AppName, Observed>>,
    domains: Vec<OwnedDomain>,
    events: &Events,
) -> RoutesByApp {
    let nothing = Observed::default();
    let circumstances = Circumstances::default();
    let mut routes: RoutesByApp = records
        .iter()
        .map(|record| {
            let observed = observed.map(|all| all.get(&record.name).unwrap_or(&nothing));
            let status = status::of(record, observed, &circumstances);
            let release = record.release.as_ref().map(|release| release.number);
            events.know(&record.name, release, &status);
            (record.name.clone(), AppRoutes::to(status.target))
        })
        .collect();
    for domain in domains {
        let found = routes.entry(domain.app).or_default();
        found.add(domain.name, domain.domain);
    }
    routes
}
