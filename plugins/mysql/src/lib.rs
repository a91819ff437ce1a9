//! MySQL, by its official image <https://hub.docker.com/_/mysql>. MariaDB's image,
//! set by `image`, keeps the same contract.

use doprax_sdk::{Diagnostic, Metadata, Part, Plugin, Probe, Request, Service, Signal, text};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of a MySQL service.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Settings {
    /// A database made when the data is empty.
    database: Option<String>,
    /// An account made when the data is empty, with every right on the database.
    /// Its password is generated unless `MYSQL_PASSWORD` is set.
    user: Option<String>,
}

/// Each of these says how root logs in; without one the image does not start.
const ROOT: [&str; 8] = [
    "MYSQL_ROOT_PASSWORD",
    "MYSQL_ROOT_PASSWORD_FILE",
    "MYSQL_ALLOW_EMPTY_PASSWORD",
    "MYSQL_RANDOM_ROOT_PASSWORD",
    "MARIADB_ROOT_PASSWORD",
    "MARIADB_ROOT_PASSWORD_FILE",
    "MARIADB_ALLOW_EMPTY_ROOT_PASSWORD",
    "MARIADB_RANDOM_ROOT_PASSWORD",
];
const USER: [&str; 4] = [
    "MYSQL_USER",
    "MYSQL_USER_FILE",
    "MARIADB_USER",
    "MARIADB_USER_FILE",
];
const PASSWORD: [&str; 4] = [
    "MYSQL_PASSWORD",
    "MYSQL_PASSWORD_FILE",
    "MARIADB_PASSWORD",
    "MARIADB_PASSWORD_FILE",
];
const DATABASE: [&str; 4] = [
    "MYSQL_DATABASE",
    "MYSQL_DATABASE_FILE",
    "MARIADB_DATABASE",
    "MARIADB_DATABASE_FILE",
];

/// The plugin.
pub struct MySql;

impl Plugin for MySql {
    type Settings = Settings;

    fn metadata() -> Metadata {
        Metadata::new("mysql", "MySQL", "A relational database.", "0.1.0")
            .versions(["8.4", "9.4", "8.0", "5.7", "5.6"])
            .category("database")
            .license("GPL-2.0-only WITH Universal-FOSS-exception-1.0")
            .home_page("https://www.mysql.com/")
            .at_rest(400 << 20, 1024 << 20)
            .architectures(["amd64", "arm64"])
            .image("docker.io/library/mysql")
            .exec()
            .link("Image", "https://hub.docker.com/_/mysql")
            .link("Documentation", "https://dev.mysql.com/doc/")
    }

    fn plan(request: &Request, settings: Settings) -> Result<Service, Vec<Diagnostic>> {
        let wrong = objections(request, &settings);
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let mut service = Service::new(request.image_of("mysql", "8.4"))
            .volume("/var/lib/mysql", request.volume_name("data"))
            .port(3306, "mysql")
            // While it initialises, the image runs a server that no network reaches.
            .probe(Probe::tcp(3306))
            // A connection may wait in the queue of a server that does not answer yet.
            // The command succeeds as soon as the server answers, if only with "access
            // denied", so it needs no password. For a name that no account has, it would warn
            // of the method that it makes up.
            .probe(Probe::exec([
                admin(request),
                "--no-defaults",
                "--protocol=tcp",
                "--host=127.0.0.1",
                "--user=root",
                "--connect-timeout=4",
                "ping",
            ]))
            // Initialising an empty data folder takes minutes on a slow disk.
            .ready_within(300)
            .stop(Signal::Term, 60)
            .output("host", text![&request.name])
            .output("port", text!["3306"]);

        if !request.sets_any(&ROOT) {
            service = service
                .secret("root-password", 32)
                .env_secret("MYSQL_ROOT_PASSWORD", "root-password");
        }
        if let Some(database) = &settings.database {
            service = service.env("MYSQL_DATABASE", database);
        }
        if let Some(user) = &settings.user {
            service = service.env("MYSQL_USER", user);
        }
        let has_user = settings.user.is_some() || request.sets_any(&USER);
        if has_user && !request.sets_any(&PASSWORD) {
            // Without one the image makes no account.
            service = service
                .secret("password", 32)
                .env_secret("MYSQL_PASSWORD", "password");
        }
        Ok(outputs(
            service,
            request,
            has_user,
            settings.database.is_some(),
        ))
    }
}

