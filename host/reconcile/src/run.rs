//! What the steps of a plan work on.

use crate::report::Event;
use doprax_core::blueprint::{Blueprint, Container};
use doprax_core::name::{AppName, ServiceName};
use doprax_engine::Inputs;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Acts on the engine at the same time. More make an engine slower, not faster.
const ACTS_AT_ONCE: usize = 8;

/// Receives what happens.
pub(crate) type Emit = Arc<dyn Fn(Event) + Send + Sync>;

/// What the steps of a plan work on.
pub(crate) struct Run {
    pub(crate) app: AppName,
    /// What the steps lead to; absent while only images are provided or everything
    /// is removed.
    pub(crate) blueprint: Option<Blueprint>,
    pub(crate) inputs: Inputs,
    pub(crate) emit: Emit,
    /// Cancelled when nothing new is to begin and waits are to end.
    pub(crate) failed: CancellationToken,
    /// Whether it is the way back: what ran before has settled already.
    pub(crate) goes_back: bool,
    /// Cancelled when a person wants that.
    pub(crate) cancelled: CancellationToken,
    pub(crate) acts: Semaphore,
}

impl Run {
    pub(crate) fn for_blueprint(blueprint: Blueprint, inputs: Inputs, emit: Emit) -> Self {
        let app = blueprint.app.clone();
        Self {
            blueprint: Some(blueprint),
            ..Self::for_images(&app, inputs, emit)
        }
    }

    pub(crate) fn for_images(app: &AppName, inputs: Inputs, emit: Emit) -> Self {
        Self {
            app: app.clone(),
            blueprint: None,
            inputs,
            emit,
            failed: CancellationToken::new(),
            goes_back: false,
            cancelled: CancellationToken::new(),
            acts: Semaphore::new(ACTS_AT_ONCE),
        }
    }

    /// The same, given up when this is cancelled.
    pub(crate) fn until(self, cancelled: &CancellationToken) -> Self {
        Self {
            failed: cancelled.child_token(),
            cancelled: cancelled.clone(),
            ..self
        }
    }

    /// What goes on beside what comes after `run`, and tells nobody.
    pub(crate) fn beside(run: &Self) -> Self {
        Self {
            blueprint: run.blueprint.clone(),
            ..Self::for_images(&run.app, Inputs::default(), Arc::new(|_| {}))
        }
    }

    /// What a container shall be, and the blueprint that it is of.
    pub(crate) fn container(&self, service: &ServiceName) -> (&Blueprint, &Container) {
        let blueprint = self.blueprint.as_ref();
        blueprint
            .and_then(|blueprint| Some((blueprint, blueprint.containers.get(service)?)))
            .expect("a plan names only containers of its blueprint")
    }
}
