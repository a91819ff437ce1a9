//! Being the host, handing that over to a successor, and taking it back.
//!
//! ```text
//! take → hold ─SIGUSR2, a successor waits→ hand over ─it serves→ leave
//!          ↑                                   │
//!          └───────── take back ←──────────────┘ it failed
//! ```
//!
//! From the moment the state folder is let go of until a host has it again, this process
//! is none: nothing can be deployed, but visitors are served as they were. Where a
//! successor fails, a new host begins in this process, on the same sockets. Where even
//! that fails, as after a change of the database that only the newer program understands,
//! it is tried again, and another successor may be asked for.

use super::Serve;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::remedy::of_refusal;
use crate::signals::{Asked, Signals};
use crate::state::{
    self,
    lock::{self, Lock},
};
use crate::upgrade::{Invocation, Successor};
use doprax_api::server::{self, Listeners};
use doprax_reconcile::{Config, Host, Parts, Predecessor, StartError};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Pause before this process tries again to be the host.
const AGAIN: Duration = Duration::from_secs(5);

/// What being the host takes.
pub(super) struct Handover<'a> {
    pub(super) serve: &'a Serve,
    pub(super) context: &'a Context,
    pub(super) config: Config,
    pub(super) group: Option<u32>,
    pub(super) invocation: Invocation,
}

/// A host, and what it alone has.
pub(super) struct Running {
    host: Arc<Host>,
    api: Listeners,
    lock: Lock,
}

/// How a host comes to its end.
enum Ended {
    /// Somebody asked for it.
    Asked,
    /// Another one waits to take over.
    Waits(Box<Successor>),
}

/// What comes of handing over.
enum HandedOver {
    /// The successor is the host. It takes the end of this value for the end of this process.
    To(Successor),
    /// This process is the host again, which is to know when the host before has left.
    Back(Running, CancellationToken),
    /// Somebody asked for the end.
    Asked,
}

