//! What is kept of releases, and letting go of what no kept one needs.
//!
//! Guarantees: what is pruned is what [`doprax_core::release::keep`] does not name. Failing
//! at it harms nothing: the next deploy tries again.

use crate::apps::Apps;
use crate::{Config, Error};
use doprax_core::blueprint::Blueprint;
use doprax_core::name::AppName;
use doprax_core::operation::Operation;
use doprax_core::release::Kept;
use doprax_engine::Engine;
use doprax_store::Store;
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Images that the engine is asked to keep at the same time.
const HOLDS_AT_ONCE: usize = 8;

/// Has the engine and the store keep what releases need, and nothing else.
pub(crate) struct Retention {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) apps: Arc<Apps>,
    /// Held while the engine's build cache is pruned.
    pub(crate) pruning: Arc<tokio::sync::Mutex<()>>,
}

impl Retention {
    /// Has the engine keep the images of a release, whatever is built or pulled meanwhile
    /// under their references.
    pub(crate) async fn hold_images(&self, app: &AppName, blueprint: &Blueprint) {
        let identities = blueprint.containers.values();
        let identities = identities.filter_map(|container| container.identity.as_ref());
        let ids: BTreeSet<String> = identities.map(|identity| identity.id.clone()).collect();
        let ids: Vec<String> = ids.into_iter().collect();
        for some in ids.chunks(HOLDS_AT_ONCE) {
            let held = some.iter().map(|id| self.engine.keep_image(app, id));
            for error in join_all(held).await.into_iter().filter_map(Result::err) {
                tracing::warn!(%app, %error, "an image of a release may be lost");
            }
        }
    }

    /// Removes what no kept release needs any more. Failing at it harms nothing: the next
    /// deploy tries again.
    pub(crate) async fn clean_up(&self, app: &AppName, operation: Option<&str>) {
        let kept = async {
            let record = self.store.app(app).await?;
            let retain = record.and_then(|record| record.spec?.retain);
            let retain = retain.unwrap_or(self.config.retain);
            self.store.retire_releases(app, retain, operation).await
        };
        match kept.await {
            Ok(kept) => self.prune_images(app, &kept).await,
            Err(error) => tracing::warn!(%app, %error, "old releases were not forgotten"),
        }
        self.prune_sources().await;
    }

    /// Removes the image and the archive that a failed deploy leaves, unless a release
    /// needs them.
    pub(crate) async fn clean_up_after_failure(&self, operation: &Operation, source: &str) {
        let app = &operation.app;
        self.clean_up(app, Some(&operation.id)).await;
        let others = self.apps.sources_in_use(Some(&operation.id));
        if let Err(error) = self.store.remove_source(source, &others).await {
            tracing::warn!(%app, %error, "what a failed deploy left was not removed");
        }
    }

    /// Removes what a removed app leaves.
    pub(crate) async fn clean_up_after_removal(&self, app: &AppName) {
        self.prune_images(app, &Kept::default()).await;
        self.prune_sources().await;
    }

    /// Removes what an operation leaves that was withdrawn before it began.
    pub(crate) async fn clean_up_after_withdrawal(&self, source: &str) {
        let others = self.apps.sources_in_use(None);
        if let Err(error) = self.store.remove_source(source, &others).await {
            tracing::warn!(%error, "a source archive was not removed");
        }
    }

    async fn prune_sources(&self) {
        let used = self.apps.sources_in_use(None);
        if let Err(error) = self.store.prune_sources(&used).await {
            tracing::warn!(%error, "old source archives were not removed");
        }
    }

    async fn prune_images(&self, app: &AppName, kept: &Kept) {
        if let Err(error) = self.engine.prune_images(app, kept).await {
            tracing::warn!(%app, %error, "old images were not removed");
        }
    }

    /// Has the engine forget what its build cache has beyond the bound, beside whatever
    /// else goes on.
    pub(crate) fn bound_build_cache(&self) {
        let Some(keep) = self.config.build_cache else {
            return;
        };
        let Ok(turn) = Arc::clone(&self.pruning).try_lock_owned() else {
            return;
        };
        let engine = Arc::clone(&self.engine);
        tokio::spawn(async move {
            let _turn = turn;
            match engine.prune_build_cache(keep).await {
                Ok(0) => {}
                Ok(bytes) => tracing::info!(bytes, "the build cache was pruned"),
                Err(error) => {
                    let error = Error::from(error).chain();
                    tracing::warn!(error, "the build cache was not pruned");
                }
            }
        });
    }
}
