//! Removing an app. Its volumes stay, and with them the secrets that open what is
//! in them.

use crate::execute::Run;
use crate::journal::Live;
use crate::report::Proposal;
use crate::{Error, Host};
use doprax_core::name::AppName;
use doprax_core::{diff, planner};
use doprax_engine::Material;
use std::sync::Arc;

impl Host {
    /// What a removal would do. Changes nothing.
    pub async fn plan_removal(&self, app: &AppName) -> Result<Proposal, Error> {
        let record = self.record(app).await?;
        let observed = self.engine().observe(app).await?;
        let blueprint = record.release.as_ref().map(|release| &release.blueprint);
        let plan = planner::removal(&observed, blueprint);
        Ok(Proposal {
            app: app.clone(),
            diff: diff::removal(app, blueprint, &observed, &plan),
            changes: true,
            needs_source: false,
            warnings: Vec::new(),
        })
    }

    pub(crate) async fn run_remove(&self, live: &Arc<Live>) -> Result<(), Error> {
        let app = &live.operation().app;
        let blueprint = self
            .store()
            .app(app)
            .await?
            .and_then(|record| record.release)
            .map(|r| r.blueprint);
        self.remove_route(app);
        let observed = self.engine().observe(app).await?;
        let emit = {
            let live = Arc::clone(live);
            Arc::new(move |what| live.emit(what))
        };
        let run = Run::for_images(app, Material::default(), emit);
        self.execute(&run, &planner::removal(&observed, blueprint.as_ref()))
            .await?;
        self.store().remove_app(app).await?;
        self.renew_wishes().await?;
        if observed.volumes.is_empty() {
            self.store().forget_secrets(app).await?;
        }
        if let Err(error) = self.engine().prune_images(app, &[]).await {
            tracing::warn!(%app, %error, "built images were not removed");
        }
        if let Err(error) = self.store().prune_sources(&self.sources_in_use()).await {
            tracing::warn!(%error, "source archives were not removed");
        }
        Ok(())
    }
}
