//! What every container is denied, and the limits that a manifest sets.

use crate::deployed;
use doprax_e2e::App;

#[test]
fn containers_are_limited_unless_the_manifest_says_more() {
    let app = App::tiny(
        "tiny",
        "main:\n  resources: { cpus: 0.5 }\nservices:\n  - redis:\n      image: doprax-test/redis:7\n      resources: { memory: 256MiB }\n",
    );
    let Some(host) = deployed(&app) else { return };
    for service in ["main", "redis"] {
        let inspected = host.docker.inspect("tiny", service);
        let config = &inspected["HostConfig"];
        assert!(
            config["SecurityOpt"]
                .to_string()
                .contains("no-new-privileges"),
            "{config}"
        );
        assert_eq!(config["CapDrop"].to_string(), "[\"ALL\"]", "{config}");
        assert_eq!(config["Privileged"], false, "{config}");
        let added = config["CapAdd"].to_string();
        for forbidden in [
            "ALL",
            "SYS_ADMIN",
            "NET_ADMIN",
            "NET_RAW",
            "SYS_PTRACE",
            "MKNOD",
            "SYS_MODULE",
        ] {
            assert!(!added.contains(forbidden), "{forbidden} in {added}");
        }
        assert!(
            config["PidsLimit"].as_i64().is_some_and(|limit| limit > 0),
            "{config}"
        );
        let log = &config["LogConfig"];
        assert_eq!(log["Type"], "json-file");
        assert!(
            log["Config"]["max-size"].is_string() && log["Config"]["max-file"].is_string(),
            "{log}"
        );
        assert_eq!(config["RestartPolicy"]["Name"], "unless-stopped");
        let binds = config["Mounts"]
            .as_array()
            .into_iter()
            .flatten()
            .chain(config["Binds"].as_array().into_iter().flatten());
        assert!(
            binds.into_iter().all(|mount| mount["Type"] == "volume"),
            "{config}"
        );
    }
    let config = |service: &str| host.docker.inspect("tiny", service)["HostConfig"].clone();
    assert_eq!(config("redis")["Memory"], 256 << 20);
    assert_eq!(config("main")["NanoCpus"], 500_000_000);
    let status = host.cli().status("tiny");
    let redis = status["containers"]
        .as_array()
        .unwrap()
        .iter()
        .find(|container| container["name"] == "redis")
        .unwrap();
    assert_eq!(redis["memory_limit"], 256 << 20);
    // A limit that changes is a change.
    app.replace("doprax.yaml", "256MiB", "300MiB");
    host.cli()
        .ok(["plan", app.path()])
        .says(&["redis", "300"])
        .says_none(&["nothing to do"]);
}
