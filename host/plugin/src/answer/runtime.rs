//! How the process of a service runs, beyond what its image says.

use crate::bindings::plugin::exports::doprax::plugin::service as wit;
use crate::contract_name;
use crate::reason::{At as _, Reason, Wrong, each};
use crate::value::{excerpt, path, range, unique, word};
use doprax_core::blueprint::{Runtime, Tmpfs, is_within};
use doprax_core::service::{FileTemplate, VolumeDefault};
use std::collections::{BTreeMap, BTreeSet};

/// What a plugin asks for.
pub(super) struct Asked {
    pub(super) working_directory: Option<String>,
    pub(super) groups: Vec<String>,
    pub(super) tmpfs: Vec<wit::Tmpfs>,
    pub(super) sysctls: Vec<wit::Sysctl>,
    pub(super) read_only_root: bool,
    pub(super) read_only: BTreeSet<String>,
    pub(super) owners: BTreeMap<String, String>,
}

/// How the process runs, checked. Nothing of `files` and `volumes` is hidden by a folder in
/// memory.
pub(super) fn runtime(
    asked: Asked,
    files: &[FileTemplate],
    volumes: &[VolumeDefault],
) -> Result<Runtime, Wrong> {
    let groups = each("groups", asked.groups, word)?;
    unique(groups.iter().map(String::as_str)).at(|| "groups".to_owned())?;
    let files = files.iter().map(|file| file.path.as_str());
    let there = files.chain(volumes.iter().map(|volume| volume.path.as_str()));
    let there: Vec<&str> = there.collect();
    let tmpfs = each("tmpfs", asked.tmpfs, |folder| tmpfs(folder, &there))?;
    unique(tmpfs.iter().map(|(path, _)| path.as_str())).at(|| "tmpfs".to_owned())?;
    let sysctls = each("sysctls", asked.sysctls, |sysctl| {
        let name = contract_name::sysctl(sysctl.name).to_owned();
        Ok((name, numbers(sysctl.value)?))
    })?;
    unique(sysctls.iter().map(|(name, _)| name.as_str())).at(|| "sysctls".to_owned())?;
    Ok(Runtime {
        working_directory: asked
            .working_directory
            .map(path)
            .transpose()
            .at(|| "working-directory".to_owned())?,
        groups,
        tmpfs: tmpfs.into_iter().collect(),
        sysctls: sysctls.into_iter().collect(),
        read_only_root: asked.read_only_root,
        read_only: asked.read_only,
        owners: asked.owners,
    })
}

fn tmpfs(folder: wit::Tmpfs, there: &[&str]) -> Result<(String, Tmpfs), Reason> {
    let place = path(folder.path)?;
    // An engine takes what stands behind a colon for options.
    if place.contains([':', ',']) {
        return Err(Reason::Path(excerpt(&place)));
    }
    range(folder.size, 4096, 1 << 40)?;
    range(folder.mode.into(), 0, 0o1777)?;
    if let Some(hidden) = there.iter().find(|inner| is_within(inner, &place)) {
        return Err(Reason::Hidden(excerpt(hidden)));
    }
    let tmpfs = Tmpfs {
        size: folder.size,
        mode: folder.mode,
    };
    Ok((place, tmpfs))
}

/// Up to four numbers with a space between two.
fn numbers(text: String) -> Result<String, Reason> {
    let is_number =
        |word: &str| (1..=20).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit());
    match text.split(' ').count() <= 4 && text.split(' ').all(is_number) {
        true => Ok(text),
        false => Err(Reason::Numbers(excerpt(&text))),
    }
}
