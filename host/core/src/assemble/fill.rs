//! Fills the gaps of texts: everything but the values of secrets.

use super::port::Ports;
use super::{Error, Facts, Findings, Input, Place};
use crate::blueprint::Env;
use crate::name::{AppName, ServiceName};
use crate::text::{Fact, Part, Template, TemplatePart, Text, percent_encoded};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// The greatest length of all filled texts of a container together, in bytes. Texts
/// that refer to each other grow at every reference.
const LIMIT: usize = 1 << 20;

/// How many variables may refer to each other in a row. A plugin's answer must not
/// be able to exhaust the stack.
const MAX_CHAIN: usize = 8;

/// What stands for main's port in a blueprint that is good for showing only.
const PENDING: &str = "<the port of main>";

/// What a text may say about the app's containers.
pub(super) struct Peers<'a> {
    app: &'a AppName,
    facts: &'a Facts,
    ports: BTreeMap<&'a ServiceName, Option<u16>>,
    main: Option<u16>,
    main_pending: bool,
    /// What the services offer that were filled so far.
    outputs: BTreeMap<ServiceName, BTreeMap<String, Text>>,
}

impl<'a> Peers<'a> {
    pub(super) fn new(
        input: &Input<'a>,
        main: &Ports,
        services: &BTreeMap<&'a ServiceName, Ports>,
    ) -> Self {
        Self {
            app: &input.spec.app,
            facts: input.facts,
            ports: services
                .iter()
                .map(|(name, ports)| (*name, ports.named()))
                .collect(),
            main: main.chosen,
            main_pending: main.pending,
            outputs: BTreeMap::new(),
        }
    }

    /// Lets texts that are filled from now on have what a service offers.
    pub(super) fn offer(&mut self, service: &ServiceName, outputs: BTreeMap<String, Text>) {
        self.outputs.insert(service.clone(), outputs);
    }

