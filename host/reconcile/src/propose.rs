//! From a request to what would be done about it: gathers what [`doprax_core::proposal`]
//! decides by. Changes nothing.

use crate::report::Proposal;
use crate::request::DeployRequest;
use crate::secret::{self, NewValues};
use crate::why::check_variables;
use crate::{Error, Host};
use doprax_core::assemble::{self, SourceFile};
use doprax_core::blueprint::{Blueprint, ImageIdentity, sha256_hex};
use doprax_core::manifest::{self, KnownPlugin, Manifest};
use doprax_core::name::{AppName, PluginName, ServiceName, VolumeName};
use doprax_core::observed::Observed;
use doprax_core::planner::Context;
use doprax_core::proposal::{self, Abilities, FoundImage, Images, Inputs, Remembered, Understood};
use doprax_core::secret::SecretName;
use doprax_core::source::Source;
use doprax_engine::ImageFacts;
use doprax_plugin::{DescribeError, Plugins};
use doprax_store::{AppRecord, StoredSecret};
use futures_util::future::try_join_all;
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};

/// What a blueprint is made for, beside the request.
pub(crate) struct Around<'a> {
    pub(crate) subnet: Ipv4Net,
    pub(crate) revisions: &'a BTreeMap<SecretName, u64>,
    pub(crate) record: Option<&'a AppRecord>,
    pub(crate) observed: &'a Observed,
    pub(crate) images: &'a Images,
}

/// The rest of what a proposal is made from, as far as nothing else holds it.
struct Gathered {
    source: Source,
    address: (String, String),
    abilities: Abilities,
}

impl Host {
    /// What a deploy would do. Changes nothing.
    pub async fn plan(&self, request: &DeployRequest) -> Result<Proposal, Error> {
        let record = self.record_for(request).await?;
        let understood = self.understand(request, record.as_ref())?;
        let app = understood.app();
        self.check_free(app, &understood.domains()).await?;
        let (stored, mut observed) = tokio::try_join!(self.secrets(app), async {
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
        self.without_retiring(app, subnet, &mut observed);
        let mut images = self.images(&understood, request).await?;
        images.ports_before = self.ports_before(record.as_ref(), &images).await?;
        let fresh = self.fresh(&understood, request, &images).await?;
        let needs_build = images.needs_build(&fresh);
        let around = Around {
            subnet,
            revisions: &revisions,
            record: record.as_ref(),
            observed: &observed,
            images: &images.expecting(&fresh),
        };
        let (none, no_volume) = (BTreeSet::new(), BTreeSet::new());
        let record = record.as_ref();
        let left = self.store().remains(app).await?;
        let remembered = Remembered {
            manifest: record.and_then(|record| record.manifest.as_ref()),
            stopped: record.map_or(&none, |record| &record.stopped),
            reloads: record.map_or(&none, |record| &record.reloads),
            made: record.map_or(&no_volume, |record| &record.made_volumes),
            left: left.as_ref(),
        };
        let gathered = self.gather(&understood, request).await?;
        let inputs = self.inputs(&understood, request, &around, &gathered);
        let proposed = proposal::propose(&inputs, &remembered, fresh.notes)
            .map_err(|errors| unplannable(&errors))?;
        check_variables(&proposed.blueprint, &secret::values(&stored, &values))?;
        if let Some(record) = record {
            self.refuse_gone(record, &proposed.blueprint, &observed, None)?;
        }
        Ok(Proposal {
            app: app.clone(),
            diff: proposed.diff,
            changes: proposed.changes,
            needs_source: needs_build && !self.store().source_path(&request.source).exists(),
            warnings: understood.manifest.warnings,
            digest: proposed.digest,
        })
    }

    /// Refuses a deploy that would do something else than a person confirmed.
    pub(crate) async fn check_confirmed(&self, request: &DeployRequest) -> Result<(), Error> {
        let Some(confirmed) = &request.confirmed else {
            return Ok(());
        };
        let proposal = self.plan(request).await?;
        match proposal.digest == *confirmed {
            true => Ok(()),
            false => Err(Error::Outdated { app: proposal.app }),
        }
    }

    /// The blueprint that a request asks for.
    pub(crate) async fn blueprint(
        &self,
        understood: &Understood,
        request: &DeployRequest,
        around: &Around<'_>,
    ) -> Result<Blueprint, Error> {
        let gathered = self.gather(understood, request).await?;
        let inputs = self.inputs(understood, request, around, &gathered);
        proposal::blueprint(&inputs).map_err(|errors| unplannable(&errors))
    }

    async fn gather(
        &self,
        understood: &Understood,
        request: &DeployRequest,
    ) -> Result<Gathered, Error> {
        let engine = self.facts().await?;
        Ok(Gathered {
            source: understood.source(&request.source),
            address: self.address(understood.app(), understood.domain()),
            abilities: Abilities {
                disk_limit: engine.disk_limit,
                init: engine.init,
            },
        })
    }

    fn inputs<'a>(
        &'a self,
        understood: &'a Understood,
        request: &'a DeployRequest,
        around: &Around<'a>,
        gathered: &'a Gathered,
    ) -> Inputs<'a> {
        let release = around.record.and_then(|record| record.release.as_ref());
        let commit = request.commit.as_deref();
        let (url, host) = &gathered.address;
        Inputs {
            instance: &self.config().instance,
            understood,
            source: &gathered.source,
            dockerfile: &request.dockerfile,
            commit: commit.filter(|commit| is_commit(commit)),
            address: (url, host),
            subnet: around.subnet,
            revisions: around.revisions,
            images: around.images,
            keeps_images: request.refresh.keep,
            release: release.map(|release| (release.number, &release.blueprint)),
            observed: around.observed,
            abilities: gathered.abilities,
        }
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
        let files = request.files.iter().map(|(path, file)| {
            let sha256 = sha256_hex(&file.content);
            let mode = file.mode;
            (path.clone(), SourceFile { sha256, mode })
        });
        let plugins = self.plugins();
        let understood = Understood::new(
            manifest,
            (
                record.and_then(|record| record.manifest.as_ref()),
                record.and_then(|record| record.spec.as_ref()),
            ),
            &known_plugins(&plugins),
            &files.collect(),
            |service, plugin, asked| match plugins.describe(plugin, asked) {
                Ok(description) => Ok(Ok(description)),
                Err(DescribeError::Diagnostics(objections)) => Ok(Err(objections)),
                Err(error) => Err(Error::Plugin {
                    service: ServiceName::clone(service),
                    source: error.into(),
                }),
            },
        )?;
        understood.map_err(|diagnostics| Error::Manifest { diagnostics })
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
        let new = secret::new_values(&understood.secrets(), stored, &request.variables);
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
                understood.app()
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
        let build_digest = understood.source(&request.source).build_digest();
        let looks = references.into_iter().map(|reference| async move {
            let facts = self.engine().image(reference).await?;
            Ok::<_, Error>(facts.map(|facts| (reference.to_owned(), found(facts))))
        });
        let (services, main) = tokio::try_join!(
            try_join_all(looks),
            self.main_image(understood.app(), &build_digest)
        )?;
        let main = main.map(|(reference, facts)| {
            let mut image = found(facts);
            // No registry gives it out.
            image.identity.digest = None;
            (reference, image)
        });
        Ok(Images::new(services.into_iter().flatten().collect(), main))
    }

