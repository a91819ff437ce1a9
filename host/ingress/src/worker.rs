//! A serving thread: its runtime, its accept loops, its connections.
//!
//! Flow: accept → admit (limits) → a task for each connection, until a stop is asked
//! for; then the listeners close, idle connections close, busy ones get the grace,
//! and what is left is cut with the runtime.

use crate::connection::Accepted;
use crate::error::Error;
use crate::limiter::Refused;
use crate::listen::BACKLOG;
use crate::local::{Local, Shared};
use crate::tls::Tls;
use crate::upstream::RECENT;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// Pause after an accept that failed because the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A socket to accept connections on.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    /// With what they are encrypted, if they are.
    pub(crate) tls: Option<Arc<Tls>>,
}

/// How a thread ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending {
    /// How long requests may take to end.
    pub(crate) grace: Duration,
    /// Whether idle connections wait for one more request, whose answer says that it is
    /// the last. To close one while its client is sending would fail a request.
    pub(crate) patient: bool,
}

/// A handle on a serving thread.
#[derive(Debug)]
pub(crate) struct Worker {
    stop: watch::Sender<Option<Ending>>,
    stopped: watch::Receiver<Option<usize>>,
}

impl Worker {
    /// Starts a thread that serves `listeners`.
    pub(crate) fn start(
        number: usize,
        listeners: Vec<Listener>,
        shared: Arc<Shared>,
    ) -> Result<Self, Error> {
        let (stop, stop_asked) = watch::channel(None);
        let (report, stopped) = watch::channel(None);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| Error::Thread { source })?;
        std::thread::Builder::new()
            .name(format!("ingress-{number}"))
            .spawn(move || {
                let cut = runtime.block_on(serve(number, listeners, shared, stop_asked));
                // Drops what is left: connections that are cut, kept connections.
                drop(runtime);
                report.send_replace(Some(cut));
            })
            .map_err(|source| Error::Thread { source })?;
        Ok(Self { stop, stopped })
    }

    /// Asks the thread to end. A later call may only shorten the grace.
    pub(crate) fn stop(&self, ending: Ending) {
        self.stop.send_if_modified(|asked| {
            let shorter = asked.is_none_or(|asked| ending.grace < asked.grace);
            if shorter {
                *asked = Some(ending);
            }
            shorter
        });
    }

    /// Waits for the end of a thread that was asked to stop. Returns the number of
    /// connections that were cut.
    pub(crate) async fn stopped(&self) -> usize {
        let mut stopped = self.stopped.clone();
        // A thread that ends without a report has panicked, and its connections with it.
        match stopped.wait_for(Option::is_some).await {
            Ok(cut) => cut.unwrap_or(0),
            Err(_) => 0,
        }
    }
}

async fn serve(
    thread: usize,
    listeners: Vec<Listener>,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<Option<Ending>>,
) -> usize {
    let idle = shared.config.limits.upstream_idle_timeout;
    let local = Arc::new(Local::new(shared, thread));
    tokio::spawn(sweep(Arc::clone(&local), idle));
    tokio::spawn(sweep_own(Arc::clone(&local)));
    let accepting = TaskTracker::new();
    for Listener { socket, tls } in listeners {
        match tokio::net::TcpListener::from_std(socket) {
            Ok(socket) => drop(accepting.spawn(accept(socket, tls, Arc::clone(&local)))),
            Err(error) => tracing::error!(%error, "a socket of the ingress is unusable"),
        }
    }
    // An error means that the ingress was dropped.
    let asked = stop.wait_for(Option::is_some).await;
    let patient = asked.is_ok_and(|ending| ending.is_some_and(|ending| ending.patient));
    local.stopping.set(patient);
    accepting.close();
    accepting.wait().await;
    local.tasks.close();
    loop {
        let asked = *stop.borrow_and_update();
        let grace = asked.map_or(Duration::ZERO, |ending| ending.grace);
        tokio::select! {
            () = local.tasks.wait() => return 0,
            () = tokio::time::sleep(grace) => return local.tasks.len(),
            // The grace was shortened.
            Ok(()) = stop.changed() => {}
        }
    }
}

async fn sweep(local: Arc<Local>, idle: Duration) {
    loop {
        tokio::time::sleep(idle).await;
        local.upstream.pool.sweep(idle);
        local.multiplexed.sweep(idle);
    }
}

async fn sweep_own(local: Arc<Local>) {
    loop {
        tokio::time::sleep(RECENT).await;
        local.upstream.pool.sweep_own(RECENT);
    }
}

async fn accept(listener: tokio::net::TcpListener, tls: Option<Arc<Tls>>, local: Arc<Local>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = local.stopping.wait() => break,
        };
        match accepted {
            Ok((stream, peer)) => begin(stream, peer, tls.as_ref(), &local),
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection");
                local.shared.limiter.note(Refused::Accept);
                if !is_of_one_connection(&error) {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    // Closing a listener resets what waits in its queue; the runtime need not have heard of
    // it yet. More than the queue holds is not accepted by who is to stop.
    let Ok(listener) = listener.into_std() else {
        return;
    };
    for _ in 0..BACKLOG {
        let stream = match listener.accept() {
            Ok((stream, peer)) => stream.set_nonblocking(true).map(|()| (stream, peer)),
            Err(error) if is_of_one_connection(&error) => continue,
            Err(_) => break,
        };
        let stream = stream.and_then(|(stream, peer)| Ok((TcpStream::from_std(stream)?, peer)));
        if let Ok((stream, peer)) = stream {
            begin(stream, peer, tls.as_ref(), &local);
        }
    }
}

fn begin(stream: TcpStream, peer: SocketAddr, tls: Option<&Arc<Tls>>, local: &Arc<Local>) {
    let Some(admission) = local.shared.limiter.admit(peer.ip()) else {
        return tracing::debug!(%peer, "too many connections");
    };
    if let Err(error) = stream.set_nodelay(true) {
        return tracing::debug!(%peer, %error, "the connection is gone");
    }
    let accepted = Accepted {
        peer,
        admission,
        local: Arc::clone(local),
    };
    match tls {
        None => local.tasks.spawn(accepted.serve(stream)),
        Some(tls) => local
            .tasks
            .spawn(accepted.serve_encrypted(stream, Arc::clone(tls))),
    };
}

/// Whether only the connection that was being accepted is affected.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_client_has_done_stops_no_thread() {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
        for kind in [ConnectionAborted, ConnectionRefused, ConnectionReset] {
            assert!(is_of_one_connection(&kind.into()));
        }
        // No descriptor is left (EMFILE).
        assert!(!is_of_one_connection(&io::Error::from_raw_os_error(24)));
    }
}
