//! What a person should know before a service goes on with data that it made under other
//! conditions. Knows no kind of service: a service with a volume may be a database.

use crate::blueprint::{Blueprint, Container, Env, Note, Stage};
use crate::manifest::CONTAINER_PLUGIN;
use crate::name::{ServiceName, VolumeName};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

/// The cautions on the way from `previous` to `next`, where the volumes `made` exist.
pub fn cautions(previous: &Blueprint, next: &Blueprint, made: &BTreeSet<&VolumeName>) -> Vec<Note> {
    let mut notes = Vec::new();
    for (name, after) in &next.containers {
        let Some(before) = previous.containers.get(name) else {
            continue;
        };
        let Some(volume) = kept_volume(before, after, made) else {
            continue;
        };
        let revisions = |blueprint: &Blueprint, env: &Env| -> Vec<Option<u64>> {
            let secrets = env.value.secrets();
            secrets
                .map(|secret| blueprint.revisions.get(secret).copied())
                .collect()
        };
        let is_changed = |before: &Env, after: &Env| {
            before.value != after.value || revisions(previous, before) != revisions(next, after)
        };
        let (mut changed, mut new) = (Vec::new(), Vec::new());
        for (variable, env) in after.env.iter().filter(|(name, _)| is_first(after, name)) {
            match before.env.get(variable) {
                Some(before) if is_changed(before, env) => changed.push(variable.as_str()),
                Some(_) => {}
                None => new.push(variable.as_str()),
            }
        }
        let mut note = |text: String| {
            notes.push(Note {
                service: Some(ServiceName::clone(name)),
                text,
            });
        };
        if !changed.is_empty() {
            note(format!(
                "{} changes, and volume {volume} has data that was made with the value before: \
                 images like this one look at it only where they find no data. Change it inside \
                 the service too, or keep the old value",
                changed.join(", ")
            ));
        }
        if !new.is_empty() {
            note(format!(
                "{} is new, and volume {volume} has data already: images like this one look at \
                 it only where they find no data. Do inside the service what it should do",
                new.join(", ")
            ));
        }
        if let Some(text) = other_version(before, after, volume) {
            note(text);
        }
    }
    notes
}

/// A service that goes back to an older version on the data that a newer one has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downgrade {
    /// The service.
    pub service: ServiceName,
    /// Its tag.
    pub from: String,
    /// The tag that it goes back to.
    pub to: String,
    /// A volume with its data.
    pub volume: VolumeName,
}

impl fmt::Display for Downgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} from {} back to {} on the data in volume {}",
            self.service, self.from, self.to, self.volume
        )
    }
}

/// The services that go back to an older version on the way from `previous` to `next`, where
/// the volumes `made` exist. A proxy, which only reads what others write, is none of them.
pub fn downgrades(
    previous: &Blueprint,
    next: &Blueprint,
    made: &BTreeSet<&VolumeName>,
) -> Vec<Downgrade> {
    let containers = next.containers.values();
    let downgrade = |after: &Container| {
        let before = previous.containers.get(&after.name)?;
        let volume = kept_volume(before, after, made)?;
        let (old_image, from) = name_and_tag(before.image.reference());
        let (new_image, to) = name_and_tag(after.image.reference());
        let goes_back = old_image == new_image && order(from, to) == Some(Ordering::Less);
        (goes_back && after.stage != Stage::Front).then(|| Downgrade {
            service: after.name.clone(),
            from: from.to_owned(),
            to: to.to_owned(),
            volume: volume.clone(),
        })
    };
    containers.filter_map(downgrade).collect()
}

/// How the version that the tag `new` tells compares to that of `old`, as far as both tell
/// it; nothing where one tells none.
fn order(old: &str, new: &str) -> Option<Ordering> {
    let (old, new) = (version(old)?, version(new)?);
    let digits = old.len().min(new.len());
    Some(new[..digits].cmp(&old[..digits]))
}

/// A volume that a service keeps, and that exists.
fn kept_volume<'a>(
    before: &Container,
    after: &'a Container,
    made: &BTreeSet<&VolumeName>,
) -> Option<&'a VolumeName> {
    // What main does with its own data, its author knows.
    after.plugin.as_ref()?;
    let had = |volume: &VolumeName| before.mounts.iter().any(|mount| mount.name == *volume);
    let mut volumes = after.mounts.iter().map(|mount| &mount.name);
    volumes.find(|volume| made.contains(volume) && had(volume))
}

