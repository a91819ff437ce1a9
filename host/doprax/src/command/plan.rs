//! `doprax plan`: what a deploy would do; and what `up` needs for it, too.

use crate::actor::actor;
use crate::context::Context;
use crate::env_file;
use crate::failure::{Failure, Result};
use crate::plugins;
use crate::source::refused;
use doprax_api::client::Client;
use doprax_api::wire::{ConfigFile, DeployRequest, Proposal};
use doprax_core::diagnostic;
use doprax_core::manifest::{self, KnownPlugin, Manifest};
use doprax_source::{MANIFEST, Source, Tree, commit, config_files};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Show what `up` would do
///
/// Reads the same files and asks the same host as `doprax up`, and changes nothing. `+`
/// is new, `~` changes, `-` goes away. Volumes never go away with a deploy.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax plan                      what would `up` do here?
  doprax plan shop --json          the same for ./shop, for a script
  doprax plan --exit-code          for a script that only wants to know whether

Exit codes with --exit-code: 0 nothing to do, 1 failed, 2 called wrongly, 3 something to do.")]
pub(crate) struct Plan {
    /// The app's source folder
    #[arg(default_value = ".", hide_default_value = true)]
    dir: PathBuf,
    #[command(flatten)]
    choices: Choices,
    /// End with 3 if there is something to do
    #[arg(long)]
    exit_code: bool,
}

/// What `plan` and `up` may be told beside the folder.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Choices {
    /// Take values of ${NAME} from this file of NAME=value lines, too; the environment
    /// goes first, a later file before an earlier one
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Ask the registries again for the services' images and for those that main is built
    /// on
    #[arg(long)]
    pull: bool,
    /// Build main again, on the images that the registries now have
    #[arg(long)]
    build: bool,
    /// With --build: use nothing of earlier builds
    #[arg(long, requires = "build")]
    no_cache: bool,
}

/// The exit code that says that there is something to do.
const SOMETHING_TO_DO: u8 = 3;

impl Plan {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let client = context.client()?;
        let Prepared { proposal, .. } = prepare(context, &client, &self.dir, &self.choices).await?;
        if context.output.json {
            context.output.json(&proposal)?;
        } else {
            show(context, &proposal)?;
        }
        match self.exit_code && proposal.changes {
            true => Err(Failure::Silent(SOMETHING_TO_DO)),
            false => Ok(()),
        }
    }
}

/// A deploy, ready to begin.
pub(super) struct Prepared {
    pub(super) request: DeployRequest,
    pub(super) tree: Tree,
    pub(super) proposal: Proposal,
}

/// Reads the folder and asks the host what a deploy would do.
pub(super) async fn prepare(
    context: &Context,
    client: &Client,
    folder: &Path,
    choices: &Choices,
) -> Result<Prepared> {
    let source = Source::open(folder)?;
    let plugins = client.plugins().await?;
    let plugins = plugins::known(
        plugins
            .iter()
            .map(|plugin| (plugin.id.as_str(), plugin.aliases.as_slice())),
    );
    let manifest = read_manifest(&source, &plugins)?;
    let build = doprax_source::Context::open(&source, &manifest)?;
    let files = config_files(&source.folder, &manifest).map_err(refused)?;
    let variables = variables(&manifest, &choices.env_file)?;
    let commit = commit(&source.folder);
    let tree = build.tree(&source.folder, &manifest)?;
    let digest = tree.digest()?;
    let request = DeployRequest {
        default_app: source.default_app,
        file_name: MANIFEST.to_owned(),
        manifest: String::from_utf8(source.manifest)
            .map_err(|error| Failure::new(format!("{MANIFEST} is not UTF-8")).because(&error))?,
        source: digest,
        dockerfile: build.text,
        files: files.into_iter().map(wire).collect(),
        variables,
        commit,
        pull: choices.pull,
        build: choices.build,
        no_cache: choices.no_cache,
        confirmed: None,
        actor: actor(),
    };
    let proposal = client.plan(&request).await?;
    if context.output.verbose > 0 {
        let (files, size) = (tree.count(), crate::units::bytes(tree.bytes));
        context.output.remark(format!(
            "the source has {files} entries, {size}, digest {}",
            request.source
        ));
    }
    Ok(Prepared {
        request,
        tree,
        proposal,
    })
}

/// Shows the warnings and the changes.
pub(super) fn show(context: &Context, proposal: &Proposal) -> Result<()> {
    let output = &context.output;
    warn(context, proposal);
    output.line(proposal.diff.render(output.paint.colour()).trim_end())
}

/// Shows the warnings.
pub(super) fn warn(context: &Context, proposal: &Proposal) {
    if !proposal.warnings.is_empty() && !context.output.json {
        let colour = context.output.error_paint.colour();
        context
            .output
            .remark(diagnostic::render(&proposal.warnings, colour));
    }
}

/// What the manifest means, as far as the command must know it: which files and
/// variables it names. The host reads it again and has the last word.
fn read_manifest(source: &Source, plugins: &[KnownPlugin]) -> Result<Manifest> {
    let context = manifest::Context {
        file_name: MANIFEST,
        default_app: source.default_app.as_ref(),
        plugins,
    };
    manifest::parse(&source.manifest, &context).map_err(|error| refused(error.diagnostics))
}

/// A config file as it is sent.
fn wire((path, file): (String, doprax_source::ConfigFile)) -> (String, ConfigFile) {
    let doprax_source::ConfigFile { content, mode } = file;
    (path, ConfigFile { content, mode })
}

/// Those variables of the command's environment, and of the files, that the manifest names.
fn variables(manifest: &Manifest, files: &[PathBuf]) -> Result<BTreeMap<String, String>> {
    let mut given = BTreeMap::new();
    for file in files {
        given.extend(env_file::read(file)?);
    }
    let names = manifest
        .spec
        .secrets
        .keys()
        .filter_map(|name| name.as_variable());
    let value = |name: &str| {
        std::env::var(name)
            .ok()
            .or_else(|| given.get(name).cloned())
    };
    Ok(names
        .filter_map(|name| Some((name.to_owned(), value(name)?)))
        .collect())
}
