//! The engine as a whole: away and back, its hints, what it is told of secrets.

use crate::docker_only::{address, idle};
use crate::proxy::Proxy;
use crate::stage::{REDIS, Stage, command_of, container, file, literal, until};
use doprax_core::plan::Act;
use doprax_core::resources::Resources;
use doprax_core::service::Ulimit;
use doprax_engine::{Docker, Engine, Error, Exec};
use futures_util::StreamExt as _;
use std::sync::Arc;
use std::time::Duration;

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
        let container = stage.copy(&name);
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
