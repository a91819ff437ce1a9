//! Releases: the list, what each was made of, and going back to one.

use crate::deployed;
use doprax_e2e::{App, Host, Load, wait_for};
use serde_json::Value;

/// An app whose image, variable, config file and secret are all to be seen from outside.
fn app() -> App {
    let app = App::tiny(
        "tiny",
        "main:\n  envs:\n    - COLOUR: first\n    - KEY: ${API_KEY}\n      type: password\n  \
         config_file:\n    - source: ./page.txt\n      mount: /srv/page.txt\n      mode: r\n",
    );
    app.write("page.txt", "first file\n");
    app
}

/// What visitors and the container's own processes see: image, file, variable and secret.
fn seen(host: &Host) -> [String; 4] {
    let site = host.site("tiny");
    let variable = |name: &str| {
        let (code, printed) = host.docker.exec("tiny", "main", &["printenv", name]);
        assert_eq!(code, 0, "{printed}");
        printed.trim().to_owned()
    };
    let (_, file) = host.docker.exec("tiny", "main", &["cat", "/srv/page.txt"]);
    [
        site.get("/").with_status(200).text().trim().to_owned(),
        file.trim().to_owned(),
        variable("COLOUR"),
        variable("KEY"),
    ]
}

fn image_of(host: &Host) -> String {
    let found = host.docker.inspect("tiny", "main");
    found["Image"].as_str().unwrap().to_owned()
}

fn is_there(host: &Host, image: &str) -> bool {
    host.docker
        .attempt(&["image", "inspect", image])
        .status
        .success()
}

fn releases(host: &Host) -> Value {
    host.cli().json(["releases", "tiny"])
}

