//! From what the host asks to the words of the contract.

use crate::bindings::plugin::exports::doprax::plugin::service as wit;
use crate::bindings::reload::exports::doprax::plugin::reload;
use doprax_core::service::DescribeRequest;
use doprax_core::spec::VolumeMount;
use serde_json::Value;

/// The request for `plan`.
pub(crate) fn plan(request: &DescribeRequest) -> wit::Request {
    wit::Request {
        name: request.name.to_string(),
        version: request.version.clone(),
        image: request.image.clone(),
        port: request.port,
        settings: settings(&request.settings),
        env_names: request.env_names.clone(),
        volumes: mounts(&request.volumes),
        file_paths: request.file_paths.clone(),
        app: wit::App {
            name: request.app.name.clone(),
            main_volumes: mounts(&request.app.main_volumes),
            services: request
                .app
                .services
                .iter()
                .map(|(name, plugin)| wit::Neighbour {
                    name: name.to_string(),
                    plugin: plugin.clone(),
                })
                .collect(),
        },
    }
}

/// The request for `reload.command`.
pub(crate) fn reload(request: &DescribeRequest) -> reload::Target {
    reload::Target {
        name: request.name.to_string(),
        version: request.version.clone(),
        image: request.image.clone(),
        settings: settings(&request.settings),
    }
}

fn settings(value: &Value) -> String {
    match value {
        Value::Null => "{}".to_owned(),
        value => value.to_string(),
    }
}

fn mounts(volumes: &[VolumeMount]) -> Vec<wit::Mount> {
    let mount = |volume: &VolumeMount| wit::Mount {
        name: volume.name.to_string(),
        path: volume.path.clone(),
    };
    volumes.iter().map(mount).collect()
}
