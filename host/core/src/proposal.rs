//! From what a person wants and what there is to what would be done about it: the one way
//! from a manifest to a plan.
//!
//! Flow: a manifest, merged with what was set by hand and described by plugins
//! ([`Understood`]) × images × what is remembered and observed → [`blueprint`] → plan →
//! diff → digest.
//!
//! Owns every decision on that way. Whoever calls gathers what goes in, and carries out
//! what comes out; nobody else makes a blueprint, or adds to one that is made.

use crate::assemble::{self, Facts, Input, MainPorts, assemble, unkept};
use crate::blueprint::{Blueprint, Note, sha256_hex};
use crate::diff::{self, Diff};
use crate::dockerfile;
use crate::domain::host_names;
use crate::identity;
use crate::name::{AppName, Instance, ServiceName, VolumeName};
use crate::observed::Observed;
use crate::plan::Plan;
use crate::planner::{self, Context};
use crate::secret::SecretName;
use crate::source::Source;
use crate::spec::AppSpec;
use ipnet::Ipv4Net;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

mod fresh;
mod images;
mod rollback;
mod understood;

pub use fresh::{Fresh, LocalImage, Looked, Refresh, Said};
pub use images::{FoundImage, Images, MainImage, provide};
pub use rollback::{Rollback, rollback};
pub use understood::{Answer, Understood};

/// What it means that the engine has no init for containers.
const NO_INIT: &str = "its containers get no init: this engine has none (docker-init is \
     missing), so that a program which does not expect to be the first process may hear no \
     SIGTERM and leave zombies behind";

/// What a blueprint is made from.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The host's instance.
    pub instance: &'a Instance,
    /// What is wanted.
    pub understood: &'a Understood,
    /// What main is built from.
    pub source: &'a Source,
    /// The Dockerfile's text.
    pub dockerfile: &'a str,
    /// The Git commit of the source, if it has one.
    pub commit: Option<&'a str>,
    /// Where the app is reached, and the host name in that.
    pub address: (&'a str, &'a str),
    /// Subnet of the app's network.
    pub subnet: Ipv4Net,
    /// Revision of each secret's value.
    pub revisions: &'a BTreeMap<SecretName, u64>,
    /// The images that there are, or will be.
    pub images: &'a Images,
    /// Whether what runs goes on with the images that it has.
    pub keeps_images: bool,
    /// Number and blueprint of the current release.
    pub release: Option<(u64, &'a Blueprint)>,
    /// What exists of the app.
    pub observed: &'a Observed,
    /// What the engine can do.
    pub abilities: Abilities,
}

/// What an engine can do.
#[derive(Debug, Clone, Copy)]
pub struct Abilities {
    /// Whether it can limit the size of a container's writable layer.
    pub disk_limit: bool,
    /// Whether it has an init for containers.
    pub init: bool,
}

/// What is remembered of an app beside its release.
#[derive(Debug, Clone, Copy)]
pub struct Remembered<'a> {
    /// What the manifest that was applied last meant.
    pub manifest: Option<&'a AppSpec>,
    /// Containers that their owner stopped. A deploy starts them.
    pub stopped: &'a BTreeSet<ServiceName>,
    /// Containers that still owe a reload.
    pub reloads: &'a BTreeSet<ServiceName>,
    /// Volumes that were made for a release.
    pub made: &'a BTreeSet<VolumeName>,
    /// What the app ran that was removed and left volumes behind, if it had this name.
    pub left: Option<&'a Blueprint>,
}

/// What a deploy would do.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// What the app would be.
    pub blueprint: Blueprint,
    /// The steps to there.
    pub plan: Plan,
    /// What changes, for people. Holds no secret.
    pub diff: Diff,
    /// Whether there is anything to do at all.
    pub changes: bool,
    /// SHA-256 in hexadecimal of all of this: the same digest is the same deploy.
    pub digest: String,
}

/// What the removal of an app would do.
#[derive(Debug, Clone)]
pub struct Removal {
    /// The steps.
    pub plan: Plan,
    /// What changes, for people.
    pub diff: Diff,
    /// SHA-256 in hexadecimal of that.
    pub digest: String,
}

/// What a deploy would do; `notes` are remarks on what went in. Errors name everything
/// that keeps the app from having a blueprint.
pub fn propose(
    inputs: &Inputs<'_>,
    remembered: &Remembered<'_>,
    notes: Vec<Note>,
) -> Result<Proposal, Vec<assemble::Error>> {
    let next = blueprint(inputs)?;
    // What is known of its containers by now may be more than was written down.
    let previous = adopted(inputs);
    let previous = previous.as_ref();
    let observed = Observed {
        images: inputs.images.present.clone(),
        ..inputs.observed.clone()
    };
    let context = Context {
        stopped: &BTreeSet::new(),
        reloads: remembered.reloads,
        made: remembered.made,
    };
    let plan = planner::reach(previous, &next, &observed, &context);
    let merged = &inputs.understood.merged;
    let mut diff = diff::diff(previous, &next, &observed.containers, &plan)
        .with_merge(merged)
        .with_owed(remembered.reloads, &plan);
    if let (None, Some(left)) = (previous, remembered.left) {
        diff.notes.extend(diff::cautions(left, &next, &plan));
    }
    let is_same = previous == Some(&next)
        && remembered.manifest == Some(&inputs.understood.manifest.spec)
        && remembered.stopped.is_empty();
    let digest = digest(&(&next, &plan, &diff));
    // What was said on the way, such as by a registry that did not answer, is no part of
    // what is done.
    diff.notes.extend(notes);
    Ok(Proposal {
        changes: !plan.steps.is_empty() || !is_same,
        blueprint: next,
        plan,
        diff,
        digest,
    })
}

