//! The engine's events, as hints that something about an app changed.

use super::{Docker, LOOK, label};
use crate::Error;
use bollard::query_parameters::EventsOptionsBuilder;
use doprax_core::name::AppName;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

/// What changes a container. Commands that probes run in it do not.
const ACTIONS: [&str; 9] = [
    "create", "start", "die", "destroy", "rename", "stop", "pause", "unpause", "oom",
];

impl Docker {
    /// Hints, until the engine goes away.
    pub(super) async fn open_hints(&self) -> Result<BoxStream<'static, AppName>, Error> {
        // The stream itself says nothing about an engine that is away.
        self.within(LOOK, self.transport.version())
            .await
            .map_err(|failure| self.error(failure, "listen to the engine"))?;
        let mut filters = self.filter(None);
        filters.insert("type".to_owned(), vec!["container".to_owned()]);
        filters.insert("event".to_owned(), ACTIONS.map(str::to_owned).to_vec());
        let events = self.client.events(Some(
            EventsOptionsBuilder::default().filters(&filters).build(),
        ));
        Ok(events
            .take_while(|event| std::future::ready(event.is_ok()))
            .filter_map(async |event| {
                let attributes = event.ok()?.actor?.attributes?;
                AppName::new(attributes.get(label::APP)?).ok()
            })
            .boxed())
    }
}
