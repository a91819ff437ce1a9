//! An engine that keeps everything in memory, for tests: it does what Docker does,
//! as far as a host can tell, and fails when told to.
//!
//! It is no mock: nothing is scripted but faults. The tests under `tests/engine`
//! hold it to the same expectations as the real engine.

use crate::{
    Engine, Error, Examination, Exec, ExecSession, Facts, ImageFacts, Inputs, LogRequest, Outcome,
    Output, Progress, Usage,
};
use async_trait::async_trait;
use doprax_core::copy::CopyName;
use doprax_core::name::{AppName, Instance, VolumeName};
use doprax_core::observed::{Observed, ObservedContainer};
use doprax_core::plan::Act;
use doprax_core::release::Kept;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use ipnet::Ipv4Net;
use state::State;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, watch};

mod build;
mod command;
mod image;
mod serve;
mod state;

pub use image::FakeImage;
pub use state::{ByHand, Looks};

const ADDRESS: &str = "fake://engine";

/// How an act fails that was told to, or is the last of its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not done.
    Before,
    /// It is done, and the answer is lost.
    After,
}

/// An engine in memory. Clones are the same engine.
#[derive(Clone)]
pub struct Fake {
    state: Arc<Mutex<State>>,
    hints: broadcast::Sender<AppName>,
    /// Changes with every change of the state.
    changed: watch::Sender<u64>,
}

impl Fake {
    /// An engine without anything on it.
    pub fn new(instance: Instance) -> Self {
        Self {
            state: Arc::new(Mutex::new(State::new(instance))),
            hints: broadcast::channel(1024).0,
            changed: watch::channel(0).0,
        }
    }

    /// Gives the engine an image.
    pub fn add_image(&self, reference: &str, image: FakeImage) {
        self.state().images.insert(reference.to_owned(), image);
    }

    /// Lets a registry have an image, for a pull.
    pub fn publish_image(&self, reference: &str, image: FakeImage) {
        self.state().registry.insert(reference.to_owned(), image);
    }

    /// The `n`-th act from now fails; 1 is the next.
    pub fn fail_act(&self, n: usize, fault: Fault) {
        let mut state = self.state();
        let act = state.acts.len() + n;
        state.faults.insert(act, fault);
    }

    /// From before or after the `n`-th act from now on, 1 being the next, the engine does
    /// nothing more of what it is asked to do and does not say so, as if its client were
    /// dead.
    pub fn hold_act(&self, n: usize, fault: Fault) {
        let mut state = self.state();
        state.hold = Some((state.acts.len() + n, fault));
    }

    /// Waits until it has come to the act that was to be the last.
    pub async fn held(&self) {
        let mut changed = self.changed.subscribe();
        while !self.state().is_over {
            // The sender is in this very value.
            let _ = changed.changed().await;
        }
    }

    /// Does acts again, but none of those that were asked for meanwhile.
    pub fn let_go(&self) {
        let mut state = self.state();
        (state.hold, state.held, state.is_over) = (None, false, false);
    }

    /// Addresses for networks that no other engine in memory on this machine gives away,
    /// of the loopback network: there the ports of containers can be dialled.
    pub fn pool(&self) -> Ipv4Net {
        self.state().pool()
    }

    /// While away, the engine answers nothing; what runs goes on running.
    pub fn set_away(&self, away: bool) {
        self.state().away = away;
        self.touch();
    }

    /// From now on nobody is told that anything has changed.
    pub fn lose_hints(&self) {
        self.state().is_mute = true;
    }

    /// From now on lists alone say enough of every process that runs, however new it is.
    pub fn take_processes_for_steady(&self) {
        self.state().young_ms = 0;
    }

    /// How often it was asked what exists.
    pub fn looks(&self) -> Looks {
        self.state().looks
    }

    /// Every act that was tried, in order.
    pub fn acts(&self) -> Vec<Act> {
        self.state().acts.clone()
    }

    /// A container's process ends with 1, and the engine starts it again.
    pub fn crash(&self, container: &str) {
        let app = self.state().crash(container);
        self.hint(app);
    }

    /// A container's process ends with 1, and at once at each start from now on.
    pub fn crash_on(&self, container: &str) {
        let app = self.state().crash_on(container);
        self.hint(app);
    }

    /// Someone changes a container by hand.
    pub fn by_hand(&self, container: &str, change: ByHand) {
        let app = self.state().change(container, change);
        self.hint(app);
    }

    /// The next requests to a container, so many of them, are answered with 503.
    pub fn fail_requests(&self, container: &str, next: usize) {
        if let Some(found) = self.state().containers.get(container) {
            found.requests.fail(next);
        }
    }

    /// How many requests a container has answered, well or not.
    pub fn requests(&self, container: &str) -> usize {
        let state = self.state();
        let found = state.containers.get(container);
        found.map_or(0, |found| found.requests.answered())
    }

    /// Takes a reference from an image. One that nothing else refers to is gone.
    pub fn lose_image(&self, reference: &str) {
        self.state().images.remove(reference);
    }

