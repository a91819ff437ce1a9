//! Plugins without a host: those that are part of this binary.

use crate::failure::{Failure, Result};
use doprax_core::manifest::KnownPlugin;
use doprax_core::name::PluginName;
use doprax_plugin::{BUILTIN, Limits, Plugins};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

/// Loads the built-in plugins. Their compiled code is kept in the user's cache, so that
/// only the first time takes long.
pub(crate) fn open() -> Result<Plugins> {
    let cache = cache_folder();
    Plugins::open(cache.as_deref(), BUILTIN, Limits::default())
        .map_err(|error| Failure::from_error(&error))
}

/// The names that plugins answer to, from their own and second names.
pub(crate) fn known<'a>(names: impl Iterator<Item = (&'a str, &'a [String])>) -> Vec<KnownPlugin> {
    names
        .filter_map(|(id, aliases)| {
            Some(KnownPlugin {
                name: PluginName::new(id).ok()?,
                aliases: aliases
                    .iter()
                    .filter_map(|alias| PluginName::new(alias).ok())
                    .collect(),
            })
        })
        .collect()
}

/// The folder in the user's cache (XDG Base Directory Specification); none where it
/// cannot be made.
fn cache_folder() -> Option<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")))?;
    let folder = base.join("doprax/plugins");
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .ok()?;
    Some(folder)
}
