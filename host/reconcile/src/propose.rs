//! From a request to a blueprint and a plan, without changing anything.

use crate::fresh::Fresh;
use crate::report::Proposal;
use crate::request::DeployRequest;
use crate::secret::{self, NewValues};
use crate::{Error, Host};
use doprax_core::assemble::{self, Facts, Input, MainPorts, SourceFile, assemble, unkept};
use doprax_core::blueprint::{Blueprint, Image, ImageIdentity, Note, sha256_hex};
use doprax_core::diagnostic::Severity;
use doprax_core::diff;
use doprax_core::dockerfile;
use doprax_core::domain::host_names;
use doprax_core::identity;
use doprax_core::manifest::{self, KnownPlugin, Manifest};
use doprax_core::merge::{Merged, merge};
use doprax_core::name::{AppName, PluginName, ServiceName, VolumeName};
use doprax_core::observed::Observed;
use doprax_core::plan::{Plan, Rebuild};
use doprax_core::planner::{self, Context};
use doprax_core::secret::SecretName;
use doprax_core::service::ServiceDescription;
use doprax_core::source::Source;
use doprax_core::spec::AppSpec;
use doprax_engine::ImageFacts;
use doprax_plugin::{DescribeError, Plugins};
use doprax_store::{AppRecord, StoredSecret};
use futures_util::future::try_join_all;
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};

/// What it means that the engine has no init for containers.
pub(crate) const NO_INIT: &str = "its containers get no init: this engine has none (docker-init \
     is missing), so that a program which does not expect to be the first process may hear no \
     SIGTERM and leave zombies behind";

/// A request that was understood: what it means for the app as it is.
pub(crate) struct Understood {
    /// The manifest as it was read.
    pub(crate) manifest: Manifest,
    /// Its meaning merged with what was set by hand.
    pub(crate) merged: Merged,
    /// What the plugins say about the services.
    pub(crate) descriptions: BTreeMap<ServiceName, ServiceDescription>,
    plugin_names: BTreeMap<PluginName, Vec<PluginName>>,
    files: BTreeMap<String, SourceFile>,
}

/// The images that an app's containers need, as far as the engine has them.
#[derive(Default)]
pub(crate) struct Images {
    /// References that the engine has.
    pub(crate) present: BTreeSet<String>,
    ports: BTreeMap<String, Vec<u16>>,
    /// Folders that they declare to hold data.
    volumes: BTreeMap<String, Vec<String>>,
    /// Which images they are.
    pub(crate) identities: BTreeMap<String, ImageIdentity>,
    /// Main's image, if its source was built.
    pub(crate) main: Option<MainImage>,
}

/// Main's image.
pub(crate) struct MainImage {
    pub(crate) reference: String,
    id: String,
    ports: Vec<u16>,
    volumes: Vec<String>,
}

/// What a blueprint is made for.
pub(crate) struct Around<'a> {
    pub(crate) subnet: Ipv4Net,
    pub(crate) revisions: &'a BTreeMap<doprax_core::secret::SecretName, u64>,
    /// The current release's number; 0 where there is none.
    pub(crate) release: u64,
    /// The current release's.
    pub(crate) previous: Option<&'a Blueprint>,
    pub(crate) observed: &'a Observed,
}

impl Understood {
    pub(crate) fn app(&self) -> &AppName {
        &self.merged.spec.app
    }

    /// What main is built from, and how.
    pub(crate) fn source(&self, request: &DeployRequest) -> Source {
        Source {
            digest: request.source.clone(),
            recipe: self.merged.spec.main.recipe(),
        }
    }

    /// References of the services' images.
    pub(crate) fn references(&self) -> BTreeSet<&str> {
        let services = &self.merged.spec.services;
        self.descriptions
            .iter()
            .map(|(name, description)| {
                let named = services
                    .get(name)
                    .and_then(|service| service.image.as_deref());
                named.unwrap_or(&description.image)
            })
            .collect()
    }
}

impl Images {
    /// As if what is to be had anew were there.
    fn expect(&mut self, fresh: &Fresh) {
        for (reference, digest) in &fresh.pulls {
            if self.identities.contains_key(reference) {
                self.present.remove(reference);
                let identity = ImageIdentity {
                    id: digest.clone(),
                    digest: Some(digest.clone()),
                    adopted: false,
                };
                self.identities.insert(reference.clone(), identity);
            }
        }
        if let Some(main) = self
            .main
            .as_ref()
            .filter(|_| fresh.rebuild != Rebuild::Never)
        {
            let unbuilt = ImageIdentity::unbuilt();
            self.identities.insert(main.reference.clone(), unbuilt);
        }
    }

