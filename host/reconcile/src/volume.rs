//! The volumes of an app, and those among them that are gone.

use crate::Error;
use crate::report::VolumeStatus;
use doprax_core::blueprint::Blueprint;
use doprax_core::name::{AppName, Instance, ServiceName, VolumeName};
use doprax_core::observed::Observed;
use doprax_core::planner::gone_volumes;
use doprax_engine::names;
use doprax_store::AppRecord;
use std::collections::{BTreeMap, BTreeSet};

/// Refuses to go on without a volume that some of these containers mount and that is
/// gone.
pub(crate) fn refuse_gone(
    instance: &Instance,
    record: &AppRecord,
    blueprint: &Blueprint,
    observed: &Observed,
    selected: Option<&BTreeSet<ServiceName>>,
) -> Result<(), Error> {
    let mut lacking = lacking(record, blueprint, observed);
    lacking.retain(|container, _| selected.is_none_or(|names| names.contains(container)));
    if lacking.is_empty() {
        return Ok(());
    }
    let volumes: BTreeSet<VolumeName> = lacking.values().cloned().collect();
    Err(Error::VolumeGone {
        app: record.name.clone(),
        containers: lacking.into_keys().collect(),
        volumes: volumes
            .into_iter()
            .map(|volume| {
                let name = names::volume(instance, &record.name, &volume);
                (volume, name)
            })
            .collect(),
    })
}

/// The containers of a blueprint that a volume is gone for, with the first such volume.
pub(crate) fn lacking(
    record: &AppRecord,
    blueprint: &Blueprint,
    observed: &Observed,
) -> BTreeMap<ServiceName, VolumeName> {
    let gone = gone_volumes(blueprint, observed, &record.made_volumes);
    let containers = blueprint.containers.values();
    containers
        .filter_map(|spec| {
            let mut mounted = spec.mounts.iter().map(|mount| &mount.name);
            let volume = mounted.find(|volume| gone.contains(volume))?;
            Some((spec.name.clone(), volume.clone()))
        })
        .collect()
}

/// The volumes of an app, those that are gone among them.
pub(crate) fn volumes_of(
    app: &AppName,
    record: Option<&AppRecord>,
    observed: &Observed,
) -> Vec<VolumeStatus> {
    let blueprint = record
        .and_then(|record| record.release.as_ref())
        .map(|release| &release.blueprint);
    let wanted = blueprint.into_iter().flat_map(|b| &b.volumes);
    let names: BTreeSet<&VolumeName> = observed.volumes.iter().chain(wanted).collect();
    names
        .into_iter()
        .map(|name| VolumeStatus {
            app: app.clone(),
            name: name.clone(),
            mounts: mounts(blueprint, name),
            gone: !observed.volumes.contains(name),
        })
        .collect()
}

/// Where containers of a blueprint mount a volume: `main:/app_data/static`.
pub(crate) fn mounts(blueprint: Option<&Blueprint>, volume: &VolumeName) -> Vec<String> {
    let containers = blueprint
        .into_iter()
        .flat_map(|blueprint| blueprint.containers.values());
    containers
        .flat_map(|container| {
            let mounts = container
                .mounts
                .iter()
                .filter(|mount| mount.name == *volume);
            mounts.map(|mount| format!("{}:{}", container.name, mount.path))
        })
        .collect()
}
