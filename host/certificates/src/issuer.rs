//! Keeps a certificate for every wanted set of names.
//!
//! Flow: what is in the vault is served; then, for ever, what is due is worked on,
//! and what came of it is served.
//!
//! Guarantees: for the same names one thing is done at a time; some names are worked
//! on at once, and slow ones do not keep others waiting beyond that; a certificate is
//! served until there is a better one, even after it has expired; the vault knows
//! everything before it is served.
//!
//! Assumes that nobody else writes to the vault, and a multi-threaded or current-thread
//! runtime of tokio that runs for as long as it does.

use crate::agenda::{Entry, Wish, Work};
use crate::attempt;
use crate::ca::Ca;
use crate::certificate::{Certificate, Record};
use crate::schedule::{Schedule, chance};
use crate::served::Served;
use crate::vault::{self, Kind, Vault};
use crate::work::{State, Workshop};
use crate::{Clock, Error, LocalCa, Names, Policy};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// How many sets of names are worked on at once with other CAs, and how many with the
/// local one, which needs no network.
const PARALLEL: usize = 8;
const PARALLEL_LOCAL: usize = 256;

/// When nothing is due, it is looked again after this.
const LONGEST_SLEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// Keeps a certificate for every wanted set of names. Dropping it ends the work; the
/// certificates are still served.
#[derive(Debug)]
pub struct Issuer {
    shared: Arc<Shared>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

/// How things stand with one set of names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateStatus {
    /// The names.
    pub names: Names,
    /// What is being done or waited for.
    pub phase: Phase,
    /// Who issued the certificate that is served.
    pub issuer: Option<String>,
    /// From when it is valid.
    pub not_before: Option<SystemTime>,
    /// Until when it is valid.
    pub not_after: Option<SystemTime>,
    /// When a certificate is asked for next.
    pub next_attempt: Option<SystemTime>,
    /// What went wrong since the last success.
    pub last_error: Option<String>,
}

/// What is being done or waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// There is no certificate; it is asked for at `next_attempt`.
    Missing,
    /// The first certificate is being asked for.
    Issuing,
    /// A valid certificate is served.
    Valid,
    /// A valid certificate is served and the next is being asked for.
    Renewing,
    /// The certificate has expired; another is being asked for, or will be.
    Expired,
}

#[derive(Debug)]
struct Shared {
    workshop: Workshop,
    entries: Mutex<BTreeMap<Names, Box<Entry>>>,
    changed: Notify,
}

impl Issuer {
    /// Serves what the vault holds, and begins to work on the caller's runtime. Only
    /// names that [`Self::want`] says are renewed.
    pub async fn start(
        policy: Policy,
        vault: Arc<dyn Vault>,
        certificates: Arc<Served>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let cas = policy
            .cas
            .iter()
            .map(|ca| {
                let (vault, clock) = (Arc::clone(&vault), Arc::clone(&clock));
                Ca::new(ca.clone(), &policy, vault, clock)
            })
            .collect();
        let local_ca = LocalCa::open(&*vault, clock.now()).await?;
        let entries = load(&*vault, &local_ca, clock.now()).await?;
        let shared = Arc::new(Shared {
            workshop: Workshop {
                cas,
                challenges: policy.challenges,
                local_ca,
                vault,
                certificates,
                clock,
            },
            entries: Mutex::new(entries),
            changed: Notify::new(),
        });
        shared.serve_all();
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(Arc::clone(&shared), stop.clone()));
        Ok(Self {
            shared,
            stop,
            task: Some(task),
        })
    }

    /// Sees to it that each of these sets has a certificate from now on. To say it again
    /// changes nothing.
    pub fn want(&self, sets: impl IntoIterator<Item = Names>) {
        let mut entries = self.shared.entries();
        let mut served = Vec::new();
        for names in sets {
            let entry = entries.entry(names.clone()).or_default();
            if std::mem::replace(&mut entry.wish, Wish::Wanted) != Wish::Wanted
                && let Some(certificate) = &entry.certificate
            {
                served.extend(certificate.by_name(&names));
            }
        }
        self.shared.workshop.certificates.serve(served);
        drop(entries);
        self.shared.changed.notify_one();
    }

    /// Serves these names no more, and removes their certificate and key. A name that
    /// is in another set keeps being served until that has a certificate.
    pub fn forget(&self, names: &Names) {
        let mut entries = self.shared.entries();
        let Some(entry) = entries.get_mut(names) else {
            return;
        };
        entry.wish = Wish::Forgotten;
        if let Some((work, abort)) = &entry.doing
            && *work != Work::Remove
        {
            abort.abort();
        }
        for name in names.iter() {
            let mut others = entries
                .iter()
                .filter(|(set, entry)| entry.wish != Wish::Forgotten && set.contains(name))
                .peekable();
            if others.peek().is_none() {
                self.shared.workshop.certificates.withdraw(name);
            } else if let Some((_, other)) = others.find(|(_, entry)| entry.certificate.is_some())
                && let Some(certificate) = &other.certificate
            {
                let served = Arc::clone(&certificate.served);
                self.shared.workshop.certificates.serve([(name, served)]);
            }
        }
        drop(entries);
        self.shared.changed.notify_one();
    }

    /// Renews these names no more. Their certificate is kept, so that whoever wants them
    /// again does not ask a CA for what there is.
    pub fn rest(&self, names: &Names) {
        if let Some(entry) = self.shared.entries().get_mut(names) {
            entry.wish = Wish::Unknown;
        }
    }

    /// Tries names again that have failed, now: somebody has put right what was wrong.
    /// The CAs' limits hold all the same.
    pub fn retry(&self, names: &Names) {
        if let Some(entry) = self.shared.entries().get_mut(names) {
            entry.schedule.failures = 0;
            entry.schedule.retry_at = None;
        }
        self.shared.changed.notify_one();
    }

    /// How things stand, in the order of the names.
    pub fn status(&self) -> Vec<CertificateStatus> {
        let now = self.shared.workshop.clock.now();
        self.shared
            .entries()
            .iter()
            .filter(|(_, entry)| entry.wish != Wish::Forgotten)
            .map(|(names, entry)| status(names, entry, now))
            .collect()
    }

    /// The CA for names that no public CA can serve.
    pub fn local_ca(&self) -> &LocalCa {
        &self.shared.workshop.local_ca
    }

    /// Ends the work. What was begun is gone on with at the next start.
    pub fn end(&self) {
        self.stop.cancel();
    }

    /// Ends the work and waits until it has ended. What was begun is gone on with at
    /// the next start.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            // Only a defect could end it otherwise, and that was logged.
            let _ = task.await;
        }
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What a piece of work leaves.
type Done = Result<(Id, State), JoinError>;

