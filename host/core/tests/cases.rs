//! Manifest and observed → plan or error, as files: each folder of `tests/cases` is
//! one case.
//!
//! - `doprax.yaml`: what is wanted.
//! - `before.yaml`: what was deployed before and runs; absent: nothing.
//! - `by-hand.yaml`: the same with what a person changed since then; it runs.
//! - `world.json`: what else differs from the ordinary, see [`World`].
//! - `expected.snap`: the diff that a person sees and the steps, each with the steps
//!   that come before it; or the errors.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use doprax_core::assemble::{MainPorts, SourceFile};
use doprax_core::blueprint::{Blueprint, ImageIdentity, Note, sha256_hex};
use doprax_core::copy::CopyName;
use doprax_core::diagnostic::{self, Diagnostic};
use doprax_core::diff;
use doprax_core::manifest::{self, KnownPlugin, Manifest};
use doprax_core::name::{AppName, Instance, PluginName, ServiceName, VolumeName};
use doprax_core::observed::{Limits, Network, Observed, ObservedContainer, State};
use doprax_core::plan::Plan;
use doprax_core::planner::{self, Context};
use doprax_core::proposal::{
    self, Abilities, Images, Inputs, MainImage, Proposal, Remembered, Understood,
};
use doprax_core::service::{DescribeRequest, ServiceDescription};
use doprax_core::spec::AppSpec;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::path::Path;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/cases");

/// A value that cases have only where it is masked.
const MASKED: &str = "hunter2";

/// What a case says about everything but the manifest.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct World {
    /// Digest of the source; what ran before has the digest `1111…`.
    source: String,
    /// The ports that main exposes.
    main_ports: MainPorts,
    /// The ports that images expose; others are not on the engine.
    images: BTreeMap<String, Vec<u16>>,
    /// Files that the source does not have.
    missing_files: BTreeSet<String>,
    /// Files that have changed since what ran before.
    changed_files: BTreeSet<String>,
    /// Copies that exist beside, instead of, or in another state than those of what
    /// ran before.
    copies: Vec<Copy>,
    /// Containers that their owner stopped.
    stopped: BTreeSet<ServiceName>,
    /// Containers that still owe a reload.
    reloads: BTreeSet<ServiceName>,
    /// Volumes of what ran before that are gone.
    gone_volumes: BTreeSet<VolumeName>,
    /// References that meant another image when what ran before was deployed.
    moved_images: BTreeSet<String>,
    /// Whether what ran before was removed, and only its volumes are left.
    was_removed: bool,
    /// Whether the engine can limit disks.
    disk_limit: bool,
    /// Whether the app is removed.
    removal: bool,
    /// The plugins' component.
    #[serde(skip)]
    component: &'static str,
}

/// A copy of a container.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Copy {
    service: ServiceName,
    /// Made from the wanted blueprint, not from the one before.
    #[serde(default)]
    wanted: bool,
    /// Whether it bears its waiting name.
    #[serde(default)]
    spare: bool,
    /// Its state; null: what bears this name is not there.
    state: Option<State>,
    /// Whether somebody took it from the network.
    #[serde(default)]
    detached: bool,
}

impl Default for World {
    fn default() -> Self {
        Self {
            source: "1".repeat(64),
            main_ports: MainPorts::Known(vec![8000]),
            images: BTreeMap::new(),
            missing_files: BTreeSet::new(),
            changed_files: BTreeSet::new(),
            copies: Vec::new(),
            stopped: BTreeSet::new(),
            reloads: BTreeSet::new(),
            gone_volumes: BTreeSet::new(),
            moved_images: BTreeSet::new(),
            was_removed: false,
            disk_limit: false,
            removal: false,
            component: "of this host",
        }
    }
}

#[test]
fn cases() {
    let mut seen = 0;
    for entry in std::fs::read_dir(CASES).unwrap() {
        let folder = entry.unwrap().path();
        if folder.is_dir() {
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path(&folder);
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings.bind(|| insta::assert_snapshot!("expected", outcome(&folder)));
            seen += 1;
        }
    }
    assert!(seen > 10, "the cases are where they are looked for");
}

