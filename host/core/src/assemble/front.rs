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
        Front {
            protocol: said.protocol.unwrap_or_default(),
            ..front
        }
    }))
}

/// The front: the one that the manifest names, else the first service in the file
/// that exposes 80 or 443, else main; none where main listens on no port then.
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
        .filter(|name| services.get(name).is_some_and(is_web));
    let Some(name) = web.next() else {
        return of_main(main, "no service exposes 80 or 443");
    };
    let others: Vec<&str> = web.map(ServiceName::as_str).collect();
    let why = if others.is_empty() {
        "it exposes 80 or 443".to_owned()
    } else {
        format!(
            "the first of {name}, {} that expose 80 or 443",
            others.join(", ")
        )
    };
    front_of(name, &services[name], &why)
}

fn front_of(name: &ServiceName, ports: &Ports, why: &str) -> Result<Option<Front>, Error> {
    let front = of_service(name, ports, why).ok_or_else(|| Error::FrontWithoutPort {
        service: name.clone(),
    })?;
    Ok(Some(front))
}

/// Whether a service listens where browsers knock.
fn is_web(ports: &Ports) -> bool {
    let mut all = ports.exposed.iter().chain(&ports.wanted);
    all.any(|port| matches!(port, 80 | 443))
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

/// A front listens on 80 or 443 although others reach it elsewhere.
fn of_service(name: &ServiceName, ports: &Ports, why: &str) -> Option<Front> {
    let web = [80, 443]
        .into_iter()
        .find(|port| ports.exposed.contains(port));
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
