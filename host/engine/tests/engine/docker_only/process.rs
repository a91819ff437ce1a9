//! What runs in a container: as whom and where, terminals, much output, logs.

use crate::docker_only::idle;
use crate::stage::{DEBIAN, Stage, command_of, container, volume};
use doprax_core::blueprint::{Runtime, Tmpfs};
use doprax_core::plan::Act;
use doprax_core::spec::VolumeMount;
use doprax_engine::{Exec, LogRequest};
use futures_util::StreamExt as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

pub(crate) async fn a_terminal_has_a_size_and_any_byte(stage: Arc<Stage>) {
    stage.network().await;
    let name = stage.start(&idle("shell")).await;
    let exec = Exec {
        terminal: Some((101, 31)),
        stdin: true,
        // The first byte of a frame's header, where there is no header.
        ..command_of(&[
            "bash",
            "-c",
            r"printf '\001\n'; read line; stty size; read line; stty size; exit 5",
        ])
    };
    let mut session = stage.engine.exec(&name, &exec).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"\n") {
        seen.extend_from_slice(&session.output.next().await.unwrap().unwrap().bytes);
    }
    assert_eq!(seen, b"\x01\r\n");
    for (columns, rows) in [(101, 31), (77, 22)] {
        // An older engine gives the first size only to a command that runs already.
        stage
            .engine
            .exec_resize(&session.id, columns, rows)
            .await
            .unwrap();
        seen.clear();
        session.input.write_all(b"go\n").await.unwrap();
        let expected = format!("{rows} {columns}\r\n");
        while !String::from_utf8_lossy(&seen).ends_with(&expected) {
            seen.extend_from_slice(&session.output.next().await.unwrap().unwrap().bytes);
        }
    }
    assert!(session.output.next().await.is_none());
    assert_eq!(stage.engine.exec_exit_code(&session.id).await.unwrap(), 5);
}

pub(crate) async fn much_output_comes_through_in_order(stage: Arc<Stage>) {
    stage.network().await;
    let name = stage.start(&idle("loud")).await;
    let (code, out, err) = stage
        .run_in(
            &name,
            command_of(&["sh", "-c", "seq 200000; echo end >&2"]),
            "",
        )
        .await;
    assert_eq!((code, err.as_str()), (0, "end\n"));
    let expected: String = (1..=200_000).map(|n| format!("{n}\n")).collect();
    assert!(
        out == expected,
        "{} bytes instead of {}",
        out.len(),
        expected.len()
    );
    // A command that does not exist is no error of the engine.
    let (code, ..) = stage
        .run_in(&name, command_of(&["no-such-command"]), "")
        .await;
    assert!(code == 126 || code == 127, "{code}");
}

pub(crate) async fn a_followed_log_goes_on_after_a_crash(stage: Arc<Stage>) {
    stage.network().await;
    let mut flaky = container("flaky", DEBIAN);
    let script = "echo begin; sleep 1; echo end; exit 3";
    flaky.command = Some(["sh", "-c", script].map(str::to_owned).to_vec());
    let name = stage.start(&flaky).await;
    let follow = LogRequest {
        follow: true,
        ..LogRequest::default()
    };
    let mut log = stage.engine.logs(&name, follow).await.unwrap();
    let mut text = String::new();
    let twice = async {
        while text.matches("end\n").count() < 2 {
            let piece = log.next().await.expect("the log goes on").unwrap();
            text.push_str(&String::from_utf8_lossy(&piece.bytes));
        }
    };
    tokio::time::timeout(Duration::from_secs(30), twice)
        .await
        .unwrap();
    assert_eq!(text, "begin\nend\nbegin\nend\n");
    stage
        .must(Act::RemoveContainer {
            container: stage.copy(&name),
        })
        .await;
    let rest = async { while log.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(10), rest)
        .await
        .expect("it ends with the container");
}

