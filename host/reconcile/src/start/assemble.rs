//! Making the parts of a host, each of those that were made before it.

use super::Base;
use crate::apps::Apps;
use crate::deploy::control::Controls;
use crate::deploy::remove::Removals;
use crate::deploy::rollback::Rollbacks;
use crate::deploy::{Deploys, Executor, Retention, Rollout};
use crate::doctor::Doctor;
use crate::domains::AppDomains;
use crate::health::Health;
use crate::host::Host;
use crate::journal::Journal;
use crate::keep::{APPS_AT_ONCE, Checkup, Repairer, Upkeep};
use crate::network::subnet::Subnets;
use crate::operations::{Operations, Work};
use crate::propose::Proposer;
use crate::ready::Prober;
use crate::repairs::Repairs;
use crate::retiring::Retiring;
use crate::status::Statuses;
use crate::volumes::Volumes;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use tokio::sync::{OnceCell, Semaphore};

/// A host, and what it has to be kept with.
pub(super) struct Assembled {
    pub(super) host: Host,
    pub(super) upkeep: Arc<Upkeep>,
    pub(super) checkup: Arc<Checkup>,
}

/// What is known of apps while the host runs.
struct Known {
    apps: Arc<Apps>,
    repairs: Arc<Repairs>,
    health: Arc<Health>,
    retiring: Arc<Retiring>,
    subnets: Arc<Subnets>,
    domains: Arc<AppDomains>,
    statuses: Arc<Statuses>,
}

/// What changes apps.
struct Acting {
    prober: Arc<Prober>,
    proposer: Arc<Proposer>,
    retention: Arc<Retention>,
    executor: Arc<Executor>,
    rollout: Arc<Rollout>,
}

/// Makes all parts.
pub(super) fn assemble(base: Base) -> Assembled {
    let known = known(&base);
    let acting = acting(&base, &known);
    let upkeep = Arc::new(upkeep(&base, &known, &acting));
    let checkup = Arc::new(checkup(&base, &known, &acting));
    let operations = Arc::new(operations(&base, &known, &acting, &upkeep));
    let volumes = Volumes {
        store: base.store.clone(),
        engine: base.engine.clone(),
        observer: base.observer.clone(),
        apps: known.apps,
        retiring: known.retiring,
        upkeep: upkeep.clone(),
    };
    let doctor = Doctor {
        config: base.config.clone(),
        store: base.store.clone(),
        engine: base.engine.clone(),
        guard: base.guard,
        ingress: base.ingress.clone(),
    };
    let host = Host {
        config: base.config,
        store: base.store,
        engine: base.engine,
        plugins: base.plugins,
        ingress: base.ingress,
        access: base.access,
        certificates: base.certificates,
        domains: known.domains,
        events: base.events,
        observer: base.observer,
        statuses: known.statuses,
        proposer: acting.proposer,
        operations,
        volumes,
        doctor,
        takeover: base.takeover,
        ending: base.ending,
    };
    Assembled {
        host,
        upkeep,
        checkup,
    }
}

fn known(base: &Base) -> Known {
    let apps = Arc::<Apps>::default();
    let repairs = Arc::new(Repairs::new(base.clock.clone()));
    let health = Arc::new(Health::new(base.config.clone(), base.clock.clone()));
    let subnets = Subnets {
        config: base.config.clone(),
        store: base.store.clone(),
        engine: base.engine.clone(),
        allocation: tokio::sync::Mutex::default(),
    };
    let domains = AppDomains {
        config: base.config.clone(),
        store: base.store.clone(),
        certificates: base.certificates.clone(),
        routes: base.routes.clone(),
        events: base.events.clone(),
        resolve: base.resolve.clone(),
    };
    let statuses = Statuses {
        config: base.config.clone(),
        store: base.store.clone(),
        engine: base.engine.clone(),
        observer: base.observer.clone(),
        apps: apps.clone(),
        repairs: repairs.clone(),
        health: health.clone(),
        routes: base.routes.clone(),
        events: base.events.clone(),
    };
    Known {
        apps,
        repairs,
        health,
        retiring: Arc::default(),
        subnets: Arc::new(subnets),
        domains: Arc::new(domains),
        statuses: Arc::new(statuses),
    }
}

