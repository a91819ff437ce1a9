//! What requests to containers share: those of one thread, and those of one client.

use super::pool::{Owner, Pool};
use crate::container_tls::ContainerTls;
use crate::limits::Limits;
use std::sync::Arc;
use std::time::Duration;

/// What one thread asks containers by.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) pool: Pool,
    pub(crate) tls: ContainerTls,
    pub(crate) connect_timeout: Duration,
    pub(crate) response_timeout: Duration,
    pub(super) idle_timeout: Duration,
}

impl Upstream {
    /// Keeps no connection yet.
    pub(crate) fn new(limits: &Limits, tls: ContainerTls) -> Self {
        Self {
            pool: Pool::default(),
            tls,
            connect_timeout: limits.connect_timeout,
            response_timeout: limits.response_timeout,
            idle_timeout: limits.upstream_idle_timeout,
        }
    }
}

/// Held by a client's connection, with what is kept for it.
#[derive(Debug)]
pub(crate) struct Own {
    upstream: Arc<Upstream>,
    owner: Owner,
}

impl Own {
    /// For a client's connection that has just begun.
    pub(crate) fn new(upstream: &Arc<Upstream>) -> Self {
        Self {
            upstream: Arc::clone(upstream),
            owner: upstream.pool.owner(),
        }
    }

    pub(super) fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    pub(super) fn owner(&self) -> Owner {
        self.owner
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.upstream.pool.forget(self.owner);
    }
}
