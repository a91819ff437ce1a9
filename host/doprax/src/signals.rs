//! What the host is asked by signals.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that the host heeds.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    upgrade: Signal,
}

impl Signals {
    /// Heeds them from now on.
    pub(crate) fn watch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            upgrade: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::End,
            _ = self.interrupt.recv() => Asked::End,
            _ = self.upgrade.recv() => Asked::Upgrade,
        }
    }

    /// Waits for one that asks for the end.
    pub(crate) async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To end (SIGTERM, SIGINT).
    End,
    /// To let the program that is installed now take over (SIGUSR2).
    Upgrade,
}
