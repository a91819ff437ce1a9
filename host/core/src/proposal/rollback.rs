//! What a rollback would do: an earlier release's blueprint as it was, where the app is now.

use super::digest;
use crate::blueprint::{Blueprint, Container, Note};
use crate::caution::{Downgrade, downgrades};
use crate::diff::{self, Diff};
use crate::name::VolumeName;
use crate::observed::Observed;
use crate::plan::Plan;
use crate::planner::{self, Context};
use std::collections::BTreeSet;

/// What a rollback would do.
#[derive(Debug, Clone)]
pub struct Rollback {
    /// The steps.
    pub plan: Plan,
    /// What changes, for people. Holds no secret.
    pub diff: Diff,
    /// Services that would go back to an older version on the data of a newer one.
    pub downgrades: Vec<Downgrade>,
    /// SHA-256 in hexadecimal of steps and changes.
    pub digest: String,
}

/// What it would do to go from the blueprint of the current release to that of another.
pub fn rollback(
    current: &Blueprint,
    to: &Blueprint,
    observed: &Observed,
    context: &Context<'_>,
) -> Rollback {
    let plan = planner::reach(Some(current), to, observed, context);
    let mut diff = diff::diff(Some(current), to, &observed.containers, &plan)
        .with_owed(context.reloads, &plan);
    diff.notes.extend(same_tag(current, to));
    let made: BTreeSet<&VolumeName> = observed.volumes.iter().collect();
    Rollback {
        digest: digest(&(to, &plan, &diff)),
        downgrades: downgrades(current, to, &made),
        plan,
        diff,
    }
}

/// What to know of services with volumes that go back to another image of the same tag.
fn same_tag(current: &Blueprint, to: &Blueprint) -> Vec<Note> {
    let containers = to.containers.values();
    let goes_back = containers.filter(|after| {
        let before = current.containers.get(&after.name);
        let id = |container: &Container| {
            let identity = container.identity.as_ref();
            identity.map(|identity| identity.id.clone())
        };
        after.plugin.is_some()
            && !after.mounts.is_empty()
            && before.is_some_and(|before| {
                before.image.reference() == after.image.reference() && id(before) != id(after)
            })
    });
    goes_back
        .map(|container| Note {
            service: Some(container.name.clone()),
            text: format!(
                "goes back to what {} was; whether that is an older version, the tag does not \
                 say, and its volumes stay as they are: make sure that it can read the data",
                container.image.reference()
            ),
        })
        .collect()
}
