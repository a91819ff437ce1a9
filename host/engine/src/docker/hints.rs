//! The engine's events, as hints that something about an app changed. Events of
//! containers have the labels of their app; those of networks and volumes have a name.

use super::{Docker, LOOK, label};
use crate::Error;
use crate::names;
use bollard::models::EventActor;
use bollard::query_parameters::EventsOptionsBuilder;
use doprax_core::name::AppName;
use futures_util::stream::{BoxStream, select};
use futures_util::{Stream, StreamExt as _};
use std::collections::HashMap;

/// What changes a container. Commands that probes run in it do not.
const OF_CONTAINERS: [&str; 10] = [
    "create", "start", "die", "destroy", "rename", "stop", "pause", "unpause", "oom", "update",
];

/// What takes a network from a container, and what makes or removes a volume.
const OF_OTHERS: [&str; 3] = ["disconnect", "create", "destroy"];

impl Docker {
    /// Hints, until the engine goes away.
    pub(super) async fn open_hints(&self) -> Result<BoxStream<'static, AppName>, Error> {
        // The stream itself says nothing about an engine that is away.
        self.within(LOOK, self.transport.version())
            .await
            .map_err(|failure| self.error(failure, "listen to the engine"))?;
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let mut containers = self.filter(None);
        containers.insert("type".to_owned(), texts(&["container"]));
        containers.insert("event".to_owned(), texts(&OF_CONTAINERS));
        let of_containers = self
            .events(&containers)
            .filter_map(async |actor| AppName::new(actor.attributes?.get(label::APP)?).ok());
        let others = HashMap::from([
            ("type".to_owned(), texts(&["network", "volume"])),
            ("event".to_owned(), texts(&OF_OTHERS)),
        ]);
        let instance = self.instance.clone();
        let of_others = self.events(&others).filter_map(move |actor| {
            // A network's id is no name, a volume's is.
            let name = actor.attributes.and_then(|mut found| found.remove("name"));
            let name = name.or(actor.id);
            std::future::ready(name.and_then(|name| names::owner(&instance, &name)))
        });
        Ok(select(of_containers.boxed(), of_others.boxed()).boxed())
    }

    /// What events are about, until the engine goes away.
    fn events(
        &self,
        filters: &HashMap<String, Vec<String>>,
    ) -> impl Stream<Item = EventActor> + Send + 'static + use<> {
        let options = EventsOptionsBuilder::default().filters(filters).build();
        self.client
            .events(Some(options))
            .take_while(|event| std::future::ready(event.is_ok()))
            .filter_map(async |event| event.ok()?.actor)
    }
}
