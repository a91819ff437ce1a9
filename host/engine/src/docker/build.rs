//! Building main's image.

use super::build_log::BuildLog;
use super::{Docker, Failure};
use crate::{Error, Event, Inputs, Outcome, Progress};
use bollard::body_try_stream;
use bollard::models::{BuildInfo, BuildInfoAux};
use bollard::query_parameters::{BuildImageOptions, BuildImageOptionsBuilder, BuilderVersion};
use doprax_core::name::AppName;
use doprax_core::plan::Rebuild;
use doprax_core::source::Recipe;
use futures_util::StreamExt as _;
use std::collections::HashMap;
use std::path::Path;
use tokio::fs::File;
use tokio_util::io::ReaderStream;

/// Size of the pieces in which a source is read.
const PIECE: usize = 128 * 1024;

/// The build ended without an error and without an image.
#[derive(Debug, thiserror::Error)]
#[error("the build ended without an image")]
struct NoImage;

/// An image to be built.
pub(super) struct Wanted<'a> {
    pub(super) reference: &'a str,
    /// Digest of the source.
    pub(super) source: &'a str,
    pub(super) recipe: &'a Recipe,
    pub(super) rebuild: Rebuild,
}

impl Docker {
    /// Builds an image from a source archive unless its reference, which has the
    /// source's digest in it, exists and it is not to be built again. Ends early when
    /// dropped.
    pub(super) async fn build(
        &self,
        app: &AppName,
        wanted: Wanted<'_>,
        inputs: &Inputs,
        progress: &Progress,
    ) -> Result<Outcome, Error> {
        let Wanted {
            reference,
            source,
            recipe,
            rebuild,
        } = wanted;
        let action = || format!("build {reference}");
        if rebuild == Rebuild::Never
            && self
                .has_image(reference)
                .await
                .map_err(|failure| self.error(failure, action()))?
        {
            return Ok(Outcome::AlreadyDone);
        }
        let archive = inputs
            .sources
            .get(source)
            .ok_or_else(|| Error::NoMaterial {
                name: format!("source {source}"),
            })?;
        let args: HashMap<String, String> = recipe.args.clone().into_iter().collect();
        let options = BuildImageOptionsBuilder::default()
            .dockerfile(&recipe.dockerfile)
            .target(recipe.target.as_deref().unwrap_or_default())
            .buildargs(&args)
            .t(reference)
            .labels(&self.labels(app))
            .nocache(rebuild == Rebuild::Uncached)
            .rm(true)
            .forcerm(true);
        let options = match self.find_facts().await?.buildkit {
            true => options
                .version(BuilderVersion::BuilderBuildKit)
                .session(&uuid::Uuid::new_v4().to_string()),
            false => options,
        };
        self.run_build(options.build(), archive, progress)
            .await
            .map_err(|stopped| match stopped {
                Stopped::Failed(error) => *error,
                Stopped::Failure(failure) => self.error(failure, action()),
            })?;
        if self
            .has_image(reference)
            .await
            .map_err(|failure| self.error(failure, action()))?
        {
            return Ok(Outcome::Done);
        }
        Err(self.error(Failure::other(NoImage), action()))
    }

    async fn run_build(
        &self,
        options: BuildImageOptions,
        archive: &Path,
        progress: &Progress,
    ) -> Result<(), Stopped> {
        let file = File::open(archive).await.map_err(Failure::other)?;
        let body = body_try_stream(ReaderStream::with_capacity(file, PIECE));
        let session = self.transport.session();
        let client = session.client();
        let mut answers = client.build_image(options, None, Some(body));
        let mut log = BuildLog::default();
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(info) => {
                    for line in lines(&mut log, info) {
                        progress(Event::Build(line));
                    }
                }
                Err(error) => {
                    return Err(match Failure::from(error) {
                        Failure::Refused { message, .. } => {
                            let (step, output) = log.into_failure();
                            Stopped::Failed(Box::new(Error::BuildFailed {
                                step,
                                output,
                                reason: message,
                            }))
                        }
                        failure => Stopped::Failure(failure),
                    });
                }
            }
        }
        Ok(())
    }
}

/// Why a build did not come to its end.
enum Stopped {
    Failed(Box<Error>),
    Failure(Failure),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

fn lines(log: &mut BuildLog, info: BuildInfo) -> Vec<String> {
    match (info.aux, info.stream) {
        (Some(BuildInfoAux::BuildKit(status)), _) => log.status(status),
        (_, Some(text)) => log.classic(&text),
        _ => Vec::new(),
    }
}

#[cfg(test)]
#[allow(dead_code, reason = "others use the rest")]
#[path = "../../../../tests/required.rs"]
mod required;

#[cfg(test)]
mod tests {
    use super::*;
    use doprax_core::name::Instance;
    use std::sync::{Arc, Mutex};

    /// An engine without BuildKit is not to be had; its builder is, on every engine.
    #[tokio::test]
    async fn the_classic_builder_shows_the_failing_step_too() {
        let Some(address) = required::required("DOPRAX_TEST_ENGINE") else {
            return;
        };
        let address = address.into_string().unwrap();
        let docker = Docker::connect(&address, Instance::default());
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("source.tar");
        let dockerfile = "FROM doprax-test/debian:bookworm\nRUN echo a line && exit 3\n";
        let mut tar = tar::Builder::new(std::fs::File::create(&archive).unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_size(dockerfile.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, "Dockerfile", dockerfile.as_bytes())
            .unwrap();
        tar.into_inner().unwrap();
        let events = Arc::<Mutex<Vec<Event>>>::default();
        let seen = Arc::clone(&events);
        let progress: Progress = Arc::new(move |event| seen.lock().unwrap().push(event));
        let options = BuildImageOptionsBuilder::default()
            .dockerfile("Dockerfile")
            .rm(true)
            .forcerm(true);
        match docker.run_build(options.build(), &archive, &progress).await {
            Err(Stopped::Failed(error)) => match *error {
                Error::BuildFailed {
                    step,
                    output,
                    reason,
                } => {
                    assert_eq!(step, "[2/2] RUN echo a line && exit 3");
                    assert_eq!(output, ["a line"]);
                    assert!(reason.contains('3'), "{reason}");
                }
                other => panic!("{other:?}"),
            },
            Err(Stopped::Failure(failure)) => panic!("{failure:?}"),
            Ok(()) => panic!("it cannot succeed"),
        }
        let step = Event::Build("[1/2] FROM doprax-test/debian:bookworm".to_owned());
        assert!(events.lock().unwrap().contains(&step), "{events:?}");
    }
}
