//! What is found out of images beyond those that the engine has under their references, by
//! which it is decided what a deploy gets anew.

use super::Proposer;
use crate::Error;
use crate::request::DeployRequest;
use doprax_core::dockerfile;
use doprax_core::proposal::{Fresh, Images, LocalImage, Looked, Said, Understood};
use futures_util::future::{join_all, try_join_all};
use std::collections::{BTreeMap, BTreeSet};

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
        let asked = refresh.asked(understood.references(), &images.present, &bases);
        let said = join_all(asked.iter().map(|reference| self.ask(reference)));
        let wanted: BTreeSet<&str> = bases
            .iter()
            .map(String::as_str)
            .chain(asked.clone())
            .collect();
        let local = try_join_all(wanted.into_iter().map(|reference| self.local(reference)));
        let (said, local) = tokio::join!(said, local);
        let digest = source.build_digest();
        let build = self.store.build(understood.app(), &digest).await?;
        let looked = Looked {
            said: said.into_iter().collect(),
            local: local?.into_iter().flatten().collect(),
            built_on: build.map(|build| build.bases).unwrap_or_default(),
            bases,
        };
        Ok(Fresh::of(refresh, images.main.is_some(), &looked))
    }

    async fn ask(&self, reference: &str) -> (String, Said) {
        let said = match self.engine.registry_digest(reference).await {
            Ok(Some(digest)) => Said::Digest(digest),
            Ok(None) => Said::Nothing,
            Err(error) => Said::NoAnswer(Error::from(error).chain()),
        };
        (reference.to_owned(), said)
    }

    /// What the engine has under a reference.
    async fn local(&self, reference: &str) -> Result<Option<(String, LocalImage)>, Error> {
        let facts = self.engine.image(reference).await?;
        Ok(facts.map(|facts| {
            let (id, digests) = (facts.id, facts.digests);
            (reference.to_owned(), LocalImage { id, digests })
        }))
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
