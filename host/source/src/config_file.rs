//! The config files that a manifest names. They come from inside the source folder
//! only, wherever links in it may point.

use crate::regular;
use bytes::Bytes;
use doprax_core::diagnostic::{Diagnostic, Severity};
use doprax_core::manifest::Manifest;
use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Largest config file in bytes.
const MAX: u64 = 1 << 20;

/// A config file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// Its bytes.
    pub content: Bytes,
    /// Permission bits.
    pub mode: u32,
}

/// Why a config file is not taken.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("there is no file {0} in the source folder")]
    Missing(String),
    #[error("{0} leads out of the source folder")]
    Outside(String),
    #[error("{0} is not a file")]
    NotAFile(String),
    #[error("{0} is larger than 1 MiB")]
    TooLarge(String),
    #[error("cannot read {0}: {1}")]
    Unreadable(String, io::Error),
}

impl Refusal {
    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Missing(_) => {
                "create it, or correct the path; it counts from the folder of doprax.yaml"
                    .to_owned()
            }
            Self::Outside(_) => "put a copy of the file itself into the source folder".to_owned(),
            Self::NotAFile(_) => "name each file by itself".to_owned(),
            Self::TooLarge(_) => {
                "put it into the image with `COPY` in the Dockerfile, or into a volume".to_owned()
            }
            Self::Unreadable(..) => return None,
        })
    }
}

/// The config files that `manifest` names, by path below `folder` (which has no link
/// in it), or what is wrong with each that cannot be taken.
pub fn config_files(
    folder: &Path,
    manifest: &Manifest,
) -> Result<BTreeMap<String, ConfigFile>, Vec<Diagnostic>> {
    let main = manifest
        .spec
        .main
        .container
        .files
        .iter()
        .map(|(mount, file)| (vec!["main", "files", mount], file));
    let services = manifest.spec.services.iter().flat_map(|(name, service)| {
        let files = service.container.files.iter();
        files.map(move |(mount, file)| {
            (
                vec!["services", name.as_str(), "files", mount.as_str()],
                file,
            )
        })
    });
    let mut files = BTreeMap::new();
    let mut refused = Vec::new();
    for (place, file) in main.chain(services) {
        match read(folder, &file.source) {
            Ok(read) => drop(files.insert(file.source.clone(), read)),
            Err(refusal) => refused.push(manifest.places.diagnostic(
                Severity::Error,
                &place,
                refusal.to_string(),
                refusal.help(),
            )),
        }
    }
    if refused.is_empty() {
        Ok(files)
    } else {
        Err(refused)
    }
}

fn read(folder: &Path, source: &str) -> Result<ConfigFile, Refusal> {
    let name = || source.to_owned();
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Refusal::Missing(name()),
        io::ErrorKind::InvalidInput => Refusal::NotAFile(name()),
        _ => Refusal::Unreadable(name(), error),
    };
    let path = folder.join(source).canonicalize().map_err(unreadable)?;
    if !path.starts_with(folder) {
        return Err(Refusal::Outside(name()));
    }
    let file = regular::open(&path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
    let mut content = Vec::new();
    file.take(MAX + 1)
        .read_to_end(&mut content)
        .map_err(unreadable)?;
    if content.len() as u64 > MAX {
        return Err(Refusal::TooLarge(name()));
    }
    Ok(ConfigFile {
        content: Bytes::from(content),
        mode,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn files_come_from_inside_the_folder_only() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "x").unwrap();
        let source = tempfile::tempdir().unwrap();
        let folder = source.path().canonicalize().unwrap();
        std::fs::create_dir(folder.join("conf")).unwrap();
        std::fs::write(folder.join("conf/app.conf"), "good").unwrap();
        std::fs::write(folder.join("large"), vec![0; MAX as usize + 1]).unwrap();
        symlink("conf/app.conf", folder.join("inner")).unwrap();
        symlink(folder.join("conf"), folder.join("absolute")).unwrap();
        symlink(outside.path().join("secret"), folder.join("escape")).unwrap();
        symlink(outside.path(), folder.join("way-out")).unwrap();
        symlink("loop", folder.join("loop")).unwrap();
        symlink("nowhere", folder.join("dangling")).unwrap();
        let cases = [
            ("conf/app.conf", "good"),
            ("inner", "good"),
            ("absolute/app.conf", "good"),
            ("conf", "conf is not a file"),
            ("large", "large is larger than 1 MiB"),
            ("escape", "escape leads out of the source folder"),
            (
                "way-out/secret",
                "way-out/secret leads out of the source folder",
            ),
            (
                "../secret",
                "there is no file ../secret in the source folder",
            ),
            ("dangling", "there is no file dangling in the source folder"),
            (
                "conf/app.conf/x",
                "there is no file conf/app.conf/x in the source folder",
            ),
        ];
        for (path, expected) in cases {
            let found = match read(&folder, path) {
                Ok(file) => String::from_utf8(file.content.to_vec()).unwrap(),
                Err(refusal) => refusal.to_string(),
            };
            assert_eq!(found, expected, "{path}");
        }
        assert!(matches!(
            read(&folder, "loop"),
            Err(Refusal::Unreadable(..))
        ));
    }
}
