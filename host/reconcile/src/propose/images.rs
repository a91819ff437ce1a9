//! The images of an app that the engine has.

use super::Proposer;
use crate::Error;
use crate::request::DeployRequest;
use doprax_core::blueprint::ImageIdentity;
use doprax_core::name::{AppName, ServiceName};
use doprax_core::proposal::{FoundImage, Images, Understood};
use doprax_engine::ImageFacts;
use doprax_store::AppRecord;
use futures_util::future::try_join_all;

impl Proposer {
    /// Which of the app's images the engine has.
    pub(crate) async fn images(
        &self,
        understood: &Understood,
        request: &DeployRequest,
    ) -> Result<Images, Error> {
        let references = understood.references();
        let build_digest = understood.source(&request.source).build_digest();
        let looks = references.into_iter().map(|reference| async move {
            let facts = self.engine.image(reference).await?;
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
    pub(super) async fn ports_before(
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
        let facts = self.engine.image(name).await?;
        Ok(facts.map(|facts| facts.ports))
    }

    /// The image of a build and its reference, if the engine still has it.
    pub(crate) async fn main_image(
        &self,
        app: &AppName,
        build_digest: &str,
    ) -> Result<Option<(String, ImageFacts)>, Error> {
        let Some(build) = self.store.build(app, build_digest).await? else {
            return Ok(None);
        };
        // The reference under which the same image was first built goes before: containers
        // made from it need not be made anew because another source gives the same image.
        // It may have gone with a deploy that failed.
        let first = self.store.first_source(app, &build.image).await?;
        let digests = first.iter().map(String::as_str).chain([build_digest]);
        for digest in digests {
            let reference = self.config.instance.image(app, digest);
            let present = self.engine.image(&reference).await?;
            if let Some(facts) = present.filter(|facts| facts.id == build.image) {
                return Ok(Some((reference, facts)));
            }
        }
        Ok(None)
    }

    /// Refuses a deploy whose source is neither here nor built. `reason` says of the
    /// archive why.
    pub(crate) async fn check_source(
        &self,
        request: &DeployRequest,
        reason: &str,
    ) -> Result<(), Error> {
        let (app, source) = self.app_and_source_of(request)?;
        let built = self
            .main_image(&app, &source.build_digest())
            .await?
            .is_some();
        let enough = built && !request.refresh.build;
        if !enough && !self.store.source_path(&request.source).exists() {
            return Err(Error::Source {
                digest: request.source.clone(),
                reason: reason.to_owned(),
            });
        }
        Ok(())
    }
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
