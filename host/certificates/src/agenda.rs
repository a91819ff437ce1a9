//! What is to be done for which names, and when.

use crate::certificate::Certificate;
use crate::schedule::Schedule;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::task::AbortHandle;

/// Something to do for names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Obtain a certificate, or renew it.
    Obtain,
    /// Ask its CA when it should be renewed.
    Poll,
    /// Remove all that the vault keeps.
    Remove,
}

/// Whether somebody wants names to have a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Nobody has said: found in the vault. Served, but not renewed.
    #[default]
    Unknown,
    Wanted,
    Forgotten,
}

/// What is known about names.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    pub(crate) wish: Wish,
    pub(crate) certificate: Option<Arc<Certificate>>,
    pub(crate) schedule: Schedule,
    /// What is being done right now.
    pub(crate) doing: Option<(Work, AbortHandle)>,
}

impl Entry {
    /// What is to be done next, and when. Nothing while something is being done.
    pub(crate) fn next(&self) -> Option<(SystemTime, Work)> {
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
