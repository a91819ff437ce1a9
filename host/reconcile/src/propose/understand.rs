//! What a request means: its manifest, merged with what was set by hand, and what the plugins
//! say of its services.

use super::Proposer;
use super::secret::{self, NewValues};
use crate::Error;
use crate::request::DeployRequest;
use doprax_core::assemble::SourceFile;
use doprax_core::blueprint::sha256_hex;
use doprax_core::manifest::{self, KnownPlugin, Manifest};
use doprax_core::name::{AppName, PluginName, ServiceName};
use doprax_core::proposal::Understood;
use doprax_core::secret::SecretName;
use doprax_core::service::ServiceDescription;
use doprax_core::source::Source;
use doprax_plugin::{DescribeError, Plugins};
use doprax_store::{AppRecord, StoredSecret};
use std::collections::BTreeMap;

impl Proposer {
    /// The app that a request is for.
    pub(crate) fn app_of(&self, request: &DeployRequest) -> Result<AppName, Error> {
        Ok(self.app_and_source_of(request)?.0)
    }

    /// The same, and what its main is built from.
    pub(crate) fn app_and_source_of(
        &self,
        request: &DeployRequest,
    ) -> Result<(AppName, Source), Error> {
        if !doprax_core::source::is_digest(&request.source) {
            let digest = request.source.chars().take(64).collect();
            return Err(Error::Source {
                digest,
                reason: "has no valid digest".to_owned(),
            });
        }
        let spec = self.read_manifest(request)?.spec;
        let source = Source {
            digest: request.source.clone(),
            recipe: spec.main.recipe(),
        };
        Ok((spec.app, source))
    }

    /// Takes from a request the values that it gives the manifest's variables.
    pub(crate) fn take_given(
        &self,
        request: &mut DeployRequest,
    ) -> Result<BTreeMap<SecretName, String>, Error> {
        let wanted = self.read_manifest(request)?.spec.secrets;
        let variables = std::mem::take(&mut request.variables);
        let given = variables
            .into_iter()
            .map(|(name, value)| (SecretName::variable(&name), value));
        Ok(given
            .filter(|(name, _)| wanted.contains_key(name))
            .collect())
    }

    /// What the host remembers of the app that a request is for.
    pub(crate) async fn record_for(
        &self,
        request: &DeployRequest,
    ) -> Result<Option<AppRecord>, Error> {
        Ok(self.store.app(&self.app_of(request)?).await?)
    }

    fn read_manifest(&self, request: &DeployRequest) -> Result<Manifest, Error> {
        let plugins = known_plugins(&self.plugins);
        let context = manifest::Context {
            file_name: &request.file_name,
            default_app: request.default_app.as_ref(),
            plugins: &plugins,
        };
        manifest::parse(request.manifest.as_bytes(), &context).map_err(|refused| Error::Manifest {
            diagnostics: refused.diagnostics,
        })
    }

    /// Reads the manifest, merges it with what was set by hand, and asks the plugins.
    pub(crate) fn understand(
        &self,
        request: &DeployRequest,
        record: Option<&AppRecord>,
    ) -> Result<Understood, Error> {
        let manifest = self.read_manifest(request)?;
        let files = request.files.iter().map(|(path, file)| {
            let sha256 = sha256_hex(&file.content);
            let mode = file.mode;
            (path.clone(), SourceFile { sha256, mode })
        });
        let plugins = &self.plugins;
        let understood = Understood::new(
            manifest,
            (
                record.and_then(|record| record.manifest.as_ref()),
                record.and_then(|record| record.spec.as_ref()),
            ),
            &known_plugins(plugins),
            &files.collect(),
            |service, plugin, asked| match plugins.describe(plugin, asked) {
                Ok(description) => Ok(Ok(ServiceDescription {
                    component: plugins.info(plugin).ok().map(|info| info.digest.clone()),
                    ..description
                })),
                Err(DescribeError::Diagnostics(objections)) => Ok(Err(objections)),
                Err(error) => Err(Error::Plugin {
                    service: ServiceName::clone(service),
                    source: error.into(),
                }),
            },
        )?;
        understood.map_err(|diagnostics| Error::Manifest { diagnostics })
    }
}

/// The secrets that have to be written, or an error that names all variables
/// without a value.
pub(crate) fn needed_secrets(
    understood: &Understood,
    request: &DeployRequest,
    stored: &BTreeMap<SecretName, StoredSecret>,
) -> Result<NewValues, Error> {
    let new = secret::new_values(&understood.secrets(), stored, &request.variables);
    if new.missing.is_empty() {
        return Ok(new);
    }
    let asked = understood.descriptions.values();
    let asked = asked.flat_map(|description| &description.given);
    let asked = asked.filter_map(|(name, what)| Some((name.as_variable()?, what)));
    Err(Error::NoValues {
        app: understood.app().clone(),
        file_name: request.file_name.clone(),
        asked: asked
            .filter(|(name, _)| new.missing.iter().any(|missing| missing == name))
            .map(|(name, what)| (name.to_owned(), what.clone()))
            .collect(),
        names: new.missing,
    })
}

/// The names that plugins answer to. A name that no manifest could write is left out.
fn known_plugins(plugins: &Plugins) -> Vec<KnownPlugin> {
    let names = |names: &[String]| {
        names
            .iter()
            .filter_map(|n| PluginName::new(n).ok())
            .collect()
    };
    plugins
        .known()
        .filter_map(|info| {
            let name = PluginName::new(&info.id).ok()?;
            Some(KnownPlugin {
                name,
                aliases: names(&info.aliases),
            })
        })
        .collect()
}
