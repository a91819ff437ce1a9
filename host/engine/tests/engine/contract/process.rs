//! What runs in a container: commands, and what it prints.

use crate::stage::{REDIS, Stage, command_of, container, until};
use doprax_core::plan::Act;
use doprax_engine::{Error, Exec, LogRequest};
use futures_util::StreamExt as _;
use std::sync::Arc;

pub(crate) async fn a_command_has_input_output_and_an_exit_code(stage: Arc<Stage>) {
    stage.network().await;
    let name = stage.start(&container("redis", REDIS)).await;
    let cat = Exec {
        stdin: true,
        ..command_of(&["cat"])
    };
    let (code, out, err) = stage.run_in(&name, cat, "one\ntwo").await;
    assert_eq!((code, out.as_str(), err.as_str()), (0, "one\ntwo", ""));
    assert_eq!(stage.run_in(&name, command_of(&["false"]), "").await.0, 1);
    let env = Exec {
        env: vec![("GREETING".to_owned(), "hello".to_owned())],
        ..command_of(&["printenv", "GREETING"])
    };
    assert_eq!(stage.run_in(&name, env, "").await.1, "hello\n");
    let (code, _, err) = stage
        .run_in(&name, command_of(&["cat", "/no/such/file"]), "")
        .await;
    assert_eq!(code, 1);
    assert!(err.contains("No such file"), "{err}");
    let terminal = Exec {
        terminal: Some((80, 24)),
        ..command_of(&["echo", "hello"])
    };
    assert_eq!(stage.run_in(&name, terminal, "").await.1, "hello\r\n");
    let usage = stage.engine.usage(&name).await.unwrap();
    assert!(
        usage.memory > 0 && usage.memory < usage.memory_limit,
        "{usage:?}"
    );

    stage
        .must(Act::StopContainer {
            container: stage.copy(&name),
            grace_ms: 1_000,
        })
        .await;
    let stopped = stage
        .engine
        .exec(&name, &command_of(&["true"]))
        .await
        .map(|_| ());
    assert!(matches!(stopped, Err(Error::Failed { .. })), "{stopped:?}");
}

pub(crate) async fn a_log_is_read_from_its_end(stage: Arc<Stage>) {
    stage.network().await;
    let name = stage.start(&container("redis", REDIS)).await;
    let text = async |request| {
        let mut log = stage.engine.logs(&name, request).await.unwrap();
        let mut text = Vec::new();
        while let Some(piece) = log.next().await {
            text.extend_from_slice(&piece.unwrap().bytes);
        }
        String::from_utf8(text).unwrap()
    };
    until("Redis is ready", async || {
        text(LogRequest::default())
            .await
            .contains("Ready to accept connections")
            .then_some(())
    })
    .await;
    let last = text(LogRequest {
        tail: Some(1),
        timestamps: true,
        ..LogRequest::default()
    })
    .await;
    assert_eq!(last.lines().count(), 1, "{last}");
    assert!(
        last.starts_with("20") && last.contains("Ready to accept connections"),
        "{last}"
    );
    let future = LogRequest {
        since: Some(4_000_000_000),
        ..LogRequest::default()
    };
    assert_eq!(text(future).await, "");

    let follow = LogRequest {
        follow: true,
        ..LogRequest::default()
    };
    let mut followed = stage.engine.logs(&name, follow).await.unwrap();
    let first = followed.next().await.unwrap().unwrap();
    assert!(!first.bytes.is_empty());
}