pub(crate) async fn a_process_runs_as_its_service_says(stage: Arc<Stage>) {
    stage.network().await;
    let data = volume("data");
    stage
        .must(Act::CreateVolume {
            volume: data.clone(),
        })
        .await;
    let mut spec = idle("process");
    spec.mounts = vec![VolumeMount {
        name: data,
        path: "/data".to_owned(),
    }];
    let folder = Tmpfs {
        size: 1 << 20,
        mode: 0o1777,
    };
    spec.runtime = Runtime {
        working_directory: Some("/usr/share".to_owned()),
        groups: vec!["tty".to_owned(), "4711".to_owned()],
        tmpfs: [("/scratch".to_owned(), folder)].into(),
        sysctls: [("net.core.somaxconn".to_owned(), "321".to_owned())].into(),
        read_only_root: true,
        read_only: ["/data".to_owned()].into(),
        owners: Default::default(),
    };
    let name = stage.start(&spec).await;
    let said = async |script: &str| stage.output_of(&name, &["sh", "-c", script]).await;
    assert_eq!(
        said("readlink /proc/1/cwd || true; pwd")
            .await
            .lines()
            .last(),
        Some("/usr/share")
    );
    let groups = said("grep ^Groups: /proc/1/status").await;
    let groups: Vec<&str> = groups.split_whitespace().skip(1).collect();
    assert!(
        groups.contains(&"5") && groups.contains(&"4711"),
        "{groups:?}"
    );
    assert_eq!(said("cat /proc/sys/net/core/somaxconn").await, "321\n");
    assert_eq!(
        said("stat -c %a /scratch; df -k --output=size /scratch | tail -1 | tr -d ' '").await,
        "1777\n1024\n"
    );
    said("touch /scratch/a").await;
    for path in ["/data/a", "/etc/a"] {
        let touched = stage.run_in(&name, command_of(&["touch", path]), "").await;
        assert!(
            touched.0 != 0 && touched.2.contains("Read-only file system"),
            "{touched:?}"
        );
    }
}

pub(crate) async fn a_volume_has_its_owner_and_keeps_what_is_in_it(stage: Arc<Stage>) {
    stage.network().await;
    let data = volume("owned");
    stage
        .must(Act::CreateVolume {
            volume: data.clone(),
        })
        .await;
    let mut spec = idle("first");
    // One that the image lacks, and one that it has, with its own permission bits.
    let mount = |path: &str| VolumeMount {
        name: data.clone(),
        path: path.to_owned(),
    };
    spec.mounts = vec![mount("/srv/new/data")];
    let name = stage.start(&spec).await;
    let say = "cd /srv/new/data; mkdir in; chmod 2750 .; touch in/a; stat -c '%u:%g %a' . in";
    let said = stage.output_of(&name, &["sh", "-c", say]).await;
    assert_eq!(said, "0:0 2750\n0:0 755\n");

    let mut spec = idle("second");
    spec.mounts = vec![mount("/srv/new/data")];
    let owner = "www-data:4711".to_owned();
    spec.runtime.owners = [("/srv/new/data".to_owned(), owner)].into();
    let name = stage.start(&spec).await;
    let say = "cd /srv/new/data; stat -c '%u:%g %a' . in; ls in";
    let said = stage.output_of(&name, &["sh", "-c", say]).await;
    assert_eq!(said, "33:4711 2750\n0:0 755\na\n");

    let mut spec = idle("third");
    spec.mounts = vec![mount("/srv/new/data")];
    let owner = "nobody-knows".to_owned();
    spec.runtime.owners = [("/srv/new/data".to_owned(), owner)].into();
    let failed = stage.apply(&stage.create(&spec)).await.unwrap_err();
    let text = format!("{failed:?}");
    assert!(text.contains("nobody-knows"), "{text}");
}

pub(crate) async fn a_command_runs_as_its_user(stage: Arc<Stage>) {
    stage.network().await;
    let name = stage.start(&idle("users")).await;
    for (user, expected) in [(None, "0:0\n"), (Some("1000:7"), "1000:7\n")] {
        let exec = Exec {
            user: user.map(str::to_owned),
            ..command_of(&["sh", "-c", "echo $(id -u):$(id -g)"])
        };
        assert_eq!(stage.run_in(&name, exec, "").await.1, expected);
    }
}