fn acting(base: &Base, known: &Known) -> Acting {
    let prober = Arc::new(Prober {
        config: base.config.clone(),
        engine: base.engine.clone(),
        plugins: base.plugins.clone(),
        ingress: base.ingress.clone(),
    });
    let proposer = Proposer {
        config: base.config.clone(),
        store: base.store.clone(),
        engine: base.engine.clone(),
        plugins: base.plugins.clone(),
        observer: base.observer.clone(),
        subnets: known.subnets.clone(),
        domains: known.domains.clone(),
        routes: base.routes.clone(),
        retiring: known.retiring.clone(),
        facts: OnceCell::new(),
    };
    let retention = Arc::new(Retention {
        config: base.config.clone(),
        store: base.store.clone(),
        engine: base.engine.clone(),
        apps: known.apps.clone(),
        pruning: Arc::default(),
    });
    let executor = Arc::new(Executor {
        config: base.config.clone(),
        store: base.store.clone(),
        engine: base.engine.clone(),
        ingress: base.ingress.clone(),
        guard: base.guard.clone(),
        routes: base.routes.clone(),
        prober: prober.clone(),
        takeover: base.takeover.clone(),
        retiring: known.retiring.clone(),
        retention: retention.clone(),
        apps: known.apps.clone(),
        ending: base.ending.clone(),
    });
    let rollout = Rollout {
        config: base.config.clone(),
        store: base.store.clone(),
        engine: base.engine.clone(),
        observer: base.observer.clone(),
        subnets: known.subnets.clone(),
        routes: base.routes.clone(),
        takeover: base.takeover.clone(),
        retiring: known.retiring.clone(),
        retention: retention.clone(),
        executor: executor.clone(),
    };
    Acting {
        prober,
        proposer: Arc::new(proposer),
        retention,
        executor,
        rollout: Arc::new(rollout),
    }
}

fn upkeep(base: &Base, known: &Known, acting: &Acting) -> Upkeep {
    let repairer = Repairer {
        store: base.store.clone(),
        engine: base.engine.clone(),
        observer: base.observer.clone(),
        subnets: known.subnets.clone(),
        routes: base.routes.clone(),
        statuses: known.statuses.clone(),
        health: known.health.clone(),
        apps: known.apps.clone(),
        repairs: known.repairs.clone(),
        retiring: known.retiring.clone(),
        executor: acting.executor.clone(),
        rollout: acting.rollout.clone(),
        looks: Semaphore::new(APPS_AT_ONCE),
    };
    Upkeep {
        store: base.store.clone(),
        engine: base.engine.clone(),
        observer: base.observer.clone(),
        guard: base.guard.clone(),
        statuses: known.statuses.clone(),
        apps: known.apps.clone(),
        repairs: known.repairs.clone(),
        repairer,
        events: base.events.clone(),
        interval: base.config.interval,
        ending: base.ending.clone(),
        awaited: Mutex::new(HashSet::new()),
    }
}

fn checkup(base: &Base, known: &Known, acting: &Acting) -> Checkup {
    Checkup {
        store: base.store.clone(),
        engine: base.engine.clone(),
        prober: acting.prober.clone(),
        apps: known.apps.clone(),
        health: known.health.clone(),
        statuses: known.statuses.clone(),
    }
}

fn operations(base: &Base, known: &Known, acting: &Acting, upkeep: &Arc<Upkeep>) -> Operations {
    Operations {
        store: base.store.clone(),
        journal: Arc::new(Journal::new(base.events.clone())),
        apps: known.apps.clone(),
        repairs: known.repairs.clone(),
        proposer: acting.proposer.clone(),
        statuses: known.statuses.clone(),
        retention: acting.retention.clone(),
        upkeep: upkeep.clone(),
        work: work(base, known, acting),
        remedies: base.config.remedies,
        ending: base.ending.clone(),
    }
}

fn work(base: &Base, known: &Known, acting: &Acting) -> Work {
    Work {
        deploys: Deploys {
            config: base.config.clone(),
            store: base.store.clone(),
            engine: base.engine.clone(),
            plugins: base.plugins.clone(),
            observer: base.observer.clone(),
            subnets: known.subnets.clone(),
            domains: known.domains.clone(),
            routes: base.routes.clone(),
            proposer: acting.proposer.clone(),
            retention: acting.retention.clone(),
            executor: acting.executor.clone(),
            rollout: acting.rollout.clone(),
        },
        controls: Controls {
            config: base.config.clone(),
            store: base.store.clone(),
            observer: base.observer.clone(),
            subnets: known.subnets.clone(),
            routes: base.routes.clone(),
            statuses: known.statuses.clone(),
            executor: acting.executor.clone(),
            rollout: acting.rollout.clone(),
        },
        rollbacks: Rollbacks {
            config: base.config.clone(),
            store: base.store.clone(),
            engine: base.engine.clone(),
            observer: base.observer.clone(),
            subnets: known.subnets.clone(),
            domains: known.domains.clone(),
            retiring: known.retiring.clone(),
            rollout: acting.rollout.clone(),
        },
        removals: Removals {
            store: base.store.clone(),
            engine: base.engine.clone(),
            guard: base.guard.clone(),
            routes: base.routes.clone(),
            certificates: base.certificates.clone(),
            executor: acting.executor.clone(),
            retention: acting.retention.clone(),
        },
    }
}
