//! On which port a container is reached, and why.

use super::{Described, MainPorts};
use crate::spec::{AppSpec, PortSpec};
use std::collections::BTreeMap;

/// The ports of one container.
pub(super) struct Ports {
    /// Every port it is known to listen on.
    pub(super) exposed: Vec<u16>,
    /// The port that the manifest names.
    pub(super) wanted: Option<u16>,
    /// The port that others reach it on.
    pub(super) chosen: Option<u16>,
    /// Why that port, or why none.
    pub(super) reason: String,
    /// Whether more will be known once the image is on the engine.
    pub(super) pending: bool,
    /// Whether the manifest says that it listens on none.
    pub(super) none: bool,
}

impl Ports {
    /// Those of what listens on none.
    fn none() -> Self {
        Self {
            exposed: Vec::new(),
            wanted: None,
            chosen: None,
            reason: "no port, as doprax.yaml says".to_owned(),
            pending: false,
            none: true,
        }
    }
}

/// Main's ports.
pub(super) fn main(spec: &AppSpec, ports: &MainPorts) -> Ports {
    if spec.main.port == Some(PortSpec::NONE) {
        return Ports::none();
    }
    let (exposed, by, pending) = match ports {
        MainPorts::Known(ports) => (ports, "the image", false),
        MainPorts::Unbuilt(ports) => (ports, "the Dockerfile", true),
        MainPorts::Expected(ports) => (ports, "the image before", true),
    };
    let wanted = spec.main.port.and_then(PortSpec::number);
    let chosen = wanted.or_else(|| best(exposed));
    let reason = match (wanted, chosen) {
        (Some(port), _) => by_manifest(port),
        (None, Some(port)) => by_exposure(port, exposed, by),
        (None, None) if pending => "its port will be known once it is built".to_owned(),
        (None, None) => "no port: the image exposes none".to_owned(),
    };
    Ports {
        exposed: exposed.clone(),
        wanted,
        chosen,
        reason,
        pending,
        none: false,
    }
}

/// A service's ports. What its plugin lists is authoritative; only where it lists
/// none does the image decide.
pub(super) fn service(service: &Described<'_>, images: &BTreeMap<String, Vec<u16>>) -> Ports {
    if service.spec.port == Some(PortSpec::NONE) {
        return Ports::none();
    }
    let listed: Vec<u16> = service
        .description
        .ports
        .iter()
        .map(|port| port.number)
        .collect();
    let image = images.get(service.image());
    let wanted = service.spec.port.and_then(PortSpec::number);
    let pending = listed.is_empty() && image.is_none();
    let (exposed, chosen, why) = if let Some(first) = listed.first().copied() {
        let why = by_plugin(first, &listed, service.spec.plugin.as_str());
        (listed, Some(first), why)
    } else if let Some(exposed) = image {
        match best(exposed) {
            Some(port) => (
                exposed.clone(),
                Some(port),
                by_exposure(port, exposed, "the image"),
            ),
            None => (
                Vec::new(),
                None,
                "no port: the image exposes none".to_owned(),
            ),
        }
    } else {
        (
            Vec::new(),
            None,
            "its ports will be known once its image is pulled".to_owned(),
        )
    };
    let reason = wanted.map_or(why, by_manifest);
    Ports {
        exposed,
        wanted,
        chosen: wanted.or(chosen),
        reason,
        pending,
        none: false,
    }
}

/// 80 if it is there, else the lowest.
fn best(exposed: &[u16]) -> Option<u16> {
    if exposed.contains(&80) {
        Some(80)
    } else {
        exposed.iter().copied().min()
    }
}

fn by_manifest(port: u16) -> String {
    format!("port {port}, as doprax.yaml says")
}

fn by_exposure(port: u16, exposed: &[u16], by: &str) -> String {
    match exposed {
        [_] => format!("port {port}, exposed by {by}"),
        _ if port == 80 => format!("port 80, the first choice of {}", list(exposed)),
        _ => format!("port {port}, the lowest of {}", list(exposed)),
    }
}

fn by_plugin(port: u16, listed: &[u16], plugin: &str) -> String {
    match listed {
        [_] => format!("port {port}, as plugin {plugin} says"),
        _ => format!(
            "port {port}, which plugin {plugin} names first of {}",
            list(listed)
        ),
    }
}

fn list(ports: &[u16]) -> String {
    ports
        .iter()
        .map(u16::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
