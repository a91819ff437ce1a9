//! Watches what changes on a host, across restarts of it.
//!
//! Guarantee: every change is given once and in order, or a gap says where some are missing:
//! the host is asked for what comes after the last one seen.

use super::away::Away;
use super::ndjson::Lines;
use super::{Client, ClientError};
use crate::wire::Change;
use doprax_core::change::Position;
use doprax_core::name::AppName;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use http::Method;
use std::time::Duration;

/// How long nothing may come before the host counts as gone; it says something more often.
const SILENCE: Duration = Duration::from_secs(60);

/// Which changes.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    /// Those about this app, or all.
    pub app: Option<AppName>,
    /// Where to begin; absent: with all that the host has kept.
    pub after: Option<Begin>,
    /// Whether to wait for what comes, until the stream is dropped.
    pub follow: bool,
}

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With what comes.
    Now,
    /// With what came after this.
    After(Position),
}

/// What one sees while watching.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// The host is asked, and tells what happens from now on.
    Begun,
    /// Something has changed.
    Change(Box<Change>),
    /// The host went away; it is being asked again.
    Lost,
    /// It is back.
    Back,
}

/// An event of the stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Event {
    id: Option<String>,
    data: String,
}

impl Event {
    /// Takes in a line of the stream.
    fn take(&mut self, line: &str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.id = Some(value.to_owned()),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            // Comments have no field; others are for browsers.
            _ => {}
        }
    }
}

struct State {
    client: Client,
    watch: Watch,
    lines: Option<Lines>,
    /// Whether the host was ever reached.
    begun: bool,
    away: Option<Away>,
    ended: bool,
}

pub(super) fn watch(
    client: Client,
    watch: Watch,
) -> BoxStream<'static, Result<Watched, ClientError>> {
    let state = State {
        client,
        watch,
        lines: None,
        begun: false,
        away: None,
        ended: false,
    };
    stream::unfold(state, |mut state| async {
        if state.ended {
            return None;
        }
        let next = state.next().await;
        state.ended = next.is_err();
        next.transpose().map(|next| (next, state))
    })
    .boxed()
}

impl State {
    async fn next(&mut self) -> Result<Option<Watched>, ClientError> {
        loop {
            let Some(lines) = &mut self.lines else {
                if let Some(watched) = self.ask().await? {
                    return Ok(Some(watched));
                }
                continue;
            };
            match tokio::time::timeout(SILENCE, event(lines)).await {
                Ok(Ok(Some(event))) => {
                    if let Some(change) = self.take(event)? {
                        return Ok(Some(Watched::Change(change)));
                    }
                }
                Ok(Err(error)) if !error.is_lost() => return Err(error),
                Ok(Ok(None)) if !self.watch.follow => return Ok(None),
                Ok(Err(error)) if !self.watch.follow => return Err(error),
                Ok(Ok(None) | Err(_)) | Err(_) => {
                    self.lines = None;
                    self.away = Some(Away::now());
                    return Ok(Some(Watched::Lost));
                }
            }
        }
    }

    /// Asks the host for what was not seen, after a pause if it is away.
    async fn ask(&mut self) -> Result<Option<Watched>, ClientError> {
        if let Some(away) = &mut self.away {
            away.pause().await;
        }
        match self.client.stream_of_changes(&self.watch).await {
            Ok(lines) => {
                self.lines = Some(lines);
                let back = self.away.take().is_some() && self.begun;
                self.begun = true;
                Ok(Some(if back { Watched::Back } else { Watched::Begun }))
            }
            // Whoever never reached the host hears so at once.
            Err(error) if self.begun && error.is_lost() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What an event means; nothing where it only says where one is.
    fn take(&mut self, event: Event) -> Result<Option<Box<Change>>, ClientError> {
        if let Some(id) = event.id {
            let position = id
                .parse()
                .map_err(|error| self.client.not_understood(error))?;
            self.watch.after = Some(Begin::After(position));
        }
        if event.data.is_empty() {
            return Ok(None);
        }
        match serde_json::from_str(&event.data) {
            Ok(change) => Ok(Some(Box::new(change))),
            Err(error) => Err(self.client.not_understood(error)),
        }
    }
}

/// The next event; nothing after the last.
async fn event(lines: &mut Lines) -> Result<Option<Event>, ClientError> {
    let mut event = Event::default();
    while let Some(line) = lines.next().await? {
        let line = String::from_utf8_lossy(&line);
        match line.trim_end_matches('\r') {
            "" => return Ok(Some(event)),
            line => event.take(line),
        }
    }
    Ok(None)
}

impl Client {
    async fn stream_of_changes(&self, watch: &Watch) -> Result<Lines, ClientError> {
        let mut path = format!("/v1/events?follow={}", watch.follow);
        match watch.after {
            None => {}
            Some(Begin::Now) => path.push_str("&after=now"),
            Some(Begin::After(position)) => path.push_str(&format!("&after={position}")),
        }
        if let Some(app) = &watch.app {
            path.push_str(&format!("&app={app}"));
        }
        let answer = self.send(Method::GET, &path, super::empty()).await?;
        Ok(Lines::of(answer.into_body(), self.address.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_make_an_event() {
        let mut event = Event::default();
        for line in [": hello", "id: 5-7", "data: {\"a\":", "data:1}", "retry: 3"] {
            event.take(line);
        }
        let expected = Event {
            id: Some("5-7".to_owned()),
            data: "{\"a\":\n1}".to_owned(),
        };
        assert_eq!(event, expected);
    }
}