#[test]
fn a_rollback_brings_image_variables_files_and_secrets_back_together() {
    let app = app();
    let Some(engine) = doprax_e2e::engine() else {
        return;
    };
    let host = Host::start(&engine);
    let up = |key: &str, more: &[&str]| {
        let arguments = [&["up", app.path(), "--yes"], more].concat();
        let begun = host.cli().command(&arguments).env("API_KEY", key);
        begun.run().succeeded();
    };
    up("one", &[]);
    let first = seen(&host);
    assert_eq!(first, ["first", "first file", "first", "one"]);

    app.write("index.html", "second\n");
    app.write("page.txt", "second file\n");
    app.replace("doprax.yaml", "COLOUR: first", "COLOUR: second");
    up("two", &[]);
    let second = seen(&host);
    assert_eq!(second, ["second", "second file", "second", "two"]);

    // Neither its source nor a registry is needed: the archives are gone.
    let sources = host.state().join("sources");
    for entry in std::fs::read_dir(&sources).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let site = host.site("tiny");
    let load = Load::start(&site, &[("GET", "/", "")]);
    load.wait_for(20);
    host.cli()
        .ok(["rollback", "tiny", "--yes"])
        .says(&["COLOUR", "tiny runs as in release 1"]);
    assert_eq!(seen(&host), first);
    load.wait_for(20);
    let tally = load.stop();
    assert!(tally.failures.is_empty(), "{:#?}", tally.failures);
    // There is none before the first.
    host.cli()
        .fails(1, ["rollback", "tiny", "--yes"])
        .says(&["app tiny has no release before"]);
    host.cli().ok(["rollback", "tiny", "2", "--yes"]);
    assert_eq!(seen(&host), second);

    // A change by hand begins from what came back.
    host.cli().ok(["rollback", "tiny", "1", "--yes"]);
    host.cli().ok(["env", "set", "tiny", "ADDED=by-hand"]);
    assert_eq!(seen(&host), first);

    let listed = releases(&host);
    assert_eq!(listed["current"], 6);
    let reasons: Vec<&Value> = listed["releases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["reason"])
        .collect();
    let to = |number: u64| serde_json::json!({ "rollback": { "to": number } });
    let expected = [
        "edit".into(),
        to(1),
        to(2),
        to(1),
        "deploy".into(),
        "deploy".into(),
    ];
    assert!(reasons.into_iter().eq(&expected), "{listed}");
    host.cli()
        .ok(["releases", "tiny", "2"])
        .says(&[
            "tiny release 2 - deploy",
            "From release 1 to this one",
            "API_KEY (2)",
        ])
        .says_none(&["two"]);
    host.cli()
        .fails(1, ["releases", "tiny", "9"])
        .says(&["it has 6, 5, 4, 3, 2, 1"]);
}

#[test]
fn a_rollback_knows_two_builds_of_one_source_apart() {
    let app = App::tiny("tiny", "retain: 2\n");
    app.write(
        "Dockerfile",
        std::fs::read_to_string(app.at("Dockerfile")).unwrap() + "RUN date +%N > /built\n",
    );
    let Some(host) = deployed(&app) else { return };
    let built = || {
        let (code, printed) = host.docker.exec("tiny", "main", &["cat", "/built"]);
        assert_eq!(code, 0, "{printed}");
        printed
    };
    let up = || {
        let again = ["up", app.path(), "--yes", "--build", "--no-cache"];
        host.cli().ok(again);
        (built(), image_of(&host))
    };
    let first = (built(), image_of(&host));
    let second = up();
    assert_ne!(first.0, second.0);
    host.cli().ok(["rollback", "tiny", "--yes"]);
    assert_eq!((built(), image_of(&host)), first);
    // With two kept, the second build is still needed, and then the first no more.
    assert!(is_there(&host, &second.1));
    let third = up();
    wait_for("the second build to be removed", 40, || {
        (!is_there(&host, &second.1)).then_some(())
    });
    assert!(is_there(&host, &first.1) && is_there(&host, &third.1));
    host.cli().ok(["remove", "tiny", "--yes"]);
    for (_, image) in [first, third] {
        assert!(!is_there(&host, &image), "{image}");
    }
}

#[test]
fn deploys_that_failed_are_in_the_list_with_what_their_build_printed() {
    let app = App::tiny("tiny", "");
    let Some(host) = deployed(&app) else { return };
    let dockerfile = std::fs::read_to_string(app.at("Dockerfile")).unwrap();
    app.write(
        "Dockerfile",
        format!("{dockerfile}RUN echo what-is-wrong && false\n"),
    );
    host.cli().fails(1, ["up", app.path(), "--yes"]);
    let listed = releases(&host);
    assert_eq!(listed["current"], 1);
    let failed = &listed["failed"][0];
    assert_eq!(failed["state"], "failed");
    let build = failed["build"].as_array().unwrap();
    let printed = |line: &Value| line.as_str().unwrap().contains("what-is-wrong");
    assert!(build.iter().any(printed), "{failed}");
    let operation = failed["operation"].as_str().unwrap();
    host.cli()
        .ok(["releases", "tiny"])
        .says(&[&operation[..8], "failed: ", "current"]);
    host.cli()
        .ok(["releases", "tiny", &operation[..8]])
        .says(&["what-is-wrong", "error: "]);
    // In the app's own folder its name may be left out.
    let shown = host.cli().command(["releases", "1"]).inside(app.path());
    shown.run().succeeded().says(&["tiny release 1 - deploy"]);
}

#[test]
fn no_service_goes_back_to_an_older_version_on_its_data_unasked() {
    let app = App::tiny(
        "tiny",
        "services:\n  - container:\n      name: db\n      image: doprax-test/redis:7\n      \
         volumes:\n        - name: data\n          mount: /data\n",
    );
    let Some(host) = deployed(&app) else { return };
    host.docker
        .run(&["tag", "doprax-test/redis:7", "doprax-test-releases/redis:7"]);
    host.docker
        .run(&["tag", "doprax-test/redis:7", "doprax-test-releases/redis:8"]);
    let _tags = Tags(&host);
    app.replace(
        "doprax.yaml",
        "doprax-test/redis:7",
        "doprax-test-releases/redis:7",
    );
    host.cli().ok(["up", app.path(), "--yes"]);
    app.replace("doprax.yaml", "redis:7", "redis:8");
    host.cli().ok(["up", app.path(), "--yes"]);
    // The image of the registry is gone, too.
    host.docker
        .run(&["image", "rm", "doprax-test-releases/redis:7"]);
    let text = "a rollback to 2 takes db from 8 back to 7 on the data in volume data";
    host.cli()
        .fails(1, ["rollback", "tiny", "2", "--yes"])
        .says(&[text, "--allow-downgrade"]);
    assert_eq!(releases(&host)["current"], 3);
    host.cli()
        .ok(["rollback", "tiny", "2", "--yes", "--allow-downgrade"])
        .says(&["goes back from 8 to 7"]);
    assert_eq!(releases(&host)["current"], 4);
}

/// Takes the references of a test away.
struct Tags<'a>(&'a Host);

impl Drop for Tags<'_> {
    fn drop(&mut self) {
        for tag in ["7", "8"] {
            let reference = format!("doprax-test-releases/redis:{tag}");
            self.0.docker.attempt(&["image", "rm", &reference]);
        }
    }
}