/// The account and the database that an app would use.
fn outputs(service: Service, request: &Request, has_user: bool, has_database: bool) -> Service {
    let (user, password) = match has_user {
        true => (Part::env("MYSQL_USER"), Part::env("MYSQL_PASSWORD")),
        false => (Part::from("root"), Part::env("MYSQL_ROOT_PASSWORD")),
    };
    let mut url = text![
        "mysql://",
        user.clone(),
        ":",
        password.clone(),
        "@",
        &request.name,
        ":3306"
    ];
    let mut service = service
        .output("user", vec![user])
        .output("password", vec![password]);
    if has_database || request.sets_any(&DATABASE) {
        url.extend(text!["/", Part::env("MYSQL_DATABASE")]);
        service = service.output("database", text![Part::env("MYSQL_DATABASE")]);
    }
    service.output("url", url)
}

fn objections(request: &Request, settings: &Settings) -> Vec<Diagnostic> {
    let mut wrong = Vec::new();
    let mut both = |setting: &Option<String>, key: &str, names: &[&str]| {
        if setting.is_some() && request.sets_any(names) {
            let message = format!("is also set by the variable {}", names[0]);
            wrong.push(Diagnostic::at([key], message).help("keep one of the two"));
        }
    };
    both(&settings.database, "database", &DATABASE);
    both(&settings.user, "user", &USER);
    match settings.user.as_deref() {
        Some("root") => wrong.push(
            Diagnostic::at(["user"], "root always exists")
                .help("leave `user` out to use root, or name another account"),
        ),
        Some(user) if user.is_empty() || user.chars().count() > 32 => {
            wrong.push(Diagnostic::at(["user"], "must have 1 to 32 characters"));
        }
        _ => {}
    }
    if let Some(database) = &settings.database
        && (database.is_empty() || database.chars().count() > 64 || database.contains(['/', '\\']))
    {
        let message = "must have 1 to 64 characters, none of them `/` or `\\`";
        wrong.push(Diagnostic::at(["database"], message));
    }
    wrong
}

/// The client that asks whether the server answers. MariaDB renamed its own, and
/// the images of version 11 have only the new name.
fn admin(request: &Request) -> &'static str {
    let mariadb = request
        .image
        .as_deref()
        .is_some_and(|image| image.contains("mariadb"));
    match mariadb && request.major_or("latest").is_none_or(|major| major >= 11) {
        true => "mariadb-admin",
        false => "mysqladmin",
    }
}

doprax_sdk::export!(MySql);

#[cfg(test)]
mod tests {
    use super::*;
    use doprax_sdk::testing;

    #[test]
    fn golden() {
        let settings = r#"{"database": "orders", "user": "shop"}"#;
        insta::assert_json_snapshot!("default", testing::plan::<MySql>("{}").expect("planned"));
        insta::assert_json_snapshot!(
            "settings",
            testing::plan::<MySql>(settings).expect("planned")
        );
        insta::assert_json_snapshot!("metadata", testing::metadata::<MySql>());
    }

    fn with_env(names: &[&str]) -> Service {
        let env_names = names.iter().map(|name| (*name).to_owned()).collect();
        let request = Request {
            env_names,
            ..testing::request::<MySql>()
        };
        testing::answer::<MySql>(&request).expect("planned")
    }

    #[test]
    fn passwords_of_the_user_are_not_made_again() {
        for name in ROOT {
            assert!(with_env(&[name]).secrets.is_empty(), "{name}");
        }
        let secrets = |names: &[&str]| -> Vec<String> {
            with_env(names)
                .secrets
                .into_iter()
                .map(|secret| secret.name)
                .collect()
        };
        assert_eq!(secrets(&[]), ["root-password"]);
        assert_eq!(secrets(&["MYSQL_USER"]), ["root-password", "password"]);
        assert_eq!(
            secrets(&["MYSQL_USER", "MYSQL_PASSWORD"]),
            ["root-password"]
        );
    }

    #[test]
    fn refusals() {
        let path = |settings| {
            testing::plan::<MySql>(settings)
                .expect_err("refused")
                .swap_remove(0)
                .path
        };
        assert_eq!(path(r#"{"user": "root"}"#), ["user"]);
        assert_eq!(path(r#"{"database": ""}"#), ["database"]);
        assert_eq!(path(r#"{"databse": "a"}"#), ["databse"]);
    }

    #[test]
    fn the_client_fits_the_image() {
        let client = |image: &str| {
            let request = Request {
                image: Some(image.to_owned()),
                ..testing::request::<MySql>()
            };
            admin(&request)
        };
        assert_eq!(client("registry.example/mysql:9.7"), "mysqladmin");
        assert_eq!(client("mariadb:10.11"), "mysqladmin");
        assert_eq!(client("mariadb:11.4"), "mariadb-admin");
        assert_eq!(client("mariadb"), "mariadb-admin");
    }
}