/// What the removal of an app would do. `last` is its current release's blueprint; `notes`
/// say what else becomes of it.
pub fn removal(
    app: &AppName,
    last: Option<&Blueprint>,
    observed: &Observed,
    notes: Vec<Note>,
) -> Removal {
    let plan = planner::removal(observed, last);
    let mut diff = diff::removal(app, last, observed, &plan);
    diff.notes.extend(notes);
    Removal {
        // Not of the steps: an old copy that is ending meanwhile makes no difference.
        digest: digest(&diff),
        plan,
        diff,
    }
}

/// The blueprint of the app: that of the current release where nothing but its number
/// would be another, else that of the next.
pub fn blueprint(inputs: &Inputs<'_>) -> Result<Blueprint, Vec<assemble::Error>> {
    let next = inputs.release.map_or(0, |(number, _)| number) + 1;
    let Some(previous) = adopted(inputs) else {
        return numbered(inputs, next);
    };
    // Where nothing names the number, it makes no difference.
    let number = previous.release.unwrap_or(next);
    let blueprint = numbered(inputs, number)?;
    if described_by(&blueprint, &previous) == previous {
        return Ok(previous);
    }
    match number == next {
        true => Ok(blueprint),
        false => numbered(inputs, next),
    }
}

/// A blueprint, with the components that described the containers of another: what a new
/// component says in the same words changes nothing.
fn described_by(blueprint: &Blueprint, other: &Blueprint) -> Blueprint {
    let mut blueprint = blueprint.clone();
    for (name, container) in &mut blueprint.containers {
        let described = other.containers.get(name);
        container.component = described.and_then(|other| other.component.clone());
    }
    blueprint
}

/// The current release's blueprint, with what is known of its images.
fn adopted(inputs: &Inputs<'_>) -> Option<Blueprint> {
    let (_, blueprint) = inputs.release?;
    Some(identity::adopted(blueprint, inputs.observed))
}

/// The blueprint of the app as the release of this number.
fn numbered(inputs: &Inputs<'_>, release: u64) -> Result<Blueprint, Vec<assemble::Error>> {
    let images = inputs.images;
    let understood = inputs.understood;
    let recipe = &inputs.source.recipe;
    let declared = dockerfile::declared(inputs.dockerfile, recipe.target.as_deref(), &recipe.args);
    // Some of the ports are no answer where others are not known.
    let written = match declared.all_ports {
        true => declared.ports,
        false => Vec::new(),
    };
    let facts = Facts {
        url: inputs.address.0.to_owned(),
        host: inputs.address.1.to_owned(),
        release,
        commit: inputs.commit.map(str::to_owned),
    };
    let mut blueprint = assemble(&Input {
        instance: inputs.instance,
        spec: &understood.merged.spec,
        descriptions: &understood.descriptions,
        plugin_names: &understood.plugin_names,
        images: &images.ports,
        source: inputs.source,
        main_image: images.main.as_ref().map(|main| main.reference.as_str()),
        main_ports: &main_ports(images, written),
        files: &understood.files,
        subnet: inputs.subnet,
        revisions: inputs.revisions,
        disk_limit: inputs.abilities.disk_limit,
        facts: &facts,
    })?;
    let none = BTreeMap::new();
    let found = match inputs.keeps_images {
        true => &none,
        false => &images.identities,
    };
    let previous = adopted(inputs);
    identity::identify(&mut blueprint, previous.as_ref(), found, inputs.observed);

    let mut volumes = images.volumes.clone();
    if let (None, Some(container)) = (&images.main, blueprint.containers.get(&ServiceName::main()))
    {
        // Those of its base image are known once it is built.
        volumes.insert(container.image.reference().to_owned(), declared.volumes);
    }
    let lost = unkept(&blueprint, &volumes);
    blueprint.notes.extend(lost);
    if !inputs.abilities.init {
        blueprint.notes.push(Note {
            service: None,
            text: NO_INIT.to_owned(),
        });
    }
    Ok(blueprint)
}

/// The ports that main exposes; `written` are those of the Dockerfile.
fn main_ports(images: &Images, written: Vec<u16>) -> MainPorts {
    let Some(main) = &images.main else {
        return match &images.ports_before {
            Some(before) if written.is_empty() => MainPorts::Expected(before.clone()),
            _ => MainPorts::Unbuilt(written),
        };
    };
    // What the base image exposes does not count beside the Dockerfile's own ports, which
    // were shown before the build.
    let are_exposed = written.iter().all(|port| main.ports.contains(port));
    match !written.is_empty() && are_exposed {
        true => MainPorts::Known(written),
        false => MainPorts::Known(main.ports.clone()),
    }
}

fn digest(of: &impl Serialize) -> String {
    let json = serde_json::to_vec(of).expect("a proposal has only string keys, so it serializes");
    sha256_hex(&json)
}

impl Understood {
    /// The app's name.
    pub fn app(&self) -> &AppName {
        &self.merged.spec.app
    }

    /// The domain by which visitors shall know the app: the first in the file.
    pub fn domain(&self) -> Option<&str> {
        self.merged.spec.domains.keys().next().map(String::as_str)
    }

    /// The host names that the app asks for beside its free one.
    pub fn domains(&self) -> crate::domain::Domains {
        host_names(&self.merged.spec.domains)
    }
}
