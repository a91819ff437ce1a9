//! The files, folders and links of a source, and the digest over them.

use crate::{Error, Result, regular};
use doprax_core::ignore_file::IgnoreFile;
use doprax_core::source::{self, MAX_ENTRIES, SourceDigest};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirEntry, Metadata};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The name of the file that says what is not sent.
pub(crate) const DOCKERIGNORE: &str = ".dockerignore";
/// Most bytes of a source, below what the host takes.
pub(crate) const MAX_BYTES: u64 = (4 << 30) - (64 << 20);
/// Largest `.dockerignore` in bytes.
const MAX_IGNORE_FILE: u64 = 4 << 20;

/// What is sent of a source folder, in the order of the paths' bytes.
#[derive(Debug, Clone)]
pub struct Tree {
    /// The folder.
    pub(crate) folder: PathBuf,
    /// Entries by path below it, `/`-separated.
    pub(crate) entries: BTreeMap<String, Entry>,
    /// Bytes of all files.
    pub bytes: u64,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A folder.
    Folder,
    /// A file.
    File {
        /// Its size in bytes.
        size: u64,
        /// Whether its owner may execute it.
        executable: bool,
        /// When it was written, in seconds of Unix time.
        modified: u64,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points, as it is written.
        target: String,
    },
}

impl Tree {
    /// What there is in `folder` by these rules. The Dockerfile, at this path below it, is a
    /// file even where a link stands for it. Sockets, pipes and devices are passed over.
    pub(crate) fn walk(folder: &Path, dockerfile: &str, ignore: &IgnoreFile) -> Result<Self> {
        let mut tree = Self {
            folder: folder.to_owned(),
            entries: BTreeMap::new(),
            bytes: 0,
        };
        let mut folders = vec![String::new()];
        while let Some(inside) = folders.pop() {
            let path = folder.join(&inside);
            let failed = |source| Error::List {
                folder: path.clone(),
                source,
            };
            for entry in std::fs::read_dir(&path).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                tree.visit(&inside, &entry, dockerfile, ignore, &mut folders)?;
            }
        }
        Ok(tree)
    }

    fn visit(
        &mut self,
        inside: &str,
        entry: &DirEntry,
        dockerfile: &str,
        ignore: &IgnoreFile,
        folders: &mut Vec<String>,
    ) -> Result<()> {
        let name = utf8(&entry.path(), entry.file_name().into_string())?;
        let path = if inside.is_empty() {
            name
        } else {
            format!("{inside}/{name}")
        };
        let failed = |source| Error::Read {
            path: entry.path(),
            source,
        };
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() && !ignore.excludes_all_below(&path) {
            folders.push(path.clone());
        }
        if ignore.excludes(&path) {
            return Ok(());
        }
        let entry = if kind.is_dir() {
            Entry::Folder
        } else if kind.is_symlink() && path == dockerfile {
            // The engine would look for what it leads to from a root of its own.
            file(&entry.path().metadata().map_err(failed)?)
        } else if kind.is_symlink() {
            let target = std::fs::read_link(entry.path()).map_err(failed)?;
            Entry::Symlink {
                target: utf8(&entry.path(), target.into_os_string().into_string())?,
            }
        } else if kind.is_file() {
            file(&entry.metadata().map_err(failed)?)
        } else {
            return Ok(());
        };
        self.add(path, entry)
    }

    fn add(&mut self, path: String, entry: Entry) -> Result<()> {
        if path.len() > source::MAX_PATH {
            return Err(Error::PathTooLong { path });
        }
        if let Entry::File { size, .. } = entry {
            self.bytes = self.bytes.saturating_add(size);
        }
        // The folders around what was brought back.
        for (at, _) in path.match_indices('/') {
            if !self.entries.contains_key(&path[..at]) {
                self.entries.insert(path[..at].to_owned(), Entry::Folder);
            }
        }
        self.entries.insert(path, entry);
        if self.entries.len() > MAX_ENTRIES || self.bytes > MAX_BYTES {
            return Err(self.too_much());
        }
        Ok(())
    }

    /// Says what takes the room, so that it can be left out.
    fn too_much(&self) -> Error {
        let mut by_top: BTreeMap<&str, (u64, usize)> = BTreeMap::new();
        for (path, entry) in &self.entries {
            let top = by_top
                .entry(path.split('/').next().unwrap_or(path))
                .or_default();
            top.1 += 1;
            if let Entry::File { size, .. } = entry {
                top.0 += size;
            }
        }
        let largest = by_top
            .iter()
            .max_by_key(|(_, measure)| **measure)
            .map_or("", |(name, _)| name);
        Error::TooMuch {
            folder: self.folder.clone(),
            largest: largest.to_owned(),
        }
    }

    /// How many entries there are.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// The digest of what the entries are; reads every file.
    pub fn digest(&self) -> Result<String> {
        let mut digest = SourceDigest::new();
        let mut buffer = vec![0; 128 << 10];
        for (path, entry) in &self.entries {
            let entry = match entry {
                Entry::Folder => source::Entry::Folder,
                Entry::Symlink { target } => source::Entry::Symlink { target },
                Entry::File { executable, .. } => source::Entry::File {
                    executable: *executable,
                    sha256: sha256(&self.folder.join(path), &mut buffer)?,
                },
            };
            digest
                .add(path, &entry)
                .expect("a BTreeMap gives each path once, in the order of its bytes");
        }
        Ok(digest.finish())
    }
}

