//! Which container the ingress talks to, on which port, and why.

use super::Error;
use super::port::Ports;
use crate::blueprint::Front;
use crate::name::ServiceName;
use crate::spec::{AppSpec, Protocol};
use std::collections::BTreeMap;

/// The front, as [`find`] finds it, with what is spoken there.
pub(super) fn choose(
    spec: &AppSpec,
    main: &Ports,
    services: &BTreeMap<&ServiceName, Ports>,
) -> Result<Option<Front>, Error> {
    let front = find(spec, main, services)?;
    Ok(front.map(|front| {
        let service = spec.services.get(&front.service);
        let said = service.map_or(&spec.main.container, |service| &service.container);
        let by_plugin = match services.get(&front.service) {
            Some(ports) if ports.tls().contains(&front.port) => Protocol::Https,
            _ => Protocol::Http,
        };
        Front {
            protocol: said.protocol.unwrap_or(by_plugin),
            ..front
        }
    }))
}

/// The front: the one that the manifest names, else the first service in the file
/// that has a port for visitors, else main; none where main listens on no port then.
fn find(
    spec: &AppSpec,
    main: &Ports,
    services: &BTreeMap<&ServiceName, Ports>,
) -> Result<Option<Front>, Error> {
    if let Some(name) = &spec.front {
        let why = "as doprax.yaml says";
        if name.is_main() {
            return match of_main(main, why)? {
                None => Err(Error::FrontWithoutPort {
                    service: name.clone(),
                }),
                front => Ok(front),
            };
        }
        let ports = services.get(name).ok_or_else(|| Error::UnknownFront {
            service: name.clone(),
        })?;
        return front_of(name, ports, why);
    }
    let mut web = spec
        .services
        .keys()
        .filter(|name| services.get(name).is_some_and(is_for_visitors));
    let Some(name) = web.next() else {
        return of_main(main, "no service exposes 80 or 443");
    };
    let others: Vec<&str> = web.map(ServiceName::as_str).collect();
    let said = services[name]
        .listed
        .as_ref()
        .and_then(|listed| listed.visitors);
    let (exposes, expose) = match said {
        Some(port) if !is_web(port) => ("has a port for visitors", "have a port for visitors"),
        _ => ("exposes 80 or 443", "expose 80 or 443"),
    };
    let why = match others.as_slice() {
        [] => format!("it {exposes}"),
        others => format!("the first of {name}, {} that {expose}", others.join(", ")),
    };
    front_of(name, &services[name], &why)
}

fn front_of(name: &ServiceName, ports: &Ports, why: &str) -> Result<Option<Front>, Error> {
    let front = of_service(name, ports, why).ok_or_else(|| Error::FrontWithoutPort {
        service: name.clone(),
    })?;
    Ok(Some(front))
}

/// Whether browsers knock there.
fn is_web(port: u16) -> bool {
    matches!(port, 80 | 443)
}

/// Whether a service stands in front of the app: its plugin says so, or, where that says
/// nothing of ports, its image exposes a port where browsers knock, or a person named one.
fn is_for_visitors(ports: &Ports) -> bool {
    let by_plugin = match &ports.listed {
        Some(listed) => listed.visitors.is_some(),
        None => ports.exposed.iter().copied().any(is_web),
    };
    by_plugin || ports.wanted.is_some_and(is_web)
}

fn of_main(main: &Ports, why: &str) -> Result<Option<Front>, Error> {
    if main.none {
        return Ok(None);
    }
    let port = match main.chosen {
        Some(port) => port,
        None if main.pending => 0,
        None => return Err(Error::MainWithoutPort),
    };
    Ok(Some(Front {
        service: ServiceName::main(),
        port,
        protocol: Protocol::Http,
        reason: format!("{why}; {}", main.reason),
    }))
}

/// A front listens on its port for visitors, or where browsers knock, although others reach
/// it elsewhere.
fn of_service(name: &ServiceName, ports: &Ports, why: &str) -> Option<Front> {
    let listed = ports.listed.as_ref();
    let web = listed
        .and_then(|listed| listed.visitors.or(listed.operators))
        .or_else(|| {
            let mut web = [80, 443].into_iter();
            web.find(|port| ports.exposed.contains(port))
        });
    let port = match (ports.wanted, web) {
        (Some(port), _) | (None, Some(port)) => port,
        // Like main's: good for showing until the image is there.
        (None, None) => ports.chosen.or(ports.pending.then_some(0))?,
    };
    let reason = if Some(port) == ports.chosen || port == 0 {
        format!("{why}; {}", ports.reason)
    } else {
        format!("{why}; port {port}")
    };
    Some(Front {
        service: name.clone(),
        port,
        protocol: Protocol::Http,
        reason,
    })
}
