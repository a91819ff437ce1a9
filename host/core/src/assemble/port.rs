//! On which port a container is reached, and why.

use super::{Described, MainPorts};
use crate::service::{Audience, Port, Transport};
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
    /// What its plugin says of its ports, where it says anything.
    pub(super) listed: Option<Listed>,
}

/// What a plugin says of the ports of a service.
pub(super) struct Listed {
    /// The TCP port for visitors: 80 if it is among them, else the first.
    pub(super) visitors: Option<u16>,
    /// The first TCP port for who runs the app.
    pub(super) operators: Option<u16>,
    /// TCP ports on which TLS is spoken.
    pub(super) tls: Vec<u16>,
    /// The first UDP port.
    udp: Option<u16>,
}

impl Listed {
    fn new(ports: &[Port]) -> Option<Self> {
        let tcp = || ports.iter().filter(|port| port.transport == Transport::Tcp);
        let of = |audience| {
            let ports = tcp().filter(move |port| port.audience == audience);
            ports.map(|port| port.number)
        };
        let visitors = of(Audience::Visitors).find(|port| *port == 80);
        let mut udp = ports.iter().filter(|port| port.transport == Transport::Udp);
        (!ports.is_empty()).then(|| Self {
            visitors: visitors.or_else(|| of(Audience::Visitors).next()),
            operators: of(Audience::Operators).next(),
            tls: tcp()
                .filter(|port| port.tls)
                .map(|port| port.number)
                .collect(),
            udp: udp.next().map(|port| port.number),
        })
    }
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
            listed: None,
        }
    }

    /// The port that texts name: the one that others reach it on, else the first by UDP.
    pub(super) fn named(&self) -> Option<u16> {
        self.chosen.or(self.listed.as_ref()?.udp)
    }

    /// TCP ports on which its plugin says that TLS is spoken.
    pub(super) fn tls(&self) -> &[u16] {
        self.listed.as_ref().map_or(&[], |listed| &listed.tls)
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
        listed: None,
    }
}

/// A service's ports. What its plugin lists is authoritative; only where it lists
/// none does the image decide.
pub(super) fn service(service: &Described<'_>, images: &BTreeMap<String, Vec<u16>>) -> Ports {
    if service.spec.port == Some(PortSpec::NONE) {
        return Ports::none();
    }
    let described = &service.description.ports;
    let tcp = described
        .iter()
        .filter(|port| port.transport == Transport::Tcp);
    let listed: Vec<u16> = tcp.map(|port| port.number).collect();
    let image = images.get(service.image());
    let wanted = service.spec.port.and_then(PortSpec::number);
    let pending = described.is_empty() && image.is_none();
    let (exposed, chosen, why) = if let Some(first) = listed.first().copied() {
        let why = by_plugin(first, &listed, service.spec.plugin.as_str());
        (listed, Some(first), why)
    } else if !described.is_empty() {
        let why = format!("no TCP port, as plugin {} says", service.spec.plugin);
        (Vec::new(), None, why)
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
        listed: Listed::new(described),
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
