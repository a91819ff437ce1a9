//! Which images a deploy gets anew although the engine has one of their reference: a
//! registry has another by now, or main was built on what is another by now.

use super::Proposer;
use crate::Error;
use crate::request::DeployRequest;
use doprax_core::blueprint::Note;
use doprax_core::dockerfile;
use doprax_core::name::ServiceName;
use doprax_core::plan::Rebuild;
use doprax_core::proposal::{Fresh, Images, Understood};
use doprax_engine::ImageFacts;
use futures_util::future::{join_all, try_join_all};
use std::collections::{BTreeMap, BTreeSet};

/// What a registry says of an image.
enum Said {
    Digest(String),
    Nothing(String),
}

impl Proposer {
    /// What a deploy gets anew.
    pub(crate) async fn fresh(
        &self,
        understood: &Understood,
        request: &DeployRequest,
        images: &Images,
    ) -> Result<Fresh, Error> {
        let refresh = request.refresh;
        if refresh.keep {
            return Ok(Fresh::default());
        }
        let source = understood.source(&request.source);
        let bases = dockerfile::bases(&request.dockerfile, &source.recipe.args);
        let looks = bases.iter().map(|base| async move {
            let facts = self.engine.image(base).await?;
            Ok::<_, Error>((base.as_str(), facts))
        });
        let local: BTreeMap<&str, Option<ImageFacts>> =
            try_join_all(looks).await?.into_iter().collect();

        let mut asked = BTreeSet::new();
        if refresh.pull {
            let services = understood.references().into_iter();
            asked.extend(services.filter(|reference| images.present.contains(*reference)));
        }
        if refresh.pull || refresh.build {
            asked.extend(bases.iter().map(String::as_str));
        }
        asked.retain(|reference| !reference.contains('@'));
        let said = join_all(asked.into_iter().map(|reference| self.ask(reference))).await;

        let mut fresh = Fresh {
            bases: bases.iter().map(|base| (base.clone(), None)).collect(),
            ..Fresh::default()
        };
        for (reference, said) in said {
            let known = match local.get(reference) {
                Some(facts) => facts.clone(),
                None => self.engine.image(reference).await?,
            };
            match (said, known) {
                (Said::Digest(digest), Some(known)) => {
                    if !known.digests.contains(&digest) {
                        fresh.pulls.insert(reference.to_owned(), digest);
                    }
                }
                (Said::Digest(digest), None) => {
                    fresh.bases.insert(reference.to_owned(), Some(digest));
                }
                (Said::Nothing(reason), Some(_)) => fresh.notes.push(Note {
                    service: None,
                    text: format!("{reference}: {reason}, so the image that the engine has counts"),
                }),
                // Who needs it will say what is wrong.
                (Said::Nothing(_), None) => {}
            }
        }
        fresh.rebuild = if refresh.no_cache {
            Rebuild::Uncached
        } else if images.main.is_none() {
            Rebuild::Never
        } else if refresh.build
            || self
                .has_other_bases(understood, request, &local, &mut fresh)
                .await?
        {
            Rebuild::Cached
        } else {
            Rebuild::Never
        };
        Ok(fresh)
    }

    async fn ask<'a>(&self, reference: &'a str) -> (&'a str, Said) {
        let said = match self.engine.registry_digest(reference).await {
            Ok(Some(digest)) => Said::Digest(digest),
            Ok(None) => Said::Nothing("its registry does not have it for everybody".to_owned()),
            Err(error) => Said::Nothing(format!(
                "its registry did not answer ({})",
                Error::from(error).chain()
            )),
        };
        (reference, said)
    }

    /// Whether something that main was built on is another image by now.
    async fn has_other_bases(
        &self,
        understood: &Understood,
        request: &DeployRequest,
        local: &BTreeMap<&str, Option<ImageFacts>>,
        fresh: &mut Fresh,
    ) -> Result<bool, Error> {
        let digest = understood.source(&request.source).build_digest();
        let build = self.store.build(understood.app(), &digest).await?;
        let built_on = build.map(|build| build.bases).unwrap_or_default();
        let mut others = Vec::new();
        for (base, digest) in &fresh.bases {
            let was = built_on.get(base);
            let is_another = match local.get(base.as_str()) {
                _ if fresh.pulls.contains_key(base) => true,
                Some(Some(facts)) => {
                    was.is_some_and(|was| *was != facts.id && !facts.digests.contains(was))
                }
                // Only its registry knows, and only if it was asked.
                _ => digest.is_some() && digest.as_ref() != was,
            };
            if is_another {
                others.push(base.clone());
            }
        }
        if others.is_empty() {
            return Ok(false);
        }
        let text = format!(
            "is built again: {} is another image than it was built on",
            others.join(", ")
        );
        fresh.notes.push(Note {
            service: Some(ServiceName::main()),
            text,
        });
        Ok(true)
    }

    /// What main was built on just now: the id of what the engine has, else the digest
    /// that the registry said.
    pub(crate) async fn built_on(
        &self,
        bases: BTreeMap<String, Option<String>>,
    ) -> Result<BTreeMap<String, String>, Error> {
        let mut built_on = BTreeMap::new();
        for (base, digest) in bases {
            let id = self.engine.image(&base).await?.map(|facts| facts.id);
            if let Some(known) = id.or(digest) {
                built_on.insert(base, known);
            }
        }
        Ok(built_on)
    }
}
