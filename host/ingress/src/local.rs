//! What connections share: of all threads, and of one.

use crate::access::Records;
use crate::account::Ledger;
use crate::certificates::Certificates;
use crate::config::Config;
use crate::container_tls::ContainerTls;
use crate::limiter::Limiter;
use crate::metrics::Counters;
use crate::multiplexed;
use crate::stopping::Stopping;
use crate::table::Table;
use crate::upstream::Upstream;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// What all threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) table: Table,
    pub(crate) certificates: Arc<dyn Certificates>,
    /// The port at which visitors reach it by HTTPS, if they do.
    pub(crate) https_port: Option<u16>,
    pub(crate) config: Config,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) records: Arc<Records>,
    /// Counts requests that are no app's.
    pub(crate) others: Arc<Counters>,
    pub(crate) container_tls: ContainerTls,
}

/// What the connections of one thread share.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) shared: Arc<Shared>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) multiplexed: multiplexed::Pool,
    pub(crate) stopping: Stopping,
    /// Connections and tunnels.
    pub(crate) tasks: TaskTracker,
}

impl Local {
    /// For the thread with this number.
    pub(crate) fn new(shared: Arc<Shared>, thread: usize) -> Self {
        let others = Arc::clone(shared.others.of(thread));
        let ledger = Ledger::new(thread, others, Arc::clone(&shared.records));
        let tls = shared.container_tls.clone();
        let upstream = Upstream::new(&shared.config.limits, tls);
        Self {
            ledger: Arc::new(ledger),
            upstream: Arc::new(upstream),
            multiplexed: multiplexed::Pool::default(),
            stopping: Stopping::default(),
            tasks: TaskTracker::new(),
            shared,
        }
    }
}
