//! Whose the files are that are put into a container: numbers, which only the container's
//! own files tell.

use super::files::FileBytes;
use super::{CHANGE, Docker, Failure, LOOK};
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use bytes::BytesMut;
use doprax_core::blueprint::{Container, Owner};
use futures_util::TryStreamExt as _;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};

/// Whose a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FileOwner {
    /// The numbers of a user and a group.
    Ids(u64, u64),
    /// The user's that the container's process runs as.
    Process,
    /// A user's, and after a colon a group's, by name or number.
    Named(String),
}

impl FileOwner {
    /// The owner of the engine's files.
    pub(super) const ROOT: Self = Self::Ids(0, 0);

    /// The numbers of user and group; root's where they were not found out.
    pub(super) fn ids(&self) -> (u64, u64) {
        match self {
            Self::Ids(user, group) => (*user, *group),
            Self::Process | Self::Named(_) => (0, 0),
        }
    }
}

impl From<Option<&Owner>> for FileOwner {
    fn from(owner: Option<&Owner>) -> Self {
        match owner {
            None => Self::ROOT,
            Some(Owner::Process) => Self::Process,
            Some(Owner::Named(name)) => Self::Named(name.clone()),
        }
    }
}

/// An image lacks a user or group.
#[derive(Debug, thiserror::Error)]
#[error("the image has no {kind} {name}; name one that it has, or a number (config_file, `owner`)")]
struct Unknown {
    kind: &'static str,
    name: String,
}

/// A folder of a container.
#[derive(Debug, Clone, Copy)]
struct Folder {
    owner: (u64, u64),
    mode: u32,
}

impl Folder {
    /// Whether a user of this group may write to it.
    fn lets_write(self, (user, group): (u64, u64)) -> bool {
        let bit = if user == self.owner.0 {
            0o200
        } else if group == self.owner.1 {
            0o020
        } else {
            0o002
        };
        self.mode & bit != 0
    }
}

impl Docker {
    /// Finds out the numbers of the owners of `files`.
    pub(super) async fn find_owners(
        &self,
        container: &str,
        files: &mut [FileBytes],
    ) -> Result<(), Failure> {
        let known = |file: &FileBytes| matches!(file.owner, FileOwner::Ids(..));
        if files.iter().all(known) {
            return Ok(());
        }
        let users = self.text_file(container, "/etc/passwd").await?;
        let groups = self.text_file(container, "/etc/group").await?;
        let process = match files.iter().any(|file| file.owner == FileOwner::Process) {
            true => self.process_owner(container, &users, &groups).await?,
            false => (0, 0),
        };
        for file in files {
            let (user, group) = match &file.owner {
                FileOwner::Ids(user, group) => (*user, *group),
                FileOwner::Process => process,
                FileOwner::Named(name) => ids(name, &users, &groups)?,
            };
            file.owner = FileOwner::Ids(user, group);
        }
        Ok(())
    }

    /// The folders that have another owner than they shall have, with the numbers of that
    /// owner and their permission bits.
    pub(super) async fn new_owners(
        &self,
        container: &str,
        owners: &BTreeMap<String, String>,
    ) -> Result<Vec<(String, (u64, u64), u32)>, Failure> {
        if owners.is_empty() {
            return Ok(Vec::new());
        }
        let users = self.text_file(container, "/etc/passwd").await?;
        let groups = self.text_file(container, "/etc/group").await?;
        let mut new = Vec::new();
        for (path, name) in owners {
            let owner = ids(name, &users, &groups)?;
            let folder = self.folder(container, path).await?;
            if folder.owner != owner {
                new.push((path.clone(), owner, folder.mode & 0o7777));
            }
        }
        Ok(new)
    }

    /// The user that a container's process runs as. One that begins as root and gives
    /// that up (as those of databases do) runs as the owner of the folder that its data
    /// is in.
    async fn process_owner(
        &self,
        container: &str,
        users: &str,
        groups: &str,
    ) -> Result<(u64, u64), Failure> {
        let found = self.inspect(container).await?.unwrap_or_default();
        let config = found.config.as_ref();
        let user = config.and_then(|config| config.user.as_deref());
        let begins_as = match user.filter(|user| !user.is_empty()) {
            Some(user) => ids(user, users, groups)?,
            None => (0, 0),
        };
        if begins_as.0 != 0 {
            return Ok(begins_as);
        }
        for folder in mounts(&found) {
            let owner = self.folder(container, &folder).await?.owner;
            if owner.0 != 0 {
                return Ok(owner);
            }
        }
        Ok(begins_as)
    }

    /// What a container's user cannot write: one sentence for each volume. Root can write
    /// all of them.
    pub(super) async fn unwritable(
        &self,
        container: &str,
        spec: &Container,
    ) -> Result<Vec<String>, Failure> {
        let found = match spec.mounts.is_empty() {
            true => None,
            false => self.inspect(container).await?,
        };
        let user = found.and_then(|found| found.config?.user);
        let Some(name) = user.filter(|user| !matches!(user.as_str(), "" | "0" | "root" | "0:0"))
        else {
            return Ok(Vec::new());
        };
        let users = self.text_file(container, "/etc/passwd").await?;
        let groups = self.text_file(container, "/etc/group").await?;
        // Starting it says what is wrong with a user that the image lacks.
        let Ok(user) = ids(&name, &users, &groups) else {
            return Ok(Vec::new());
        };
        let mut sentences = Vec::new();
        for mount in &spec.mounts {
            let folder = self.folder(container, &mount.path).await?;
            if user.0 != 0 && !folder.lets_write(user) {
                sentences.push(format!(
                    "{service} runs as user {name}, who cannot write to its volume {volume} at \
                     {path}: that folder is of user {owner}; give it to {name} in the image (RUN \
                     mkdir -p {path} && chown {name} {path}), which a new volume takes over, or \
                     set `user` for {service}",
                    service = spec.name,
                    volume = mount.name,
                    path = mount.path,
                    owner = folder.owner.0,
                ));
            }
        }
        Ok(sentences)
    }