    fn fact(&self, fact: Fact) -> String {
        match fact {
            Fact::AppUrl => self.facts.url.clone(),
            Fact::AppHost => self.facts.host.clone(),
            Fact::AppName => self.app.to_string(),
            Fact::ReleaseNumber => self.facts.release.to_string(),
            Fact::ReleaseCommit => self.facts.commit.clone().unwrap_or_default(),
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
    /// Bytes of the texts that were filled so far.
    bytes: Cell<usize>,
}

impl<'a> Filler<'a> {
    /// Fills the container's environment; what failed is in `findings` and left out.
    pub(super) fn new(
        service: &'a ServiceName,
        peers: &'a Peers<'a>,
        variables: &BTreeMap<&str, Variable<'_>>,
        findings: &mut Findings,
    ) -> Self {
        let filler = Self {
            service,
            peers,
            env: BTreeMap::new(),
            bytes: Cell::new(0),
        };
        let mut walk = Walk {
            filler,
            variables,
            failed: BTreeSet::new(),
            path: Vec::new(),
            findings,
        };
        for name in variables.keys() {
            walk.resolve(name);
        }
        walk.filler
    }

    /// The container's environment.
    pub(super) fn into_env(self) -> BTreeMap<String, Env> {
        self.env
    }

    /// The text that `template` becomes.
    pub(super) fn fill(&self, template: &Template, place: Place) -> Result<Text, Error> {
        self.filled(template, place).map(|filled| filled.value)
    }

    /// The text that an output becomes: what is masked elsewhere is masked in it, and where
    /// it is a URL, values are percent-encoded, so that it can be taken apart again.
    pub(super) fn output(&self, template: &Template, place: Place) -> Result<Text, Error> {
        let is_url = template.0.first().is_some_and(
            |part| matches!(part, TemplatePart::Literal(text) if text.contains("://")),
        );
        let mut output = Builder::default();
        for part in &template.0 {
            let filled = self.filled(&Template(vec![part.clone()]), place.clone())?;
            let is_value = matches!(
                part,
                TemplatePart::Env(_) | TemplatePart::Secret(_) | TemplatePart::Output { .. }
            );
            let encoded = is_url && is_value;
            for piece in filled.value.0 {
                output.push(match piece {
                    Part::Literal(text) => {
                        let text = match encoded {
                            true => percent_encoded(&text),
                            false => text,
                        };
                        match filled.masked {
                            true => Part::Masked(text),
                            false => Part::Literal(text),
                        }
                    }
                    Part::Masked(text) if encoded => Part::Masked(percent_encoded(&text)),
                    Part::Secret(name) if encoded => Part::Encoded(name),
                    other => other,
                });
            }
        }
        Ok(Text(output.parts))
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
                TemplatePart::Fact(fact) => text.literal(&self.peers.fact(*fact)),
                TemplatePart::Output { service, output } => {
                    let offered = self.offered(service, output, &place)?;
                    masked |= offered.0.iter().any(|part| matches!(part, Part::Masked(_)));
                    offered.0.iter().for_each(|part| text.push(part.clone()));
                }
            }
            if self.bytes.get() + text.bytes > LIMIT {
                return Err(Error::TooLong {
                    service: self.service.clone(),
                    place,
                    limit: LIMIT,
                });
            }
        }
        self.bytes.set(self.bytes.get() + text.bytes);
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

    /// What a service offers under this name.
    fn offered(&self, peer: &ServiceName, output: &str, place: &Place) -> Result<&Text, Error> {
        self.known(peer, place)?;
        let offered = self.peers.outputs.get(peer);
        offered
            .and_then(|offered| offered.get(output))
            .ok_or_else(|| Error::NoOutput {
                service: self.service.clone(),
                place: place.clone(),
                peer: peer.clone(),
                output: output.to_owned(),
                offered: offered
                    .into_iter()
                    .flatten()
                    .map(|(name, _)| name.clone())
                    .collect(),
            })
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

/// The way through the variables of a container.
struct Walk<'a, 'b> {
    filler: Filler<'a>,
    variables: &'b BTreeMap<&'b str, Variable<'b>>,
    /// Variables without a value; why is among the findings.
    failed: BTreeSet<String>,
    /// Variables that are being filled, outermost first.
    path: Vec<String>,
    findings: &'b mut Findings,
}

impl Walk<'_, '_> {
    /// Fills a variable and before it those it refers to. Returns whether it has a
    /// value or there is none to have.
    fn resolve(&mut self, name: &str) -> bool {
        let Some(variable) = self.variables.get(name) else {
            return true;
        };
        if self.filler.env.contains_key(name) || self.failed.contains(name) {
            return !self.failed.contains(name);
        }
        self.path.push(name.to_owned());
        let env = self.filled(name, variable);
        self.path.pop();
        if let Some(env) = env {
            self.filler.env.insert(name.to_owned(), env);
            return true;
        }
        self.failed.insert(name.to_owned());
        false
    }

    fn filled(&mut self, name: &str, variable: &Variable<'_>) -> Option<Env> {
        let service = self.filler.service.clone();
        if let Some(circle) = circle(&self.path) {
            let error = Error::Cycle {
                service,
                variables: circle,
            };
            return self.findings.keep(Err(error));
        }
        if self.path.len() > MAX_CHAIN {
            let variables = self.path.clone();
            return self
                .findings
                .keep(Err(Error::TooDeep { service, variables }));
        }
        for part in &variable.value.0 {
            if let TemplatePart::Env(other) = part
                && !self.resolve(other)
            {
                return None;
            }
        }
        let place = Place::Env(name.to_owned());
        let mut env = self
            .findings
            .keep(self.filler.filled(variable.value, place))?;
        env.masked |= variable.masked;
        Some(env)
    }
}

/// The circle that the last of these variables closes. It reads the same wherever
/// the walk came in.
fn circle(path: &[String]) -> Option<Vec<String>> {
    let (last, before) = path.split_last()?;
    let start = before.iter().position(|name| name == last)?;
    let mut circle = before[start..].to_vec();
    let least = circle.iter().enumerate().min_by_key(|(_, name)| *name);
    let least = least.map_or(0, |(index, _)| index);
    circle.rotate_left(least);
    circle.push(circle[0].clone());
    Some(circle)
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
            Part::Secret(ref name) | Part::Encoded(ref name) => {
                self.bytes += name.as_str().len();
                self.parts.push(part);
            }
            Part::Masked(ref text) => {
                self.bytes += text.len();
                self.parts.push(part);
            }
        }
    }
}
