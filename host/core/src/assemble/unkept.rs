//! Data that no volume keeps.

use crate::blueprint::{Blueprint, Note};
use crate::spec::VolumeMount;
use std::collections::BTreeMap;
use std::path::Path;

/// Remarks about folders that an image declares to hold data (`VOLUME` in its
/// Dockerfile) and that no volume of the app is mounted at: what is written there goes
/// with the container. `declared` are those folders by the image's reference.
pub fn unkept(blueprint: &Blueprint, declared: &BTreeMap<String, Vec<String>>) -> Vec<Note> {
    let mut notes = Vec::new();
    for container in blueprint.containers.values() {
        let folders = declared.get(container.image.reference());
        for folder in folders.into_iter().flatten() {
            let keeps = |mount: &VolumeMount| Path::new(folder).starts_with(&mount.path);
            if !container.mounts.iter().any(keeps) {
                notes.push(Note {
                    service: Some(container.name.clone()),
                    text: format!(
                        "what it writes to {folder} is lost with each new container: its image \
                         keeps data there, and no volume is mounted at it"
                    ),
                });
            }
        }
    }
    notes
}