/// Starts what is due, for ever. All names are looked at only where something may have
/// become due, or where something that waits may begin.
async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut jobs = JoinSet::new();
    let mut running = Running::default();
    let mut agenda = shared.start_due(&mut jobs, &mut running);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(done) = jobs.join_next_with_id() => {
                let next = shared.finish(done, &mut running);
                agenda.wake = next.map_or(agenda.wake, |next| next.min(agenda.wake));
                if !agenda.may_begin(&running) {
                    continue;
                }
            }
            () = shared.changed.notified() => {}
            () = shared.workshop.clock.sleep_until(agenda.wake) => {}
        }
        agenda = shared.start_due(&mut jobs, &mut running);
    }
    jobs.shutdown().await;
}

/// What is being worked on.
#[derive(Debug, Default)]
struct Running {
    names: HashMap<Id, Names>,
    /// How many of them are the local CA's.
    local: usize,
}

impl Running {
    fn insert(&mut self, id: Id, names: Names) {
        self.local += usize::from(LocalCa::may_issue(&names));
        self.names.insert(id, names);
    }

    fn remove(&mut self, id: Id) -> Option<Names> {
        let names = self.names.remove(&id)?;
        self.local -= usize::from(LocalCa::may_issue(&names));
        Some(names)
    }

    fn public(&self) -> usize {
        self.names.len() - self.local
    }
}

/// What a look at all names has found.
#[derive(Debug)]
struct Agenda {
    /// When something becomes due that was not due yet.
    wake: SystemTime,
    /// Whether something is due that waits for others to end: of public names, of local
    /// ones.
    waits: bool,
    local_waits: bool,
}

impl Agenda {
    /// Whether it is worth to look again. Pieces of local work are short and many: half
    /// of them end before that.
    fn may_begin(&self, running: &Running) -> bool {
        (self.waits && running.public() < PARALLEL)
            || (self.local_waits && running.local <= PARALLEL_LOCAL / 2)
    }
}

impl Shared {
    /// Starts what is due: names without a certificate first, then by the time at
    /// which it became due, as many as may run at once.
    fn start_due(self: &Arc<Self>, jobs: &mut JoinSet<State>, running: &mut Running) -> Agenda {
        let now = self.workshop.clock.now();
        let mut entries = self.entries();
        let mut agenda = Agenda {
            wake: now + LONGEST_SLEEP,
            waits: false,
            local_waits: false,
        };
        let mut due = Vec::new();
        for (names, entry) in entries.iter() {
            match entry.next() {
                Some((time, work)) if time <= now => {
                    due.push((entry.certificate.is_some(), time, names, work));
                }
                Some((time, _)) => agenda.wake = time.min(agenda.wake),
                None => {}
            }
        }
        due.sort_by_key(|(has_certificate, time, ..)| (*has_certificate, *time));
        let mut free = PARALLEL.saturating_sub(running.public());
        let mut local_free = PARALLEL_LOCAL.saturating_sub(running.local);
        let mut chosen: Vec<(Names, Work)> = Vec::new();
        for (_, _, names, work) in due {
            let (free, waits) = if LocalCa::may_issue(names) {
                (&mut local_free, &mut agenda.local_waits)
            } else {
                (&mut free, &mut agenda.waits)
            };
            let mut others = running
                .names
                .values()
                .chain(chosen.iter().map(|(names, _)| names));
            if *free == 0 || others.any(|other| other.overlaps(names)) {
                *waits = true;
                continue;
            }
            *free -= 1;
            chosen.push((names.clone(), work));
        }
        for (names, work) in chosen {
            let Some(entry) = entries.get_mut(&names) else {
                continue;
            };
            let state = State {
                certificate: entry.certificate.clone(),
                schedule: entry.schedule.clone(),
            };
            let shared = Arc::clone(self);
            let of = names.clone();
            let abort = jobs.spawn(async move { shared.workshop.work(work, &of, state).await });
            running.insert(abort.id(), names);
            entry.doing = Some((work, abort));
        }
        agenda
    }

