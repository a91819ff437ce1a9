//! Follows an operation to its end, across restarts of the host.
//!
//! Guarantee: every event is given once, in order, because the host keeps them by
//! number and is asked for what comes after the last one seen.

use super::away::{Away, LONGEST_PAUSE};
use super::{Client, ClientError};
use crate::wire::OperationEvent;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use std::time::Duration;

/// How long a host that went away is asked again.
pub const RECONNECT: Duration = Duration::from_secs(120);

/// What one sees while following an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// Something happened.
    Event(OperationEvent),
    /// The host went away; it is being asked again.
    Lost,
    /// It is back.
    Back,
}

struct State {
    client: Client,
    id: String,
    after: u64,
    events: Option<BoxStream<'static, Result<OperationEvent, ClientError>>>,
    /// Whether the present stream has given an event that was new.
    moved: bool,
    away: Option<Away>,
    ended: bool,
}

pub(super) fn follow(
    client: Client,
    id: String,
) -> BoxStream<'static, Result<Followed, ClientError>> {
    let state = State {
        client,
        id,
        after: 0,
        events: None,
        moved: false,
        away: None,
        ended: false,
    };
    stream::unfold(state, |mut state| async {
        if state.ended {
            return None;
        }
        let next = state.next().await;
        state.ended = match &next {
            Ok(Followed::Event(event)) => event.what.is_end(),
            Ok(Followed::Lost | Followed::Back) => false,
            Err(_) => true,
        };
        Some((next, state))
    })
    .boxed()
}

impl State {
    async fn next(&mut self) -> Result<Followed, ClientError> {
        loop {
            let Some(events) = &mut self.events else {
                match self.client.events(&self.id, self.after).await {
                    Ok(events) => {
                        self.events = Some(events);
                        self.moved = false;
                        if self.away.take().is_some() {
                            return Ok(Followed::Back);
                        }
                    }
                    Err(error) if error.is_lost() => {
                        if let Some(lost) = self.pause(error).await? {
                            return Ok(lost);
                        }
                    }
                    Err(error) => return Err(error),
                }
                continue;
            };
            match events.next().await {
                Some(Ok(event)) => {
                    // A host that came back may send again what was on its way.
                    if event.number > self.after {
                        self.after = event.number;
                        self.moved = true;
                        return Ok(Followed::Event(event));
                    }
                }
                Some(Err(error)) if !error.is_lost() => return Err(error),
                // The stream ends after the operation's last event, so this is a
                // host that is going away.
                Some(Err(_)) | None => {
                    self.events = None;
                    if !self.moved {
                        // It may end again and again with nothing to tell.
                        tokio::time::sleep(LONGEST_PAUSE).await;
                    }
                    if self.away.is_none() {
                        self.away = Some(Away::now());
                        return Ok(Followed::Lost);
                    }
                }
            }
        }
    }

    /// Waits before the next try; gives the error back when it was the last.
    async fn pause(&mut self, error: ClientError) -> Result<Option<Followed>, ClientError> {
        // Whoever never reached the host hears so at once.
        if self.after == 0 && self.away.is_none() {
            return Err(error);
        }
        let Some(away) = &mut self.away else {
            self.away = Some(Away::now());
            return Ok(Some(Followed::Lost));
        };
        if away.elapsed() > RECONNECT {
            return Err(error);
        }
        away.pause().await;
        Ok(None)
    }
}
