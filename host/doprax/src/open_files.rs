//! How many files this process may have open. A visitor's connection is one, and mostly
//! another to a container.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the host has open besides: listening sockets, the database, the engine, the API.
const OTHERS: u64 = 256;

/// Raises the number to what the system allows (setrlimit(2)), and warns where these many
/// connections of visitors cannot be had with it.
pub(crate) fn allow(connections: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let mut files = current;
    if current != maximum {
        let raised = Rlimit {
            current: maximum,
            maximum,
        };
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => files = maximum,
            Err(error) => tracing::warn!(%error, "the limit on open files was not raised"),
        }
    }
    // No number stands for no limit.
    let possible = files.map_or(u64::MAX, connections_with);
    if possible < connections as u64 {
        tracing::warn!(
            "this process may have {} open files: enough for about {possible} of the {connections} \
             connections that its limits allow; raise it (`LimitNOFILE` of systemd), or lower \
             theirs (`--limit connections=…`)",
            files.unwrap_or(u64::MAX)
        );
    }
}

/// Connections that can be served with this many open files.
fn connections_with(files: u64) -> u64 {
    files.saturating_sub(OTHERS) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_needs_two_files() {
        assert_eq!(connections_with(20_256), 10_000);
        assert_eq!(connections_with(20_255), 9_999);
        assert_eq!(connections_with(100), 0);
    }
}
