//! PostgreSQL, by its official image <https://hub.docker.com/_/postgres>.

use doprax_sdk::{
    Diagnostic, Judge, Metadata, Observation, Part, Plugin, Probe, Request, Service, Signal,
    Verdict, text,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of a PostgreSQL service.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Settings {
    /// A database made when the data is empty; else one named as the user.
    database: Option<String>,
    /// The superuser; else `postgres`. The password is generated unless
    /// `POSTGRES_PASSWORD` is set.
    user: Option<String>,
}

/// Each of these says how the superuser logs in; without one the image does not
/// start.
const PASSWORD: [&str; 3] = [
    "POSTGRES_PASSWORD",
    "POSTGRES_PASSWORD_FILE",
    "POSTGRES_HOST_AUTH_METHOD",
];
const USER: [&str; 2] = ["POSTGRES_USER", "POSTGRES_USER_FILE"];
const DATABASE: [&str; 2] = ["POSTGRES_DB", "POSTGRES_DB_FILE"];

/// Where the images before version 18 keep the data.
const DATA: &str = "/var/lib/postgresql/data";

/// The plugin.
pub struct PostgreSql;

impl Plugin for PostgreSql {
    type Settings = Settings;

    fn metadata() -> Metadata {
        Metadata::new(
            "postgresql",
            "PostgreSQL",
            "A relational database.",
            "0.1.0",
        )
        .alias("postgres")
        .versions(["17", "18", "16", "15", "14", "13"])
        .category("database")
        .license("PostgreSQL")
        .home_page("https://www.postgresql.org/")
        .at_rest(32 << 20, 512 << 20)
        .architectures(["amd64", "arm64"])
        .image("docker.io/library/postgres")
        .link("Image", "https://hub.docker.com/_/postgres")
        .link("Documentation", "https://www.postgresql.org/docs/")
    }

    fn plan(request: &Request, settings: Settings) -> Result<Service, Vec<Diagnostic>> {
        // The images since version 18 keep each major version in a folder of its own.
        let since_18 = request.major_or("17").is_none_or(|major| major >= 18);
        let wrong = objections(request, &settings, since_18);
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let user = settings.user.as_deref().unwrap_or("postgres");
        let mut service = Service::new(request.image_of("postgres", "17"))
            .volume(
                if since_18 {
                    "/var/lib/postgresql"
                } else {
                    DATA
                },
                request.volume_name("data"),
            )
            .port(5432, "postgresql")
            // While it initialises, the image runs a server that no network reaches.
            .probe(Probe::tcp(5432).send(&startup_message(user)))
            .ready_within(300)
            // A fast shutdown: SIGTERM would wait until the last client has gone.
            .stop(Signal::Int, 60)
            // Parallel queries need more than an engine's default of 64 MiB.
            .shm_size(128 << 20)
            .output("host", text![&request.name])
            .output("port", text!["5432"]);

        if !request.sets_any(&PASSWORD) {
            service = service
                .secret("password", 32)
                .env_secret("POSTGRES_PASSWORD", "password");
        }
        if let Some(user) = &settings.user {
            service = service.env("POSTGRES_USER", user);
        }
        if let Some(database) = &settings.database {
            service = service.env("POSTGRES_DB", database);
        }

        let user = match settings.user.is_some() || request.sets_any(&USER) {
            true => Part::env("POSTGRES_USER"),
            false => Part::from("postgres"),
        };
        let database = match settings.database.is_some() || request.sets_any(&DATABASE) {
            true => Part::env("POSTGRES_DB"),
            false => user.clone(),
        };
        let password = Part::env("POSTGRES_PASSWORD");
        let url = text![
            "postgres://",
            user.clone(),
            ":",
            password.clone(),
            "@",
            &request.name,
            ":5432/",
            database.clone(),
        ];
        Ok(service
            .output("user", vec![user])
            .output("password", vec![password])
            .output("database", vec![database])
            .output("url", url))
    }
}

fn objections(request: &Request, settings: &Settings, since_18: bool) -> Vec<Diagnostic> {
    let mut wrong = Vec::new();
    for (setting, key, names) in [
        (&settings.database, "database", &DATABASE),
        (&settings.user, "user", &USER),
    ] {
        if setting.is_some() && request.sets_any(names) {
            let message = format!("is also set by the variable {}", names[0]);
            wrong.push(Diagnostic::at([key], message).help("keep one of the two"));
        }
        let name = setting.as_deref().unwrap_or("name");
        if name.is_empty() || name.len() > 63 || name.contains('\0') {
            wrong.push(Diagnostic::at([key], "must have 1 to 63 bytes"));
        }
    }
    if since_18 && request.volume_at(DATA).is_some() && !request.sets_any(&["PGDATA"]) {
        let message = "since version 18 the image refuses a volume at /var/lib/postgresql/data";
        wrong.push(
            Diagnostic::service(message)
                .help("mount the volume at /var/lib/postgresql, or keep to version 17"),
        );
    }
    wrong
}

/// The first message of a client, which the server answers before it knows who
/// asks (PostgreSQL's documentation, "Message Formats", StartupMessage).
fn startup_message(user: &str) -> String {
    let body = format!("\0\x03\0\0user\0{user}\0database\0postgres\0\0");
    // Below 128, so the byte is a character of its own: a user has at most 63.
    let length = char::from_u32(body.len() as u32 + 4).unwrap_or_default();
    format!("\0\0\0{length}{body}")
}

impl Judge for PostgreSql {
    /// Reads the first answer as `pg_isready` does.
    fn judge(_service: &str, observations: &[Observation]) -> Verdict {
        let Some(greeting) = observations.first() else {
            return Verdict::Waiting("not tried yet".to_owned());
        };
        let answer = greeting.output.as_str();
        match greeting.passed {
            // It wants authentication, so it serves.
            true if answer.starts_with('R') => Verdict::Ready,
            // cannot_connect_now: it starts, recovers, or shuts down.
            true if answer.starts_with('E') && answer.contains("57P03") => {
                Verdict::Waiting("the database system is starting up".to_owned())
            }
            // It refuses this client, for a reason that another may not have.
            true if answer.starts_with('E') => Verdict::Ready,
            true => Verdict::Waiting("what answers is not PostgreSQL".to_owned()),
            false => Verdict::Waiting("no answer yet".to_owned()),
        }
    }
}

doprax_sdk::export!(PostgreSql: judge);

#[cfg(test)]
mod tests {
    use super::*;
    use doprax_sdk::testing::{self, mount};

    #[test]
    fn golden() {
        let plan = |settings| testing::plan::<PostgreSql>(settings).expect("planned");
        insta::assert_json_snapshot!("default", plan("{}"));
        insta::assert_json_snapshot!(
            "settings",
            plan(r#"{"database": "orders", "user": "shop"}"#)
        );
        insta::assert_json_snapshot!("metadata", testing::metadata::<PostgreSql>());
    }

    #[test]
    fn the_data_is_where_the_version_keeps_it() {
        let path = |version: &str| {
            let version = Some(version.to_owned());
            let request = Request {
                version,
                ..testing::request::<PostgreSql>()
            };
            testing::answer::<PostgreSql>(&request)
                .expect("planned")
                .volumes
                .remove(0)
                .path
        };
        assert_eq!(path("13"), "/var/lib/postgresql/data");
        assert_eq!(path("17-alpine"), "/var/lib/postgresql/data");
        assert_eq!(path("18.1"), "/var/lib/postgresql");
        assert_eq!(path("latest"), "/var/lib/postgresql");

        let request = Request {
            version: Some("18".to_owned()),
            volumes: vec![mount("pg", "/var/lib/postgresql/data/")],
            ..testing::request::<PostgreSql>()
        };
        assert!(testing::answer::<PostgreSql>(&request).is_err());
    }

    #[test]
    fn the_message_says_its_length() {
        for user in ["postgres", "a", &"u".repeat(63)] {
            let message = startup_message(user);
            assert_eq!(usize::from(message.as_bytes()[3]), message.len(), "{user}");
        }
    }

    #[test]
    fn a_server_that_starts_is_not_ready() {
        let judge = |passed, output: &str| {
            let observation = Observation {
                passed,
                status: None,
                output: output.to_owned(),
            };
            PostgreSql::judge("postgresql", &[observation])
        };
        assert_eq!(
            judge(true, "R\0\0\0\x17\0\0\0\nSCRAM-SHA-256\0\0"),
            Verdict::Ready
        );
        assert_eq!(
            judge(true, "E\0\0\0tSFATAL\0VFATAL\0C28000\0Mrole"),
            Verdict::Ready
        );
        let starts = "E\0\0\0YSFATAL\0VFATAL\0C57P03\0Mthe database system is starting up";
        assert!(matches!(judge(true, starts), Verdict::Waiting(_)));
        assert!(matches!(judge(true, "SSH-2.0"), Verdict::Waiting(_)));
        assert!(matches!(
            judge(false, "connection refused"),
            Verdict::Waiting(_)
        ));
    }
}
