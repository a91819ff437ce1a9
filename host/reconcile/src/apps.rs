//! Who works on which app.

mod last_look;
pub(crate) mod queue;

use crate::report::Operation;
use doprax_core::name::AppName;
pub(crate) use last_look::LastLook;
use queue::Queue;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The turns at every app.
#[derive(Default)]
pub(crate) struct Apps(Mutex<HashMap<AppName, Arc<App>>>);

/// Whose turn it is at an app.
#[derive(Default)]
pub(crate) struct App {
    /// Held by whoever changes the app's containers.
    pub(crate) work: tokio::sync::Mutex<()>,
    pub(crate) queue: Queue,
    /// Held while an operation enters the queue and is journaled: both have the same order.
    pub(crate) admission: tokio::sync::Mutex<()>,
    /// What the loop saw when it last looked at the app.
    pub(crate) last_look: LastLook,
}

impl Apps {
    /// The turns at one app.
    pub(crate) fn of(&self, name: &AppName) -> Arc<App> {
        Arc::clone(self.lock().entry(name.clone()).or_default())
    }

    /// The operation under way on an app.
    pub(crate) fn operation(&self, name: &AppName) -> Option<Operation> {
        self.of(name).queue.running()
    }

    /// Digests of the sources that operations under way, and those that wait, deploy, that of
    /// `but` excepted.
    pub(crate) fn sources_in_use(&self, but: Option<&str>) -> Vec<String> {
        let apps = self.lock();
        let sources = apps.values().flat_map(|app| app.queue.sources(but));
        sources.collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AppName, Arc<App>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
