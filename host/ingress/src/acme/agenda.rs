//! What is to be done for which names, and when.

use super::certificate::Certificate;
use super::schedule::Schedule;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::task::AbortHandle;

/// Something to do for names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Obtain a certificate, or renew it.
    Obtain,
    /// Ask its CA when it should be renewed.
    Poll,
    /// Remove all that the vault keeps.
    Remove,
}

/// Whether somebody wants names to have a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nobody has said: found in the vault. Served, but not renewed.
    #[default]
    Unknown,
    Wanted,
    Forgotten,
}

/// What is known about names.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) wish: Wish,
    pub(super) certificate: Option<Arc<Certificate>>,
    pub(super) schedule: Schedule,
    /// What is being done right now.
    pub(super) doing: Option<(Work, AbortHandle)>,
}

impl Entry {
    /// What is to be done next, and when. Nothing while something is being done.
    pub(super) fn next(&self) -> Option<(SystemTime, Work)> {
        if self.doing.is_some() {
            return None;
        }
        match self.wish {
            Wish::Unknown => None,
            Wish::Forgotten => Some((SystemTime::UNIX_EPOCH, Work::Remove)),
            Wish::Wanted => {
                let obtain = self.schedule.attempt_at(self.certificate.is_some());
                match self.poll_at() {
                    Some(poll) if poll < obtain => Some((poll, Work::Poll)),
                    _ => Some((obtain, Work::Obtain)),
                }
            }
        }
    }

    /// The local CA suggests nothing.
    fn poll_at(&self) -> Option<SystemTime> {
        let certificate = self.certificate.as_ref()?;
        certificate.directory.as_ref().and(self.schedule.poll_at)
    }
}
