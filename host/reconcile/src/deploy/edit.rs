//! Changes made by hand to what is deployed. They stay over later deploys for as long
//! as the manifest does not touch the same key.

use super::{Deploys, origin};
use crate::journal::RunningOperation;
use crate::record::{check_selection, record};
use crate::report::{Variable, VariableSource};
use crate::request::{DeployRequest, Edit};
use crate::{Config, Error};
use doprax_core::blueprint::Container;
use doprax_core::manifest::is_credential;
use doprax_core::name::{AppName, ServiceName};
use doprax_core::release::Reason;
use doprax_core::spec::{AppSpec, ContainerSpec, EnvValue};
use doprax_core::text::{HOST_VARIABLE, Part, Template, Text};
use doprax_engine::Engine;
use doprax_store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Deploys {
    /// Carries out a change by hand as a deploy of the same source.
    pub(crate) async fn run_edit(
        &self,
        live: &Arc<RunningOperation>,
        edit: &Edit,
    ) -> Result<Option<String>, Error> {
        let app = &live.operation().app;
        let mut record = record(&self.store, app).await?;
        check_selection(&record, Some(&edit.container))?;
        let not_deployed = || Error::NotDeployed { app: app.clone() };
        let request: Option<DeployRequest> = self.store.request(app).await?;
        let mut request = request.ok_or_else(not_deployed)?;
        // Older hosts kept what secrets were then; what they are now is with the app.
        request.variables.clear();
        // Its source is not at hand, and what a person changes is not the images.
        request.refresh.keep = true;
        let spec = record.spec.as_mut().ok_or_else(not_deployed)?;
        if let Some(manifest) = &record.manifest {
            reset(edit, manifest, spec);
        }
        apply(edit, spec);
        let (actor, commit) = (edit.actor.as_ref(), request.commit.as_ref());
        let origin = origin(live, Reason::Edit, actor, commit);
        self.deploy_over(live, &request, Some(record), &origin)
            .await
    }
}

/// The environment that a container has, masked values without their text, by name.
pub(crate) async fn environment(
    config: &Config,
    store: &Store,
    engine: &dyn Engine,
    app: &AppName,
    container: &ServiceName,
) -> Result<Vec<Variable>, Error> {
    let record = record(store, app).await?;
    check_selection(&record, Some(container))?;
    let not_deployed = || Error::NotDeployed { app: app.clone() };
    let release = record.release.as_ref().ok_or_else(not_deployed)?;
    let Some(made) = release.blueprint.containers.get(container) else {
        return Ok(Vec::new());
    };
    let reference = made.image.reference();
    let identity = made.identity.as_ref().map(|identity| identity.id.as_str());
    let mut image = engine.image(identity.unwrap_or(reference)).await?;
    if image.is_none() {
        image = engine.image(reference).await?;
    }
    let find = |spec: &Option<AppSpec>| find(spec.as_ref()?, container).cloned();
    let mut variables = variables(
        made,
        &image.map(|facts| facts.env).unwrap_or_default(),
        &find(&record.manifest).unwrap_or_default(),
        &find(&record.spec).unwrap_or_default(),
    );
    if !made.env.contains_key(HOST_VARIABLE) {
        variables.retain(|variable| variable.name != HOST_VARIABLE);
        variables.push(Variable {
            name: HOST_VARIABLE.to_owned(),
            value: Some(config.host_name(app, release.blueprint.domain())),
            masked: false,
            from: VariableSource::Host,
            in_manifest: false,
        });
        variables.sort_by(|a, b| a.name.cmp(&b.name));
    }
    Ok(variables)
}

