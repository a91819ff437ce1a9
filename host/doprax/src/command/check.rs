//! `doprax check`: whether a manifest is sound, without a host or an engine.

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::{plugins, units};
use doprax_api::wire;
use doprax_core::diagnostic::{self, Diagnostic, Severity};
use doprax_core::dockerfile::declared;
use doprax_core::manifest::{self, Manifest, app_name_from_folder};
use doprax_core::name::AppName;
use doprax_plugin::{DescribeError, Plugins};
use doprax_source::{MANIFEST, Source, Tree, config_files, read_manifest};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Check a doprax.yaml, without a host or an engine
///
/// Reads the file as a deploy would and asks the built-in plugins about their settings;
/// looks at what else a deploy needs of the folder: the Dockerfile and a port in it, config
/// files, the size of the source, the variables that are taken from outside. Every mistake
/// comes with its place and what to do about it.
///
/// What it cannot know without a host: whether images exist and the Dockerfile builds, which
/// ports a base image exposes, what was set by hand, which names and domains other apps have,
/// and which plugins a host has beside the built-in ones. `doprax plan` asks a host.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax check                     the doprax.yaml in this folder
  doprax check shop/doprax.yaml
  doprax check --json | jq '.diagnostics'

Ends with 0 if a deploy would take the file, also with warnings, else with 1.")]
pub(crate) struct Check {
    /// The file, or the folder that it is in
    #[arg(default_value = MANIFEST)]
    file: PathBuf,
}

impl Check {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        let path = if self.file.is_dir() {
            self.file.join(MANIFEST)
        } else {
            self.file
        };
        let bytes = read_manifest(&path).map_err(|error| {
            Failure::new(format!("cannot read {}", path.display()))
                .because(&error)
                .help("name the file: `doprax check FILE`")
        })?;
        let folder = path
            .parent()
            .and_then(|parent| Path::new(".").join(parent).canonicalize().ok());
        let plugins = plugins::open()?;
        match check(&path, &bytes, folder.as_deref(), &plugins)? {
            Ok((manifest, mut warnings)) => {
                let source = folder.and_then(|folder| look(folder, &manifest, &mut warnings));
                accept(context, &path, &manifest, source.as_ref(), &warnings)
            }
            Err(diagnostics) => refuse(context, &path, diagnostics),
        }
    }
}

type Checked = Result<(Manifest, Vec<Diagnostic>), Vec<Diagnostic>>;

/// The manifest and its warnings, or what it is refused for.
fn check(path: &Path, bytes: &[u8], folder: Option<&Path>, plugins: &Plugins) -> Result<Checked> {
    let known = plugins::known(
        plugins
            .known()
            .map(|info| (info.id.as_str(), info.aliases.as_slice())),
    );
    let default_app = folder.and_then(folder_app);
    let file_name = path.display().to_string();
    let context = manifest::Context {
        file_name: &file_name,
        default_app: default_app.as_ref(),
        plugins: &known,
    };
    let manifest = match manifest::parse(bytes, &context) {
        Ok(manifest) => manifest,
        Err(refused) => return Ok(Err(refused.diagnostics)),
    };
    let mut warnings = manifest.warnings.clone();
    if let Some(Err(missing)) = folder.map(|folder| config_files(folder, &manifest)) {
        // The file may be checked before the rest of the source is there.
        warnings.extend(missing.into_iter().map(warning));
    }
    let objections = objections(&manifest, plugins)?;
    if objections.is_empty() {
        return Ok(Ok((manifest, warnings)));
    }
    warnings.extend(objections);
    Ok(Err(warnings))
}

