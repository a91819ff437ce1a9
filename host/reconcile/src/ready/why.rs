//! Finding out why something failed, where what was said does not tell: looks at what is
//! there after a failure, and never fails itself.

use crate::Error;
use crate::run::Run;
use doprax_core::blueprint::{Blueprint, Container};
use doprax_core::cause::{Cause, Ended, MAX_VARIABLE, Program, of_build, of_end, of_silence};
use doprax_core::diagnostic::Severity;
use doprax_core::name::{AppName, MAIN, ServiceName};
use doprax_core::observed::{ObservedContainer, State};
use doprax_core::plan::Act;
use doprax_core::probe::Check;
use doprax_core::proposal::Understood;
use doprax_core::secret::SecretName;
use doprax_core::spec::Strategy;
use doprax_engine::{Engine, Error as EngineError, Examination};
use doprax_store::AppRecord;
use std::collections::BTreeMap;
use std::error::Error as _;

/// A container that does not work.
#[derive(Clone, Copy)]
pub(crate) struct Broken<'a> {
    /// What it shall be.
    pub(crate) spec: &'a Container,
    /// What it is.
    pub(crate) found: &'a ObservedContainer,
    /// What was found in it.
    pub(crate) looked: &'a Examination,
    /// Whether its process ended; else it runs and does not answer.
    pub(crate) ended: bool,
    /// Its last lines.
    pub(crate) log: &'a [String],
    /// The values of the secrets that its variables name, as far as they are at hand.
    pub(crate) secrets: &'a BTreeMap<SecretName, String>,
}

/// Why a container of an app does not work: its process `ended`, or does not answer.
pub(crate) async fn why(engine: &dyn Engine, app: &AppName, broken: &Broken<'_>) -> Option<Cause> {
    let Broken {
        spec,
        found,
        looked,
        ended,
        log,
        secrets,
    } = *broken;
    if !ended {
        let port = spec.probes.iter().find_map(|probe| match &probe.check {
            Check::Tcp { port, .. } | Check::Serves { port, .. } | Check::Http { port, .. } => {
                Some(*port)
            }
            Check::Exec { .. } | Check::Log { .. } => None,
        })?;
        return of_silence(port, looked.sockets.as_ref()?);
    }
    of_end(&Ended {
        exit_code: found.exit_code.or(looked.exit_code),
        out_of_memory: found.out_of_memory,
        restarts: found.restarts,
        log,
        largest_variable: largest_variable(spec, secrets),
        is_beside_old: is_beside_old(engine, app, spec, found).await,
        ..known(spec, looked.program.as_ref())
    })
}

/// Whether an older copy with the same volume runs.
async fn is_beside_old(
    engine: &dyn Engine,
    app: &AppName,
    spec: &Container,
    found: &ObservedContainer,
) -> bool {
    if spec.strategy != Strategy::Rolling || spec.mounts.is_empty() {
        return false;
    }
    let observed = engine.observe(app).await;
    observed.is_ok_and(|observed| {
        observed.containers.iter().any(|other| {
            other.service == found.service && other.id != found.id && other.state == State::Running
        })
    })
}

/// The error of an act, with its cause where that is known.
pub(crate) async fn explain(
    engine: &dyn Engine,
    run: &Run,
    act: &Act,
    error: EngineError,
) -> Error {
    let container = match act {
        Act::CreateContainer { container, .. } | Act::StartContainer { container } => container,
        _ => return error.into(),
    };
    let EngineError::Failed { .. } = &error else {
        return error.into();
    };
    let said = error.source().map(ToString::to_string).unwrap_or_default();
    let looked = engine
        .examine(&engine.name_of(&run.app, container))
        .await
        .unwrap_or_default();
    let found = engine.container(&run.app, container).await.ok().flatten();
    let name = match act {
        Act::CreateContainer { spec, .. } => Some(spec.name.clone()),
        _ => found.map(|found| found.service),
    };
    let spec = run.blueprint.as_ref().zip(name.as_ref());
    let spec = spec.and_then(|(blueprint, name)| blueprint.containers.get(name));
    let Some(spec) = spec else {
        return error.into();
    };
    let cause = of_end(&Ended {
        refusal: Some(&said),
        largest_variable: largest_variable(spec, &run.inputs.secrets),
        ..known(spec, looked.program.as_ref())
    });
    match cause {
        Some(cause) => Error::Explained {
            action: format!("start {}", spec.name),
            cause: cause.into(),
            source: error,
        },
        None => error.into(),
    }
}