/// The variables of a container that was `made` of an image with the environment `image`:
/// where each comes from, by what the manifest wrote and by what a person made of it.
fn variables(
    made: &Container,
    image: &BTreeMap<String, String>,
    manifest: &ContainerSpec,
    spec: &ContainerSpec,
) -> Vec<Variable> {
    let names: BTreeSet<&String> = made
        .env
        .keys()
        .chain(image.keys())
        .chain(manifest.env.keys())
        .collect();
    let variable = |name: &String| {
        let (written, meant) = (manifest.env.get(name), spec.env.get(name));
        let (from, value, masked) = match (made.env.get(name), image.get(name)) {
            (Some(env), _) => {
                let from = match meant {
                    Some(_) if meant == written => VariableSource::Manifest,
                    Some(_) => VariableSource::Hand,
                    None => VariableSource::Plugin,
                };
                (from, shown(&env.value), env.masked)
            }
            (None, Some(value)) => {
                let masked = is_credential(name, value);
                (VariableSource::Image, Some(value.clone()), masked)
            }
            (None, None) => (VariableSource::Hand, None, false),
        };
        Variable {
            name: name.clone(),
            value: value.filter(|_| !masked),
            masked,
            from,
            in_manifest: written.is_some(),
        }
    };
    names.into_iter().map(variable).collect()
}

/// A text without secrets.
fn shown(text: &Text) -> Option<String> {
    let is_masked = text.0.iter().any(|part| matches!(part, Part::Masked(_)));
    (!is_masked).then(|| text.fill(|_| None).ok()).flatten()
}

fn find<'a>(spec: &'a AppSpec, container: &ServiceName) -> Option<&'a ContainerSpec> {
    if container.is_main() {
        return Some(&spec.main.container);
    }
    spec.services
        .get(container)
        .map(|service| &service.container)
}

fn find_mut<'a>(spec: &'a mut AppSpec, container: &ServiceName) -> Option<&'a mut ContainerSpec> {
    if container.is_main() {
        return Some(&mut spec.main.container);
    }
    spec.services
        .get_mut(container)
        .map(|service| &mut service.container)
}

/// Makes what was done by hand undone.
fn reset(edit: &Edit, manifest: &AppSpec, spec: &mut AppSpec) {
    let Some(names) = &edit.reset else { return };
    let Some(container) = find_mut(spec, &edit.container) else {
        return;
    };
    let none = ContainerSpec::default();
    let written = &find(manifest, &edit.container).unwrap_or(&none).env;
    let is_meant = |name: &String| names.is_empty() || names.contains(name);
    container
        .env
        .retain(|name, _| !is_meant(name) || written.contains_key(name));
    for (name, value) in written.iter().filter(|(name, _)| is_meant(name)) {
        container.env.insert(name.clone(), value.clone());
    }
}