/// The patterns that hold for `folder`: those made for its Dockerfile, else the usual. Unless
/// they bring it back, `left_out` and what no build needs is left out too.
pub(crate) fn ignore_file(
    folder: &Path,
    dockerfile: &str,
    left_out: BTreeSet<String>,
) -> Result<IgnoreFile> {
    let mut text = Vec::new();
    for name in [dockerfile_ignore(dockerfile), DOCKERIGNORE.to_owned()] {
        let path = folder.join(name);
        match regular::read(&path, MAX_IGNORE_FILE + 1) {
            Ok(bytes) if bytes.len() as u64 > MAX_IGNORE_FILE => {
                return Err(Error::IgnoreFileTooLarge { path });
            }
            Ok(bytes) => {
                text = bytes;
                break;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::Read { path, source }),
        }
    }
    let text = String::from_utf8_lossy(&text);
    Ok(IgnoreFile::parse(&text, dockerfile, left_out)?)
}

/// Path of the patterns that are made for one Dockerfile.
pub(crate) fn dockerfile_ignore(dockerfile: &str) -> String {
    format!("{dockerfile}.dockerignore")
}

fn file(metadata: &Metadata) -> Entry {
    Entry::File {
        size: metadata.len(),
        executable: metadata.permissions().mode() & 0o100 != 0,
        modified: u64::try_from(metadata.mtime()).unwrap_or(0),
    }
}

fn utf8(path: &Path, text: Result<String, std::ffi::OsString>) -> Result<String> {
    text.map_err(|_| Error::NameNotUtf8 {
        path: path.to_owned(),
    })
}