fn outcome(folder: &Path) -> String {
    let world: World = match std::fs::read(folder.join("world.json")) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap(),
        Err(_) => World::default(),
    };
    let spec_in = |name: &str| {
        let path = folder.join(name);
        path.exists().then(|| read(&path).unwrap())
    };
    let base = spec_in("before.yaml");
    let current = spec_in("by-hand.yaml").or_else(|| base.clone());
    let (base, current) = (base.map(|m| m.spec), current);
    let previous = current.as_ref().map(|manifest| {
        let before = World {
            images: world.images.clone(),
            moved_images: world.moved_images.clone(),
            component: "of an earlier host",
            ..World::default()
        };
        let understood = understood(manifest.clone(), None, None, &before).unwrap();
        let nothing = Observed::default();
        proposed(&understood, &before, None, &nothing, |inputs| {
            proposal::blueprint(inputs).unwrap()
        })
    });
    let previous = previous.as_ref();
    let manifest = match read(&folder.join("doprax.yaml")) {
        Ok(manifest) => manifest,
        Err(refused) => return refused.to_string(),
    };
    let current = current.map(|manifest| manifest.spec);
    let understood = match understood(manifest, base.as_ref(), current.as_ref(), &world) {
        Ok(understood) => understood,
        Err(diagnostics) => return diagnostic::render(&diagnostics, false),
    };
    // The digests of copies that are wanted follow from what is wanted.
    let nothing = Observed::default();
    let next = proposed(&understood, &world, previous, &nothing, proposal::blueprint);
    let next = match next {
        Ok(next) => next,
        Err(errors) => return errors.iter().map(|error| format!("{error}\n")).collect(),
    };
    let mut observed = observed(previous, &next, &world);
    if world.removal {
        let removal =
            |observed: &Observed| proposal::removal(&next.app, previous, observed, Vec::new());
        // An old copy that is ending is no other removal; data that would stay is.
        let mut other = observed.clone();
        let copy = other.containers[0].clone();
        let ending = ObservedContainer {
            id: "old".to_owned(),
            name: CopyName::spare(&copy.service, "0123456789abcdef"),
            ..copy
        };
        other.containers.push(ending);
        assert_eq!(removal(&other).digest, removal(&observed).digest);
        other.volumes.insert(VolumeName::new("another").unwrap());
        assert_ne!(removal(&other).digest, removal(&observed).digest);
        let removal = removal(&observed);
        return format!(
            "{}\n{}",
            removal.diff.render(false),
            steps(&next.app, &removal.plan)
        );
    }
    if !world.stopped.is_empty() {
        // A deploy starts what was stopped; this is what stopping it does.
        let context = Context {
            stopped: &world.stopped,
            reloads: &world.reloads,
            made: &world.gone_volumes,
        };
        let plan = planner::reach(previous, &next, &observed, &context);
        let diff = diff::diff(previous, &next, &observed.containers, &plan).render(false);
        return format!("{diff}\n{}", steps(&next.app, &plan));
    }
    let (previous, left) = match world.was_removed {
        true => (None, previous),
        false => (previous, None),
    };
    if world.was_removed {
        observed.containers.clear();
        observed.network = None;
    }
    let remembered = Remembered {
        left,
        manifest: base.as_ref(),
        stopped: &world.stopped,
        reloads: &world.reloads,
        made: &world.gone_volumes,
    };
    let propose = |observed: &Observed, notes: Vec<Note>| {
        proposed(&understood, &world, previous, observed, |inputs| {
            proposal::propose(inputs, &remembered, notes).unwrap()
        })
    };
    let Proposal {
        blueprint,
        plan,
        diff,
        digest,
        ..
    } = propose(&observed, Vec::new());
    assert!(world.was_removed || blueprint == next);
    if folder.ends_with("nothing-to-do") {
        // Its services stay described by what described them.
        assert_eq!(Some(&blueprint), previous);
    }
    // The same world is the same digest, whatever was said on the way; another is not.
    let note = Note {
        service: None,
        text: "a registry did not answer".to_owned(),
    };
    assert_eq!(propose(&observed, vec![note]).digest, digest);
    let is_main = |copy: &&ObservedContainer| copy.service.is_main();
    if observed.containers.iter().any(|copy| is_main(&copy)) {
        let without = observed.containers.iter().filter(|copy| !is_main(copy));
        let other = Observed {
            containers: without.cloned().collect(),
            ..observed.clone()
        };
        assert_ne!(propose(&other, Vec::new()).digest, digest);
    }
    assert_eq!(strip(&diff.render(true)), diff.render(false));
    let json = serde_json::to_string(&diff).unwrap();
    assert!(!json.contains(MASKED), "a masked value is in the diff");
    format!("{}\n{}", diff.render(false), steps(&next.app, &plan))
}