/// Refuses volumes that a person mounts where an image has a file, before anything is
/// made. What the release before had mounted so is known to work.
pub(crate) async fn check_mounts(
    engine: &dyn Engine,
    understood: &Understood,
    blueprint: &Blueprint,
    record: &AppRecord,
) -> Result<(), Error> {
    let spec = &understood.merged.spec;
    let services = spec
        .services
        .iter()
        .map(|(name, service)| (name.clone(), &service.container));
    let main = std::iter::once((ServiceName::main(), &spec.main.container));
    let before = record.release.as_ref().map(|release| &release.blueprint);
    let mut diagnostics = Vec::new();
    for (name, mounted) in main.chain(services) {
        let Some(container) = blueprint.containers.get(&name) else {
            continue;
        };
        let known = before.and_then(|before| before.containers.get(&name));
        let is_known = |path: &String| {
            known.is_some_and(|known| known.mounts.iter().any(|mount| mount.path == *path))
        };
        let paths: Vec<String> = mounted
            .volumes
            .keys()
            .filter(|path| !is_known(path))
            .cloned()
            .collect();
        if paths.is_empty() {
            continue;
        }
        let image = container.image.reference();
        let files = engine.files_at(&blueprint.app, image, &paths).await?;
        for path in files {
            let place = match name.as_str() {
                MAIN => vec![MAIN, "volumes", &path],
                service => vec!["services", service, "volumes", &path],
            };
            diagnostics.push(understood.manifest.places.diagnostic(
                Severity::Error,
                &place,
                format!("the image has a file at {path}, and a volume is a folder"),
                Some(
                    "mount the folder that the file is in, or have the app keep the file in a folder of its own and mount that"
                        .to_owned(),
                ),
            ));
        }
    }
    match diagnostics.is_empty() {
        true => Ok(()),
        false => Err(Error::Manifest { diagnostics }),
    }
}

/// The error of a build, with its cause where that is known.
pub(crate) fn explain_build(error: Error, dockerfile: &str) -> Error {
    match error {
        Error::Engine(EngineError::BuildFailed {
            step,
            output,
            reason,
        }) => {
            let cause = of_build(&reason, &output, dockerfile);
            let source = EngineError::BuildFailed {
                step,
                output,
                reason,
            };
            match cause {
                Some(cause) => Error::Explained {
                    action: "build main".to_owned(),
                    cause: cause.into(),
                    source,
                },
                None => source.into(),
            }
        }
        other => other,
    }
}

/// What is known of a container's process however it ended.
fn known<'a>(spec: &Container, program: Option<&'a (String, Program)>) -> Ended<'a> {
    Ended {
        memory_limit: spec.resources.memory,
        program: program.map(|(path, program)| (path.as_str(), program)),
        architecture: std::env::consts::ARCH,
        ..Ended::default()
    }
}

/// The largest variable of a container, and the bytes of name, `=` and value.
fn largest_variable<'a>(
    spec: &'a Container,
    secrets: &BTreeMap<SecretName, String>,
) -> Option<(&'a str, usize)> {
    let value = |name: &SecretName| secrets.get(name).map(String::as_str);
    let sizes = spec.env.iter().filter_map(|(name, env)| {
        let value = env.value.fill(value).ok()?;
        Some((name.as_str(), name.len() + 1 + value.len()))
    });
    sizes.max_by_key(|(_, bytes)| *bytes)
}

/// Refuses variables that Linux does not take, before anything is done. `secrets` are the
/// values that the blueprint's will have.
pub(crate) fn check_variables(
    blueprint: &Blueprint,
    secrets: &BTreeMap<SecretName, String>,
) -> Result<(), Error> {
    for container in blueprint.containers.values() {
        if let Some((name, bytes)) = largest_variable(container, secrets)
            && bytes > MAX_VARIABLE
        {
            return Err(Error::LongVariable {
                container: container.name.clone(),
                name: name.to_owned(),
                bytes,
            });
        }
    }
    Ok(())
}
