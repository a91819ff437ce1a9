use super::*;
use crate::events::{After, Told};
use crate::report::OperationKind;
use doprax_core::name::AppName;
use std::collections::BTreeMap;

fn operation(id: &str, kind: OperationKind) -> Operation {
    Operation {
        id: id.to_owned(),
        app: AppName::new("shop").unwrap(),
        kind,
        state: OperationState::Running,
        started_ms: now_ms(),
        ended_ms: None,
    }
}

async fn add(store: &Store, operation: &Operation) {
    let none = BTreeMap::new();
    store.add_operation(operation, &(), &none).await.unwrap();
}

#[test]
fn events_of_older_hosts_are_read() {
    let older = r#"{"number":3,"time_ms":4,"what":{"event":"note","text":"hello"}}"#;
    let event = parse(older).unwrap();
    let text = "hello".to_owned();
    assert_eq!((event.number, event.time_ms), (3, 4));
    assert_eq!(event.what, Event::Note { text });
    let written = serde_json::to_string(&event).unwrap();
    assert_eq!(parse(&written), Some(event));
}

#[tokio::test]
async fn what_is_known_to_have_ended_is_not_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let operation = operation("one", OperationKind::Deploy);
    add(&store, &operation).await;
    let journal = Arc::new(Journal::default());
    let live = journal.open(&store, operation, false).await.unwrap();
    let mut events = journal.follow(&store, "one", 0).await.unwrap();
    let follower = async {
        let end = events.next().await.unwrap();
        assert!(matches!(end.what, Event::Done { .. }));
        // What the next host would begin with, if this one were killed now.
        store.unfinished::<()>().await.unwrap()
    };
    let closing = async {
        let done = Event::Done { url: None };
        let end = journal
            .write_end(&store, &live, OperationState::Done, done, None)
            .await;
        journal.close(&live, end, OperationState::Done);
    };
    let ((), unfinished) = tokio::join!(closing, follower);
    assert!(unfinished.is_empty());
    assert_eq!(read_events(&store, "one", 0).await.unwrap().len(), 1);
}

#[tokio::test]
async fn watchers_hear_of_steps_and_not_of_what_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let operation = operation("one", OperationKind::Deploy);
    add(&store, &operation).await;
    let events = Arc::<Events>::default();
    let journal = Arc::new(Journal::new(Arc::clone(&events)));
    let live = journal.open(&store, operation, false).await.unwrap();
    let printed = || "hunter2".to_owned();
    let container = doprax_core::name::ServiceName::main();
    for what in [
        Event::Planned {
            steps: vec!["build main".to_owned(), "start main".to_owned()],
        },
        Event::StepStarted { step: 0 },
        Event::Build { line: printed() },
        Event::StepDone { step: 0, ms: 7 },
        Event::Waiting {
            container,
            reason: printed(),
        },
        Event::StepFailed {
            step: 1,
            error: printed(),
        },
        Event::GoingBack,
    ] {
        live.emit(what);
    }
    let failed = Event::Failed {
        error: printed(),
        help: None,
        log: vec![printed()],
    };
    let state = OperationState::Failed;
    let end = journal.write_end(&store, &live, state, failed, None);
    journal.close(&live, end.await, state);
    let told: Vec<_> = events.follow(After::Beginning, None, false).collect().await;
    let mut lines = Vec::new();
    for told in told {
        let Told::Change(change) = told else {
            continue;
        };
        let json = serde_json::to_string(&change).unwrap();
        assert!(!json.contains("hunter2"), "{json}");
        lines.push(match &change.what {
            Changed::Operation { operation } => operation.state.as_str().to_owned(),
            Changed::Progress { progress, .. } => format!("{progress:?}"),
            other => panic!("{other:?}"),
        });
    }
    let expected = [
        "running",
        r#"StepStarted { step: "build main" }"#,
        r#"StepDone { step: "build main", ms: 7 }"#,
        r#"StepFailed { step: "start main" }"#,
        "GoingBack",
        "failed",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn an_end_that_cannot_be_written_is_tried_again_and_told_only_then() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let operation = operation("one", OperationKind::Remove);
    let journal = Arc::new(Journal::default());
    // The database refuses events of an operation that it does not have.
    let opened = journal.open(&store, operation.clone(), false);
    let live = opened.await.unwrap();
    let mut events = journal.follow(&store, "one", 0).await.unwrap();
    let follower = async {
        let note = events.next().await.unwrap();
        assert!(matches!(note.what, Event::Note { .. }), "{note:?}");
        add(&store, &operation).await;
        events.next().await.unwrap()
    };
    let closing = async {
        let done = Event::Done { url: None };
        let end = journal
            .write_end(&store, &live, OperationState::Done, done, None)
            .await;
        journal.close(&live, end, OperationState::Done);
    };
    let ((), end) = tokio::join!(closing, follower);
    assert!(matches!(end.what, Event::Done { .. }), "{end:?}");
    assert!(store.unfinished::<()>().await.unwrap().is_empty());
}