fn read(path: &Path) -> Result<Manifest, manifest::Refused> {
    let app = AppName::new("shop").unwrap();
    let context = manifest::Context {
        file_name: "doprax.yaml",
        default_app: Some(&app),
        plugins: &plugins(),
    };
    manifest::parse(&std::fs::read(path).unwrap(), &context)
}

fn plugins() -> [KnownPlugin; 6] {
    let names: [&[&str]; 6] = [
        &["mysql"],
        &["redis"],
        &["postgresql", "postgres"],
        &["nginx"],
        &["elasticsearch"],
        &["container"],
    ];
    let name = |name: &&str| PluginName::new(*name).unwrap();
    names.map(|names| KnownPlugin {
        name: name(&names[0]),
        aliases: names[1..].iter().map(name).collect(),
    })
}

fn understood(
    manifest: Manifest,
    base: Option<&AppSpec>,
    current: Option<&AppSpec>,
    world: &World,
) -> Result<Understood, Vec<Diagnostic>> {
    let services = manifest.spec.services.values();
    let containers = services.map(|service| &service.container);
    let wanted = containers
        .chain([&manifest.spec.main.container])
        .flat_map(|container| container.files.values());
    let files = wanted
        .map(|file| file.source.clone())
        .filter(|path| !world.missing_files.contains(path))
        .map(|path| {
            let version = match world.changed_files.contains(&path) {
                true => "new",
                false => "old",
            };
            let sha256 = sha256_hex(format!("{path} {version}").as_bytes());
            (
                path,
                SourceFile {
                    sha256,
                    mode: 0o644,
                },
            )
        });
    let files = files.collect();
    let describe = |name: &ServiceName, plugin: &str, _: &DescribeRequest| {
        let plugin = match plugin {
            "postgres" => "postgresql",
            other => other,
        };
        Ok::<_, Infallible>(Ok(ServiceDescription {
            component: Some(world.component.to_owned()),
            ..description(plugin, name)
        }))
    };
    let Ok(understood) = Understood::new(manifest, (base, current), &plugins(), &files, describe);
    understood
}

/// Which image the references that mean another by now meant before, or mean.
fn identities(world: &World, now: bool) -> BTreeMap<String, ImageIdentity> {
    let id = if now { "sha256:new" } else { "sha256:old" };
    let identity = ImageIdentity {
        id: id.to_owned(),
        digest: None,
        adopted: false,
    };
    let moved = world.moved_images.iter();
    moved.map(|name| (name.clone(), identity.clone())).collect()
}

