//! Three-way merge of the manifest applied last, the app as it is and the new
//! manifest.
//!
//! What the new manifest changes against the last one wins. What a person changed by
//! hand since then, and the manifest does not touch, stays. What the last manifest had
//! and the new one has no more is removed. Volumes lose their mounts at most; nothing
//! here removes one.
//!
//! Specs are merged as JSON objects, key by key: their keyed collections are maps all
//! the way down. A value of a variable, a file, a domain or a list is one thing and
//! never merged inside.

use crate::spec::{AppSpec, ContainerSpec};
use crate::text::TemplatePart;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fmt;

/// What a merge gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The app as it shall be.
    pub spec: AppSpec,
    /// What was done by hand and stays.
    pub kept: Vec<Change>,
    /// What goes: what the manifest had and has no more, and what was done by hand where
    /// it cannot stay beside the new manifest.
    pub removed: Vec<Change>,
}

/// A part of a spec that differs from the new manifest, or is removed with it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Change {
    /// Its keys, outermost first: `services`, `mysql`, `env`, `TZ`.
    pub path: Vec<String>,
    /// What was done to it.
    pub kind: ChangeKind,
}

/// What was done to a part of a spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// It was added.
    Added,
    /// It got another value.
    Changed,
    /// It was removed.
    Removed,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ChangeKind::Added => "added",
            ChangeKind::Changed => "changed",
            ChangeKind::Removed => "removed",
        };
        write!(f, "{} ({kind})", self.path.join("."))
    }
}

/// The app as it shall be: `base` is what the last manifest meant, `current` the app
/// as it is with what was changed by hand, `new` what the new manifest means. Without
/// `base` nothing of `current` came from a manifest.
pub fn merge(base: Option<&AppSpec>, current: Option<&AppSpec>, new: &AppSpec) -> Merged {
    let Some(current) = current else {
        return Merged {
            spec: new.clone(),
            kept: Vec::new(),
            removed: Vec::new(),
        };
    };
    let mut merge = Merge {
        kept: Vec::new(),
        removed: Vec::new(),
        path: Vec::new(),
    };
    let base_object = base.map(object).unwrap_or_default();
    let merged = merge.objects(&base_object, &object(current), &object(new));
    let mut spec: AppSpec = serde_json::from_value(Value::Object(merged))
        .expect("every part of the merge comes from a spec, at its own place");

    let Merge {
        mut kept,
        mut removed,
        ..
    } = merge;
    drop_mounts_below_files(&mut spec, &mut kept, &mut removed);
    spec.secrets = new.secrets.clone();
    for name in named_secrets(&spec) {
        let source = current
            .secrets
            .get(&name)
            .or_else(|| base?.secrets.get(&name));
        if let Some(source) = source {
            spec.secrets.entry(name).or_insert_with(|| source.clone());
        }
    }
    Merged {
        spec,
        kept,
        removed,
    }
}

/// A spec as an object. Secrets follow from what names them.
fn object(spec: &AppSpec) -> Map<String, Value> {
    match serde_json::to_value(spec) {
        Ok(Value::Object(mut object)) => {
            object.remove("secrets");
            object
        }
        _ => unreachable!("a spec has only string keys and is an object"),
    }
}

struct Merge {
    kept: Vec<Change>,
    removed: Vec<Change>,
    path: Vec<String>,
}

impl Merge {
    fn objects(
        &mut self,
        base: &Map<String, Value>,
        current: &Map<String, Value>,
        new: &Map<String, Value>,
    ) -> Map<String, Value> {
        let mut merged = Map::new();
        for (key, new) in new {
            self.path.push(key.clone());
            if let Some(value) = self.value(base.get(key), current.get(key), new) {
                merged.insert(key.clone(), value);
            }
            self.path.pop();
        }
        for (key, value) in current.iter().filter(|(key, _)| !new.contains_key(*key)) {
            self.path.push(key.clone());
            if base.contains_key(key) {
                self.removed.push(self.change(ChangeKind::Removed));
            } else {
                self.kept.push(self.change(ChangeKind::Added));
                merged.insert(key.clone(), value.clone());
            }
            self.path.pop();
        }
        merged
    }

    /// The value of a key that the new manifest has; nothing where a person removed it.
    fn value(
        &mut self,
        base: Option<&Value>,
        current: Option<&Value>,
        new: &Value,
    ) -> Option<Value> {
        match (base, current, new) {
            (_, Some(current), new) if current == new => Some(new.clone()),
            (base, Some(Value::Object(current)), Value::Object(new))
                if self.merges_inside(current, new) =>
            {
                let base = base.and_then(Value::as_object).cloned().unwrap_or_default();
                Some(Value::Object(self.objects(&base, current, new)))
            }
            (Some(base), Some(current), new) if base == new => {
                self.kept.push(self.change(ChangeKind::Changed));
                Some(current.clone())
            }
            (Some(base), None, new) if base == new => {
                self.kept.push(self.change(ChangeKind::Removed));
                None
            }
            _ => Some(new.clone()),
        }
    }

    /// Whether the objects at the present path are merged key by key.
    fn merges_inside(&self, current: &Map<String, Value>, new: &Map<String, Value>) -> bool {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["domains", _] | ["main", "env" | "files", _] | ["services", _, "env" | "files", _] => {
                false
            }
            // A service of another kind under an old name is another service.
            ["services", _] => current.get("plugin") == new.get("plugin"),
            _ => true,
        }
    }

    fn change(&self, kind: ChangeKind) -> Change {
        Change {
            path: self.path.clone(),
            kind,
        }
    }
}

/// What was mounted by hand gives way where the manifest mounts something else on its
/// path.
fn drop_mounts_below_files(spec: &mut AppSpec, kept: &mut Vec<Change>, removed: &mut Vec<Change>) {
    let services = spec.services.iter_mut();
    let services = services.map(|(name, service)| {
        (
            vec!["services".to_owned(), name.to_string()],
            &mut service.container,
        )
    });
    for (owner, container) in services.chain([(vec!["main".to_owned()], &mut spec.main.container)])
    {
        let both: BTreeSet<String> = container
            .files
            .keys()
            .filter(|path| container.volumes.contains_key(*path))
            .cloned()
            .collect();
        for path in both {
            let part = |what: &str| [owner.as_slice(), &[what.to_owned(), path.clone()]].concat();
            let (file, volume) = (part("files"), part("volumes"));
            // One of the two was kept; the manifest's own parts never clash.
            let by_hand = if kept.iter().any(|change| change.path == file) {
                container.files.remove(&path);
                file
            } else {
                container.volumes.remove(&path);
                volume
            };
            kept.retain(|change| change.path != by_hand);
            removed.push(Change {
                path: by_hand,
                kind: ChangeKind::Removed,
            });
        }
    }
}

/// Every secret that a variable of the app names.
fn named_secrets(spec: &AppSpec) -> BTreeSet<crate::secret::SecretName> {
    let containers = spec
        .services
        .values()
        .map(|service| &service.container)
        .chain([&spec.main.container]);
    let variables = containers.flat_map(|container: &ContainerSpec| container.env.values());
    let parts = variables.flat_map(|variable| &variable.value.0);
    parts
        .filter_map(|part| match part {
            TemplatePart::Secret(name) => Some(name.clone()),
            _ => None,
        })
        .collect()
}
