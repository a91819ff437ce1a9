//! The images that an app needs: which of them there are, and which are got anew.

use super::{Fresh, Understood};
use crate::blueprint::{Blueprint, ImageIdentity};
use crate::plan::{Act, Plan, Rebuild};
use crate::planner;
use crate::source::Source;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of an image that the engine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundImage {
    /// Which one it is.
    pub identity: ImageIdentity,
    /// TCP ports that it exposes.
    pub ports: Vec<u16>,
    /// Folders that it declares to hold data.
    pub volumes: Vec<String>,
}

/// Main's image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MainImage {
    /// The reference under which the engine has it: that of the first source that gave
    /// this image.
    pub reference: String,
    /// TCP ports that it exposes.
    pub ports: Vec<u16>,
}

/// The images that an app's containers need, as far as the engine has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Images {
    /// References that the engine has.
    pub present: BTreeSet<String>,
    /// TCP ports that the services' images expose, by reference.
    pub ports: BTreeMap<String, Vec<u16>>,
    /// Folders that they declare to hold data.
    pub volumes: BTreeMap<String, Vec<String>>,
    /// Which images they are.
    pub identities: BTreeMap<String, ImageIdentity>,
    /// Main's image, if its source was built.
    pub main: Option<MainImage>,
    /// TCP ports that main's image of the current release exposes, if that was looked for.
    pub ports_before: Option<Vec<u16>>,
}

impl Images {
    /// The services' images that were `found`, by reference, and main's.
    pub fn new(found: BTreeMap<String, FoundImage>, main: Option<(String, FoundImage)>) -> Self {
        let mut images = Self {
            main: main.as_ref().map(|(reference, image)| MainImage {
                reference: reference.clone(),
                ports: image.ports.clone(),
            }),
            ..Self::default()
        };
        for (reference, image) in &found {
            images.ports.insert(reference.clone(), image.ports.clone());
        }
        for (reference, image) in found.into_iter().chain(main) {
            images.present.insert(reference.clone());
            images.volumes.insert(reference.clone(), image.volumes);
            images.identities.insert(reference, image.identity);
        }
        images
    }

    /// As if the engine had every image of a blueprint that ran before. One that is
    /// gone is found out by the step that needs it.
    pub fn all_present(blueprint: &Blueprint) -> Self {
        let containers = blueprint.containers.values();
        Self {
            present: containers
                .map(|container| container.image.reference().to_owned())
                .collect(),
            ..Self::default()
        }
    }

    /// As if what is to be had anew were there.
    pub fn expecting(mut self, fresh: &Fresh) -> Self {
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
        if let Some(main) = &self.main
            && fresh.rebuild != Rebuild::Never
        {
            let unbuilt = ImageIdentity::unbuilt();
            self.identities.insert(main.reference.clone(), unbuilt);
        }
        self
    }

    /// Whether main has to be built.
    pub fn needs_build(&self, fresh: &Fresh) -> bool {
        self.main.is_none() || fresh.rebuild != Rebuild::Never
    }
}

/// The steps that provide the images of an app before anything else of it changes: what
/// the engine lacks, and what is got anew. Main's gets the reference `built`.
pub fn provide(
    understood: &Understood,
    images: &Images,
    fresh: &Fresh,
    source: &Source,
    built: &str,
) -> Plan {
    let lacks = |reference: &&str| !images.present.contains(*reference);
    let missing = understood.references().into_iter().filter(lacks);
    let mut pulls: BTreeMap<&str, Option<&str>> =
        missing.map(|reference| (reference, None)).collect();
    let another = fresh.pulls.iter();
    pulls.extend(another.map(|(reference, digest)| (reference.as_str(), Some(digest.as_str()))));
    let build = images.needs_build(fresh).then(|| Act::BuildImage {
        reference: built.to_owned(),
        source: source.digest.clone(),
        recipe: source.recipe.clone(),
        rebuild: fresh.rebuild,
    });
    let is_base = |reference: &str| fresh.bases.contains_key(reference);
    planner::images(&pulls, is_base, build)
}
