//! Recognises files of other tools that were named `doprax.yaml`.

use crate::yaml::{Kind, Node};

const COMPOSE: &str = "a Compose file";
const COMPOSE_HELP: &str = "write it in the keys of doprax.yaml (`main` for what the Dockerfile builds, a list `services` for the rest)";

/// What the tree at `root` seems to be, and what to do about it.
pub(super) fn recognise(root: &Node) -> Option<(&'static str, &'static str)> {
    match &root.kind {
        Kind::Sequence(items) => {
            let play = ["hosts", "tasks", "roles", "import_playbook"];
            let is_play = |item: &Node| play.iter().any(|key| item.get(key).is_some());
            items.iter().any(is_play).then_some((
                "an Ansible playbook",
                "keep the playbook under another name; a doprax.yaml describes an app, with keys such as `main` and `services`",
            ))
        }
        Kind::Mapping(entries) => {
            if root.get("apiVersion").is_some() && root.get("kind").is_some() {
                return Some((
                    "a Kubernetes manifest",
                    "a doprax.yaml describes an app, with keys such as `main` and `services`; each Deployment becomes a service",
                ));
            }
            let container =
                |node: &Node| ["image", "build"].iter().any(|key| node.get(key).is_some());
            let services = root.get("services");
            let has_containers = match services.map(|node| &node.kind) {
                Some(Kind::Mapping(services)) => {
                    root.get("version").is_some()
                        || services.iter().any(|entry| container(&entry.value))
                }
                // The first version of the format had the containers at the top.
                None => {
                    entries.len() > 1 && entries.iter().all(|entry| container(&entry.value))
                        || entries.len() == 1
                            && entries[0].key != "main"
                            && container(&entries[0].value)
                }
                _ => false,
            };
            has_containers.then_some((COMPOSE, COMPOSE_HELP))
        }
        Kind::Scalar { .. } => None,
    }
}
