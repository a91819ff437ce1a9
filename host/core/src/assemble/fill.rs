//! Fills the gaps of texts: everything but the values of secrets.

use super::port::Ports;
use super::{Error, Findings, Place};
use crate::blueprint::Env;
use crate::name::ServiceName;
use crate::text::{Part, Template, TemplatePart, Text};
use std::collections::BTreeMap;

/// The greatest length of a filled text in bytes. Texts that refer to each other
/// could double at every reference.
const LIMIT: usize = 1 << 20;

/// How many variables may refer to each other in a row. A plugin's answer must not
/// be able to exhaust the stack.
const MAX_CHAIN: usize = 8;

/// What stands for main's port in a blueprint that is good for showing only.
const PENDING: &str = "<the port of main>";

/// What a text may say about the app's containers.
pub(super) struct Peers<'a> {
    ports: BTreeMap<&'a ServiceName, Option<u16>>,
    main: Option<u16>,
    main_pending: bool,
}

impl<'a> Peers<'a> {
    pub(super) fn new(main: &Ports, services: &BTreeMap<&'a ServiceName, Ports>) -> Self {
        Self {
            ports: services
                .iter()
                .map(|(name, ports)| (*name, ports.chosen))
                .collect(),
            main: main.chosen,
            main_pending: main.pending,
        }
    }
}

/// A variable whose value still has gaps.
pub(super) struct Variable<'a> {
    pub(super) value: &'a Template,
    pub(super) masked: bool,
}

/// Fills the texts of one container.
pub(super) struct Filler<'a> {
    service: &'a ServiceName,
    peers: &'a Peers<'a>,
    env: BTreeMap<String, Env>,
}

impl<'a> Filler<'a> {
    /// Fills the container's environment; what failed is in `findings` and left out.
    pub(super) fn new(
        service: &'a ServiceName,
        peers: &'a Peers<'a>,
        variables: &BTreeMap<&str, Variable<'_>>,
        findings: &mut Findings,
    ) -> Self {
        let mut filler = Self {
            service,
            peers,
            env: BTreeMap::new(),
        };
        for name in variables.keys() {
            if let Err(error) = filler.resolve(name, variables, &mut Vec::new())
                && !findings.errors.contains(&error)
            {
                findings.errors.push(error);
            }
        }
        filler
    }

    /// The container's environment.
    pub(super) fn into_env(self) -> BTreeMap<String, Env> {
        self.env
    }

    /// The text that `template` becomes.
    pub(super) fn fill(&self, template: &Template, place: Place) -> Result<Text, Error> {
        self.filled(template, place).map(|filled| filled.value)
    }

    /// Fills a variable and before it those it refers to. `path` holds the variables
    /// that are being filled, outermost first.
    fn resolve(
        &mut self,
        name: &str,
        variables: &BTreeMap<&str, Variable<'_>>,
        path: &mut Vec<String>,
    ) -> Result<(), Error> {
        let Some(variable) = variables.get(name).filter(|_| !self.env.contains_key(name)) else {
            return Ok(());
        };
        if let Some(start) = path.iter().position(|seen| seen == name) {
            let mut circle = path[start..].to_vec();
            // Wherever the walk came in, the circle reads the same.
            let first = circle
                .iter()
                .enumerate()
                .min_by_key(|(_, name)| *name)
                .map_or(0, |(i, _)| i);
            circle.rotate_left(first);
            circle.push(circle[0].clone());
            return Err(Error::Cycle {
                service: self.service.clone(),
                variables: circle,
            });
        }
        path.push(name.to_owned());
        if path.len() > MAX_CHAIN {
            return Err(Error::TooDeep {
                service: self.service.clone(),
                variables: path.clone(),
            });
        }
        for part in &variable.value.0 {
            if let TemplatePart::Env(other) = part {
                self.resolve(other, variables, path)?;
            }
        }
        path.pop();
        let mut env = self.filled(variable.value, Place::Env(name.to_owned()))?;
        env.masked |= variable.masked;
        self.env.insert(name.to_owned(), env);
        Ok(())
    }

    /// The text that `template` becomes, masked if it contains what is masked.
    fn filled(&self, template: &Template, place: Place) -> Result<Env, Error> {
        let mut text = Builder::default();
        let mut masked = false;
        for part in &template.0 {
            match part {
                TemplatePart::Literal(literal) => text.literal(literal),
                TemplatePart::Secret(name) => text.push(Part::Secret(name.clone())),
                TemplatePart::Env(name) => {
                    if let Some(env) = self.env.get(name) {
                        masked |= env.masked;
                        env.value.0.iter().for_each(|part| text.push(part.clone()));
                    }
                }
                TemplatePart::Host(peer) => {
                    self.known(peer, &place)?;
                    text.literal(peer.as_str());
                }
                TemplatePart::Port(peer) if peer.is_main() => self.main_port(&mut text, &place)?,
                TemplatePart::Port(peer) => {
                    self.known(peer, &place)?;
                    let port = self.peers.ports.get(peer).copied().flatten();
                    let port = port.ok_or_else(|| Error::PeerWithoutPort {
                        service: self.service.clone(),
                        place: place.clone(),
                        peer: peer.clone(),
                    })?;
                    text.literal(&port.to_string());
                }
                TemplatePart::MainPort => self.main_port(&mut text, &place)?,
            }
            if text.bytes > LIMIT {
                return Err(Error::TooLong {
                    service: self.service.clone(),
                    place,
                    limit: LIMIT,
                });
            }
        }
        Ok(Env {
            value: Text(text.parts),
            masked,
        })
    }

    fn known(&self, peer: &ServiceName, place: &Place) -> Result<(), Error> {
        if peer.is_main() || self.peers.ports.contains_key(peer) {
            Ok(())
        } else {
            Err(Error::UnknownPeer {
                service: self.service.clone(),
                place: place.clone(),
                peer: peer.clone(),
            })
        }
    }

    fn main_port(&self, text: &mut Builder, place: &Place) -> Result<(), Error> {
        match self.peers.main {
            Some(port) => text.literal(&port.to_string()),
            None if self.peers.main_pending => text.literal(PENDING),
            None => {
                return Err(Error::MainPortNeeded {
                    service: self.service.clone(),
                    place: place.clone(),
                });
            }
        }
        Ok(())
    }
}

/// A text in the making; neighbouring literals are one, so that equal texts are
/// equal values.
#[derive(Default)]
struct Builder {
    parts: Vec<Part>,
    bytes: usize,
}

impl Builder {
    fn literal(&mut self, text: &str) {
        self.bytes += text.len();
        match self.parts.last_mut() {
            Some(Part::Literal(last)) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => self.parts.push(Part::Literal(text.to_owned())),
        }
    }

    fn push(&mut self, part: Part) {
        match part {
            Part::Literal(text) => self.literal(&text),
            Part::Secret(name) => {
                self.bytes += name.as_str().len();
                self.parts.push(Part::Secret(name));
            }
        }
    }
}