    /// As if the engine had every image of a blueprint that ran before. One that is
    /// gone is found out by the step that needs it.
    pub(crate) fn all_present(blueprint: &Blueprint) -> Self {
        let references = blueprint
            .containers
            .values()
            .map(|container| container.image.reference().to_owned());
        Self {
            present: references.collect(),
            ..Self::default()
        }
    }
}

impl Host {
    /// What a deploy would do. Changes nothing.
    pub async fn plan(&self, request: &DeployRequest) -> Result<Proposal, Error> {
        let record = self.record_for(request).await?;
        let understood = self.understand(request, record.as_ref())?;
        let app = understood.app();
        let domains = host_names(&understood.merged.spec.domains);
        self.check_free(app, &domains).await?;
        let (stored, observed) = tokio::try_join!(self.secrets(app), async {
            match &record {
                Some(record) => self.observe(record).await,
                None => Ok(self.engine().observe(app).await?),
            }
        })?;
        let NewValues { values, .. } = self.needed_secrets(&understood, request, &stored)?;
        let revisions = secret::revisions(&stored, &values);
        let subnet = match &record {
            Some(record) if !self.has_lost_subnet(record, &observed).await? => record.subnet,
            _ => self.free_subnet(&[]).await?,
        };
        let mut images = self.images(&understood, request).await?;
        let fresh = self.fresh(&understood, request, &images).await?;
        images.expect(&fresh);
        let previous = record.as_ref().and_then(|record| record.release.as_ref());
        let number = previous.map_or(0, |release| release.number);
        // What is known of its containers by now may be more than was written down.
        let previous = previous.map(|release| identity::adopted(&release.blueprint, &observed));
        let around = Around {
            subnet,
            revisions: &revisions,
            release: number,
            previous: previous.as_ref(),
            observed: &observed,
        };
        let blueprint = self
            .blueprint(&understood, request, &around, &images)
            .await?;
        if let Some(record) = &record {
            self.refuse_gone(record, &blueprint, &observed, None)?;
        }
        let (none, no_volume) = (BTreeSet::new(), BTreeSet::new());
        let plan = self.plan_to(
            &blueprint,
            observed.clone(),
            &images,
            &none,
            &none,
            &no_volume,
        );

        let unchanged = previous.as_ref() == Some(&blueprint)
            && record.as_ref().is_some_and(|record| {
                record.manifest.as_ref() == Some(&understood.manifest.spec)
                    && record.stopped.is_empty()
            });
        let mut diff =
            diff::diff(previous.as_ref(), &blueprint, &plan).with_merge(&understood.merged);
        let rebuilds = fresh.rebuild != Rebuild::Never;
        diff.notes.extend(fresh.notes);
        Ok(Proposal {
            app: app.clone(),
            diff,
            changes: !plan.steps.is_empty() || !unchanged,
            needs_source: (images.main.is_none() || rebuilds)
                && !self.store().source_path(&request.source).exists(),
            warnings: understood.manifest.warnings,
        })
    }

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
        Ok(self.store().app(&self.app_of(request)?).await?)
    }

    fn read_manifest(&self, request: &DeployRequest) -> Result<Manifest, Error> {
        let plugins = known_plugins(&self.plugins());
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
        let merged = merge(
            record.and_then(|record| record.manifest.as_ref()),
            record.and_then(|record| record.spec.as_ref()),
            &manifest.spec,
        );
        let mut diagnostics = Vec::new();
        let mut descriptions = BTreeMap::new();
        for (name, service) in &merged.spec.services {
            let Some(asked) = merged.spec.describe_request(name) else {
                continue;
            };
            match self.plugins().describe(service.plugin.as_str(), &asked) {
                Ok(description) => {
                    descriptions.insert(name.clone(), description);
                }
                Err(DescribeError::Diagnostics(objections)) => diagnostics.extend(
                    objections
                        .iter()
                        .map(|objection| manifest.objection(name, objection)),
                ),
                Err(error) => {
                    return Err(Error::Plugin {
                        service: name.clone(),
                        source: error.into(),
                    });
                }
            }
        }
        let files = source_files(&merged.spec, request, &manifest, &mut diagnostics);
        if !diagnostics.is_empty() {
            return Err(Error::Manifest { diagnostics });
        }
        let known = known_plugins(&self.plugins());
        let answers = |plugin: &PluginName| {
            let names = known.iter().map(|known| {
                std::iter::once(&known.name)
                    .chain(&known.aliases)
                    .cloned()
                    .collect::<Vec<_>>()
            });
            names
                .into_iter()
                .find(|names| names.contains(plugin))
                .unwrap_or_default()
        };
        let plugin_names = merged
            .spec
            .services
            .values()
            .map(|service| (service.plugin.clone(), answers(&service.plugin)))
            .collect();
        Ok(Understood {
            manifest,
            merged,
            descriptions,
            plugin_names,
            files,
        })
    }

    pub(crate) async fn secrets(
        &self,
        app: &AppName,
    ) -> Result<BTreeMap<SecretName, StoredSecret>, Error> {
        Ok(self.store().secrets(app).await?)
    }

    /// The secrets that have to be written, or an error that names all variables
    /// without a value.
    pub(crate) fn needed_secrets(
        &self,
        understood: &Understood,
        request: &DeployRequest,
        stored: &BTreeMap<SecretName, StoredSecret>,
    ) -> Result<NewValues, Error> {
        let spec = &understood.merged.spec;
        let mut wanted = spec.secrets.clone();
        for description in understood.descriptions.values() {
            wanted.extend(description.secrets.iter().cloned());
        }
        let new = secret::new_values(&wanted, stored, &request.variables);
        if new.missing.is_empty() {
            return Ok(new);
        }
        let names = new.missing.join(", ");
        let first = &new.missing[0];
        Err(Error::Unplannable {
            message: format!(
                "{} takes values from outside that nobody gave: {names}",
                request.file_name
            ),
            help: Some(format!(
                "set them in the environment of this command ({first}=… doprax up), or keep them \
                 with the app: doprax secret set {} {first}",
                spec.app
            )),
        })
    }

    /// Which of the app's images the engine has.
    pub(crate) async fn images(
        &self,
        understood: &Understood,
        request: &DeployRequest,
    ) -> Result<Images, Error> {
        let references = understood.references();
        let build_digest = understood.source(request).build_digest();
        let looks = references.into_iter().map(|reference| async move {
            Ok::<_, Error>((reference, self.engine().image(reference).await?))
        });
        let (found, main) = tokio::try_join!(
            try_join_all(looks),
            self.main_image(understood.app(), &build_digest)
        )?;
        let mut images = Images {
            main,
            ..Images::default()
        };
        for (reference, facts) in found {
            if let Some(facts) = facts {
                images.present.insert(reference.to_owned());
                images
                    .identities
                    .insert(reference.to_owned(), identity_of(&facts));
                images.ports.insert(reference.to_owned(), facts.ports);
                images.volumes.insert(reference.to_owned(), facts.volumes);
            }
        }
        if let Some(main) = &images.main {
            images.present.insert(main.reference.clone());
            let identity = ImageIdentity {
                id: main.id.clone(),
                digest: None,
                adopted: false,
            };
            images.identities.insert(main.reference.clone(), identity);
            images
                .volumes
                .insert(main.reference.clone(), main.volumes.clone());
        }
        Ok(images)
    }

    /// The image of a build, if the engine still has it.
    pub(crate) async fn main_image(
        &self,
        app: &AppName,
        build_digest: &str,
    ) -> Result<Option<MainImage>, Error> {
        let Some(build) = self.store().build(app, build_digest).await? else {
            return Ok(None);
        };
        // The reference under which the same image was first built goes before: containers
        // made from it need not be made anew because another source gives the same image.
        // It may have gone with a deploy that failed.
        let first = self.store().first_source(app, &build.image).await?;
        let digests = first.iter().map(String::as_str).chain([build_digest]);
        for digest in digests {
            let reference = self.config().instance.image(app, digest);
            let present = self.engine().image(&reference).await?;
            if let Some(facts) = present.filter(|facts| facts.id == build.image) {
                return Ok(Some(MainImage {
                    reference,
                    id: facts.id,
                    ports: facts.ports,
                    volumes: facts.volumes,
                }));
            }
        }
        Ok(None)
    }

    /// The blueprint of the app: that of the current release where nothing but its number
    /// would be another, else that of the next.
    pub(crate) async fn blueprint(
        &self,
        understood: &Understood,
        request: &DeployRequest,
        around: &Around<'_>,
        images: &Images,
    ) -> Result<Blueprint, Error> {
        let spec = &understood.merged.spec;
        let (url, host) = self.address(&spec.app, &host_names(&spec.domains));
        let commit = request.commit.clone();
        let mut facts = Facts {
            url,
            host,
            release: around.release + 1,
            commit: commit.filter(|commit| is_commit(commit)),
        };
        let previous = around
            .previous
            .map(|previous| identity::adopted(previous, around.observed));
        if let Some(previous) = previous
            && let Some(number) = previous.release
        {
            facts.release = number;
            let same = self
                .blueprint_as(understood, request, around, images, &facts)
                .await?;
            if same == previous {
                return Ok(same);
            }
            facts.release = around.release + 1;
        }
        self.blueprint_as(understood, request, around, images, &facts)
            .await
    }

    async fn blueprint_as(
        &self,
        understood: &Understood,
        request: &DeployRequest,
        around: &Around<'_>,
        images: &Images,
        facts: &Facts,
    ) -> Result<Blueprint, Error> {
        let source = understood.source(request);
        let recipe = &source.recipe;
        let declared =
            dockerfile::declared(&request.dockerfile, recipe.target.as_deref(), &recipe.args);
        // Some of the ports are no answer where others are not known.
        let written = match declared.all_ports {
            true => declared.ports,
            false => Vec::new(),
        };
        let main_ports = match &images.main {
            None => MainPorts::Unbuilt(written),
            // What the base image exposes does not count beside the Dockerfile's own
            // ports, which were shown before the build.
            Some(main)
                if !written.is_empty() && written.iter().all(|port| main.ports.contains(port)) =>
            {
                MainPorts::Known(written)
            }
            Some(main) => MainPorts::Known(main.ports.clone()),
        };
        let engine = self.facts().await?;
        let input = Input {
            instance: &self.config().instance,
            spec: &understood.merged.spec,
            descriptions: &understood.descriptions,
            plugin_names: &understood.plugin_names,
            images: &images.ports,
            source: &source,
            main_ports: &main_ports,
            files: &understood.files,
            subnet: around.subnet,
            revisions: around.revisions,
            disk_limit: engine.disk_limit,
            facts,
        };
        let mut blueprint = assemble(&input).map_err(|errors| unplannable(&errors))?;
        if let (Some(main), Some(container)) = (
            &images.main,
            blueprint.containers.get_mut(&ServiceName::main()),
        ) && let Image::Build { reference, .. } = &mut container.image
        {
            reference.clone_from(&main.reference);
        }
        let none = BTreeMap::new();
        let found = match request.refresh.keep {
            true => &none,
            false => &images.identities,
        };
        identity::identify(&mut blueprint, around.previous, found, around.observed);
        let mut volumes = images.volumes.clone();
        if let (None, Some(container)) =
            (&images.main, blueprint.containers.get(&ServiceName::main()))
        {
            // Those of its base image are known once it is built.
            volumes.insert(container.image.reference().to_owned(), declared.volumes);
        }
        let unkept = unkept(&blueprint, &volumes);
        blueprint.notes.extend(unkept);
        if !engine.init {
            blueprint.notes.push(Note {
                service: None,
                text: NO_INIT.to_owned(),
            });
        }
        Ok(blueprint)
    }

    /// The steps from what is observed to a blueprint.
    pub(crate) fn plan_to(
        &self,
        blueprint: &Blueprint,
        mut observed: Observed,
        images: &Images,
        stopped: &BTreeSet<ServiceName>,
        reloads: &BTreeSet<ServiceName>,
        made: &BTreeSet<VolumeName>,
    ) -> Plan {
        observed.images.clone_from(&images.present);
        self.without_retiring(blueprint, &mut observed);
        let context = Context {
            instance: &self.config().instance,
            stopped,
            reloads,
            made,
        };
        planner::plan(blueprint, &observed, &context)
    }
}

