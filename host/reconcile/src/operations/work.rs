//! What the kinds of operations do.

use crate::Error;
use crate::deploy::Deploys;
use crate::deploy::control::Controls;
use crate::deploy::remove::Removals;
use crate::deploy::rollback::Rollbacks;
use crate::journal::{Intent, RunningOperation};
use std::sync::Arc;

/// What carries out each kind of operation.
pub(crate) struct Work {
    pub(crate) deploys: Deploys,
    pub(crate) controls: Controls,
    pub(crate) rollbacks: Rollbacks,
    pub(crate) removals: Removals,
}

impl Work {
    /// Carries out an operation. Returns where its app can be reached.
    pub(super) async fn carry_out(
        &self,
        live: &Arc<RunningOperation>,
        intent: Intent,
    ) -> Result<Option<String>, Error> {
        match intent {
            Intent::Deploy(request) => self.deploys.run(live, &request).await,
            Intent::Control { selection, control } => {
                self.controls.run(live, selection.as_ref(), control).await
            }
            Intent::Edit(edit) => self.deploys.run_edit(live, &edit).await,
            Intent::Rollback(rollback) => self.rollbacks.run(live, &rollback).await,
            Intent::Remove => self.removals.run(live, None).await.map(|()| None),
            Intent::RemoveWith(removal) => {
                let removed = self.removals.run(live, removal.secrets).await;
                removed.map(|()| None)
            }
        }
    }
}
