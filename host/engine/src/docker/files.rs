//! Files that are put into a container before it starts.

use super::owner::FileOwner;
use super::{CHANGE, Docker, Failure, LOOK};
use bollard::body_stream;
use bollard::query_parameters::{
    ContainerArchiveInfoOptionsBuilder, UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// A file with its content.
pub(super) struct FileBytes {
    /// Absolute path.
    pub(super) path: String,
    /// Permission bits.
    pub(super) mode: u32,
    /// Whose it is.
    pub(super) owner: FileOwner,
    /// Its content.
    pub(super) bytes: Vec<u8>,
}

/// An image has a folder where a file shall be.
#[derive(Debug, thiserror::Error)]
#[error(
    "the image has a folder at {path}, and a file cannot take the place of a folder; mount it \
     below, as in {path}/NAME (config_file)"
)]
struct OverFolder {
    path: String,
}

impl Docker {
    /// Puts the files into a container that has not started.
    ///
    /// One request for each folder. A folder that is not there is made; one that is
    /// there keeps its owner and mode, because an archive that names it would
    /// overwrite them.
    pub(super) async fn put_files(
        &self,
        container: &str,
        mut files: Vec<FileBytes>,
    ) -> Result<(), Failure> {
        self.find_owners(container, &mut files).await?;
        let mut folders: BTreeMap<String, Vec<(String, FileBytes)>> = BTreeMap::new();
        for file in files {
            let (folder, name) = split(&file.path);
            folders
                .entry(folder.to_owned())
                .or_default()
                .push((name.to_owned(), file));
        }
        let now = now();
        for (folder, files) in folders {
            let archive = archive(&[], &files, now).map_err(Failure::other)?;
            match self.put_archive(container, &folder, archive).await {
                Err(failure) if failure.is(404) && !failure.is_no_container() => {
                    let (existing, missing) = self.existing_folder(container, &folder).await?;
                    let archive = archive_below(&missing, files, now).map_err(Failure::other)?;
                    self.put_archive(container, &existing, archive).await?;
                }
                Err(failure) => return Err(over_folder(failure, &files)),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Gives the topmost folders of volumes to their owners, by path: a user, with a group
    /// after a colon, as the image knows them. What is in them stays as it is.
    pub(super) async fn give_volumes(
        &self,
        container: &str,
        owners: &BTreeMap<String, String>,
    ) -> Result<(), Failure> {
        for (path, (user, group), mode) in self.new_owners(container, owners).await? {
            let (folder, name) = split(&path);
            let mut archive = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(mode);
            header.set_size(0);
            header.set_mtime(now());
            header.set_uid(user);
            header.set_gid(group);
            let written = archive.append_data(&mut header, Path::new(name), io::empty());
            written.map_err(Failure::other)?;
            let archive = archive.into_inner().map_err(Failure::other)?;
            self.put_archive(container, folder, archive).await?;
        }
        Ok(())
    }

    async fn put_archive(
        &self,
        container: &str,
        folder: &str,
        archive: Vec<u8>,
    ) -> Result<(), Failure> {
        let options = UploadToContainerOptionsBuilder::default()
            .path(folder)
            .no_overwrite_dir_non_dir("true")
            .build();
        let body = body_stream(futures_util::stream::iter([Bytes::from(archive)]));
        self.within(
            CHANGE,
            self.client
                .upload_to_container(container, Some(options), body),
        )
        .await
    }

    /// The nearest folder above `folder` that exists, and the names below it, down
    /// to `folder`, that do not.
    async fn existing_folder(
        &self,
        container: &str,
        folder: &str,
    ) -> Result<(String, Vec<String>), Failure> {
        let mut existing = folder;
        let mut missing = Vec::new();
        while existing != "/" {
            let options = ContainerArchiveInfoOptionsBuilder::default()
                .path(existing)
                .build();
            let answer = self
                .client
                .get_container_archive_info(container, Some(options));
            match self.within(LOOK, answer).await {
                Ok(_) => break,
                Err(failure) if failure.is(404) => {}
                Err(failure) => return Err(failure),
            }
            let (above, name) = split(existing);
            missing.insert(0, name.to_owned());
            existing = above;
        }
        Ok((existing.to_owned(), missing))
    }
}

/// Unix time in seconds.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

/// The failure to put files into a folder, in words where one of them has a folder's path.
fn over_folder(failure: Failure, files: &[(String, FileBytes)]) -> Failure {
    let message = failure.message();
    if !message.contains("cannot overwrite directory") {
        return failure;
    }
    // Docker 20.10 names the path as its machine has it, 28.5 the last name alone.
    let named = |(name, file): &&(String, FileBytes)| {
        let ends = [format!("{}\"", file.path), format!("\"{name}\"")];
        ends.iter().any(|end| message.contains(end))
    };
    match files.iter().find(named).or(match files {
        [only] => Some(only),
        _ => None,
    }) {
        Some((_, file)) => Failure::other(OverFolder {
            path: file.path.clone(),
        }),
        None => failure,
    }
}

/// The folder and the last name of an absolute path.
pub(super) fn split(path: &str) -> (&str, &str) {
    match path.trim_end_matches('/').rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((folder, name)) => (folder, name),
        None => ("/", path),
    }
}

fn archive_below(
    missing: &[String],
    files: Vec<(String, FileBytes)>,
    now: u64,
) -> io::Result<Vec<u8>> {
    let folders: Vec<String> = (1..=missing.len())
        .map(|depth| missing[..depth].join("/"))
        .collect();
    let below = folders.last().cloned().unwrap_or_default();
    let files: Vec<_> = files
        .into_iter()
        .map(|(name, file)| (format!("{below}/{name}"), file))
        .collect();
    archive(&folders, &files, now)
}

fn archive(folders: &[String], files: &[(String, FileBytes)], now: u64) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let header = |mode: u32, (user, group): (u64, u64), kind: tar::EntryType, size: u64| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_mtime(now);
        header.set_uid(user);
        header.set_gid(group);
        header
    };
    for folder in folders {
        let mut header = header(0o755, (0, 0), tar::EntryType::Directory, 0);
        archive.append_data(&mut header, Path::new(folder), io::empty())?;
    }
    for (path, file) in files {
        let size = file.bytes.len() as u64;
        let mut header = header(file.mode, file.owner.ids(), tar::EntryType::Regular, size);
        archive.append_data(&mut header, Path::new(path), file.bytes.as_slice())?;
    }
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_a_folder_and_a_name() {
        let cases = [
            ("/etc/nginx/nginx.conf", ("/etc/nginx", "nginx.conf")),
            ("/motd", ("/", "motd")),
            ("/etc/app/", ("/etc", "app")),
        ];
        for (path, expected) in cases {
            assert_eq!(split(path), expected, "{path}");
        }
    }

    #[test]
    fn an_archive_names_only_the_folders_that_are_missing() {
        let file = |mode| FileBytes {
            path: "/etc/a/b/c.conf".to_owned(),
            mode,
            owner: FileOwner::Ids(7, 8),
            bytes: vec![1, 2],
        };
        let missing = ["a".to_owned(), "b".to_owned()];
        let bytes = archive_below(&missing, vec![("c.conf".to_owned(), file(0o600))], 7);
        let mut archive = tar::Archive::new(io::Cursor::new(bytes.expect("in memory")));
        let entries: Vec<_> = archive
            .entries()
            .expect("in memory")
            .map(|entry| {
                let entry = entry.expect("in memory");
                let header = entry.header();
                let path = entry.path().expect("a path").display().to_string();
                (
                    path,
                    header.mode().expect("a mode"),
                    header.uid().expect("an owner"),
                )
            })
            .collect();
        let expected = [("a", 0o755, 0), ("a/b", 0o755, 0), ("a/b/c.conf", 0o600, 7)];
        assert_eq!(
            entries,
            expected.map(|(path, mode, uid)| (path.to_owned(), mode, uid))
        );
    }
}
