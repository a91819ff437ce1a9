//! A manifest that was understood: what it means for the app as it is.

use crate::assemble::SourceFile;
use crate::diagnostic::{Diagnostic, Severity};
use crate::manifest::{KnownPlugin, Manifest};
use crate::merge::{Merged, merge};
use crate::name::{MAIN, PluginName, ServiceName};
use crate::secret::{SecretName, SecretSource};
use crate::service::{DescribeRequest, ServiceDescription, SettingDiagnostic};
use crate::source::Source;
use crate::spec::AppSpec;
use std::collections::{BTreeMap, BTreeSet};

/// What a plugin says about a service: what it is, or what is wrong with it.
pub type Answer = Result<ServiceDescription, Vec<SettingDiagnostic>>;

/// A manifest that was understood: what it means for the app as it is.
#[derive(Debug, Clone)]
pub struct Understood {
    /// The manifest as it was read.
    pub manifest: Manifest,
    /// Its meaning merged with what was set by hand.
    pub merged: Merged,
    /// What the plugins say about the services.
    pub descriptions: BTreeMap<ServiceName, ServiceDescription>,
    /// For each plugin, under the name that the app uses: every name it answers to.
    pub(super) plugin_names: BTreeMap<PluginName, Vec<PluginName>>,
    /// Files that containers get, by path below the source folder.
    pub(super) files: BTreeMap<String, SourceFile>,
}

impl Understood {
    /// Merges a manifest with what was set by hand since `base` was applied, which made
    /// the app what it is `now`, and has `describe` say what each service is. `files` are
    /// those that came with the manifest.
    ///
    /// An error is `describe`'s own, else what is wrong with the manifest.
    pub fn new<E>(
        manifest: Manifest,
        (base, now): (Option<&AppSpec>, Option<&AppSpec>),
        plugins: &[KnownPlugin],
        files: &BTreeMap<String, SourceFile>,
        mut describe: impl FnMut(&ServiceName, &str, &DescribeRequest) -> Result<Answer, E>,
    ) -> Result<Result<Self, Vec<Diagnostic>>, E> {
        let merged = merge(base, now, &manifest.spec);
        let mut diagnostics = Vec::new();
        let mut descriptions = BTreeMap::new();
        for (name, service) in &merged.spec.services {
            let Some(asked) = merged.spec.describe_request(name) else {
                continue;
            };
            match describe(name, service.plugin.as_str(), &asked)? {
                Ok(description) => {
                    descriptions.insert(name.clone(), description);
                }
                Err(objections) => diagnostics.extend(
                    objections
                        .iter()
                        .map(|objection| manifest.objection(name, objection)),
                ),
            }
        }
        diagnostics.extend(missing_files(&merged.spec, files, &manifest));
        if !diagnostics.is_empty() {
            return Ok(Err(diagnostics));
        }
        let services = merged.spec.services.values();
        let plugin_names = services
            .map(|service| (service.plugin.clone(), names(plugins, &service.plugin)))
            .collect();
        Ok(Ok(Self {
            manifest,
            merged,
            descriptions,
            plugin_names,
            files: files.clone(),
        }))
    }

    /// What main is built from, where the source has this digest.
    pub fn source(&self, digest: &str) -> Source {
        Source {
            digest: digest.to_owned(),
            recipe: self.merged.spec.main.recipe(),
        }
    }

    /// References of the services' images.
    pub fn references(&self) -> BTreeSet<&str> {
        let services = &self.merged.spec.services;
        let described = self.descriptions.iter();
        described
            .map(|(name, description)| {
                let named = services
                    .get(name)
                    .and_then(|service| service.image.as_deref());
                named.unwrap_or(&description.image)
            })
            .collect()
    }

    /// Every secret that has to have a value.
    pub fn secrets(&self) -> BTreeMap<SecretName, SecretSource> {
        let mut wanted = self.merged.spec.secrets.clone();
        for description in self.descriptions.values() {
            wanted.extend(description.secrets.iter().cloned());
        }
        wanted
    }
}

/// Every name that the plugin of this name answers to.
fn names(plugins: &[KnownPlugin], plugin: &PluginName) -> Vec<PluginName> {
    let mut names = plugins.iter().map(|known| {
        let names = std::iter::once(&known.name).chain(&known.aliases);
        names.cloned().collect::<Vec<_>>()
    });
    names
        .find(|names| names.contains(plugin))
        .unwrap_or_default()
}

/// The files that containers get and that did not come with the manifest.
fn missing_files(
    spec: &AppSpec,
    files: &BTreeMap<String, SourceFile>,
    manifest: &Manifest,
) -> Vec<Diagnostic> {
    let mut missing = Vec::new();
    let services = spec
        .services
        .iter()
        .map(|(name, service)| (name.as_str(), &service.container));
    let main = std::iter::once((MAIN, &spec.main.container));
    for (owner, container) in main.chain(services) {
        for (path, file) in &container.files {
            if files.contains_key(&file.source) {
                continue;
            }
            let place = match owner {
                MAIN => vec!["main", "files", path],
                _ => vec!["services", owner, "files", path],
            };
            let help = "add it, or correct `source`; it is a path below the folder of doprax.yaml";
            missing.push(manifest.places.diagnostic(
                Severity::Error,
                &place,
                format!("there is no file {} in the source folder", file.source),
                Some(help.to_owned()),
            ));
        }
    }
    missing
}