fn apply(edit: &Edit, spec: &mut AppSpec) {
    let Some(container) = find_mut(spec, &edit.container) else {
        return;
    };
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

#[cfg(test)]
mod tests {
    use super::*;
    use doprax_core::spec::MainSpec;
    use serde_json::json;

    fn env(value: &str) -> EnvValue {
        EnvValue {
            value: Template::literal(value),
            masked: false,
        }
    }

    /// An app whose main has these variables.
    fn spec(variables: &[(&str, &str)]) -> AppSpec {
        let mut main = MainSpec::default();
        let variables = variables.iter();
        let variables = variables.map(|(name, value)| ((*name).to_owned(), env(value)));
        main.container.env = variables.collect();
        AppSpec {
            app: AppName::new("shop").unwrap(),
            front: None,
            retain: None,
            main,
            services: Default::default(),
            domains: Default::default(),
            secrets: BTreeMap::new(),
        }
    }

    fn edit(reset: Option<&[&str]>, env: &[(&str, Option<&str>)]) -> Edit {
        let owned = |text: &&str| (*text).to_owned();
        let env = env.iter();
        Edit {
            container: ServiceName::main(),
            env: env
                .map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)))
                .collect(),
            reset: reset.map(|names| names.iter().map(owned).collect()),
            actor: None,
        }
    }

    #[test]
    fn a_variable_is_set_or_taken_away_and_a_credential_is_masked() {
        let mut changed = spec(&[("A", "1"), ("B", "2")]);
        let values = [
            ("B", None),
            ("C", Some("3")),
            ("DB_PASSWORD", Some("hunter2")),
            ("URL", Some("redis://:hunter2@redis")),
        ];
        apply(&edit(None, &values), &mut changed);
        let found: Vec<(&str, bool)> = changed
            .main
            .container
            .env
            .iter()
            .map(|(name, value)| (name.as_str(), value.masked))
            .collect();
        let expected = [
            ("A", false),
            ("C", false),
            ("DB_PASSWORD", true),
            ("URL", true),
        ];
        assert_eq!(found, expected);
        assert_eq!(changed.main.container.env["C"], env("3"));
        let nobody = Edit {
            container: ServiceName::new("nobody").unwrap(),
            ..edit(None, &[("D", Some("4"))])
        };
        let before = changed.clone();
        apply(&nobody, &mut changed);
        assert_eq!(changed, before);
    }

    #[test]
    fn what_is_reset_is_as_the_manifest_says() {
        let manifest = spec(&[("A", "1"), ("B", "2")]);
        let by_hand = spec(&[("A", "by hand"), ("C", "3")]);
        let after = |names: Option<&[&str]>| {
            let mut spec = by_hand.clone();
            reset(&edit(names, &[]), &manifest, &mut spec);
            let mut env: Vec<_> = spec.main.container.env.into_iter().collect();
            env.sort_by(|a, b| a.0.cmp(&b.0));
            env
        };
        let is = |variables: &[(&str, &str)]| {
            let variables = variables.iter();
            let variables = variables.map(|(name, value)| ((*name).to_owned(), env(value)));
            variables.collect::<Vec<_>>()
        };
        assert_eq!(after(None), is(&[("A", "by hand"), ("C", "3")]));
        assert_eq!(after(Some(&[])), is(&[("A", "1"), ("B", "2")]));
        assert_eq!(after(Some(&["A"])), is(&[("A", "1"), ("C", "3")]));
        assert_eq!(after(Some(&["C"])), is(&[("A", "by hand")]));
        assert_eq!(
            after(Some(&["B"])),
            is(&[("A", "by hand"), ("B", "2"), ("C", "3")])
        );
    }

    #[test]
    fn a_variable_says_where_it_comes_from_and_a_credential_not_what_it_is() {
        let literal =
            |text: &str, masked: bool| json!({ "value": [{"literal": text}], "masked": masked });
        let secret = json!({ "value": [{"secret": "random_1"}], "masked": true });
        let made = json!({
            "name": "main", "plugin": null, "stage": "main",
            "image": {"pull": {"reference": "a:1"}},
            "env": {
                "FILE": literal("1", false), "HAND": literal("2", false),
                "NEW": literal("3", false), "PLUGIN": literal("4", false),
                "PIN": literal("5", true), "TOKEN": secret, "BOTH": literal("6", false),
            },
            "entrypoint": null, "command": null, "user": null, "files": [], "mounts": [],
            "aliases": [], "port": null, "port_reason": "", "probes": [],
            "ready_timeout_ms": 1, "judged": false, "reload": null, "strategy": "rolling",
            "resources": {}, "shm_size": null, "ulimits": [], "capabilities": [],
            "stop_signal": null, "stop_grace_ms": 1, "outputs": {},
        });
        let made: Container = serde_json::from_value(made).unwrap();
        let image = [
            ("PATH", "/bin"),
            ("IMAGE_PASSWORD", "hunter2"),
            ("BOTH", "7"),
        ];
        let image = image.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let manifest = spec(&[("FILE", "1"), ("HAND", "1"), ("GONE", "1"), ("TOKEN", "x")]);
        let meant = spec(&[("FILE", "1"), ("HAND", "2"), ("NEW", "3"), ("TOKEN", "x")]);
        let found = variables(
            &made,
            &image.into(),
            &manifest.main.container,
            &meant.main.container,
        );
        let found: Vec<_> = found
            .iter()
            .map(|it| {
                (
                    it.name.as_str(),
                    it.from,
                    it.value.as_deref(),
                    it.masked,
                    it.in_manifest,
                )
            })
            .collect();
        use VariableSource::{Hand, Image, Manifest, Plugin};
        let expected = [
            ("BOTH", Plugin, Some("6"), false, false),
            ("FILE", Manifest, Some("1"), false, true),
            ("GONE", Hand, None, false, true),
            ("HAND", Hand, Some("2"), false, true),
            ("IMAGE_PASSWORD", Image, None, true, false),
            ("NEW", Hand, Some("3"), false, false),
            ("PATH", Image, Some("/bin"), false, false),
            ("PIN", Plugin, None, true, false),
            ("PLUGIN", Plugin, Some("4"), false, false),
            ("TOKEN", Manifest, None, true, true),
        ];
        assert_eq!(found, expected);
    }
}
