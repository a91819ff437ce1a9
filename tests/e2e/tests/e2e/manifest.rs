//! `doprax check`: a manifest without a host or an engine.

use doprax_e2e::{App, Cli};

/// Manifests that are refused: the text, and what must be said.
const REFUSED: &[(&str, &[&str])] = &[
    ("main\n  envs:\n    - A: b\n", &["doprax.yaml:1:1", "main:"]),
    (
        "envs:\n  - A: @home\n",
        &["doprax.yaml:2:8", "@home", "quotes"],
    ),
    (
        "version: '3'\nservices:\n  web:\n    image: nginx\n",
        &["Compose"],
    ),
    ("- hosts: all\n  tasks:\n    - ping:\n", &["Ansible"]),
    (
        "main:\n  volums: []\n",
        &["doprax.yaml:2:3", "volums", "volumes"],
    ),
    (
        "services:\n  - mysq:\n",
        &["doprax.yaml:2:5", "mysq", "mysql", "container"],
    ),
    (
        "services:\n  - ubuntu:\n      tag: ubuntu:latest\n",
        &["doprax.yaml:", "ubuntu"],
    ),
    (
        "services:\n  - redis:\n      tag: redis:7\n",
        &["doprax.yaml:3:", "redis:7"],
    ),
    (
        "main:\n  port: 1\n  port: 2\n",
        &["doprax.yaml:3:3", "port"],
    ),
    ("main:\n\tport: 1\n", &["doprax.yaml:2:1", "tab"]),
    (
        "services:\n  - redis:\n  - redis:\n",
        &["doprax.yaml:3:5", "redis", "name"],
    ),
    (
        "main:\n  volumes:\n    - { name: a, mount: /x }\n    - { name: b, mount: /x/ }\n",
        &["doprax.yaml:4:", "/x"],
    ),
    (
        "main:\n  volumes:\n    - { name: a, mount: x }\n",
        &["doprax.yaml:3:", "absolute"],
    ),
    (
        "main:\n  volumes:\n    - { name: a, mount: / }\n",
        &["doprax.yaml:3:", "/"],
    ),
    (
        "services:\n  - redis:\n      name: My_Redis\n",
        &["doprax.yaml:3:", "My_Redis"],
    ),
    (
        "main:\n  resources: { memory: lots }\n",
        &["doprax.yaml:2:", "lots"],
    ),
    ("services:\n  - container:\n      name: a\n", &["image"]),
    (
        "services:\n  - mysql:\n      settings: { databse: x }\n",
        &["databse"],
    ),
];

#[test]
fn refusals_name_the_place_and_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let cli = Cli::new(folder.path().to_str().unwrap());
    let app = App::empty("tiny");
    for (manifest, texts) in REFUSED {
        app.write("doprax.yaml", manifest);
        let refused = cli
            .command(["check", "doprax.yaml"])
            .inside(app.path())
            .run()
            .ended_with(1);
        refused.says(texts);
    }
}

#[test]
fn what_would_cost_much_is_refused_soon() {
    let folder = tempfile::tempdir().unwrap();
    let cli = Cli::new(folder.path().to_str().unwrap());
    let app = App::empty("tiny");
    let many = format!(
        "services:\n{}",
        (0..256)
            .map(|n| format!("  - redis:\n      name: r{n}\n"))
            .collect::<String>()
    );
    let deep = format!("main: {}{}", "[".repeat(100_000), "]".repeat(100_000));
    let mut bomb = "a: &a0 [x]\n".to_owned();
    for n in 1..40 {
        bomb.push_str(&format!(
            "b{n}: &a{n} [{}]\n",
            vec![format!("*a{}", n - 1); 9].join(", ")
        ));
    }
    let large = format!("main:\n  envs:\n{}", "    - A: b\n".repeat(3_000_000));
    for (what, manifest, text) in [
        ("many", many, "255"),
        ("deep", deep, "doprax.yaml"),
        ("bomb", bomb, "doprax.yaml"),
        ("large", large, "doprax.yaml"),
    ] {
        app.write("doprax.yaml", &manifest);
        let refused = cli
            .command(["check", "doprax.yaml"])
            .inside(app.path())
            .within(20)
            .run()
            .ended_with(1);
        assert!(
            refused.stderr.len() < 20_000,
            "{what}: {} bytes of errors",
            refused.stderr.len()
        );
        refused.says(&[text]);
    }
}

#[test]
fn good_ones_pass_and_placeholders_are_warned_about() {
    let folder = tempfile::tempdir().unwrap();
    let cli = Cli::new(folder.path().to_str().unwrap());
    for name in ["guestbook", "scholar"] {
        let app = App::copy(name);
        cli.command(["check"]).inside(app.path()).run().succeeded();
    }
    let app = App::empty("tiny");
    app.write(
        "doprax.yaml",
        "services:\n  - mysql:\n      envs:\n        - MYSQL_ROOT_PASSWORD: PASSWORD\n",
    );
    let warned = cli.command(["check"]).inside(app.path()).run().succeeded();
    warned.says(&["warning", "doprax.yaml:4:", "random_1"]);
    let json = cli
        .command(["check", "--json"])
        .inside(app.path())
        .run()
        .succeeded();
    assert!(!json.lines().is_empty(), "{json}");
}

#[test]
fn the_schema_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let schema: serde_json::Value = serde_json::from_str(
        &Cli::new(folder.path().to_str().unwrap())
            .ok(["schema"])
            .stdout,
    )
    .unwrap();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    assert!(schema["properties"]["services"].is_object(), "{schema}");
}
