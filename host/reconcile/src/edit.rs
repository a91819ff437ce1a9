//! Changes made by hand to what is deployed. They stay over later deploys for as long
//! as the manifest does not touch the same key.

use crate::journal::Live;
use crate::request::{DeployRequest, Edit};
use crate::{Error, Host};
use doprax_core::manifest::is_credential;
use doprax_core::name::{AppName, ServiceName};
use doprax_core::spec::{AppSpec, ContainerSpec, EnvValue};
use doprax_core::text::{Template, TemplatePart};
use std::sync::Arc;

impl Host {
    /// Carries out a change by hand as a deploy of the same source.
    pub(crate) async fn run_edit(
        &self,
        live: &Arc<Live>,
        edit: &Edit,
    ) -> Result<Option<String>, Error> {
        let app = &live.operation().app;
        let mut record = self.record(app).await?;
        self.check_selection(&record, Some(&edit.container))?;
        let not_deployed = || Error::NotDeployed { app: app.clone() };
        let request: Option<DeployRequest> = self.store().request(app).await?;
        let mut request = request.ok_or_else(not_deployed)?;
        // Older hosts kept what secrets were then; what they are now is with the app.
        request.variables.clear();
        let spec = record.spec.as_mut().ok_or_else(not_deployed)?;
        apply(edit, spec);
        self.deploy_over(live, &request, Some(record)).await
    }

    /// The environment that a person gave a container, masked values without their text.
    pub async fn env(
        &self,
        app: &AppName,
        container: &ServiceName,
    ) -> Result<Vec<(String, Option<String>)>, Error> {
        let record = self.record(app).await?;
        self.check_selection(&record, Some(container))?;
        let spec = record
            .spec
            .ok_or_else(|| Error::NotDeployed { app: app.clone() })?;
        let Some(container) = find(&spec, container) else {
            return Ok(Vec::new());
        };
        let shown = |value: &EnvValue| match value.value.0.as_slice() {
            _ if value.masked => None,
            [] => Some(String::new()),
            [TemplatePart::Literal(text)] => Some(text.clone()),
            _ => None,
        };
        Ok(container
            .env
            .iter()
            .map(|(name, value)| (name.clone(), shown(value)))
            .collect())
    }
}

fn find<'a>(spec: &'a AppSpec, container: &ServiceName) -> Option<&'a ContainerSpec> {
    if container.is_main() {
        return Some(&spec.main.container);
    }
    spec.services
        .get(container)
        .map(|service| &service.container)
}

fn apply(edit: &Edit, spec: &mut AppSpec) {
    let container = if edit.container.is_main() {
        Some(&mut spec.main.container)
    } else {
        spec.services
            .get_mut(&edit.container)
            .map(|service| &mut service.container)
    };
    let Some(container) = container else { return };
    for (name, value) in &edit.env {
        match value {
            Some(value) => {
                let masked = is_credential(name, value);
                let value = EnvValue {
                    value: Template::literal(value),
                    masked,
                };
                container.env.insert(name.clone(), value);
            }
            None => {
                container.env.shift_remove(name);
            }
        }
    }
}
