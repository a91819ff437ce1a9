//! A plan in the making.

use super::runs;
use crate::blueprint::Container;
use crate::copy::CopyName;
use crate::name::ServiceName;
use crate::observed::ObservedContainer;
use crate::plan::{Act, Plan, PlannedStep, Step};

/// Steps so far. Each method adds one and returns its index.
#[derive(Default)]
pub(super) struct Draft {
    steps: Vec<PlannedStep>,
}

impl Draft {
    pub(super) fn step(&mut self, step: Step, after: &[usize]) -> usize {
        let mut after = after.to_vec();
        after.sort_unstable();
        after.dedup();
        self.steps.push(PlannedStep { step, after });
        self.steps.len() - 1
    }

    pub(super) fn act(&mut self, act: Act, after: &[usize]) -> usize {
        self.step(Step::Engine(act), after)
    }

    pub(super) fn create(
        &mut self,
        container: &CopyName,
        hash: &str,
        spec: &Container,
        after: &[usize],
    ) -> usize {
        let act = Act::CreateContainer {
            container: container.clone(),
            hash: hash.to_owned(),
            spec: Box::new(spec.clone()),
        };
        self.act(act, after)
    }

    /// Sets the limits of a container to those that it shall have.
    pub(super) fn limit(
        &mut self,
        container: &CopyName,
        spec: &Container,
        after: &[usize],
    ) -> usize {
        self.act(
            Act::UpdateContainer {
                container: container.clone(),
                resources: spec.resources,
            },
            after,
        )
    }

    pub(super) fn connect(
        &mut self,
        container: &CopyName,
        spec: &Container,
        after: &[usize],
    ) -> usize {
        let act = Act::ConnectContainer {
            container: container.clone(),
            aliases: spec.aliases.clone(),
        };
        self.act(act, after)
    }

    pub(super) fn start(&mut self, container: &CopyName, after: &[usize]) -> usize {
        self.act(
            Act::StartContainer {
                container: container.clone(),
            },
            after,
        )
    }

    pub(super) fn await_ready(
        &mut self,
        service: &ServiceName,
        container: &CopyName,
        after: &[usize],
    ) -> usize {
        let step = Step::AwaitReady {
            service: service.clone(),
            container: container.clone(),
        };
        self.step(step, after)
    }

    pub(super) fn settle(
        &mut self,
        service: &ServiceName,
        container: &CopyName,
        ms: u32,
        after: &[usize],
    ) -> usize {
        let step = Step::Settle {
            service: service.clone(),
            container: container.clone(),
            ms,
        };
        self.step(step, after)
    }

    pub(super) fn rename(&mut self, from: &CopyName, to: &CopyName, after: &[usize]) -> usize {
        self.act(
            Act::RenameContainer {
                from: from.clone(),
                to: to.clone(),
            },
            after,
        )
    }

    pub(super) fn stop(&mut self, container: &CopyName, grace_ms: u32, after: &[usize]) -> usize {
        self.act(
            Act::StopContainer {
                container: container.clone(),
                grace_ms,
            },
            after,
        )
    }

    pub(super) fn remove(&mut self, container: &CopyName, after: &[usize]) -> usize {
        self.act(
            Act::RemoveContainer {
                container: container.clone(),
            },
            after,
        )
    }

    /// Stops a container where it runs, and removes it under the name it has then.
    pub(super) fn end(
        &mut self,
        container: &ObservedContainer,
        name: &CopyName,
        grace_ms: u32,
        after: &[usize],
    ) -> usize {
        if runs(container.state) {
            let stop = self.stop(name, grace_ms, after);
            self.remove(name, &[stop])
        } else {
            self.remove(name, after)
        }
    }

    pub(super) fn finish(self) -> Plan {
        Plan { steps: self.steps }
    }
}
