//! Containers: hardened, limited, ended as they want, never taken for another.

use crate::docker_only::{address, idle};
use crate::stage::{DEBIAN, REDIS, Stage, build_of, command_of, container, file, hash, until};
use doprax_core::copy::CopyName;
use doprax_core::name::{AppName, Instance};
use doprax_core::observed::State;
use doprax_core::plan::Act;
use doprax_core::resources::Resources;
use doprax_core::service::Ulimit;
use doprax_engine::{Docker, Engine, Error, Event};
use std::sync::Arc;
use std::time::{Duration, Instant};

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
            container: stage.copy(&name),
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
                container: stage.copy(&name),
                grace_ms: 20_000,
            })
            .await;
        assert_eq!(stage.container(&name).await.state, State::Exited(code));
    }
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
        if observed
            .containers
            .iter()
            .any(|found| found.name == stage.copy(&name))
        {
            stage
                .must(Act::StartContainer {
                    container: stage.copy(&name),
                })
                .await;
            assert_eq!(
                stage.output_of(&name, &["cat", "/etc/needed"]).await,
                "here"
            );
            stage
                .must(Act::RemoveContainer {
                    container: stage.copy(&name),
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
            container: stage.copy(&name),
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
    assert_eq!(left, [stage.copy(&name)]);
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

pub(crate) async fn a_foreign_container_of_the_name_is_left_alone(stage: Arc<Stage>) {
    stage.network().await;
    let redis = container("redis", REDIS);
    let name = stage.start(&redis).await;
    let other = Instance::named(AppName::new("test-other-host").unwrap());
    let other = Docker::connect(&address(), other);
    assert!(other.observe_all().await.unwrap().is_empty());
    let copy = CopyName::Foreign(name.clone());
    let found = other.container(&stage.app, &copy).await;
    assert_eq!(found.unwrap(), None);
    let remove = Act::RemoveContainer {
        container: copy.clone(),
    };
    let removed = other
        .apply(&stage.app, &remove, &stage.inputs, &stage.progress)
        .await;
    assert!(matches!(removed, Err(Error::Foreign { .. })), "{removed:?}");
    let create = Act::CreateContainer {
        container: copy,
        hash: hash(&redis),
        spec: Box::new(redis.clone()),
    };
    let created = other
        .apply(&stage.app, &create, &stage.inputs, &stage.progress)
        .await;
    assert!(matches!(created, Err(Error::Foreign { .. })), "{created:?}");
    assert_eq!(stage.container(&name).await.state, State::Running);
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