impl Handover<'_> {
    /// Makes this process the host, now that it has the state folder.
    pub(super) async fn take(&self, lock: Lock, before: Predecessor) -> Result<Running> {
        let host = Host::start(self.config.clone(), before, Parts::default())
            .await
            .map_err(not_started)?;
        match self.serve.listen(&self.config.state, self.group).await {
            Ok(api) => {
                self.serve.announce(self.context, &self.config);
                Ok(Running { host, api, lock })
            }
            Err(failure) => {
                host.shutdown().await;
                Err(failure)
            }
        }
    }

    /// Is the host until somebody asks for its end, or until another process is.
    pub(super) async fn hold(&self, mut running: Running, mut signals: Signals) -> Result<()> {
        let output = &self.context.output;
        // Hosts that this process was before: they serve what visitors have begun.
        let former = TaskTracker::new();
        former.close();
        let cut = CancellationToken::new();
        loop {
            let Running { host, api, lock } = running;
            let handed_over = match self.serve_api(&host, api, &mut signals).await {
                Ended::Asked => {
                    self.remove_socket(&lock);
                    HandedOver::Asked
                }
                Ended::Waits(successor) => {
                    host.release().await;
                    drop(lock);
                    let handed_over = self.hand_over(&host, *successor, &mut signals).await;
                    if let HandedOver::Asked = handed_over
                        && let Ok(lock) = lock::take(&self.config.state)
                    {
                        self.remove_socket(&lock);
                    }
                    handed_over
                }
            };
            match handed_over {
                HandedOver::Asked => {
                    output.remark("ending; apps go on running");
                    cut.cancel();
                    tokio::join!(host.shutdown(), former.wait());
                    return Ok(());
                }
                HandedOver::To(successor) => {
                    output.remark(format!("process {} has taken over", successor.id()));
                    tokio::select! {
                        _ = async { tokio::join!(host.leave(), former.wait()) } => {}
                        () = signals.end() => {
                            cut.cancel();
                            tokio::join!(host.shutdown(), former.wait());
                        }
                    }
                    return Ok(());
                }
                HandedOver::Back(next, left) => {
                    output.remark("this process goes on as the host");
                    running = next;
                    let cut = cut.clone();
                    former.spawn(async move {
                        let _left = left.drop_guard();
                        if cut.run_until_cancelled(host.leave()).await.is_none() {
                            host.shutdown().await;
                        }
                    });
                }
            }
        }
    }

    /// Serves the API until a signal ends it, or until a successor waits to take over.
    async fn serve_api(&self, host: &Arc<Host>, api: Listeners, signals: &mut Signals) -> Ended {
        let stop = CancellationToken::new();
        let mut serving = std::pin::pin!(server::serve(
            Arc::clone(host),
            api,
            of_refusal,
            stop.clone()
        ));
        let asked = async {
            loop {
                if signals.next().await == Asked::End {
                    return Ended::Asked;
                }
                let started = tokio::select! {
                    started = self.start_successor(host) => started,
                    () = signals.end() => return Ended::Asked,
                };
                // Without one nothing has happened: this host goes on.
                if let Some(successor) = started {
                    return Ended::Waits(Box::new(successor));
                }
            }
        };
        let ended = tokio::select! {
            () = &mut serving => return Ended::Asked,
            ended = asked => ended,
        };
        stop.cancel();
        serving.await;
        ended
    }

    /// Waits until a successor is the host. Where it fails, sees to it that this process
    /// is, or another successor that is asked for.
    async fn hand_over(
        &self,
        host: &Host,
        successor: Successor,
        signals: &mut Signals,
    ) -> HandedOver {
        let mut waits = Some(successor);
        loop {
            if let Some(mut successor) = waits.take() {
                let ready = tokio::select! {
                    ready = successor.ready() => ready,
                    () = signals.end() => return HandedOver::Asked,
                };
                match ready {
                    Ok(()) => return HandedOver::To(successor),
                    Err(failure) => self.report(&failure),
                }
                successor.end().await;
            }
            let back = tokio::select! {
                back = self.take_back(host) => back,
                () = signals.end() => return HandedOver::Asked,
            };
            match back {
                Ok((running, left)) => return HandedOver::Back(running, left),
                Err(failure) => self.report(&failure),
            }
            let asked = tokio::time::timeout(AGAIN, signals.next()).await;
            match asked {
                Err(_) => {}
                Ok(Asked::End) => return HandedOver::Asked,
                Ok(Asked::Upgrade) => waits = self.start_successor(host).await,
            }
        }
    }

    async fn take_back(&self, host: &Host) -> Result<(Running, CancellationToken)> {
        let lock = lock::take(&self.config.state)?;
        let left = CancellationToken::new();
        let before = Predecessor {
            sockets: sockets(host)?,
            ended: Some(left.clone()),
        };
        Ok((self.take(lock, before).await?, left))
    }

    /// The successor, once it waits for the state folder. Where there is none, says why.
    async fn start_successor(&self, host: &Host) -> Option<Successor> {
        self.context.output.remark("starting a successor");
        let started = async {
            let sockets = sockets(host)?;
            Successor::start(&self.invocation, &self.config.state, sockets).await
        };
        let started = started.await;
        started.map_err(|failure| self.report(&failure)).ok()
    }

    /// Takes away the socket that nobody serves any more, which only who has the state
    /// folder may do.
    fn remove_socket(&self, _lock: &Lock) {
        let socket = self.config.state.join(state::SOCKET);
        if let Err(error) = std::fs::remove_file(&socket)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, socket = %socket.display(), "the socket was not removed");
        }
    }

    fn report(&self, failure: &Failure) {
        let output = &self.context.output;
        // This is not the end: the exit code is not needed.
        let _ = failure.report(output.json, output.error_paint);
    }
}

fn sockets(host: &Host) -> Result<Vec<TcpListener>> {
    host.sockets()
        .map_err(|error| Failure::new("cannot pass sockets on").because(&error))
}

/// Why the host did not start, and what to do about it.
fn not_started(error: StartError) -> Failure {
    let failure = Failure::from_error(&error);
    match error {
        StartError::Ingress(_) => failure.help(
            "serve apps on other addresses with --http ADDRESS:PORT and --https ADDRESS:PORT",
        ),
        StartError::Engine(_) => {
            failure.help("name the engine as unix:///PATH or tcp://HOST:PORT with --engine")
        }
        StartError::Store(error) if error.is_full() => {
            failure.help("make room on that disk, then start the host again; apps go on running")
        }
        StartError::Store(error) if error.is_newer() => failure.help(
            "start the newer doprax again. To go back to this one, put the copy that was kept \
             before the upgrade (doprax.db.format-N in the state folder) in the place of doprax.db",
        ),
        _ => failure,
    }
}