/// Whether the value of a variable counts only when a service makes its data: accounts,
/// passwords and databases, as their names tell.
fn is_first(container: &Container, name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let is_account = name.contains("PASSWORD")
        || name.contains("INITDB")
        || ["_USER", "_USERNAME", "_DATABASE", "_DB"]
            .iter()
            .any(|end| name.ends_with(end));
    // Of any image, only what bears the image's name is its own, and not that of a service
    // that it logs in to.
    let is_own = container.plugin.as_deref() != Some(CONTAINER_PLUGIN) || {
        let (image, _) = name_and_tag(container.image.reference());
        let first = name.split('_').next().unwrap_or_default();
        image.to_ascii_uppercase().contains(first)
    };
    is_account && is_own
}

fn other_version(before: &Container, after: &Container, volume: &VolumeName) -> Option<String> {
    let (old, new) = (before.image.reference(), after.image.reference());
    if old == new {
        return other_image(before, after, volume);
    }
    let ((old_image, old_tag), (new_image, new_tag)) = (name_and_tag(old), name_and_tag(new));
    if old_image != new_image {
        return Some(format!(
            "runs {new} instead of {old} on the data in volume {volume}: make sure that it can \
             read it, and make a copy first"
        ));
    }
    if old_tag == new_tag {
        return other_image(before, after, volume);
    }
    let (Some(old), Some(new)) = (version(old_tag), version(new_tag)) else {
        return Some(format!(
            "goes from {old_tag} to {new_tag} on the data in volume {volume}; whether that is \
             another major version, the tags do not say: make sure that it can read the data, \
             and make a copy first"
        ));
    };
    let digits = old.len().min(new.len());
    match new[..digits].cmp(&old[..digits]) {
        Ordering::Less => Some(format!(
            "goes back from {old_tag} to {new_tag} on the data in volume {volume}: an older \
             version as a rule cannot read what a newer one wrote, and does not start. Keep to \
             {old_tag}, or give it a volume of another name"
        )),
        Ordering::Greater if new[0] != old[0] => Some(format!(
            "goes from {old_tag} to {new_tag}, another major version, on the data in volume \
             {volume}: it may not read the data without steps in between, and there may be no \
             way back. Read its upgrade notes, and make a copy first"
        )),
        _ => None,
    }
}

/// The same tag that means another image by now. One with a version in it moves within that
/// version; of others nobody can say how far.
fn other_image(before: &Container, after: &Container, volume: &VolumeName) -> Option<String> {
    let (_, tag) = name_and_tag(after.image.reference());
    let (old, new) = (before.identity.as_ref()?, after.identity.as_ref()?);
    let is_same = old.id == new.id || (old.digest.is_some() && old.digest == new.digest);
    if is_same || version(tag).is_some() {
        return None;
    }
    let other = match after.image.reference().contains('@') {
        true => "runs another image".to_owned(),
        false => format!("runs another image by the same tag {tag}"),
    };
    Some(format!(
        "{other} on the data in volume {volume}; whether that is another major version, \
         nothing here says: make sure that it can read the data, and make a copy first. A tag \
         such as 8.4 stays within its version"
    ))
}

/// The last part of an image's name, and its tag, without the digest.
fn name_and_tag(reference: &str) -> (&str, &str) {
    let reference = reference.split('@').next().unwrap_or_default();
    let last = reference.rsplit('/').next().unwrap_or_default();
    last.split_once(':').unwrap_or((last, "latest"))
}

/// The numbers at the beginning of a tag: `8.4-oracle` is 8, 4.
fn version(tag: &str) -> Option<Vec<u64>> {
    let tag = tag.strip_prefix('v').unwrap_or(tag);
    let end = tag.find(|c: char| !c.is_ascii_digit() && c != '.');
    let numbers = tag[..end.unwrap_or(tag.len())].trim_matches('.').split('.');
    numbers.map(|number| number.parse().ok()).collect()
}
