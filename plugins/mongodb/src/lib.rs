//! MongoDB, by its official image <https://hub.docker.com/_/mongo>.

use doprax_sdk::{Diagnostic, Metadata, Part, Plugin, Probe, Request, Service, Signal, text};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of a MongoDB service.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Settings {
    /// An administrator made when the data is empty; from then on clients must log
    /// in. The password is generated unless `MONGO_INITDB_ROOT_PASSWORD` is set.
    user: Option<String>,
    /// The database that scripts of `/docker-entrypoint-initdb.d` use, and that the
    /// output `url` names.
    database: Option<String>,
}

const USER: [&str; 2] = [
    "MONGO_INITDB_ROOT_USERNAME",
    "MONGO_INITDB_ROOT_USERNAME_FILE",
];
const PASSWORD: [&str; 2] = [
    "MONGO_INITDB_ROOT_PASSWORD",
    "MONGO_INITDB_ROOT_PASSWORD_FILE",
];
const DATABASE: [&str; 1] = ["MONGO_INITDB_DATABASE"];

/// The plugin.
pub struct MongoDb;

impl Plugin for MongoDb {
    type Settings = Settings;

    fn metadata() -> Metadata {
        Metadata::new("mongodb", "MongoDB", "A database of documents.", "0.1.0")
            .alias("mongo")
            .versions(["8.0", "7.0", "6.0", "5.0", "4.4"])
            .category("database")
            .license("SSPL-1.0")
            .home_page("https://www.mongodb.com/")
            .at_rest(160 << 20, 1024 << 20)
            .architectures(["amd64", "arm64"])
            .image("docker.io/library/mongo")
            .link("Image", "https://hub.docker.com/_/mongo")
            .link("Documentation", "https://www.mongodb.com/docs/manual/")
    }

    fn plan(request: &Request, settings: Settings) -> Result<Service, Vec<Diagnostic>> {
        let wrong = objections(request, &settings);
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let mut service = Service::new(request.image_of("mongo", "8.0"))
            .volume("/data/db", request.volume_name("data"))
            .volume("/data/configdb", request.volume_name("config"))
            .port(27017, "mongodb")
            // The server listens when it is ready; the one that the image runs while it
            // initialises listens within the container only.
            .probe(Probe::tcp(27017))
            .ready_within(180)
            .stop(Signal::Term, 60)
            .output("host", text![&request.name])
            .output("port", text!["27017"]);
        if request.major_or("8.0").is_none_or(|major| major >= 5) {
            service = service.note("MongoDB 5.0 and later needs a processor with AVX");
        }

        if let Some(user) = &settings.user {
            service = service.env("MONGO_INITDB_ROOT_USERNAME", user);
        }
        if let Some(database) = &settings.database {
            service = service.env("MONGO_INITDB_DATABASE", database);
        }
        let has_user = settings.user.is_some() || request.sets_any(&USER);
        if has_user && !request.sets_any(&PASSWORD) {
            // The image makes no administrator without one.
            service = service
                .secret("password", 32)
                .env_secret("MONGO_INITDB_ROOT_PASSWORD", "password");
        }

        let mut url = text!["mongodb://"];
        if has_user {
            let user = Part::env("MONGO_INITDB_ROOT_USERNAME");
            let password = Part::env("MONGO_INITDB_ROOT_PASSWORD");
            url.extend(text![user.clone(), ":", password.clone(), "@"]);
            service = service
                .output("user", vec![user])
                .output("password", vec![password]);
        }
        url.extend(text![&request.name, ":27017/"]);
        if settings.database.is_some() || request.sets_any(&DATABASE) {
            let database = Part::env("MONGO_INITDB_DATABASE");
            url.push(database.clone());
            service = service.output("database", vec![database]);
        }
        if has_user {
            url.push(Part::from("?authSource=admin"));
        }
        Ok(service.output("url", url))
    }
}

fn objections(request: &Request, settings: &Settings) -> Vec<Diagnostic> {
    let mut wrong = Vec::new();
    for (setting, key, names) in [
        (&settings.database, "database", &DATABASE[..]),
        (&settings.user, "user", &USER[..]),
    ] {
        if setting.is_some() && request.sets_any(names) {
            let message = format!("is also set by the variable {}", names[0]);
            wrong.push(Diagnostic::at([key], message).help("keep one of the two"));
        }
        // MongoDB's documentation, "Naming Restrictions".
        let name = setting.as_deref().unwrap_or("name");
        if name.is_empty() || name.len() > 63 || name.contains(['/', '\\', '.', ' ', '"', '$']) {
            let message = "must have 1 to 63 bytes, none of them / \\ . \" $ or a blank";
            wrong.push(Diagnostic::at([key], message));
        }
    }
    wrong
}

doprax_sdk::export!(MongoDb);

#[cfg(test)]
mod tests {
    use super::*;
    use doprax_sdk::testing;

    #[test]
    fn golden() {
        let plan = |settings| testing::plan::<MongoDb>(settings).expect("planned");
        insta::assert_json_snapshot!("default", plan("{}"));
        insta::assert_json_snapshot!(
            "settings",
            plan(r#"{"database": "orders", "user": "shop"}"#)
        );
        insta::assert_json_snapshot!("metadata", testing::metadata::<MongoDb>());
    }

    #[test]
    fn refusals() {
        let path = |settings| {
            testing::plan::<MongoDb>(settings)
                .expect_err("refused")
                .swap_remove(0)
                .path
        };
        assert_eq!(path(r#"{"database": "a b"}"#), ["database"]);
        assert_eq!(path(r#"{"user": ""}"#), ["user"]);
    }
}