    /// Whether the engine has an image of this reference or id.
    pub fn has_image(&self, name: &str) -> bool {
        self.state().image(name).is_some()
    }

    /// No registry gives anything out any more.
    pub fn lose_registry(&self) {
        self.state().registry.clear();
    }

    /// Someone takes an app's network away by hand.
    pub fn lose_network(&self, app: &AppName) {
        self.state().lose_network(app);
        self.hint(Some(app.clone()));
    }

    /// Someone removes a volume, and before it the containers that have it.
    pub fn lose_volume(&self, app: &AppName, volume: &VolumeName) {
        self.state().lose_volume(app, volume);
        self.hint(Some(app.clone()));
    }

    /// Someone makes an app's volume by its engine's name: no list has it as the app's.
    pub fn bring_back_volume(&self, app: &AppName, volume: &VolumeName) {
        let volume = (app.clone(), volume.clone());
        self.state().unlisted_volumes.insert(volume);
    }

    /// Somebody else's network takes a subnet.
    pub fn take_subnet(&self, subnet: Ipv4Net) {
        self.state().foreign.push(subnet);
    }

    /// A container prints a line.
    pub fn print(&self, container: &str, line: &str) {
        self.state().print(container, line);
        self.touch();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, if the engine is there.
    fn reached(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.state();
        if state.away {
            let source = Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
            return Err(Error::Unreachable {
                address: ADDRESS.to_owned(),
                source,
            });
        }
        Ok(state)
    }

    /// Tells who waits for it that the last act is over.
    async fn answer_no_more<T>(&self) -> T {
        self.state().is_over = true;
        self.touch();
        std::future::pending().await
    }

    /// Ends the process of a container that has just started when its image says so.
    fn end_by_itself(&self, container: &str) {
        let Some((time, id, started_ms)) = self.state().end_of(container) else {
            return;
        };
        let engine = self.clone();
        serve::SERVERS.spawn(async move {
            tokio::time::sleep(time).await;
            // It waits for the container's own server, which is a task as this is one.
            tokio::task::spawn_blocking(move || {
                let app = engine.state().begin_to_crash(&id, started_ms);
                engine.hint(app);
            });
        });
    }

    fn touch(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    fn hint(&self, app: Option<AppName>) {
        self.touch();
        if let (Some(app), false) = (app, self.state().is_mute) {
            // Nobody has to listen.
            let _ = self.hints.send(app);
        }
    }
}

/// An error that a test asked for.
#[derive(Debug, thiserror::Error)]
#[error("a test wanted this act to fail")]
struct Wanted;

fn wanted() -> Error {
    Error::Failed {
        action: "act".to_owned(),
        source: Box::new(Wanted),
    }
}

#[async_trait]
impl Engine for Fake {
    async fn facts(&self) -> Result<Facts, Error> {
        drop(self.reached()?);
        Ok(Facts {
            version: "fake".to_owned(),
            api_version: "1.41".to_owned(),
            system: "memory".to_owned(),
            buildkit: true,
            disk_limit: false,
            memory_limit: true,
            cpu_limit: true,
            pids_limit: true,
            init: true,
        })
    }

    async fn observe(&self, app: &AppName) -> Result<Observed, Error> {
        let mut state = self.reached()?;
        state.looks.single += 1;
        Ok(state.observe(Some(app)).remove(app).unwrap_or_default())
    }

    async fn observe_all(&self) -> Result<BTreeMap<AppName, Observed>, Error> {
        let mut state = self.reached()?;
        state.looks.all += 1;
        Ok(state.observe(None))
    }

    fn name_of(&self, app: &AppName, copy: &CopyName) -> String {
        self.state().name_of(app, copy)
    }

    async fn container(
        &self,
        app: &AppName,
        copy: &CopyName,
    ) -> Result<Option<ObservedContainer>, Error> {
        let mut state = self.reached()?;
        state.looks.single += 1;
        let name = state.name_of(app, copy);
        Ok(state.observed_container(&name))
    }

    async fn apply(
        &self,
        app: &AppName,
        act: &Act,
        inputs: &Inputs,
        progress: &Progress,
    ) -> Result<Outcome, Error> {
        let (fault, hold, held) = {
            let mut state = self.reached()?;
            state.acts.push(act.clone());
            let number = state.acts.len();
            let hold = state.hold.filter(|(at, _)| *at == number);
            state.held |= hold.is_some();
            (state.faults.remove(&number), hold, state.held)
        };
        let last = hold.is_some_and(|(_, fault)| fault == Fault::After);
        if held && !last {
            return self.answer_no_more().await;
        }
        if fault == Some(Fault::Before) {
            return Err(wanted());
        }
        let outcome = self.reached()?.apply(app, act, inputs, progress)?;
        if let Act::StartContainer { container } | Act::RestartContainer { container, .. } = act {
            self.end_by_itself(&self.name_of(app, container));
        }
        self.hint(Some(app.clone()));
        if last {
            return self.answer_no_more().await;
        }
        if fault == Some(Fault::After) {
            Err(wanted())
        } else {
            Ok(outcome)
        }
    }

    async fn has_volume(&self, app: &AppName, volume: &VolumeName) -> Result<bool, Error> {
        Ok(self.reached()?.has_volume(app, volume))
    }

    async fn remove_volume(&self, app: &AppName, volume: &VolumeName) -> Result<Outcome, Error> {
        self.reached()?.remove_volume(app, volume)
    }

    async fn image(&self, reference: &str) -> Result<Option<ImageFacts>, Error> {
        Ok(self.reached()?.image(reference).map(FakeImage::facts))
    }

    /// Containers in memory have no insides.
    async fn examine(&self, _container: &str) -> Result<Examination, Error> {
        self.reached().map(|_| Examination::default())
    }

    async fn files_at(
        &self,
        _app: &AppName,
        image: &str,
        paths: &[String],
    ) -> Result<BTreeSet<String>, Error> {
        let state = self.reached()?;
        let image = state.images.get(image);
        let is_file = |path: &&String| image.is_some_and(|image| image.files.contains(*path));
        Ok(paths.iter().filter(is_file).cloned().collect())
    }

    async fn registry_digest(&self, reference: &str) -> Result<Option<String>, Error> {
        let state = self.reached()?;
        let found = state.registry.get(reference).map(FakeImage::facts);
        Ok(found.and_then(|facts| facts.digests.into_iter().next()))
    }

    async fn keep_image(&self, app: &AppName, id: &str) -> Result<(), Error> {
        self.reached()?.keep_image(app, id);
        Ok(())
    }

    async fn prune_images(&self, app: &AppName, keep: &Kept) -> Result<(), Error> {
        self.reached()?.prune_images(app, keep);
        Ok(())
    }

    async fn build_cache(&self) -> Result<u64, Error> {
        Ok(self.reached()?.build_cache)
    }

    async fn prune_build_cache(&self, keep: u64) -> Result<u64, Error> {
        let mut state = self.reached()?;
        let removed = state.build_cache.saturating_sub(keep);
        state.build_cache -= removed;
        Ok(removed)
    }

    async fn exec(&self, container: &str, exec: &Exec) -> Result<ExecSession, Error> {
        let (id, command) = self.reached()?.exec(container, exec)?;
        let state = Arc::clone(&self.state);
        let ended = id.clone();
        Ok(command.start(id, move |code| {
            state
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .exit_codes
                .insert(ended, code);
        }))
    }

    async fn exec_resize(&self, _id: &str, _columns: u16, _rows: u16) -> Result<(), Error> {
        self.reached().map(drop)
    }

    async fn exec_exit_code(&self, id: &str) -> Result<i64, Error> {
        let code = self.reached()?.exit_codes.get(id).copied();
        code.ok_or_else(|| Error::NoContainer {
            container: id.to_owned(),
        })
    }

    async fn logs(
        &self,
        container: &str,
        request: LogRequest,
    ) -> Result<BoxStream<'static, Result<Output, Error>>, Error> {
        let (id, lines) = self.reached()?.log(container, request)?;
        let printed = futures_util::stream::iter(lines.lines.into_iter().map(Ok));
        if !request.follow {
            return Ok(printed.boxed());
        }
        let (engine, changed) = (self.clone(), self.changed.subscribe());
        let new = futures_util::stream::unfold(
            (engine, changed, id, lines.next),
            move |(engine, mut changed, id, next)| async move {
                loop {
                    changed.borrow_and_update();
                    let line = engine.state().line(&id, next, request.timestamps)?;
                    if let Some(line) = line {
                        return Some((Ok(line), (engine, changed, id, next + 1)));
                    }
                    changed.changed().await.ok()?;
                }
            },
        );
        Ok(printed.chain(new).boxed())
    }

    async fn usage(&self, container: &str) -> Result<Usage, Error> {
        self.reached()?.usage(container)
    }

    async fn subnets(&self) -> Result<Vec<Ipv4Net>, Error> {
        let state = self.reached()?;
        let all = state.networks.values().chain(&state.foreign);
        Ok(all.copied().collect())
    }

    async fn hints(&self) -> Result<BoxStream<'static, AppName>, Error> {
        drop(self.reached()?);
        let (hints, changed) = (self.hints.subscribe(), self.changed.subscribe());
        let hints = futures_util::stream::unfold(
            (self.clone(), hints, changed),
            async move |(engine, mut hints, mut changed)| {
                loop {
                    if engine.state().away {
                        return None;
                    }
                    tokio::select! {
                        hint = hints.recv() => match hint {
                            Ok(app) => return Some((app, (engine, hints, changed))),
                            // Hints can be lost.
                            Err(broadcast::error::RecvError::Lagged(_)) => {}
                            Err(broadcast::error::RecvError::Closed) => return None,
                        },
                        _ = changed.changed() => {}
                    }
                }
            },
        );
        Ok(hints.boxed())
    }
}
