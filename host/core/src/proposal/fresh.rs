//! Which images a deploy gets anew although the engine has one of their reference: a
//! registry has another by now, or main was built on what is another by now.

use crate::blueprint::Note;
use crate::name::ServiceName;
use crate::plan::Rebuild;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Which images are looked for again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Refresh {
    /// Registries are asked again for the services' images and for those that main is
    /// built on.
    pub pull: bool,
    /// Main is built again, on what registries now have.
    pub build: bool,
    /// It is so without the builder's cache.
    pub no_cache: bool,
    /// Nothing is looked for: what runs goes on with the images that it has.
    #[serde(skip)]
    pub keep: bool,
}

impl Refresh {
    /// What a person asked for. Without the cache means again.
    pub fn new(pull: bool, build: bool, no_cache: bool) -> Self {
        Self {
            pull,
            build: build || no_cache,
            no_cache,
            keep: false,
        }
    }

    /// The references about which registries are asked, of those that are `present` of the
    /// `services`, and of main's `bases`. One that names its digest cannot be another.
    pub fn asked<'a>(
        &self,
        services: BTreeSet<&'a str>,
        present: &BTreeSet<String>,
        bases: &'a BTreeSet<String>,
    ) -> BTreeSet<&'a str> {
        let mut asked = BTreeSet::new();
        if self.keep {
            return asked;
        }
        if self.pull {
            let services = services.into_iter();
            asked.extend(services.filter(|reference| present.contains(*reference)));
        }
        if self.pull || self.build {
            asked.extend(bases.iter().map(String::as_str));
        }
        asked.retain(|reference| !reference.contains('@'));
        asked
    }
}

/// An image that the engine has under a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalImage {
    /// Its id.
    pub id: String,
    /// The digests by which registries give it out.
    pub digests: Vec<String>,
}

/// What a registry says of a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It gives out the image with this digest.
    Digest(String),
    /// It does not have it for everybody.
    Nothing,
    /// It did not answer, and why.
    NoAnswer(String),
}

/// What was found out about images, by reference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looked {
    /// What main is built on.
    pub bases: BTreeSet<String>,
    /// What the engine has of these, and of those that registries were asked about.
    pub local: BTreeMap<String, LocalImage>,
    /// What registries say of those that they were asked about.
    pub said: BTreeMap<String, Said>,
    /// The id or the digest of what main was built on, as far as that is known.
    pub built_on: BTreeMap<String, String>,
}

/// What a deploy gets anew although the engine has an image of its reference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fresh {
    /// The digest by which its registry gives out each image that is to be pulled.
    pub pulls: BTreeMap<String, String>,
    /// Whether main is built again.
    pub rebuild: Rebuild,
    /// What main is built on; where the engine does not have it itself, by what digest its
    /// registry gives it out, as far as it was asked.
    pub bases: BTreeMap<String, Option<String>>,
    /// Registries that did not say what they have.
    pub notes: Vec<Note>,
}

impl Fresh {
    /// What is got anew after a look at images; `is_built` says whether main's is there.
    pub fn of(refresh: Refresh, is_built: bool, looked: &Looked) -> Self {
        if refresh.keep {
            return Self::default();
        }
        let mut fresh = Self {
            bases: looked
                .bases
                .iter()
                .map(|base| (base.clone(), None))
                .collect(),
            ..Self::default()
        };
        for (reference, said) in &looked.said {
            fresh.hear(reference, said, looked.local.get(reference));
        }
        fresh.rebuild = if refresh.no_cache {
            Rebuild::Uncached
        } else if !is_built {
            Rebuild::Never
        } else if refresh.build || fresh.has_other_bases(looked) {
            Rebuild::Cached
        } else {
            Rebuild::Never
        };
        fresh
    }

    /// Takes in what a registry says of a reference under which the engine has `local`.
    fn hear(&mut self, reference: &str, said: &Said, local: Option<&LocalImage>) {
        let reason = match (said, local) {
            (Said::Digest(digest), Some(local)) => {
                if !local.digests.contains(digest) {
                    self.pulls.insert(reference.to_owned(), digest.clone());
                }
                return;
            }
            (Said::Digest(digest), None) => {
                self.bases
                    .insert(reference.to_owned(), Some(digest.clone()));
                return;
            }
            // Who needs it will say what is wrong.
            (Said::Nothing | Said::NoAnswer(_), None) => return,
            (Said::Nothing, Some(_)) => "its registry does not have it for everybody".to_owned(),
            (Said::NoAnswer(reason), Some(_)) => format!("its registry did not answer ({reason})"),
        };
        self.notes.push(Note {
            service: None,
            text: format!("{reference}: {reason}, so the image that the engine has counts"),
        });
    }

    /// Whether something that main was built on is another image by now, which is noted.
    fn has_other_bases(&mut self, looked: &Looked) -> bool {
        let is_another = |(base, digest): &(&String, &Option<String>)| {
            let was = looked.built_on.get(*base);
            match looked.local.get(*base) {
                _ if self.pulls.contains_key(*base) => true,
                Some(local) => {
                    was.is_some_and(|was| *was != local.id && !local.digests.contains(was))
                }
                // Only its registry knows, and only if it was asked.
                None => digest.is_some() && digest.as_ref() != was,
            }
        };
        let others = self.bases.iter().filter(is_another);
        let others: Vec<&str> = others.map(|(base, _)| base.as_str()).collect();
        if others.is_empty() {
            return false;
        }
        let text = format!(
            "is built again: {} is another image than it was built on",
            others.join(", ")
        );
        self.notes.push(Note {
            service: Some(ServiceName::main()),
            text,
        });
        true
    }
}

#[cfg(test)]
mod tests;