    /// The ports that main's image of the current release exposes, where its next one is not
    /// there yet and the engine still has it.
    async fn ports_before(
        &self,
        record: Option<&AppRecord>,
        images: &Images,
    ) -> Result<Option<Vec<u16>>, Error> {
        let release = record.and_then(|record| record.release.as_ref());
        let container = release.and_then(|release| {
            let containers = &release.blueprint.containers;
            containers.get(&ServiceName::main())
        });
        let Some(container) = container.filter(|_| images.main.is_none()) else {
            return Ok(None);
        };
        let known = container.identity.as_ref();
        let name = known.map_or(container.image.reference(), |known| known.id.as_str());
        let facts = self.engine().image(name).await?;
        Ok(facts.map(|facts| facts.ports))
    }

    /// The image of a build and its reference, if the engine still has it.
    pub(crate) async fn main_image(
        &self,
        app: &AppName,
        build_digest: &str,
    ) -> Result<Option<(String, ImageFacts)>, Error> {
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
                return Ok(Some((reference, facts)));
            }
        }
        Ok(None)
    }

    /// What the planner goes by beside blueprint and observed.
    pub(crate) fn context<'a>(
        &'a self,
        stopped: &'a BTreeSet<ServiceName>,
        reloads: &'a BTreeSet<ServiceName>,
        made: &'a BTreeSet<VolumeName>,
    ) -> Context<'a> {
        Context {
            instance: &self.config().instance,
            stopped,
            reloads,
            made,
        }
    }

    /// What is observed, as the planner takes it: with the images that there are, without
    /// the copies that are being ended.
    pub(crate) fn ground(
        &self,
        blueprint: &Blueprint,
        mut observed: Observed,
        images: &Images,
    ) -> Observed {
        observed.images.clone_from(&images.present);
        self.without_retiring(&blueprint.app, blueprint.subnet, &mut observed);
        observed
    }
}

/// Whether a text is the name of a Git commit.
fn is_commit(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// What the engine found, in the words of the core.
fn found(facts: ImageFacts) -> FoundImage {
    FoundImage {
        identity: ImageIdentity {
            id: facts.id,
            digest: facts.digests.into_iter().next(),
            adopted: false,
        },
        ports: facts.ports,
        volumes: facts.volumes,
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
