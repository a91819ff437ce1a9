//! `doprax check`: whether a manifest is sound, without a host or an engine.

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::plugins;
use crate::source::{MANIFEST, config_files, read_manifest};
use doprax_api::wire;
use doprax_core::diagnostic::{self, Diagnostic, Severity};
use doprax_core::manifest::{self, Manifest, app_name_from_folder};
use doprax_core::name::AppName;
use doprax_plugin::{DescribeError, Plugins};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Check a doprax.yaml, without a host or an engine
///
/// Reads the file as a deploy would and asks the built-in plugins about their settings.
/// Every mistake comes with its place and what to do about it.
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
            Ok((manifest, warnings)) => accept(context, &path, &manifest, &warnings),
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
        warnings.extend(missing.into_iter().map(|missing| Diagnostic {
            severity: Severity::Warning,
            ..missing
        }));
    }
    let objections = objections(&manifest, plugins)?;
    if objections.is_empty() {
        return Ok(Ok((manifest, warnings)));
    }
    warnings.extend(objections);
    Ok(Err(warnings))
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
    warnings: &[Diagnostic],
) -> Result<()> {
    let output = &context.output;
    let spec = &manifest.spec;
    let services: Vec<&str> = spec.services.keys().map(|name| name.as_str()).collect();
    if output.json {
        return output.json(&json!({
            "file": path,
            "ok": true,
            "app": spec.app,
            "services": services,
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
    ))
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