/// Whether a text is the name of a Git commit.
fn is_commit(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Which image the engine found.
fn identity_of(facts: &ImageFacts) -> ImageIdentity {
    ImageIdentity {
        id: facts.id.clone(),
        digest: facts.digests.first().cloned(),
        adopted: false,
    }
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

fn unplannable(errors: &[assemble::Error]) -> Error {
    let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
    Error::Unplannable {
        message: messages.join("\n"),
        help: None,
    }
}

/// The files of the source that containers get. One that did not come with the
/// request is an objection.
fn source_files(
    spec: &AppSpec,
    request: &DeployRequest,
    manifest: &Manifest,
    diagnostics: &mut Vec<doprax_core::diagnostic::Diagnostic>,
) -> BTreeMap<String, SourceFile> {
    let mut files = BTreeMap::new();
    let services = spec
        .services
        .iter()
        .map(|(name, service)| (name.as_str(), &service.container));
    let main = std::iter::once((doprax_core::name::MAIN, &spec.main.container));
    for (owner, container) in main.chain(services) {
        for (path, file) in &container.files {
            if let Some(sent) = request.files.get(&file.source) {
                let sha256 = sha256_hex(&sent.content);
                files.insert(
                    file.source.clone(),
                    SourceFile {
                        sha256,
                        mode: sent.mode,
                    },
                );
                continue;
            }
            let place = if owner == doprax_core::name::MAIN {
                vec!["main", "files", path]
            } else {
                vec!["services", owner, "files", path]
            };
            diagnostics.push(
                manifest.places.diagnostic(
                    Severity::Error,
                    &place,
                    format!("there is no file {} in the source folder", file.source),
                    Some(
                        "add it, or correct `source`; it is a path below the folder of doprax.yaml"
                            .to_owned(),
                    ),
                ),
            );
        }
    }
    files
}
