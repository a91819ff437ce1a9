//! The stream of all that changes, as server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use super::problem::Problem;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use doprax_core::name::AppName;
use doprax_reconcile::{After, Host, Told};
use futures_util::StreamExt as _;
use http::HeaderMap;
use serde::Deserialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// Where a reader that lost its connection says what it got last.
const LAST_EVENT_ID: &str = "last-event-id";

/// How often something is sent where nothing happens, so that a reader that has gone is
/// noticed, and one that waits knows that the host is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
pub(super) struct EventsQuery {
    /// `now`, or the id of an event; absent: all that is kept.
    after: Option<String>,
    app: Option<AppName>,
    /// Whether the stream goes on with what comes; it does unless that is said.
    follow: Option<bool>,
}

pub(super) async fn events(
    State(host): State<Arc<Host>>,
    query: Result<Query<EventsQuery>, QueryRejection>,
    fields: HeaderMap,
) -> Result<Response, Problem> {
    let Query(EventsQuery { after, app, follow }) = query?;
    // A reader that comes back asks with the address that it asked first with.
    let last = fields.get(LAST_EVENT_ID).map(|value| value.to_str());
    let after = match last.transpose() {
        Ok(last) => last.map(str::to_owned).or(after),
        Err(_) => return Err(Problem::bad_request("Last-Event-ID is no text".to_owned())),
    };
    let after = match after.as_deref() {
        None | Some("") => After::Beginning,
        Some("now") => After::Now,
        Some(id) => match id.parse() {
            Ok(position) => After::Position(position),
            Err(error) => return Err(Problem::bad_request(format!("{error}"))),
        },
    };
    let told = host.events(after, app, follow.unwrap_or(true));
    let events = told.map(|told| Ok::<_, Infallible>(event(&told)));
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok(Sse::new(events).keep_alive(keep_alive).into_response())
}

/// One without data only says where the reader is.
fn event(told: &Told) -> Event {
    match told {
        Told::Nothing(position) => Event::default().id(position.to_string()),
        Told::Change(change) => {
            let json = serde_json::to_string(&**change)
                .expect("wire types have only string keys, so they serialize");
            Event::default().id(change.id.to_string()).data(json)
        }
    }
}
