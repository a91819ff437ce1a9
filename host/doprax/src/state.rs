//! The state folder: where the host keeps what it knows, and its socket.

use crate::failure::{Failure, Result};
use std::path::{Path, PathBuf};

pub(crate) mod lock;

/// The state folder of a host that root runs.
pub(crate) const SYSTEM: &str = "/var/lib/doprax";
/// The socket's name in the state folder.
pub(crate) const SOCKET: &str = "doprax.sock";
/// The name of the file with the API's token in the state folder.
pub(crate) const TOKEN: &str = "api-token";

/// The state folder: what was said, else the usual one for root or for another user.
pub(crate) fn folder(said: Option<&Path>) -> Result<PathBuf> {
    if let Some(said) = said {
        return std::path::absolute(said).map_err(|error| {
            Failure::usage(format!("{} is no state folder", said.display())).because(&error)
        });
    }
    if rustix::process::geteuid().is_root() {
        return Ok(SYSTEM.into());
    }
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    // XDG Base Directory Specification: relative values are ignored.
    let base = variable("XDG_STATE_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| variable("HOME").map(|home| home.join(".local/state")));
    base.map(|base| base.join("doprax")).ok_or_else(|| {
        Failure::usage("there is no state folder, because HOME is not set")
            .help("name one with --state or DOPRAX_STATE")
    })
}
