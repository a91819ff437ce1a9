//! Files in containers: where they are, and whose.

use crate::docker_only::idle;
use crate::stage::{Stage, file, volume};
use doprax_core::blueprint::{File, Image, Owner};
use doprax_core::spec::VolumeMount;
use std::sync::Arc;

pub(crate) async fn files_leave_the_folders_of_the_image_alone(stage: Arc<Stage>) {
    stage.network().await;
    let mut filled = idle("filled");
    filled.files = vec![
        file("/tmp/a.conf", 0o600, "a"),
        file("/etc/new/deep/b.conf", 0o644, "b"),
        file("/etc/new/c.sh", 0o755, "c"),
        // A symbolic link to /run.
        file("/var/run/d.conf", 0o644, "d"),
        file("/etc/motd", 0o444, "replaced"),
        file(&format!("/etc/{}/e.conf", "long".repeat(40)), 0o644, "e"),
    ];
    let name = stage.start(&filled).await;
    let stat = async |path: &str| {
        stage
            .output_of(&name, &["stat", "-c", "%a %u:%g", path])
            .await
            .trim()
            .to_owned()
    };
    let expected = [
        ("/tmp", "1777 0:0"),
        ("/etc", "755 0:0"),
        ("/etc/new", "755 0:0"),
        ("/etc/new/deep", "755 0:0"),
        ("/tmp/a.conf", "600 0:0"),
        ("/etc/new/c.sh", "755 0:0"),
        ("/run/d.conf", "644 0:0"),
        ("/etc/motd", "444 0:0"),
    ];
    for (path, mode) in expected {
        assert_eq!(stat(path).await, mode, "{path}");
    }
    assert_eq!(
        stage
            .output_of(&name, &["cat", "/etc/new/deep/b.conf"])
            .await,
        "b"
    );
    assert_eq!(
        stage.output_of(&name, &["cat", "/etc/motd"]).await,
        "replaced"
    );
    let long = format!("/etc/{}/e.conf", "long".repeat(40));
    assert_eq!(stage.output_of(&name, &["cat", &long]).await, "e");
}

pub(crate) async fn a_file_is_whose_it_shall_be(stage: Arc<Stage>) {
    stage.network().await;
    let owned = |path: &str, owner: Owner| File {
        owner: Some(owner),
        ..file(path, 0o600, "key")
    };
    let named = |name: &str| Owner::Named(name.to_owned());
    let files = vec![
        owned("/etc/keys/own", Owner::Process),
        owned("/etc/keys/daemon", named("daemon")),
        owned("/etc/keys/adm", named("65534:adm")),
        owned("/etc/keys/number", named("4711")),
    ];
    let stat = async |name: &str| {
        let script = "cd /etc/keys && stat -c '%n %a %u:%g' *";
        let out = stage.output_of(name, &["sh", "-c", script]).await;
        out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut nobody = idle("nobody");
    nobody.user = Some("nobody".to_owned());
    nobody.files.clone_from(&files);
    let name = stage.start(&nobody).await;
    let expected = [
        "adm 600 65534:4",
        "daemon 600 1:1",
        "number 600 4711:0",
        "own 600 65534:65534",
    ];
    assert_eq!(stat(&name).await, expected);
    assert_eq!(
        stage.output_of(&name, &["cat", "/etc/keys/own"]).await,
        "key"
    );

    // One that begins as root and gives that up is known by the folder of its data.
    let mut database = idle("database");
    database.image = Image::Pull {
        reference: "doprax-test/postgresql:15".to_owned(),
    };
    database.entrypoint = Some(vec!["sleep".to_owned()]);
    database.command = Some(vec!["infinity".to_owned()]);
    database.mounts = vec![VolumeMount {
        name: volume("data"),
        path: "/var/lib/postgresql/data".to_owned(),
    }];
    database.files = files[..1].to_vec();
    let name = stage.start(&database).await;
    assert_eq!(stat(&name).await, ["own 600 999:999"]);

    let mut stranger = idle("stranger");
    stranger.files = vec![owned("/etc/keys/own", named("nemo"))];
    let refused = stage.apply(&stage.create(&stranger)).await.unwrap_err();
    let text = format!("{:#}", Chain(&refused));
    assert!(text.contains("no user nemo"), "{text}");
}

pub(crate) async fn a_file_in_the_place_of_a_folder_is_named(stage: Arc<Stage>) {
    stage.network().await;
    let mut wrong = idle("wrong");
    wrong.files = vec![
        file("/etc/motd", 0o644, "fine"),
        file("/etc/apt", 0o644, "a folder there"),
    ];
    let refused = stage.apply(&stage.create(&wrong)).await.unwrap_err();
    let text = format!("{}", Chain(&refused));
    assert!(
        text.contains("a folder at /etc/apt") && text.contains("/etc/apt/NAME"),
        "{text}"
    );
}

/// An error with its causes.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut error = Some(self.0);
        while let Some(cause) = error {
            write!(f, "{cause}: ")?;
            error = cause.source();
        }
        Ok(())
    }
}
