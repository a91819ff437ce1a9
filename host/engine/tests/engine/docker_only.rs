//! What only a real engine can show: names, isolation, limits, files as a process
//! sees them, and an engine that goes away.

use crate::contract::build_of;
use crate::proxy::Proxy;
use crate::stage::{DEBIAN, REDIS, Stage, command_of, container, hash, literal, until, volume};
use bollard::query_parameters::ListVolumesOptions;
use doprax_core::blueprint::{Container, Content, File, Image, Owner, Runtime, Tmpfs};
use doprax_core::name::{AppName, Instance};
use doprax_core::observed::State;
use doprax_core::plan::Act;
use doprax_core::resources::Resources;
use doprax_core::service::Ulimit;
use doprax_core::spec::VolumeMount;
use doprax_core::text::Text;
use doprax_engine::{Docker, Engine, Error, Event, Exec, LogRequest, Outcome};
use futures_util::StreamExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;

/// The address of the engine; these tests run only where there is one.
fn address() -> String {
    std::env::var("DOPRAX_TEST_ENGINE").unwrap()
}

pub(crate) fn file(path: &str, mode: u32, text: &str) -> File {
    File {
        path: path.to_owned(),
        mode,
        content: Content::Text(Text::literal(text)),
        owner: None,
    }
}

/// A container that does nothing for as long as it runs.
fn idle(name: &str) -> Container {
    let mut idle = container(name, DEBIAN);
    idle.command = Some(["sleep", "infinity"].map(str::to_owned).to_vec());
    idle.stop_grace_ms = 0;
    idle
}

pub(crate) async fn a_hostname_moves_with_the_name(stage: Arc<Stage>) {
    stage.network().await;
    let client = stage.start(&idle("client")).await;
    let old = stage.start(&container("redis", REDIS)).await;
    let looked_up = async || {
        let found = stage
            .output_of(&client, &["getent", "ahostsv4", "redis"])
            .await;
        found.split_whitespace().next().unwrap().to_owned()
    };
    let address = async |name: &str| stage.container(name).await.address.unwrap().to_string();
    assert_eq!(looked_up().await, address(&old).await);

    // The new copy has a file: so it was renamed once before it started.
    let mut changed = container("redis", REDIS);
    changed.files = vec![file("/etc/changed", 0o644, "yes")];
    let spare = stage
        .instance
        .spare_container(&stage.app, &changed.name, &hash(&changed));
    let create = Act::CreateContainer {
        container: spare.clone(),
        hash: hash(&changed),
        spec: Box::new(changed.clone()),
    };
    stage.must(create).await;
    stage
        .must(Act::StartContainer {
            container: spare.clone(),
        })
        .await;
    assert_eq!(looked_up().await, address(&old).await);
    let new = address(&spare).await;
    let away = format!("old_{old}");
    stage
        .must(Act::RenameContainer {
            from: old.clone(),
            to: away,
        })
        .await;
    stage
        .must(Act::RenameContainer {
            from: spare,
            to: old.clone(),
        })
        .await;
    assert_eq!(looked_up().await, new);
    let hostname = stage.output_of(&old, &["cat", "/etc/hostname"]).await;
    assert_eq!(hostname.trim(), "redis");
}

pub(crate) async fn two_apps_do_not_reach_each_other(stage: Arc<Stage>) {
    stage.network().await;
    let near = stage.start(&container("redis", REDIS)).await;
    let blog = AppName::new("blog").unwrap();
    let subnet = "10.220.77.0/24".parse().unwrap();
    stage
        .apply_to(&blog, &Act::CreateNetwork { subnet })
        .await
        .unwrap();
    let redis = container("redis", REDIS);
    let far = stage.instance.container(&blog, &redis.name);
    let create = Act::CreateContainer {
        container: far.clone(),
        hash: hash(&redis),
        spec: Box::new(redis),
    };
    stage.apply_to(&blog, &create).await.unwrap();
    let start = Act::StartContainer {
        container: far.clone(),
    };
    stage.apply_to(&blog, &start).await.unwrap();
    let ping = async |from: &str, host: &str| {
        let command = command_of(&["timeout", "3", "redis-cli", "-h", host, "ping"]);
        stage.run_in(from, command, "").await.1.trim() == "PONG"
    };
    until("both answer themselves", async || {
        (ping(&near, "redis").await && ping(&far, "redis").await).then_some(())
    })
    .await;
    let far_address = stage
        .engine
        .container(&far)
        .await
        .unwrap()
        .unwrap()
        .address
        .unwrap();
    assert!(ping(&far, &far_address.to_string()).await);
    assert!(!ping(&near, &far_address.to_string()).await);
    assert!(!ping(&near, &far).await);
}