/// What a deploy would send of the folder. What it would miss there is a warning, as the
/// file may be checked before the rest of the source is there.
fn look(folder: PathBuf, manifest: &Manifest, warnings: &mut Vec<Diagnostic>) -> Option<Tree> {
    let mut warn = |at: &[&str], message: String, help: Option<String>| {
        let places = &manifest.places;
        warnings.push(places.diagnostic(Severity::Warning, at, message, help));
    };
    let source = Source {
        folder,
        manifest: Vec::new(),
        default_app: None,
    };
    let found = doprax_source::Context::open(&source, manifest);
    let found = found.and_then(|build| Ok((build.tree(&source.folder, manifest)?, build)));
    let (tree, build) = match found {
        Ok(found) => found,
        Err(error) => {
            let mut failure = Failure::from(error);
            let refused = failure.take_diagnostics();
            if refused.is_empty() {
                let (message, help) = failure.texts();
                warn(&["main", "build"], message, help);
            } else {
                warnings.extend(refused.into_iter().map(warning));
            }
            return None;
        }
    };
    let spec = &manifest.spec;
    let recipe = spec.main.recipe();
    let declared = declared(&build.text, recipe.target.as_deref(), &recipe.args);
    if spec.main.port.is_none()
        && spec.services.is_empty()
        && declared.all_ports
        && declared.ports.is_empty()
    {
        warn(
            &["main"],
            "the Dockerfile exposes no port, and main has no `port`".to_owned(),
            Some(
                "write `port: 8000` under main, or `EXPOSE 8000` in the Dockerfile, with the port that it listens on, unless its base image exposes it; `port: none` where it listens on none"
                    .to_owned(),
            ),
        );
    }
    Some(tree)
}

/// The same as a warning.
fn warning(diagnostic: Diagnostic) -> Diagnostic {
    Diagnostic {
        severity: Severity::Warning,
        ..diagnostic
    }
}

fn folder_app(folder: &Path) -> Option<AppName> {
    app_name_from_folder(&folder.file_name()?.to_string_lossy())
}

/// What plugins have to say against the services.
fn objections(manifest: &Manifest, plugins: &Plugins) -> Result<Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    for (name, service) in &manifest.spec.services {
        let Some(request) = manifest.spec.describe_request(name) else {
            continue;
        };
        match plugins.describe(service.plugin.as_str(), &request) {
            Ok(_) => {}
            Err(DescribeError::Diagnostics(objections)) => {
                diagnostics.extend(
                    objections
                        .iter()
                        .map(|objection| manifest.objection(name, objection)),
                );
            }
            Err(DescribeError::Plugin(error)) => return Err(Failure::from_error(&error)),
        }
    }
    Ok(diagnostics)
}

fn accept(
    context: &Context,
    path: &Path,
    manifest: &Manifest,
    source: Option<&Tree>,
    warnings: &[Diagnostic],
) -> Result<()> {
    let output = &context.output;
    let spec = &manifest.spec;
    let variables: Vec<&str> = spec
        .secrets
        .keys()
        .filter_map(|name| name.as_variable())
        .collect();
    let services: Vec<&str> = spec.services.keys().map(|name| name.as_str()).collect();
    if output.json {
        return output.json(&json!({
            "file": path,
            "ok": true,
            "app": spec.app,
            "services": services,
            "variables": variables,
            "source": source.map(|tree| json!({ "entries": tree.count(), "bytes": tree.bytes })),
            "diagnostics": warnings,
        }));
    }
    if !warnings.is_empty() {
        output.remark(diagnostic::render(warnings, output.error_paint.colour()));
    }
    let services = if services.is_empty() {
        "no services".to_owned()
    } else {
        services.join(", ")
    };
    let good = output.paint.green("good");
    output.line(format!(
        "{}: {good}: app {} with main and {services}",
        path.display(),
        output.paint.bold(spec.app.as_str())
    ))?;
    if let Some(tree) = source {
        let (entries, size) = (tree.count(), units::bytes(tree.bytes));
        let word = if entries == 1 { "entry" } else { "entries" };
        output.line(format!("a deploy sends {entries} {word}, {size}"))?;
    }
    if !variables.is_empty() {
        output.line(format!(
            "a deploy takes from the environment, or from `doprax secret set`: {}",
            variables.join(", ")
        ))?;
    }
    Ok(())
}

fn refuse(context: &Context, path: &Path, diagnostics: Vec<Diagnostic>) -> Result<()> {
    if context.output.json {
        context
            .output
            .json(&json!({ "file": path, "ok": false, "diagnostics": diagnostics }))?;
        return Err(Failure::Silent(1));
    }
    Err(Failure::Failed(Box::new(wire::Failure {
        error: format!("{} would be refused", path.display()),
        diagnostics,
        ..wire::Failure::default()
    })))
}