    /// Takes in what came of a piece of work, and says when there is something to do for
    /// its names next.
    fn finish(&self, done: Done, running: &mut Running) -> Option<SystemTime> {
        let id = match &done {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let names = running.remove(id)?;
        let mut entries = self.entries();
        let entry = entries.get_mut(&names)?;
        let (work, _) = entry.doing.take()?;
        match done {
            Ok((_, state)) => {
                let is_new = work == Work::Obtain && state.schedule.failures == 0;
                entry.certificate = state.certificate;
                entry.schedule = state.schedule;
                if work == Work::Remove && entry.wish == Wish::Forgotten {
                    entries.remove(&names);
                    return None;
                }
                if entry.wish == Wish::Wanted
                    && is_new
                    && let Some(certificate) = &entry.certificate
                {
                    let served = certificate.by_name(&names);
                    self.workshop.certificates.serve(served);
                }
            }
            // It was forgotten.
            Err(error) if error.is_cancelled() => {}
            Err(error) => {
                tracing::error!(%names, %error, "a defect ended an attempt");
                let error = Error::Defect(names.to_string()).to_string();
                let now = self.workshop.clock.now();
                entry.schedule = entry.schedule.failed(error, None, now, chance());
            }
        }
        entry.next().map(|(time, _)| time)
    }

    /// Serves all that is still valid, at once.
    fn serve_all(&self) {
        let now = self.workshop.clock.now();
        let entries = self.entries();
        let valid = entries.iter().flat_map(|(names, entry)| {
            let certificate = entry.certificate.iter().filter(|found| found.is_valid(now));
            certificate.flat_map(|found| found.by_name(names))
        });
        self.workshop.certificates.serve(valid);
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<Names, Box<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the vault knows of certificates and schedules. What cannot be used is obtained
/// again.
async fn load(
    vault: &dyn Vault,
    local_ca: &LocalCa,
    now: SystemTime,
) -> Result<BTreeMap<Names, Box<Entry>>, Error> {
    let mut entries: BTreeMap<Names, Box<Entry>> = BTreeMap::new();
    vault::each(vault, Kind::Certificate, |id, record: Record| {
        let parsed = Names::new(id.split(','))
            .and_then(|names| Ok((Certificate::parse(&names, record)?, names)));
        let (certificate, names) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                return tracing::warn!(error = error.in_full(), "a certificate in the vault");
            }
        };
        if certificate.directory.is_none() && !local_ca.has_issued(&certificate) {
            return;
        }
        let entry = entries.entry(names).or_default();
        // Stands until the schedule is read.
        entry.schedule =
            Schedule::issued(certificate.not_before, certificate.not_after, now, chance());
        entry.certificate = Some(Arc::new(certificate));
    })
    .await?;
    let served = |id: &str| {
        let entry = entries.get(&Names::new(id.split(',')).ok()?)?;
        let certificate = entry.certificate.as_ref()?;
        Some(Arc::clone(&certificate.served))
    };
    attempt::forget_finished(vault, served).await?;
    vault::each(vault, Kind::Schedule, |id, schedule: Schedule| {
        let Ok(names) = Names::new(id.split(',')) else {
            return;
        };
        let entry = entries.entry(names).or_default();
        if entry.certificate.is_none() || schedule.renew_at.is_some() {
            entry.schedule = schedule;
        }
    })
    .await?;
    Ok(entries)
}

fn status(names: &Names, entry: &Entry, now: SystemTime) -> CertificateStatus {
    let certificate = entry.certificate.as_deref();
    let is_obtaining = matches!(entry.doing, Some((Work::Obtain, _)));
    let phase = match certificate {
        None if is_obtaining => Phase::Issuing,
        None => Phase::Missing,
        Some(found) if !found.is_valid(now) => Phase::Expired,
        Some(_) if is_obtaining => Phase::Renewing,
        Some(_) => Phase::Valid,
    };
    let next = entry.schedule.attempt_at(certificate.is_some());
    CertificateStatus {
        names: names.clone(),
        phase,
        issuer: certificate.map(|found| found.issuer.to_string()),
        not_before: certificate.map(|found| found.not_before),
        not_after: certificate.map(|found| found.not_after),
        next_attempt: (entry.wish == Wish::Wanted && !is_obtaining).then(|| next.max(now)),
        last_error: entry.schedule.last_error.clone(),
    }
}
