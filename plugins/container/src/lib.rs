//! Any image, for services that have no plugin of their own.

use doprax_sdk::{
    Diagnostic, Metadata, Plugin, PortEntry, Probe, Reload, Request, Service, Target, text,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of a container.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Settings {
    /// Ports that it listens on, the most important first.
    #[serde(default)]
    ports: Vec<u16>,
    /// Path that is asked for to find out whether it serves; else a connection to
    /// its first port is enough.
    probe: Option<String>,
    /// How long it may take to become ready, in seconds.
    ready_within: Option<u32>,
    /// How long it may take to end, in seconds.
    stop_within: Option<u32>,
    /// User that its process runs as: a name, an id, or `ID:GROUP`.
    user: Option<String>,
    /// Whether it starts after main instead of before it.
    #[serde(default)]
    after_main: bool,
    /// Command, run in it, that makes it take notice of a main that has moved.
    reload: Option<Vec<String>>,
}

/// The plugin.
pub struct Container;

impl Plugin for Container {
    type Settings = Settings;

    fn metadata() -> Metadata {
        Metadata::new("container", "Container", "Any image, as it is.", "0.1.0").exec()
    }

    fn plan(request: &Request, settings: Settings) -> Result<Service, Vec<Diagnostic>> {
        let wrong = objections(request, &settings);
        let (Some(image), true) = (&request.image, wrong.is_empty()) else {
            return Err(wrong);
        };
        let mut service = Service::new(image).output("host", text![&request.name]);
        let mut ports = settings.ports;
        if let Some(port) = request.port {
            ports.retain(|other| *other != port);
            ports.insert(0, port);
        }
        for port in &ports {
            service = service.listen(match port {
                80 => PortEntry::new(*port, "tcp").visitors(),
                443 => PortEntry::new(*port, "https").visitors(),
                _ => PortEntry::new(*port, "tcp"),
            });
        }
        if let Some(port) = ports.first() {
            service =
                service
                    .output("port", text![port.to_string()])
                    .probe(match &settings.probe {
                        Some(path) => Probe::http(*port, path),
                        None => Probe::tcp(*port),
                    });
        }
        if let Some(seconds) = settings.ready_within {
            service = service.ready_within(seconds);
        }
        if let Some(seconds) = settings.stop_within {
            service.stop_grace_ms = seconds.saturating_mul(1000);
        }
        if let Some(user) = &settings.user {
            service = service.user(user);
        }
        Ok(if settings.after_main {
            service.after_main()
        } else {
            service
        })
    }
}

fn objections(request: &Request, settings: &Settings) -> Vec<Diagnostic> {
    let mut wrong = Vec::new();
    if request.image.is_none() {
        wrong.push(
            Diagnostic::service("a container needs an image")
                .help("write `image: REPOSITORY:TAG` beside its name"),
        );
    }
    if request.version.is_some() {
        wrong.push(
            Diagnostic::service("a container has no version of its own")
                .help("write the tag in `image`, as in `image: REPOSITORY:TAG`"),
        );
    }
    if let Some(path) = &settings.probe {
        if !path.starts_with('/') {
            wrong.push(Diagnostic::at(["probe"], "must begin with a slash"));
        }
        if settings.ports.is_empty() && request.port.is_none() {
            wrong.push(Diagnostic::at(["probe"], "needs a port").help("add `port: NUMBER`"));
        }
    }
    if settings.ports.contains(&0) {
        wrong.push(Diagnostic::at(["ports"], "0 is not a port"));
    }
    for (key, seconds) in [
        ("ready-within", settings.ready_within),
        ("stop-within", settings.stop_within),
    ] {
        if seconds.is_some_and(|seconds| !(1..=3600).contains(&seconds)) {
            wrong.push(Diagnostic::at([key], "must be between 1 and 3600 seconds"));
        }
    }
    if settings
        .reload
        .as_ref()
        .is_some_and(|command| command.iter().all(String::is_empty))
    {
        wrong.push(Diagnostic::at(
            ["reload"],
            "must be a command and its arguments",
        ));
    }
    wrong
}

impl Reload for Container {
    fn command(target: &Target) -> Option<Vec<String>> {
        doprax_sdk::settings::<Settings>(&target.settings)
            .ok()?
            .reload
    }
}

doprax_sdk::export!(Container: reload);

#[cfg(test)]
mod tests {
    use super::*;
    use doprax_sdk::testing;

    fn request(settings: &str) -> Request {
        Request {
            name: "worker".to_owned(),
            image: Some("ghcr.io/acme/worker:1.4".to_owned()),
            settings: settings.to_owned(),
            ..testing::request::<Container>()
        }
    }

    #[test]
    fn golden() {
        let settings = r#"{
            "ports": ["8080", "9090"], "probe": "/up", "ready-within": "120",
            "stop-within": "30", "user": "1000:1000", "after-main": "yes"
        }"#;
        let plan = |settings| testing::answer::<Container>(&request(settings)).expect("planned");
        insta::assert_json_snapshot!("default", plan("{}"));
        insta::assert_json_snapshot!("settings", plan(settings));
        insta::assert_json_snapshot!("metadata", testing::metadata::<Container>());
    }

    #[test]
    fn the_port_beside_the_image_comes_first() {
        let request = Request {
            port: Some(9090),
            ..request(r#"{"ports": ["8080", "9090"]}"#)
        };
        let service = testing::answer::<Container>(&request).expect("planned");
        let ports: Vec<u16> = service.ports.iter().map(|port| port.number).collect();
        assert_eq!(ports, [9090, 8080]);
    }

    #[test]
    fn refusals() {
        let wrong = testing::plan::<Container>("{}").expect_err("refused");
        assert_eq!(wrong[0].message, "a container needs an image");
        for (settings, key) in [
            (r#"{"probe": "/up"}"#, "probe"),
            (r#"{"ports": ["0"]}"#, "ports"),
            (r#"{"stop-within": "0"}"#, "stop-within"),
            (r#"{"reload": []}"#, "reload"),
        ] {
            let wrong = testing::answer::<Container>(&request(settings)).expect_err("refused");
            assert_eq!(wrong[0].path, [key], "{settings}");
        }
    }

    #[test]
    fn the_command_of_the_user_is_the_reload() {
        let target = |settings: &str| Target {
            name: "worker".to_owned(),
            version: None,
            image: None,
            settings: settings.to_owned(),
        };
        assert_eq!(Container::command(&target("{}")), None);
        let command = Container::command(&target(r#"{"reload": ["kill", "-HUP", "1"]}"#));
        assert_eq!(
            command,
            Some(vec!["kill".into(), "-HUP".into(), "1".into()])
        );
    }
}