/// What `make` makes of a case.
fn proposed<T>(
    understood: &Understood,
    world: &World,
    previous: Option<&Blueprint>,
    observed: &Observed,
    make: impl FnOnce(&Inputs<'_>) -> T,
) -> T {
    let instance = Instance::default();
    let source = understood.source(&world.source);
    let main = |ports: &Vec<u16>| MainImage {
        reference: instance.image(understood.app(), &source.build_digest()),
        ports: ports.clone(),
    };
    let (main, dockerfile) = match &world.main_ports {
        MainPorts::Known(ports) => (Some(main(ports)), "FROM scratch".to_owned()),
        MainPorts::Expected(_) => (None, "FROM scratch".to_owned()),
        MainPorts::Unbuilt(ports) => {
            let ports = ports
                .iter()
                .map(u16::to_string)
                .collect::<Vec<_>>()
                .join(" ");
            (
                None,
                match ports.as_str() {
                    "" => "FROM scratch".to_owned(),
                    ports => format!("FROM scratch\nEXPOSE {ports}"),
                },
            )
        }
    };
    make(&Inputs {
        instance: &instance,
        understood,
        source: &source,
        dockerfile: &dockerfile,
        commit: Some("c0ffee"),
        address: ("https://shop.example.com", "shop.example.com"),
        subnet: "10.16.0.0/23".parse().unwrap(),
        revisions: &BTreeMap::new(),
        images: &Images {
            present: observed.images.clone(),
            ports: world.images.clone(),
            main,
            identities: identities(world, previous.is_some()),
            ports_before: match &world.main_ports {
                MainPorts::Expected(ports) => Some(ports.clone()),
                _ => None,
            },
            ..Images::default()
        },
        keeps_images: false,
        release: previous.map(|previous| (6, previous)),
        observed,
        abilities: Abilities {
            disk_limit: world.disk_limit,
            init: true,
        },
    })
}

/// What the plugin says in `plugins.json`, completed by nothing for what it leaves out.
fn description(plugin: &str, service: &ServiceName) -> ServiceDescription {
    let text = std::fs::read_to_string(Path::new(CASES).join("plugins.json")).unwrap();
    let text = text.replace("NAME", service.as_str());
    let mut plugins: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
    let mut description = json!({
        "image": "", "env": [], "entrypoint": null, "command": null, "user": null, "files": [],
        "volumes": [], "ports": [], "probes": [], "ready_timeout_ms": 0, "judged": false,
        "reload": null, "after_main": false, "shm_size": null, "ulimits": [],
        "capabilities": [], "stop_signal": null, "stop_grace_ms": 0, "resources": {},
        "secrets": [], "outputs": [], "notes": [],
    });
    let said = plugins.remove(plugin).unwrap();
    description
        .as_object_mut()
        .unwrap()
        .extend(said.as_object().unwrap().clone());
    serde_json::from_value(description).unwrap()
}

fn observed(previous: Option<&Blueprint>, next: &Blueprint, world: &World) -> Observed {
    let mut containers = BTreeMap::new();
    let mut add = |blueprint: &Blueprint, name: &ServiceName, spare: bool, state, attached| {
        let spec = &blueprint.containers[name];
        let hash = spec.made_from(&blueprint.revisions);
        let copy_name = if spare {
            CopyName::spare(name, &hash)
        } else {
            CopyName::serving(name)
        };
        let Some(state) = state else {
            containers.remove(&copy_name);
            return;
        };
        let copy = ObservedContainer {
            id: format!("{copy_name:?}"),
            name: copy_name.clone(),
            service: name.clone(),
            hash,
            state,
            attached,
            address: None,
            created: 0,
            started_ms: None,
            ended_ms: None,
            restarts: 0,
            exit_code: None,
            out_of_memory: false,
            image: spec.image.reference().to_owned(),
            limits: Some(Limits {
                memory: spec.resources.memory,
                millicpus: spec.resources.millicpus,
                machine_millicpus: 2000,
                usual: true,
            }),
            healthcheck: None,
            image_id: String::new(),
        };
        containers.insert(copy_name, copy);
    };
    if let Some(previous) = previous {
        for name in previous.containers.keys() {
            add(previous, name, false, Some(State::Running), true);
        }
    }
    for copy in &world.copies {
        let blueprint = previous.filter(|_| !copy.wanted).unwrap_or(next);
        let attached = !copy.detached;
        add(blueprint, &copy.service, copy.spare, copy.state, attached);
    }
    let known = previous
        .into_iter()
        .flat_map(|previous| previous.containers.values());
    let mut images: BTreeSet<String> = known.map(|c| c.image.reference().to_owned()).collect();
    images.extend(world.images.keys().cloned());
    Observed {
        network: previous.map(|previous| Network {
            subnet: previous.subnet,
        }),
        volumes: previous
            .map(|previous| &previous.volumes - &world.gone_volumes)
            .unwrap_or_default(),
        containers: containers.into_values().collect(),
        images,
    }
}

fn steps(app: &AppName, plan: &Plan) -> String {
    let mut text = String::new();
    for (index, planned) in plan.steps.iter().enumerate() {
        write!(
            text,
            "{index:>2} {}",
            planned.step.text(&|copy| called(app, copy))
        )
        .unwrap();
        if !planned.after.is_empty() {
            let after: Vec<String> = planned.after.iter().map(usize::to_string).collect();
            write!(text, " (after {})", after.join(", ")).unwrap();
        }
        text.push('\n');
    }
    text
}

/// What a copy is called.
fn called(app: &AppName, copy: &CopyName) -> String {
    match copy {
        CopyName::Serving(service) => format!("{service}.{app}.internal"),
        CopyName::Spare(service, digits) => format!("{service}_{digits}.{app}.internal"),
        CopyName::Foreign(name) => name.clone(),
    }
}

/// The text without its colours.
fn strip(text: &str) -> String {
    let mut plain = String::new();
    for (index, part) in text.split('\u{1b}').enumerate() {
        plain.push_str(if index == 0 {
            part
        } else {
            part.split_once('m').unwrap().1
        });
    }
    plain
}