fn sha256(path: &Path, buffer: &mut [u8]) -> Result<[u8; 32]> {
    let failed = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let mut file = regular::open(path).map_err(failed)?;
    let mut hasher = Sha256::new();
    loop {
        match file.read(buffer).map_err(failed)? {
            0 => return Ok(hasher.finalize().into()),
            length => hasher.update(&buffer[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::symlink;

    fn write(folder: &Path, path: &str, text: &str) {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn walk(folder: &Path, left_out: &[&str]) -> Result<Tree> {
        let left_out = left_out.iter().map(|path| (*path).to_owned()).collect();
        Tree::walk(
            folder,
            "Dockerfile",
            &ignore_file(folder, "Dockerfile", left_out)?,
        )
    }

    fn paths(tree: &Tree) -> Vec<&str> {
        tree.entries.keys().map(String::as_str).collect()
    }

    #[test]
    fn the_ignore_file_decides_but_not_on_the_dockerfile() {
        let folder = tempfile::tempdir().unwrap();
        for path in [
            "Dockerfile",
            "a.md",
            "keep/b.md",
            "gone/c.py",
            "gone/d.md",
            "gone/deep/e.py",
            "z-a",
            "z/a",
        ] {
            write(folder.path(), path, path);
        }
        write(folder.path(), ".dockerignore", "*\n!**/*.md\n!z\n!z-a\n");
        symlink("/etc/passwd", folder.path().join("z/link")).unwrap();
        let tree = walk(folder.path(), &[]).unwrap();
        assert_eq!(
            paths(&tree),
            [
                "Dockerfile",
                "a.md",
                "gone",
                "gone/d.md",
                "keep",
                "keep/b.md",
                "z",
                "z-a",
                "z/a",
                "z/link"
            ]
        );
        assert_eq!(
            tree.entries["z/link"],
            Entry::Symlink {
                target: "/etc/passwd".to_owned()
            }
        );
    }

    #[test]
    fn the_ignore_file_of_the_dockerfile_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("Dockerfile.dockerignore", "*"),
            (".dockerignore", ""),
            ("Dockerfile", ""),
            ("a", ""),
        ] {
            write(folder.path(), path, text);
        }
        let tree = walk(folder.path(), &[]).unwrap();
        assert_eq!(paths(&tree), ["Dockerfile"]);
    }

    #[test]
    fn what_no_build_needs_is_left_out_unless_it_is_brought_back() {
        let folder = tempfile::tempdir().unwrap();
        for path in [
            "Dockerfile",
            "doprax.yaml",
            "nginx.conf",
            "src/main.py",
            ".git/config",
            "src/vendored/.git",
            "src/.DS_Store",
            "node_modules/a/index.js",
        ] {
            write(folder.path(), path, "");
        }
        let walk = || walk(folder.path(), &["doprax.yaml", "nginx.conf"]).unwrap();
        let usual = [
            "Dockerfile",
            "node_modules",
            "node_modules/a",
            "node_modules/a/index.js",
            "src",
            "src/main.py",
            "src/vendored",
        ];
        assert_eq!(paths(&walk()), usual);
        let before = walk().digest().unwrap();
        write(folder.path(), ".git/index", "git status");
        write(folder.path(), "doprax.yaml", "app: shop");
        assert_eq!(walk().digest().unwrap(), before);
        write(
            folder.path(),
            ".dockerignore",
            "!.git\n!nginx.conf\nsrc\nnode_modules",
        );
        let brought_back = [
            ".dockerignore",
            ".git",
            ".git/config",
            ".git/index",
            "Dockerfile",
            "nginx.conf",
        ];
        assert_eq!(paths(&walk()), brought_back);
    }

    #[test]
    fn a_dockerfile_that_is_a_link_is_sent_as_the_file() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "deploy/Dockerfile", "FROM scratch\n");
        symlink(
            folder.path().join("deploy/Dockerfile"),
            folder.path().join("Dockerfile"),
        )
        .unwrap();
        let tree = walk(folder.path(), &[]).unwrap();
        assert!(matches!(
            tree.entries["Dockerfile"],
            Entry::File { size: 13, .. }
        ));
        tree.digest().unwrap();
    }

    #[test]
    fn a_list_of_patterns_that_is_no_regular_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        symlink("/dev/zero", folder.path().join(".dockerignore")).unwrap();
        let failure = walk(folder.path(), &[]).unwrap_err();
        assert!(format!("{failure:?}").contains("a device"), "{failure:?}");
    }

    #[test]
    fn sockets_and_pipes_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            folder.path().join("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        write(folder.path(), "file", "");
        let tree = walk(folder.path(), &[]).unwrap();
        assert_eq!(paths(&tree), ["file"]);
    }

    #[test]
    fn the_digest_is_of_what_files_are_and_not_of_when_they_were_written() {
        let make = || {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), "Dockerfile", "FROM scratch\n");
            write(folder.path(), "src/main.py", "print()\n");
            folder
        };
        let digest = |folder: &Path| walk(folder, &[]).unwrap().digest().unwrap();
        let (one, other) = (make(), make());
        File::options()
            .write(true)
            .open(other.path().join("Dockerfile"))
            .unwrap()
            .set_modified(std::time::UNIX_EPOCH)
            .unwrap();
        assert_eq!(digest(one.path()), digest(other.path()));
        write(other.path(), "src/main.py", "print(1)\n");
        assert_ne!(digest(one.path()), digest(other.path()));
    }
}
