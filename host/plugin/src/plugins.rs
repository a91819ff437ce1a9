//! The plugins of a host, by the names that they answer to.

use crate::cache::Cache;
use crate::components::Components;
use crate::error::{DescribeError, Error};
use crate::info::{PluginInfo, Source};
use crate::limits::Limits;
use crate::load::{self, Loaded};
use crate::runtime::Runtime;
use doprax_core::name::ServiceName;
use doprax_core::probe::{Observation, Verdict};
use doprax_core::service::{DescribeRequest, ServiceDescription};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The plugins of a host.
pub struct Plugins {
    runtime: Runtime,
    loaded: Vec<Loaded>,
    names: BTreeMap<String, usize>,
    /// Those that other hosts had before, by their digests.
    earlier: BTreeMap<String, Loaded>,
    /// Why something is not kept that should be.
    unkept: Vec<Error>,
}

/// Components of earlier hosts.
#[derive(Debug, Clone, Copy)]
pub struct Earlier<'a> {
    /// Where components are kept; made where it is missing.
    pub folder: &'a Path,
    /// Digests of those that releases need. What is there of others is removed.
    pub needed: &'a BTreeSet<String>,
}

impl Plugins {
    /// Loads plugins, each a name for errors and the bytes of a component. Compiled
    /// code is kept in `cache`, a folder that is made where it is missing and must
    /// belong to this process's user. Without a folder nothing is kept; what cannot be
    /// kept, as on a full disk, stops nothing.
    pub fn open(
        cache: Option<&Path>,
        builtins: &[(&str, &[u8])],
        limits: Limits,
    ) -> Result<Self, Error> {
        Self::open_with(cache, builtins, None, limits)
    }

    /// As [`Plugins::open`]; keeps the components too, and loads those that releases of an
    /// earlier host were described by.
    pub fn open_with(
        cache: Option<&Path>,
        builtins: &[(&str, &[u8])],
        earlier: Option<Earlier<'_>>,
        limits: Limits,
    ) -> Result<Self, Error> {
        let runtime = Runtime::new(limits)?;
        let (cache, no_cache) = match cache.map(Cache::open).transpose() {
            Ok(cache) => (cache, None),
            Err(error @ Error::Cache { .. }) => (None, Some(error)),
            Err(error) => return Err(error),
        };
        let mut plugins = Self {
            runtime,
            loaded: Vec::new(),
            names: BTreeMap::new(),
            earlier: BTreeMap::new(),
            unkept: no_cache.into_iter().collect(),
        };
        for (name, bytes) in builtins {
            let loaded = load::load(
                &plugins.runtime,
                cache.as_ref(),
                name,
                bytes,
                Source::BuiltIn,
            )?;
            plugins.add(loaded)?;
        }
        if let Some(earlier) = earlier {
            plugins.add_earlier(cache.as_ref(), builtins, earlier);
        }
        if let Some(cache) = &cache {
            let earlier = plugins.earlier.keys().map(String::as_str);
            let digests = plugins.known().map(|info| info.digest.as_str());
            let pruned = cache.keep_only(&plugins.runtime, digests.chain(earlier));
            plugins.unkept.extend(pruned.err());
        }
        Ok(plugins)
    }

    /// Keeps the built-in components, and loads what releases need beside them.
    fn add_earlier(
        &mut self,
        cache: Option<&Cache>,
        builtins: &[(&str, &[u8])],
        earlier: Earlier<'_>,
    ) {
        let known: BTreeSet<String> = self.known().map(|info| info.digest.clone()).collect();
        let components = Components::in_folder(earlier.folder);
        for (_, bytes) in builtins {
            self.unkept.extend(components.keep(bytes).err());
        }
        let needed = earlier.needed.difference(&known);
        for digest in needed.filter(|digest| components.has(digest)) {
            let loaded = components.read(digest).and_then(|bytes| {
                let source = Source::File(components.path(digest));
                load::load(&self.runtime, cache, digest, &bytes, source)
            });
            match loaded {
                Ok(loaded) => {
                    self.earlier.insert(digest.clone(), loaded);
                }
                Err(error) => self.unkept.push(Error::GivesWay {
                    digest: digest.clone(),
                    source: Box::new(error),
                }),
            }
        }
        let needed = known.iter().chain(earlier.needed).map(String::as_str);
        self.unkept.extend(components.keep_only(needed).err());
    }

    fn add(&mut self, loaded: Loaded) -> Result<(), Error> {
        for name in loaded.info.names() {
            if self
                .names
                .insert(name.to_owned(), self.loaded.len())
                .is_some()
            {
                return Err(Error::NameTaken {
                    name: name.to_owned(),
                });
            }
        }
        self.loaded.push(loaded);
        Ok(())
    }

    /// Why something is not kept that should be: compiled code, so that the next start takes
    /// longer, or a component that a release was described by, so that the plugin of its name
    /// judges in its place.
    pub fn unkept(&self) -> impl Iterator<Item = &Error> {
        let loaded = self.loaded.iter().chain(self.earlier.values());
        let plugins = loaded.filter_map(|loaded| loaded.unkept.as_ref());
        self.unkept.iter().chain(plugins)
    }

    /// Every plugin, in the order of loading.
    pub fn known(&self) -> impl Iterator<Item = &PluginInfo> {
        self.loaded.iter().map(|loaded| &loaded.info)
    }

    /// Every name that a plugin answers to, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// What is known of the plugin that answers to `name`.
    pub fn info(&self, name: &str) -> Result<&PluginInfo, Error> {
        self.find(name).map(|loaded| &loaded.info)
    }

    /// Asks the plugin that answers to `name` what the service of this request is
    /// made of. Errors with the plugin's objections, or if the plugin is at fault.
    pub fn describe(
        &self,
        name: &str,
        request: &DescribeRequest,
    ) -> Result<ServiceDescription, DescribeError> {
        let Loaded { info, callable, .. } = self.find(name)?;
        callable.describe(&self.runtime, request, &info.grants)
    }

    /// Asks what a plugin makes of one round of probes: the component of this digest, or
    /// where there is none, the plugin that answers to `name`. Where it does not judge, a
    /// service is ready when all of them passed.
    pub fn judge(
        &self,
        name: &str,
        component: Option<&str>,
        service: &ServiceName,
        observations: &[Observation],
    ) -> Result<Verdict, Error> {
        let loaded = match component.and_then(|digest| self.earlier.get(digest)) {
            Some(earlier) => earlier,
            None => self.find(name)?,
        };
        loaded.callable.judge(&self.runtime, service, observations)
    }

    fn find(&self, name: &str) -> Result<&Loaded, Error> {
        match self.names.get(name) {
            Some(index) => Ok(&self.loaded[*index]),
            None => Err(Error::Unknown {
                name: name.to_owned(),
                known: self.names.keys().cloned().collect(),
            }),
        }
    }
}

/// Loads a component without keeping it and says what is known of it. `file` is
/// where the bytes come from.
pub fn inspect(file: &Path, bytes: &[u8], limits: Limits) -> Result<PluginInfo, Error> {
    let runtime = Runtime::new(limits)?;
    let source = Source::File(file.to_owned());
    let name = file.display().to_string();
    load::load(&runtime, None, &name, bytes, source).map(|loaded| loaded.info)
}
