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

#[cfg(test)]
mod tests {
    use super::*;
    use doprax_core::name::{ServiceName, VolumeName};
    use doprax_core::service::AppContext;
    use serde_json::json;

    fn request() -> DescribeRequest {
        let name = |name: &str| ServiceName::new(name).unwrap();
        let volume = |name: &str, path: &str| VolumeMount {
            name: VolumeName::new(name).unwrap(),
            path: path.to_owned(),
        };
        DescribeRequest {
            name: name("db"),
            version: Some("8.4".to_owned()),
            image: Some("own.example/db".to_owned()),
            port: Some(3307),
            settings: json!({"b": "1", "a": [true]}),
            env_names: vec!["ONE".to_owned(), "TWO".to_owned()],
            volumes: vec![volume("data", "/var/lib")],
            file_paths: vec!["/etc/my.cnf".to_owned()],
            app: AppContext {
                name: "shop".to_owned(),
                main_volumes: vec![volume("uploads", "/srv")],
                services: vec![(name("db"), "mysql".to_owned())],
            },
        }
    }

    #[test]
    fn a_plugin_is_told_all_of_a_request() {
        let told = plan(&request());
        let mount = |mount: &wit::Mount| format!("{} at {}", mount.name, mount.path);
        assert_eq!(told.name, "db");
        assert_eq!(told.version.as_deref(), Some("8.4"));
        assert_eq!(told.image.as_deref(), Some("own.example/db"));
        assert_eq!(told.port, Some(3307));
        assert_eq!(told.settings, r#"{"b":"1","a":[true]}"#);
        assert_eq!(told.env_names, ["ONE", "TWO"]);
        assert_eq!(told.file_paths, ["/etc/my.cnf"]);
        let [volume] = told.volumes.as_slice() else {
            panic!("{told:?}")
        };
        assert_eq!(mount(volume), "data at /var/lib");
        assert_eq!(told.app.name, "shop");
        let [volume] = told.app.main_volumes.as_slice() else {
            panic!("{told:?}")
        };
        assert_eq!(mount(volume), "uploads at /srv");
        let [service] = told.app.services.as_slice() else {
            panic!("{told:?}")
        };
        assert_eq!(
            (service.name.as_str(), service.plugin.as_str()),
            ("db", "mysql")
        );
    }

    #[test]
    fn a_reload_is_asked_for_the_same_service() {
        let target = reload(&request());
        assert_eq!(target.name, "db");
        assert_eq!(target.version.as_deref(), Some("8.4"));
        assert_eq!(target.image.as_deref(), Some("own.example/db"));
        assert_eq!(target.settings, r#"{"b":"1","a":[true]}"#);
    }

    #[test]
    fn no_settings_are_an_object_without_any() {
        let request = DescribeRequest {
            settings: Value::Null,
            ..request()
        };
        assert_eq!(plan(&request).settings, "{}");
        assert_eq!(reload(&request).settings, "{}");
    }
}
