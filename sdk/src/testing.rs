//! Asks a plugin natively, as a host would, so that a unit test needs neither.

use crate::{
    App, Diagnostic, Metadata, Mount, Neighbour, Plugin, Request, Service, metadata, settings,
};

/// A request for a service named as its plugin, in an app named `shop`, where the
/// user sets nothing.
pub fn request<P: Plugin>() -> Request {
    let id = P::metadata().id;
    Request {
        name: id.clone(),
        version: None,
        image: None,
        port: None,
        settings: "{}".to_owned(),
        env_names: Vec::new(),
        volumes: Vec::new(),
        file_paths: Vec::new(),
        app: App {
            name: "shop".to_owned(),
            main_volumes: Vec::new(),
            services: vec![Neighbour {
                name: id.clone(),
                plugin: id,
            }],
        },
    }
}

/// A volume of this name at this path.
pub fn mount(name: &str, path: &str) -> Mount {
    Mount {
        name: name.to_owned(),
        path: path.to_owned(),
    }
}

/// The answer to [`request`] with these settings, a JSON object.
pub fn plan<P: Plugin>(settings: &str) -> Result<Service, Vec<Diagnostic>> {
    answer::<P>(&Request {
        settings: settings.to_owned(),
        ..request::<P>()
    })
}

/// The answer to a request.
pub fn answer<P: Plugin>(request: &Request) -> Result<Service, Vec<Diagnostic>> {
    P::plan(
        request,
        settings::parse(&request.settings).map_err(|wrong| vec![wrong])?,
    )
}

/// What the plugin says about itself, the schema of its settings included.
pub fn metadata<P: Plugin>() -> Metadata {
    metadata::complete::<P>()
}
