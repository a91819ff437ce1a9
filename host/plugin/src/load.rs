//! From the bytes of a component to a plugin that can be called: the one door for
//! built-in plugins and for files.

use crate::cache::{Cache, Facts};
use crate::call::Callable;
use crate::error::Error;
use crate::imports;
use crate::info::{PluginInfo, Source};
use crate::runtime::Runtime;
use doprax_core::blueprint::sha256_hex;
use wasmtime::component::Component;

/// A plugin that can be called.
pub(crate) struct Loaded {
    pub(crate) info: PluginInfo,
    pub(crate) callable: Callable,
    /// Why its compiled code is not kept: the next start compiles it again.
    pub(crate) unkept: Option<Error>,
}

/// Loads a component: from the cache where it is there, else by compiling it, after
/// checking its size and its imports. `name` is for errors.
pub(crate) fn load(
    runtime: &Runtime,
    cache: Option<&Cache>,
    name: &str,
    bytes: &[u8],
    source: Source,
) -> Result<Loaded, Error> {
    let limit = runtime.limits.component_size;
    if bytes.len() > limit {
        return Err(Error::TooLarge {
            plugin: name.to_owned(),
            size: bytes.len(),
            limit,
        });
    }
    let digest = sha256_hex(bytes);
    let mut unkept = None;
    let (callable, facts) = match cache.and_then(|cache| cache.load(runtime, &digest)) {
        Some((component, facts)) => (link(runtime, name, &component)?, facts),
        None => {
            let component = compile(runtime, name, bytes)?;
            let imports = allowed_imports(runtime, name, &component)?;
            let callable = link(runtime, name, &component)?;
            let facts = Facts {
                metadata: callable.metadata(runtime)?,
                imports,
                judges: callable.judges(),
                reloads: callable.reloads(),
            };
            if let Some(cache) = cache {
                let code = component.serialize().map_err(Error::engine)?;
                unkept = cache.store(runtime, &digest, &code, &facts).err();
            }
            (callable, facts)
        }
    };
    Ok(Loaded {
        info: info(facts, digest, bytes.len(), source),
        callable,
        unkept,
    })
}

fn compile(runtime: &Runtime, name: &str, bytes: &[u8]) -> Result<Component, Error> {
    Component::from_binary(&runtime.engine, bytes).map_err(|error| Error::NotAComponent {
        plugin: name.to_owned(),
        source: error.into(),
    })
}

/// The component's imports, or an error that names one that it may not have.
fn allowed_imports(
    runtime: &Runtime,
    name: &str,
    component: &Component,
) -> Result<Vec<String>, Error> {
    let ty = component.component_type();
    let imports: Vec<String> = ty
        .imports(&runtime.engine)
        .map(|(import, _)| import.to_owned())
        .collect();
    match imports.iter().find(|import| !imports::is_allowed(import)) {
        None => Ok(imports),
        Some(import) => Err(Error::ForbiddenImport {
            plugin: name.to_owned(),
            import: import.clone(),
        }),
    }
}

fn link(runtime: &Runtime, name: &str, component: &Component) -> Result<Callable, Error> {
    let instance = runtime
        .linker
        .instantiate_pre(component)
        .map_err(|error| Error::Contract {
            plugin: name.to_owned(),
            source: error.into(),
        })?;
    Callable::new(name.to_owned(), instance)
}

fn info(facts: Facts, digest: String, size: usize, source: Source) -> PluginInfo {
    let Facts {
        metadata,
        imports,
        judges,
        reloads,
    } = facts;
    PluginInfo {
        id: metadata.id,
        aliases: metadata.aliases,
        title: metadata.title,
        summary: metadata.summary,
        version: metadata.version,
        versions: metadata.versions,
        settings: metadata.settings,
        links: metadata.links,
        icon: metadata.icon,
        categories: metadata.categories,
        license: metadata.license,
        home_page: metadata.home_page,
        at_rest: metadata.at_rest,
        architectures: metadata.architectures,
        grants: metadata.grants,
        judges,
        reloads,
        imports,
        digest,
        size,
        source,
    }
}
