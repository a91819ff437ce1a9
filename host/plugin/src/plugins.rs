//! The plugins of a host, by the names that they answer to.

use crate::cache::Cache;
use crate::error::{DescribeError, Error};
use crate::info::{PluginInfo, Source};
use crate::limits::Limits;
use crate::load::{self, Loaded};
use crate::runtime::Runtime;
use doprax_core::name::ServiceName;
use doprax_core::probe::{Observation, Verdict};
use doprax_core::service::{DescribeRequest, ServiceDescription};
use std::collections::BTreeMap;
use std::path::Path;

/// The plugins of a host.
pub struct Plugins {
    runtime: Runtime,
    loaded: Vec<Loaded>,
    names: BTreeMap<String, usize>,
    /// Why there is no cache although one is wanted.
    no_cache: Option<Error>,
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
            no_cache,
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
        if let Some(cache) = &cache {
            let digests = plugins.known().map(|info| info.digest.as_str());
            let pruned = cache.keep_only(&plugins.runtime, digests);
            plugins.no_cache = pruned.err();
        }
        Ok(plugins)
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

    /// Why compiled code is not kept, where it should be: the next start takes longer.
    pub fn unkept(&self) -> impl Iterator<Item = &Error> {
        let loaded = self.loaded.iter();
        let plugins = loaded.filter_map(|loaded| loaded.unkept.as_ref());
        self.no_cache.iter().chain(plugins)
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

    /// Asks the plugin that answers to `name` what it makes of one round of probes.
    /// Where it does not judge, a service is ready when all of them passed.
    pub fn judge(
        &self,
        name: &str,
        service: &ServiceName,
        observations: &[Observation],
    ) -> Result<Verdict, Error> {
        self.find(name)?
            .callable
            .judge(&self.runtime, service, observations)
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
