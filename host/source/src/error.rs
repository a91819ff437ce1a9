//! What is wrong with a source.

use crate::folder::MANIFEST;
use crate::tree::MAX_BYTES;
use doprax_core::diagnostic::Diagnostic;
use doprax_core::ignore_file::IgnoreFileError;
use doprax_core::source::{DOCKERFILE, MAX_ENTRIES, MAX_PATH};
use std::io;
use std::path::PathBuf;
use std::string::FromUtf8Error;

/// What reading a source gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a source cannot be deployed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder is not there, or nobody may look at it.
    #[error("cannot open the source folder {}", folder.display())]
    Folder {
        /// As it was named.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something else than a folder was named.
    #[error("{} is not a folder", path.display())]
    NotAFolder {
        /// As it was named.
        path: PathBuf,
    },
    /// The folder has no manifest.
    #[error("there is no {MANIFEST} in {}", folder.display())]
    NoManifest {
        /// The folder.
        folder: PathBuf,
        /// What may have been meant as one.
        similar: Option<String>,
    },
    /// The manifest names what is not in the folder, or cannot be taken.
    #[error("{MANIFEST} was refused")]
    Refused {
        /// What, and where.
        diagnostics: Vec<Diagnostic>,
    },
    /// There is no Dockerfile at the root of what main is built from.
    #[error("{}", no_dockerfile(folder, similar.as_deref()))]
    NoDockerfile {
        /// The folder.
        folder: PathBuf,
        /// What may have been meant as one.
        similar: Option<String>,
    },
    /// There is no Dockerfile where the manifest says.
    #[error("there is no {path} in {}", folder.display())]
    NoSuchDockerfile {
        /// The folder that main is built from.
        folder: PathBuf,
        /// The path below it.
        path: String,
    },
    /// The Dockerfile is a link to somewhere else.
    #[error("{} leads out of the source folder", path.display())]
    DockerfileOutside {
        /// Where it should be.
        path: PathBuf,
    },
    /// The Dockerfile is larger than any.
    #[error("{} is larger than 1 MiB", path.display())]
    DockerfileTooLarge {
        /// Where it is.
        path: PathBuf,
    },
    /// The Dockerfile is no text.
    #[error("{} is not UTF-8", path.display())]
    DockerfileNotUtf8 {
        /// Where it is.
        path: PathBuf,
        /// Where that shows.
        source: FromUtf8Error,
    },
    /// A `.dockerignore` is larger than any.
    #[error("{} is too large", path.display())]
    IgnoreFileTooLarge {
        /// Where it is.
        path: PathBuf,
    },
    /// A `.dockerignore` has a pattern that is none.
    #[error(transparent)]
    IgnoreFile(#[from] IgnoreFileError),
    /// A folder cannot be listed.
    #[error("cannot list {}", folder.display())]
    List {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file or a link cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A name is no text.
    #[error("the name {} is not UTF-8", path.display())]
    NameNotUtf8 {
        /// The path with it.
        path: PathBuf,
    },
    /// A path has no room in an archive.
    #[error("the path {path} is longer than {MAX_PATH} bytes")]
    PathTooLong {
        /// The path below the folder.
        path: String,
    },
    /// There are too many files, or too many bytes in them.
    #[error(
        "the source in {} is too large: more than {MAX_ENTRIES} files or {} MiB",
        folder.display(),
        MAX_BYTES >> 20
    )]
    TooMuch {
        /// The folder.
        folder: PathBuf,
        /// What takes the most, at its root.
        largest: String,
    },
}

fn no_dockerfile(folder: &std::path::Path, similar: Option<&str>) -> String {
    let folder = folder.display();
    match similar {
        Some(found) => format!("the {DOCKERFILE} in {folder} is named {found}"),
        None => format!("there is no {DOCKERFILE} in {folder}"),
    }
}
