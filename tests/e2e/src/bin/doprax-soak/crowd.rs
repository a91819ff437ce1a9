//! Who visits the apps.

use crate::door::{Door, Protocol};
use crate::record::{Client, Record};
use crate::streams::Listener;
use crate::subject::{SHAPES, Shape};
use crate::visit::{Ask, Habit, visit};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// What asks an app that speaks HTTP.
const HABITS: [Habit; 6] = [
    Habit {
        kind: "GET, kept",
        protocol: Protocol::Http1,
        keep: true,
        asks: &[Ask::Get],
        pause: Duration::from_millis(25),
        slow: false,
        clients: 3,
    },
    // As browsers do: the connection outlasts what happens between two requests.
    Habit {
        kind: "GET, rare",
        protocol: Protocol::Http1,
        keep: true,
        asks: &[Ask::Get],
        pause: Duration::from_secs(8),
        slow: false,
        clients: 8,
    },
    Habit {
        kind: "POST, kept",
        protocol: Protocol::Http1,
        keep: true,
        asks: &[Ask::Post],
        pause: Duration::from_millis(20),
        slow: false,
        clients: 3,
    },
    Habit {
        kind: "POST, fresh",
        protocol: Protocol::Http1,
        keep: false,
        asks: &[Ask::Post],
        pause: Duration::from_millis(40),
        slow: false,
        clients: 2,
    },
    Habit {
        kind: "POST, slow",
        protocol: Protocol::Http1,
        keep: true,
        asks: &[Ask::SlowPost],
        pause: Duration::from_millis(20),
        slow: true,
        clients: 3,
    },
    Habit {
        kind: "HTTP/2",
        protocol: Protocol::Http2,
        keep: true,
        asks: &[Ask::Get, Ask::Post, Ask::Get, Ask::Post],
        pause: Duration::from_millis(80),
        slow: false,
        clients: 2,
    },
];

/// What asks an app that speaks gRPC.
const CALLS: [Habit; 3] = [
    Habit {
        kind: "calls",
        protocol: Protocol::Http2,
        keep: true,
        asks: &[Ask::CallRelease, Ask::CallEcho, Ask::CallEcho],
        pause: Duration::from_millis(60),
        slow: false,
        clients: 2,
    },
    Habit {
        kind: "calls, fresh",
        protocol: Protocol::Http2,
        keep: false,
        asks: &[Ask::CallEcho],
        pause: Duration::from_millis(200),
        slow: false,
        clients: 1,
    },
    Habit {
        kind: "calls, slow",
        protocol: Protocol::Http2,
        keep: true,
        asks: &[Ask::SlowCallEcho, Ask::SlowCallEcho],
        pause: Duration::from_millis(20),
        slow: true,
        clients: 2,
    },
];

/// Streams of each kind at an app.
const STREAMS: usize = 2;

/// Sets every client to work at each app.
pub(crate) fn gather(runtime: &Runtime, door: &Door, record: &Arc<Record>) -> JoinSet<()> {
    let mut crowd = JoinSet::new();
    for Shape {
        name, speaks_grpc, ..
    } in SHAPES
    {
        let habits = match speaks_grpc {
            true => CALLS.as_slice(),
            false => HABITS.as_slice(),
        };
        for habit in habits {
            for _ in 0..habit.clients {
                let visit = visit(door.clone(), name, Arc::clone(record), *habit);
                crowd.spawn_on(visit, runtime.handle());
            }
        }
        let listener = |kind| Listener {
            door: door.clone(),
            client: Client { kind, app: name },
            record: Arc::clone(record),
        };
        for _ in 0..STREAMS {
            if speaks_grpc {
                crowd.spawn_on(listener("call, streamed").subscribe(), runtime.handle());
                continue;
            }
            crowd.spawn_on(listener("WebSocket").echo(), runtime.handle());
            let events = listener("events").listen(Protocol::Http1);
            crowd.spawn_on(events, runtime.handle());
            let events = listener("events, HTTP/2").listen(Protocol::Http2);
            crowd.spawn_on(events, runtime.handle());
        }
    }
    crowd
}
