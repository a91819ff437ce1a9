//! Nginx, by its official image <https://hub.docker.com/_/nginx>.

use doprax_sdk::{
    ByteSize, Diagnostic, Metadata, Mount, Part, Plugin, PortEntry, Probe, Reload, Request,
    Service, Signal, Target, Text, text,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of an Nginx service without a configuration file of its own.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Settings {
    /// Largest body of a request, such as `20MB`; unlimited where it is absent.
    max_body_size: Option<ByteSize>,
}

/// Where the user's own configuration may be; with one, none is generated.
const CONFIG: [&str; 3] = [
    "/etc/nginx/nginx.conf",
    "/etc/nginx/conf.d/",
    "/etc/nginx/templates/",
];

/// The plugin.
pub struct Nginx;

impl Plugin for Nginx {
    type Settings = Settings;

    fn metadata() -> Metadata {
        Metadata::new(
            "nginx",
            "Nginx",
            "A web server; without a configuration file a proxy in front of main.",
            "0.1.0",
        )
        .versions(["1.28", "1.29", "1.26"])
        .category("proxy")
        .license("BSD-2-Clause")
        .home_page("https://nginx.org/")
        .at_rest(8 << 20, 192 << 20)
        .architectures(["amd64", "arm64"])
        .image("docker.io/library/nginx")
        .exec()
        .link("Image", "https://hub.docker.com/_/nginx")
        .link("Documentation", "https://nginx.org/en/docs/")
    }

    fn plan(request: &Request, settings: Settings) -> Result<Service, Vec<Diagnostic>> {
        let port = request.port.unwrap_or(80);
        let service = Service::new(request.image_of("nginx", "1.28"))
            .listen(match port {
                80 | 443 => PortEntry::new(port, "http").visitors(),
                _ => PortEntry::new(port, "http"),
            })
            .probe(Probe::tcp(port))
            // It exits where the hostname of a proxied container is unknown.
            .after_main()
            // SIGQUIT lets it answer the requests that it has; SIGTERM cuts them.
            .stop(Signal::Quit, 30)
            .output("host", text![&request.name])
            .output("port", text![port.to_string()])
            .output(
                "url",
                text!["http://", &request.name, ":", port.to_string()],
            );

        let configured = request.has_file(&CONFIG)
            || ["/etc/nginx", "/etc/nginx/conf.d", "/etc/nginx/templates"]
                .iter()
                .any(|path| request.volume_at(path).is_some());
        if configured {
            return match settings.max_body_size {
                None => Ok(service),
                Some(_) => Err(vec![
                    Diagnostic::at(
                        ["max-body-size"],
                        "has no effect beside a configuration file",
                    )
                    .help("write `client_max_body_size` in the configuration file"),
                ]),
            };
        }

        let shared = shared_with_main(request);
        let mut service = service
            .note("no configuration file: a proxy to main is generated")
            .file(
                "/etc/nginx/conf.d/default.conf",
                proxy(port, &settings, &shared),
            );
        for volume in shared {
            service = service.note(format!(
                "serves volume {:?} below /{}/",
                volume.name, volume.name
            ));
        }
        Ok(service)
    }
}

/// `nginx -s reload` asks and does not wait: for a while the old workers go on taking
/// requests, and send them to where main was. This ends when each has put up the title
/// with which it has stopped listening and closed what was idle.
const RELOAD: &str = include_str!("reload.sh");

impl Reload for Nginx {
    /// It resolves hostnames when it reads its configuration, and only then.
    fn command(_target: &Target) -> Option<Vec<String>> {
        Some(["sh", "-c", RELOAD].map(str::to_owned).into())
    }
}

/// The volumes that main has too. Those that Nginx's configuration language cannot
/// name are left out: it has no way to write a `$` in a path.
fn shared_with_main(request: &Request) -> Vec<&Mount> {
    let of_main = |mount: &&Mount| {
        request
            .app
            .main_volumes
            .iter()
            .any(|m| m.name == mount.name)
    };
    request
        .volumes
        .iter()
        .filter(of_main)
        .filter(|mount| !mount.path.contains('$'))
        .collect()
}

/// A string of Nginx's configuration language.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A server that proxies to main, with the volumes shared with it as files.
fn proxy(port: u16, settings: &Settings, shared: &[&Mount]) -> Text {
    let max_body_size = settings.max_body_size.map_or(0, |size| size.0);
    let mut files = String::new();
    for volume in shared {
        let path = volume.path.trim_end_matches('/');
        files.push_str(&format!(
            "
    location {} {{
        alias {};
    }}
",
            quoted(&format!("/{}/", volume.name)),
            quoted(&format!("{path}/")),
        ));
    }
    text![
        format!(
            "# Generated: no configuration file was given.

map $http_upgrade $upgrade_or_keep {{
    default upgrade;
    ''      '';
}}

# What stands before this server knows what the client asked for.
map $http_x_forwarded_proto $client_scheme {{
    default $http_x_forwarded_proto;
    ''      $scheme;
}}

map $http_x_forwarded_host $client_host {{
    default $http_x_forwarded_host;
    ''      $http_host;
}}

server {{
    listen {port} default_server;
    server_tokens off;
    client_max_body_size {max_body_size};
{files}
    location / {{
        proxy_pass http://"
        ),
        Part::Host("main".to_owned()),
        ":",
        Part::MainPort,
        ";
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $client_scheme;
        proxy_set_header X-Forwarded-Host $client_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $upgrade_or_keep;
        # Streams and long polls pass as they are.
        proxy_buffering off;
        proxy_request_buffering off;
        proxy_read_timeout 1h;
        proxy_send_timeout 1h;
    }
}
",
    ]
}

doprax_sdk::export!(Nginx: reload);

#[cfg(test)]
mod tests {
    use super::*;
    use doprax_sdk::testing::{self, mount};

    /// A request of a server that shares a volume with main and has another.
    fn sharing() -> Request {
        let mut request = testing::request::<Nginx>();
        request.volumes = vec![
            mount("new volume 01", "/srv/files"),
            mount("cache", "/var/cache/nginx"),
        ];
        request.app.main_volumes = vec![mount("new volume 01", "/app/files")];
        request
    }

    #[test]
    fn golden() {
        insta::assert_json_snapshot!("default", testing::plan::<Nginx>("{}").expect("planned"));
        insta::assert_json_snapshot!("metadata", testing::metadata::<Nginx>());
    }

    #[test]
    fn shared_volumes_are_served() {
        let service = testing::answer::<Nginx>(&sharing()).expect("planned");
        let config: String = service.files[0]
            .content
            .iter()
            .map(|part| match part {
                Part::Literal(text) => text.clone(),
                other => format!("<{other:?}>"),
            })
            .collect();
        insta::assert_snapshot!(config);
    }

    #[test]
    fn a_configuration_of_the_user_is_left_alone() {
        for path in ["/etc/nginx/nginx.conf", "/etc/nginx/conf.d/default.conf"] {
            let request = Request {
                file_paths: vec![path.to_owned()],
                ..sharing()
            };
            let service = testing::answer::<Nginx>(&request).expect("planned");
            assert!(service.files.is_empty(), "{path}");

            let request = Request {
                settings: r#"{"max-body-size": "1m"}"#.to_owned(),
                ..request
            };
            let wrong = testing::answer::<Nginx>(&request).expect_err("refused");
            assert_eq!(wrong[0].path, ["max-body-size"]);
        }
    }
}
