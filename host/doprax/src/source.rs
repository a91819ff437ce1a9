//! What is said of a source that cannot be deployed, and what to do about it.

use crate::failure::Failure;
use doprax_api::wire;
use doprax_core::diagnostic::Diagnostic;
use doprax_core::source::DOCKERFILE;
use doprax_source::{Error, MANIFEST};

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let error = match error {
            Error::Refused { diagnostics } => return refused(diagnostics),
            Error::NotAFolder { .. } => {
                return Self::usage(error.to_string())
                    .help("name the folder that holds doprax.yaml and the Dockerfile");
            }
            error => error,
        };
        let failure = Self::from_error(&error);
        match help(&error) {
            Some(help) => failure.help(help),
            None => failure,
        }
    }
}

/// A manifest that is refused.
pub(crate) fn refused(diagnostics: Vec<Diagnostic>) -> Failure {
    Failure::Failed(Box::new(wire::Failure {
        error: format!("{MANIFEST} was refused"),
        diagnostics,
        ..wire::Failure::default()
    }))
}

fn help(error: &Error) -> Option<String> {
    let help = match error {
        Error::NoManifest {
            similar: Some(found),
            ..
        } => {
            return Some(format!("rename {found}: `mv {found} {MANIFEST}`"));
        }
        Error::NoManifest { similar: None, .. } => {
            "name the app's source folder: `doprax up DIR`, or write a doprax.yaml; `app: NAME` is enough for an app without services"
        }
        Error::NoDockerfile {
            similar: Some(found),
            ..
        } => {
            return Some(format!("rename it: `mv {found} {DOCKERFILE}`"));
        }
        Error::NoDockerfile { similar: None, .. } => {
            "main is built from a Dockerfile beside doprax.yaml; it begins with a line such as `FROM python:3.13-slim`"
        }
        Error::NoSuchDockerfile { .. } => {
            "correct `dockerfile` below `build`: its path counts from the `context`"
        }
        Error::DockerfileOutside { .. } => "put a copy of the file itself in its place",
        Error::DockerfileNotUtf8 { .. } => "save it as UTF-8",
        Error::IgnoreFileTooLarge { .. } => {
            "leave out whole folders instead of each of their files"
        }
        Error::NameNotUtf8 { .. } => "rename it, or leave it out in .dockerignore",
        Error::TooMuch { largest, .. } => {
            return Some(format!(
                "leave out what the build does not need in .dockerignore; {largest} takes the most"
            ));
        }
        _ => return None,
    };
    Some(help.to_owned())
}