    /// A folder: the archive of it begins with itself, and the rest of that
    /// is not read.
    async fn folder(&self, container: &str, folder: &str) -> Result<Folder, Failure> {
        let options = DownloadFromContainerOptionsBuilder::default()
            .path(folder)
            .build();
        let mut pieces = Box::pin(
            self.client
                .download_from_container(container, Some(options)),
        );
        let mut begin = BytesMut::new();
        while begin.len() < size_of::<tar::Header>() {
            match self.within(LOOK, pieces.try_next()).await? {
                Some(piece) => begin.extend_from_slice(&piece),
                None => {
                    return Err(Failure::other(std::io::Error::from(
                        ErrorKind::UnexpectedEof,
                    )));
                }
            }
        }
        let header = tar::Header::from_byte_slice(&begin[..size_of::<tar::Header>()]);
        let user = header.uid().map_err(Failure::other)?;
        let group = header.gid().map_err(Failure::other)?;
        Ok(Folder {
            owner: (user, group),
            mode: header.mode().map_err(Failure::other)?,
        })
    }

    /// The text of a file of a container; empty where there is none.
    async fn text_file(&self, container: &str, path: &str) -> Result<String, Failure> {
        match self.read_file(container, path.to_owned()).await {
            Ok(file) => Ok(String::from_utf8_lossy(&file.bytes).into_owned()),
            Err(failure) if failure.is(404) && !failure.is_no_container() => Ok(String::new()),
            Err(failure) => Err(failure),
        }
    }

    /// A file of a container, with its permissions.
    pub(super) async fn read_file(
        &self,
        container: &str,
        path: String,
    ) -> Result<FileBytes, Failure> {
        let options = DownloadFromContainerOptionsBuilder::default()
            .path(&path)
            .build();
        let pieces = self
            .client
            .download_from_container(container, Some(options));
        let archive: BytesMut = self.within(CHANGE, pieces.try_collect()).await?;
        let mut archive = tar::Archive::new(archive.as_ref());
        let entry = archive.entries().map_err(Failure::other)?.next();
        let mut entry = entry
            .unwrap_or_else(|| Err(ErrorKind::UnexpectedEof.into()))
            .map_err(Failure::other)?;
        let header = entry.header();
        let mode = header.mode().map_err(Failure::other)?;
        let owner = FileOwner::Ids(
            header.uid().map_err(Failure::other)?,
            header.gid().map_err(Failure::other)?,
        );
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(Failure::other)?;
        Ok(FileBytes {
            path,
            mode,
            owner,
            bytes,
        })
    }
}

/// Where volumes are mounted in a container.
fn mounts(found: &ContainerInspectResponse) -> Vec<String> {
    let mounts = found.mounts.iter().flatten();
    mounts
        .filter_map(|mount| mount.destination.clone())
        .collect()
}

/// The numbers of a user and a group, given as `USER` or `USER:GROUP`, by the texts of
/// `/etc/passwd` and `/etc/group` (passwd(5), group(5)). As the engine does, this takes
/// group 0 for a number that has no entry.
fn ids(name: &str, users: &str, groups: &str) -> Result<(u64, u64), Failure> {
    let (user, group) = match name.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (name, None),
    };
    let unknown = |kind, name: &str| {
        let name = name.to_owned();
        Failure::other(Unknown { kind, name })
    };
    let number = user.parse::<u64>().ok();
    let entry = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, id, group) = (
            fields.next()?,
            fields.next(),
            fields.next()?,
            fields.next()?,
        );
        let (id, group) = (id.parse::<u64>().ok()?, group.parse::<u64>().ok()?);
        (name == user || number == Some(id)).then_some((id, group))
    });
    let (user, own_group) = match (entry, number) {
        (Some(found), _) => found,
        (None, Some(number)) => (number, 0),
        (None, None) if user == "root" => (0, 0),
        (None, None) => return Err(unknown("user", user)),
    };
    let Some(group) = group else {
        return Ok((user, own_group));
    };
    let entry = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, id) = (fields.next()?, fields.next(), fields.next()?);
        (name == group).then(|| id.parse::<u64>().ok()).flatten()
    });
    match entry.or_else(|| group.parse().ok()) {
        Some(group) => Ok((user, group)),
        None => Err(unknown("group", group)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_have_numbers() {
        let users = "root:x:0:0:root:/root:/bin/sh\npostgres:x:999:998::/:/bin/sh\n";
        let groups = "root:x:0:\nssl-cert:x:101:postgres\n";
        let cases = [
            ("postgres", Some((999, 998))),
            ("postgres:ssl-cert", Some((999, 101))),
            ("999", Some((999, 998))),
            ("1000", Some((1000, 0))),
            ("1000:1001", Some((1000, 1001))),
            ("root", Some((0, 0))),
            ("nobody", None),
            ("postgres:none", None),
        ];
        for (name, expected) in cases {
            assert_eq!(ids(name, users, groups).ok(), expected, "{name}");
        }
        assert_eq!(ids("root", "", "").ok(), Some((0, 0)));
    }
}
