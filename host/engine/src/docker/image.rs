//! Images that the engine has.

use super::{CHANGE, Docker, Failure, LOOK, REGISTRY};
use crate::names;
use crate::{Error, ImageFacts};
use bollard::models::ImageInspect;
use bollard::query_parameters::{
    ListImagesOptionsBuilder, RemoveImageOptions, TagImageOptionsBuilder,
};
use doprax_core::blueprint::ImageIdentity;
use doprax_core::name::AppName;
use doprax_core::release::Kept;
use std::collections::{BTreeMap, BTreeSet, HashMap};

impl Docker {
    /// What the engine knows of an image.
    pub(super) async fn find_image(&self, reference: &str) -> Result<Option<ImageFacts>, Error> {
        match self
            .within(LOOK, self.client.inspect_image(reference))
            .await
        {
            Ok(image) => Ok(Some(facts(image))),
            Err(failure) if failure.is(404) => Ok(None),
            Err(failure) => Err(self.error(failure, format!("look at image {reference}"))),
        }
    }

    /// The digest by which an image's registry gives it out.
    pub(super) async fn find_registry_digest(
        &self,
        reference: &str,
    ) -> Result<Option<String>, Error> {
        let asked = self.client.inspect_registry_image(reference, None);
        match self.within(REGISTRY, asked).await {
            Ok(found) => Ok(found.descriptor.digest),
            Err(failure) if [401, 403, 404].iter().any(|status| failure.is(*status)) => Ok(None),
            Err(failure) => Err(self.error(failure, format!("ask the registry for {reference}"))),
        }
    }

    /// The image of which a container is made: that of this id, while the engine has it,
    /// else whatever its reference means.
    pub(super) async fn image_to_run(
        &self,
        reference: &str,
        identity: Option<&ImageIdentity>,
    ) -> Result<String, Error> {
        let Some(identity) = identity else {
            return Ok(reference.to_owned());
        };
        let same = |facts: Option<ImageFacts>| facts.is_some_and(|facts| facts.id == identity.id);
        if same(self.find_image(reference).await?) || !same(self.find_image(&identity.id).await?) {
            return Ok(reference.to_owned());
        }
        Ok(identity.id.clone())
    }

    /// Gives an image a reference of the host's own.
    pub(super) async fn keep_image_of(&self, app: &AppName, id: &str) -> Result<(), Error> {
        let kept = names::kept_image(&self.instance, app, id);
        let (name, tag) = kept.rsplit_once(':').unwrap_or((&kept, ""));
        let options = TagImageOptionsBuilder::default()
            .repo(name)
            .tag(tag)
            .build();
        let tagged = self.client.tag_image(id, Some(options));
        match self.within(CHANGE, tagged).await {
            Ok(()) => Ok(()),
            // What is gone nobody can keep.
            Err(failure) if failure.is(404) => Ok(()),
            Err(failure) => Err(self.error(failure, format!("keep image {id} for {app}"))),
        }
    }

    /// Removes the references that this host gave to images of the app, and those of its
    /// builds that have lost theirs. An image that a container still uses stays.
    pub(super) async fn remove_images_but(&self, app: &AppName, keep: &Kept) -> Result<(), Error> {
        let action = || format!("remove old images of {app}");
        let (built, held) = (
            self.instance.image(app, ""),
            names::kept_image(&self.instance, app, ""),
        );
        let of_name = |reference: &str| reference.trim_end_matches(':').to_owned();
        let named = HashMap::from([(
            "reference".to_owned(),
            vec![of_name(&built), of_name(&held)],
        )]);
        let mut nameless = self.filter(Some(app));
        nameless.insert("dangling".to_owned(), vec!["true".to_owned()]);
        let list = async |filters: &HashMap<String, Vec<String>>| {
            let options = ListImagesOptionsBuilder::default().filters(filters).build();
            self.within(LOOK, self.client.list_images(Some(options)))
                .await
                .map_err(|failure| self.error(failure, action()))
        };
        let holds: BTreeSet<String> = keep
            .image_ids
            .iter()
            .map(|id| names::kept_image(&self.instance, app, id))
            .collect();
        // An image that a person built on one of these inherits the labels: of what has a
        // name, only that tells whose it is.
        let references = list(&named).await?.into_iter();
        let references = references.flat_map(|image| image.repo_tags);
        let old = references.filter(|name| {
            (name.starts_with(&built) && !keep.references.contains(name))
                || (name.starts_with(&held) && !holds.contains(name))
        });
        for reference in old {
            self.remove_image(&reference, action).await?;
        }
        let nameless = list(&nameless).await?.into_iter().map(|image| image.id);
        for id in nameless.filter(|id| !keep.image_ids.contains(id)) {
            self.remove_image(&id, action).await?;
        }
        Ok(())
    }

    async fn remove_image(&self, name: &str, action: impl Fn() -> String) -> Result<(), Error> {
        let removed = self
            .client
            .remove_image(name, None::<RemoveImageOptions>, None);
        match self.within(CHANGE, removed).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.is(404) || failure.is(409) => Ok(()),
            Err(failure) => Err(self.error(failure, action())),
        }
    }

    /// Whether the engine has the image.
    pub(super) async fn has_image(&self, reference: &str) -> Result<bool, Failure> {
        match self
            .within(LOOK, self.client.inspect_image(reference))
            .await
        {
            Ok(_) => Ok(true),
            Err(failure) if failure.is(404) => Ok(false),
            Err(failure) => Err(failure),
        }
    }
}

fn facts(image: ImageInspect) -> ImageFacts {
    let config = image.config.unwrap_or_default();
    let exposed = config.exposed_ports.unwrap_or_default();
    let mut ports: Vec<u16> = exposed.iter().filter_map(|port| tcp_port(port)).collect();
    ports.sort_unstable();
    ports.dedup();
    let mut volumes = config.volumes.unwrap_or_default();
    volumes.sort_unstable();
    ImageFacts {
        id: image.id.unwrap_or_default(),
        ports,
        volumes,
        env: env(&config.env.unwrap_or_default()),
        digests: digests(&image.repo_digests.unwrap_or_default()),
        size: image
            .size
            .and_then(|size| u64::try_from(size).ok())
            .unwrap_or_default(),
    }
}

/// Variables in texts such as `PATH=/bin`.
fn env(texts: &[String]) -> BTreeMap<String, String> {
    let variable = |text: &String| {
        let (name, value) = text.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    texts.iter().filter_map(variable).collect()
}

/// The digests in references such as `redis@sha256:…`.
fn digests(references: &[String]) -> Vec<String> {
    let digest = |reference: &String| Some(reference.split_once('@')?.1.to_owned());
    let mut digests: Vec<String> = references.iter().filter_map(digest).collect();
    digests.sort_unstable();
    digests.dedup();
    digests
}

/// The port in a text such as `8000/tcp`.
fn tcp_port(text: &str) -> Option<u16> {
    match text.split_once('/') {
        None => text.parse().ok(),
        Some((port, "tcp")) => port.parse().ok(),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::tcp_port;

    #[test]
    fn only_tcp_ports_count() {
        let cases = [
            ("8000/tcp", Some(8000)),
            ("53/udp", None),
            ("80", Some(80)),
            ("x/tcp", None),
        ];
        for (text, expected) in cases {
            assert_eq!(tcp_port(text), expected, "{text}");
        }
    }
}