pub(crate) async fn a_container_is_hardened_and_limited(stage: Arc<Stage>) {
    stage.network().await;
    let mut limited = idle("limited");
    limited.resources = Resources {
        memory: Some(64 << 20),
        millicpus: Some(500),
        disk: Some(1 << 30),
    };
    limited.shm_size = Some(128 << 20);
    limited.user = Some("nobody".to_owned());
    limited.ulimits = vec![Ulimit {
        name: "nofile".to_owned(),
        soft: 2000,
        hard: 3000,
    }];
    let name = stage.start(&limited).await;
    let status = stage.output_of(&name, &["cat", "/proc/1/status"]).await;
    let field = |field: &str| {
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(field("NoNewPrivs:"), "1");
    // CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, FSETID 4, KILL 5, SETGID 6, SETUID 7,
    // SETPCAP 8, NET_BIND_SERVICE 10, SYS_CHROOT 18 (capabilities(7)).
    assert_eq!(u64::from_str_radix(&field("CapBnd:"), 16).unwrap(), 0x405fb);
    let shell = async |script: &str| stage.output_of(&name, &["sh", "-c", script]).await;
    // The first is where cgroup v1 has it, the second where v2 does.
    let cgroup = async |old: &str, new: &str| {
        let script = format!("cat /sys/fs/cgroup/{old} 2>/dev/null || cat /sys/fs/cgroup/{new}");
        shell(&script).await.trim().to_owned()
    };
    assert_eq!(cgroup("pids/pids.max", "pids.max").await, "4096");
    let memory = cgroup("memory/memory.limit_in_bytes", "memory.max").await;
    assert_eq!(memory, (64 << 20).to_string());
    let cpu = cgroup("cpu/cpu.cfs_quota_us", "cpu.max").await;
    assert!(cpu.starts_with("50000"), "{cpu}");
    let shm = shell("df -k /dev/shm | tail -1").await;
    assert!(shm.contains("131072"), "{shm}");
    assert!(
        shell("grep 'open files' /proc/1/limits")
            .await
            .contains("2000                 3000")
    );
    let resolver = shell("cat /etc/resolv.conf").await;
    assert!(resolver.contains(&format!("search {}", stage.instance.domain(&stage.app))));
    assert!(resolver.contains("ndots:1"), "{resolver}");
}

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

pub(crate) async fn a_volume_that_its_user_cannot_write_is_noted(stage: Arc<Stage>) {
    stage.network().await;
    let mut worker = idle("worker");
    worker.user = Some("nobody".to_owned());
    let mount = |name: &str, path: &str| VolumeMount {
        name: volume(name),
        path: path.to_owned(),
    };
    worker.mounts = vec![mount("data", "/data"), mount("scratch", "/tmp")];
    stage.start(&worker).await;
    let events = stage.events.lock().unwrap().clone();
    let notes: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            Event::Note(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    // What the image lets everybody write to is taken over by a new volume.
    assert_eq!(notes.len(), 1, "{notes:?}");
    for part in ["worker runs as user nobody", "volume data at /data"] {
        assert!(notes[0].contains(part), "{notes:?}");
    }
}

pub(crate) async fn an_init_passes_signals_on_and_buries_orphans(stage: Arc<Stage>) {
    stage.network().await;
    let mut deaf = idle("deaf");
    deaf.stop_grace_ms = 30_000;
    let name = stage.start(&deaf).await;
    // An orphan whose parent has gone before it.
    let orphan = &["sh", "-c", "(sleep 0.1 &) & wait"];
    stage.output_of(&name, orphan).await;
    let zombies = "grep -l '^State:.Z' /proc/[0-9]*/status || true";
    until("the orphan's end", async || {
        let running = stage
            .output_of(&name, &["sh", "-c", "cat /proc/[0-9]*/comm"])
            .await;
        (running.matches("sleep").count() == 1).then_some(())
    })
    .await;
    assert_eq!(stage.output_of(&name, &["sh", "-c", zombies]).await, "");
    let begin = Instant::now();
    stage
        .must(Act::StopContainer {
            container: name.clone(),
            grace_ms: 30_000,
        })
        .await;
    assert!(begin.elapsed() < Duration::from_secs(15));

    let mut own = idle("own");
    own.init = Some(false);
    let name = stage.start(&own).await;
    let first = stage.output_of(&name, &["cat", "/proc/1/comm"]).await;
    assert_eq!(first.trim(), "sleep");
    // What starts with an init of its own gets none.
    let (built, inputs, _folder) = build_of(
        &stage,
        &format!("FROM {DEBIAN}\nRUN cp /bin/sleep /init\nENTRYPOINT [\"/init\", \"infinity\"]\n"),
    );
    stage
        .engine
        .apply(&stage.app, &built, &inputs, &stage.progress)
        .await
        .unwrap();
    let Act::BuildImage { reference, .. } = built else {
        unreachable!()
    };
    let mut brings = container("brings", &reference);
    brings.stop_grace_ms = 0;
    let name = stage.start(&brings).await;
    let first = stage.output_of(&name, &["cat", "/proc/1/comm"]).await;
    assert_eq!(first.trim(), "init");
}

pub(crate) async fn an_image_says_what_signal_ends_it(stage: Arc<Stage>) {
    stage.network().await;
    let (built, inputs, _folder) = build_of(
        &stage,
        &format!(
            "FROM {DEBIAN}\nSTOPSIGNAL SIGUSR1\n\
             CMD [\"sh\", \"-c\", \"trap 'exit 7' USR1; trap 'exit 8' TERM; touch /ready; while :; do sleep 0.1; done\"]\n"
        ),
    );
    let done = stage
        .engine
        .apply(&stage.app, &built, &inputs, &stage.progress);
    done.await.unwrap();
    let Act::BuildImage { reference, .. } = built else {
        unreachable!()
    };
    let mut worker = container("worker", &reference);
    let mut other = container("other", &reference);
    worker.stop_grace_ms = 20_000;
    other.stop_signal = Some("SIGTERM".to_owned());
    for (spec, code) in [(worker, 7), (other, 8)] {
        let name = stage.start(&spec).await;
        until("its traps", async || {
            let ready = command_of(&["test", "-e", "/ready"]);
            (stage.run_in(&name, ready, "").await.0 == 0).then_some(())
        })
        .await;
        stage
            .must(Act::StopContainer {
                container: name.clone(),
                grace_ms: 20_000,
            })
            .await;
        assert_eq!(stage.container(&name).await.state, State::Exited(code));
    }
}

pub(crate) async fn a_stage_is_built_with_arguments(stage: Arc<Stage>) {
    stage.network().await;
    let dockerfile = format!(
        "FROM {DEBIAN} AS small\nARG WHO=nobody\nRUN echo \"$WHO\" >/who\nEXPOSE 1\nFROM small\nRUN exit 9\n"
    );
    let (mut built, inputs, _folder) = build_of(&stage, &dockerfile);
    let Act::BuildImage {
        reference, recipe, ..
    } = &mut built
    else {
        unreachable!()
    };
    let reference = reference.clone();
    recipe.target = Some("small".to_owned());
    recipe.args = [("WHO".to_owned(), "me & you".to_owned())].into();
    let done = stage
        .engine
        .apply(&stage.app, &built, &inputs, &stage.progress);
    assert_eq!(done.await.unwrap(), Outcome::Done);
    let mut small = idle("small");
    small.image = Image::Pull { reference };
    let name = stage.start(&small).await;
    let who = stage.output_of(&name, &["cat", "/who"]).await;
    assert_eq!(who.trim(), "me & you");
}

pub(crate) async fn a_creation_cut_short_is_never_taken_for_done(stage: Arc<Stage>) {
    stage.network().await;
    let mut filled = idle("filled");
    filled.files = vec![file("/etc/needed", 0o644, "here")];
    let name = stage.name("filled");
    for pause in [1, 5, 10, 20, 40, 80, 160] {
        let create = stage.create(&filled);
        // Dropped in the middle, as by a host that is killed.
        let _ = tokio::time::timeout(Duration::from_millis(pause), stage.apply(&create)).await;
        let observed = stage.observe().await;
        if observed.containers.iter().any(|found| found.name == name) {
            stage
                .must(Act::StartContainer {
                    container: name.clone(),
                })
                .await;
            assert_eq!(
                stage.output_of(&name, &["cat", "/etc/needed"]).await,
                "here"
            );
            stage
                .must(Act::RemoveContainer {
                    container: name.clone(),
                })
                .await;
        }
    }
    // The engine may still be busy with what was asked last.
    until("the creation", async || {
        stage.apply(&stage.create(&filled)).await.ok()
    })
    .await;
    stage
        .must(Act::StartContainer {
            container: name.clone(),
        })
        .await;
    assert_eq!(
        stage.output_of(&name, &["cat", "/etc/needed"]).await,
        "here"
    );
    let left: Vec<_> = stage
        .observe()
        .await
        .containers
        .into_iter()
        .map(|c| c.name)
        .collect();
    assert_eq!(left, [name]);
}

pub(crate) async fn a_refused_ulimit_is_left_out_and_noted(stage: Arc<Stage>) {
    stage.network().await;
    let mut greedy = idle("greedy");
    greedy.ulimits = vec![
        Ulimit {
            name: "memlock".to_owned(),
            soft: -1,
            hard: -1,
        },
        Ulimit {
            name: "nofile".to_owned(),
            soft: 1500,
            hard: 1500,
        },
    ];
    greedy.files = vec![file("/etc/new/kept", 0o640, "yes")];
    greedy.aliases.push("second".to_owned());
    let name = stage.start(&greedy).await;
    let found = stage.container(&name).await;
    assert_eq!(
        (found.hash.as_str(), found.state),
        (hash(&greedy).as_str(), State::Running)
    );
    let limits = stage.output_of(&name, &["cat", "/proc/1/limits"]).await;
    let limit = |name: &str| limits.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(limit("Max open files").contains("1500"), "{limits}");
    let notes = stage.events.lock().unwrap().clone();
    let is_noted = notes
        .iter()
        .any(|e| matches!(e, Event::Note(note) if note.contains("memlock")));
    assert_ne!(
        is_noted,
        limit("Max locked memory").contains("unlimited"),
        "{limits}"
    );
    assert_eq!(
        stage.output_of(&name, &["cat", "/etc/new/kept"]).await,
        "yes"
    );
    let mode = stage
        .output_of(&name, &["stat", "-c", "%a", "/etc/new/kept"])
        .await;
    assert_eq!(mode.trim(), "640");
    stage
        .output_of(&name, &["getent", "ahostsv4", "second"])
        .await;
    assert_eq!(stage.observe().await.containers.len(), 1);
}

pub(crate) async fn only_volumes_without_a_name_go_with_the_container(stage: Arc<Stage>) {
    let dockerfile = format!(
        "FROM {DEBIAN}\nRUN mkdir /named /nameless && echo seed >/named/seed\n\
         VOLUME /nameless /named\nCMD sleep infinity\n"
    );
    let (build, inputs, _folder) = build_of(&stage, &dockerfile);
    let built = stage
        .engine
        .apply(&stage.app, &build, &inputs, &stage.progress)
        .await;
    assert_eq!(built.unwrap(), Outcome::Done);
    let Act::BuildImage { reference, .. } = build else {
        unreachable!()
    };
    stage.network().await;
    let mut main = container("main", &reference);
    let data = volume("Data 1");
    main.mounts = vec![VolumeMount {
        name: data.clone(),
        path: "/named".to_owned(),
    }];
    stage
        .must(Act::CreateVolume {
            volume: data.clone(),
        })
        .await;
    let name = stage.start(&main).await;
    // An empty volume is filled with what the image has there.
    assert_eq!(
        stage.output_of(&name, &["cat", "/named/seed"]).await,
        "seed\n"
    );
    stage
        .output_of(&name, &["sh", "-c", "echo kept >/named/kept"])
        .await;

    let engine = bollard::Docker::connect_with_unix(&address(), 60, bollard::API_DEFAULT_VERSION);
    let engine = engine.unwrap();
    let mounts = engine
        .inspect_container(&name, None)
        .await
        .unwrap()
        .mounts
        .unwrap();
    let nameless = mounts
        .iter()
        .find(|mount| mount.destination.as_deref() == Some("/nameless"));
    let nameless = nameless.unwrap().name.clone().unwrap();
    let exists = async |volume: &str| {
        let listed = engine
            .list_volumes(None::<ListVolumesOptions>)
            .await
            .unwrap();
        listed
            .volumes
            .unwrap()
            .iter()
            .any(|found| found.name == volume)
    };
    assert!(exists(&nameless).await);
    stage
        .must(Act::RemoveContainer {
            container: name.clone(),
        })
        .await;
    assert!(!exists(&nameless).await);
    assert!(exists(&stage.instance.volume(&stage.app, &data)).await);
    let name = stage.start(&main).await;
    assert_eq!(
        stage.output_of(&name, &["cat", "/named/kept"]).await,
        "kept\n"
    );
}

pub(crate) async fn a_foreign_container_of_the_name_is_left_alone(stage: Arc<Stage>) {
    stage.network().await;
    let redis = container("redis", REDIS);
    let name = stage.start(&redis).await;
    let other = Instance::named(AppName::new("test-other-host").unwrap());
    let other = Docker::connect(&address(), other);
    assert!(other.observe_all().await.unwrap().is_empty());
    assert_eq!(other.container(&name).await.unwrap(), None);
    let remove = Act::RemoveContainer {
        container: name.clone(),
    };
    let removed = other
        .apply(&stage.app, &remove, &stage.inputs, &stage.progress)
        .await;
    assert!(matches!(removed, Err(Error::Failed { .. })), "{removed:?}");
    let create = stage.create(&redis);
    let created = other
        .apply(&stage.app, &create, &stage.inputs, &stage.progress)
        .await;
    assert!(matches!(created, Err(Error::Failed { .. })), "{created:?}");
    assert_eq!(stage.container(&name).await.state, State::Running);
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

pub(crate) async fn a_pull_without_a_registry_ends_with_a_reason(stage: Arc<Stage>) {
    let reference = "registry.invalid/doprax-test/nothing:1".to_owned();
    let began = Instant::now();
    match stage
        .apply(&Act::PullImage {
            reference: reference.clone(),
            digest: None,
        })
        .await
    {
        Err(Error::ImageMissing {
            reference: missing,
            reason,
        }) => {
            assert_eq!(missing, reference);
            assert!(!reason.is_empty() && !reason.contains('\n'), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert!(began.elapsed() < Duration::from_secs(130));
}

pub(crate) async fn how_a_process_ended_is_known_while_the_next_one_runs(stage: Arc<Stage>) {
    stage.network().await;
    let mut once = idle("once");
    let command = "test -e /ended && exec sleep infinity; touch /ended; exit 7";
    once.command = Some(["sh", "-c", command].map(str::to_owned).to_vec());
    let name = stage.start(&once).await;
    until("the next process", async || {
        let found = stage.container(&name).await;
        (found.restarts == 1 && found.state == State::Running).then_some(())
    })
    .await;
    let looked = stage.engine.examine(&name).await.unwrap();
    assert_eq!(looked.exit_code, Some(7));
    let idle = stage.start(&idle("idle")).await;
    let looked = stage.engine.examine(&idle).await.unwrap();
    assert_eq!(looked.exit_code, None);
}

pub(crate) async fn new_limits_are_hinted_at(stage: Arc<Stage>) {
    stage.network().await;
    let name = stage.start(&idle("idle")).await;
    let mut hints = stage.engine.hints().await.unwrap();
    // Events begin some time after the request for them; so change until one comes.
    let mut memory = 64 << 20;
    let hint = until("a hint", async || {
        memory += 1 << 20;
        let resources = Resources {
            memory: Some(memory),
            ..Resources::default()
        };
        let container = name.clone();
        let update = Act::UpdateContainer {
            container,
            resources,
        };
        stage.must(update).await;
        let hint = tokio::time::timeout(Duration::from_millis(200), hints.next());
        hint.await.ok().flatten()
    })
    .await;
    assert_eq!(hint, stage.app);
}

pub(crate) async fn an_engine_that_comes_back_is_reached_again(stage: Arc<Stage>) {
    let mut proxy = Proxy::new(&address());
    let docker = Docker::connect(&proxy.address(), stage.instance.clone());
    let is_away = async || matches!(docker.observe_all().await, Err(Error::Unreachable { .. }));
    assert!(is_away().await);
    for _ in 0..2 {
        proxy.listen();
        docker.observe_all().await.unwrap();
        let mut hints = docker.hints().await.unwrap();
        proxy.stop().await;
        assert!(is_away().await);
        let end = tokio::time::timeout(Duration::from_secs(10), hints.next()).await;
        assert_eq!(end.unwrap(), None);
    }
}

pub(crate) async fn a_build_leaves_no_connection(stage: Arc<Stage>) {
    let mut proxy = Proxy::new(&address());
    proxy.listen();
    let docker = Docker::connect(&proxy.address(), stage.instance.clone());
    let (build, inputs, _folder) = build_of(&stage, &format!("FROM {DEBIAN}\nRUN true\n"));
    let built = docker
        .apply(&stage.app, &build, &inputs, &stage.progress)
        .await;
    assert_eq!(built.unwrap(), Outcome::Done);
    until("the connections' end", async || {
        (proxy.open() == 0).then_some(())
    })
    .await;
}

pub(crate) async fn a_dropped_build_ends(stage: Arc<Stage>) {
    // A number that no other process on this machine waits for.
    let seconds = format!("31{}", std::process::id());
    let (build, inputs, _folder) =
        build_of(&stage, &format!("FROM {DEBIAN}\nRUN sleep {seconds}\n"));
    let is_running = || {
        let wanted = format!("sleep\0{seconds}\0");
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let mut lines = processes.filter_map(|p| std::fs::read(p.path().join("cmdline")).ok());
        lines.any(|line| line == wanted.as_bytes())
    };
    {
        let building = stage
            .engine
            .apply(&stage.app, &build, &inputs, &stage.progress);
        let started = until("the build's command", async || is_running().then_some(()));
        tokio::select! {
            built = building => panic!("{built:?}"),
            () = started => {}
        }
    }
    until("the end of the command", async || {
        (!is_running()).then_some(())
    })
    .await;
}

pub(crate) async fn buildkits_own_syntax_works(stage: Arc<Stage>) {
    let dockerfile = format!(
        "FROM {DEBIAN} AS first\nRUN --mount=type=cache,target=/cache echo one >/file\n\
         FROM {DEBIAN}\nCOPY --from=first /file /file\n"
    );
    let (build, inputs, _folder) = build_of(&stage, &dockerfile);
    let built = stage
        .engine
        .apply(&stage.app, &build, &inputs, &stage.progress)
        .await;
    assert_eq!(built.unwrap(), Outcome::Done);
}

pub(crate) async fn a_wrong_dockerfile_is_a_failed_build(stage: Arc<Stage>) {
    for (dockerfile, reason) in [
        (format!("FROM {DEBIAN}\nRNU true\n"), "RNU"),
        (
            "FROM doprax-test/nowhere:1\n".to_owned(),
            "doprax-test/nowhere",
        ),
    ] {
        let (build, inputs, _folder) = build_of(&stage, &dockerfile);
        match stage
            .engine
            .apply(&stage.app, &build, &inputs, &stage.progress)
            .await
        {
            Err(Error::BuildFailed { reason: found, .. }) => {
                assert!(found.contains(reason), "{found}");
            }
            other => panic!("{other:?}"),
        }
    }
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
    stage.must(Act::RemoveContainer { container: name }).await;
    let rest = async { while log.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(10), rest)
        .await
        .expect("it ends with the container");
}

pub(crate) async fn no_secret_gets_into_a_log(stage: Arc<Stage>) {
    let secret = "n0t-t0-be-l0gged";
    Log::install();
    stage.network().await;
    let mut redis = container("redis", REDIS);
    redis.env.insert("PASS".to_owned(), literal(secret));
    redis.files = vec![file("/etc/pass.conf", 0o600, secret)];
    redis.ulimits = vec![Ulimit {
        name: "memlock".to_owned(),
        soft: -1,
        hard: -1,
    }];
    let name = stage.start(&redis).await;
    let exec = Exec {
        env: vec![("PASS".to_owned(), secret.to_owned())],
        ..command_of(&["printenv", "PASS"])
    };
    assert_eq!(stage.run_in(&name, exec, "").await.1.trim(), secret);
    stage.observe().await;
    redis.env.insert("OTHER".to_owned(), literal(secret));
    let failed = stage.apply(&stage.create(&redis)).await;
    let failed = format!("{:?}", failed.unwrap_err());
    let logged = Log::text();
    assert!(logged.contains(&name), "nothing was logged");
    assert!(!logged.contains(secret) && !failed.contains(secret));
}

/// Everything that this process logs, at the finest level.
struct Log(std::sync::Mutex<String>);

static LOG: Log = Log(std::sync::Mutex::new(String::new()));

impl Log {
    fn install() {
        log::set_logger(&LOG).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
    }

    fn text() -> String {
        LOG.0.lock().unwrap().clone()
    }
}

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{}: {}\n", record.target(), record.args());
        self.0.lock().unwrap().push_str(&line);
    }

    fn flush(&self) {}
}
