//! What is changed, in which order, and what each change finds open.

use crate::record::Streams;
use std::fmt;

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A new release of main.
    NewMain,
    /// Back to the latest release that had the main before this one.
    Rollback,
    /// A release that never becomes ready: what serves has to stay.
    IllMain,
    /// Another environment of the front, so that its container is replaced.
    Front,
    /// Another configuration file of the front.
    Config,
    /// A configuration file with which the front does not start: what serves has to stay.
    IllConfig,
    /// Another process of the host.
    Upgrade,
}

impl Kind {
    /// Whether the deploy has to fail.
    pub(crate) fn is_ill(self) -> bool {
        matches!(self, Self::IllMain | Self::IllConfig)
    }

    /// Whether main ends the streams that there are. A front or a host that goes cannot:
    /// what still runs at the end of its time is cut.
    fn ends_streams(self) -> bool {
        matches!(self, Self::NewMain | Self::Rollback)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NewMain => "new main",
            Self::Rollback => "rollback",
            Self::IllMain => "ill main",
            Self::Front => "new front",
            Self::Config => "new config",
            Self::IllConfig => "ill config",
            Self::Upgrade => "host upgrade",
        })
    }
}

/// What is upgraded, where apps are named.
pub(crate) const HOST: &str = "host";

/// Changes in turn. An upgrade is followed at once by changes of what those reach who
/// were there before it, and whom the old process still serves.
const ROUND: [(Kind, &str); 16] = [
    (Kind::NewMain, "direct"),
    (Kind::NewMain, "behind-nginx"),
    (Kind::NewMain, "grpc"),
    (Kind::NewMain, "grpc-nginx"),
    (Kind::Upgrade, HOST),
    (Kind::Rollback, "direct"),
    (Kind::Front, "behind-nginx"),
    (Kind::Config, "grpc-nginx"),
    (Kind::IllConfig, "grpc-nginx"),
    (Kind::IllMain, "direct"),
    (Kind::Rollback, "behind-nginx"),
    (Kind::IllMain, "grpc"),
    (Kind::Upgrade, HOST),
    (Kind::Rollback, "grpc"),
    (Kind::Front, "grpc-nginx"),
    (Kind::NewMain, "behind-nginx"),
];

/// Changes of which each kind is one.
pub(crate) const ONE_ROUND: usize = ROUND.len();

/// The change of this number, counted from 1: its kind, what is changed, and what it
/// finds open. Patience takes all of the time that a drain may take.
pub(crate) fn change(number: usize, patience: bool) -> (Kind, &'static str, Streams) {
    let at = number - 1;
    let (round, place) = (at / ROUND.len(), at % ROUND.len());
    let (kind, of) = ROUND[place];
    let streams = match (round + place) % 5 {
        0 if patience && kind.ends_streams() => Streams::Patient,
        0 | 1 | 3 => Streams::Brief,
        _ => Streams::Absent,
    };
    (kind, of, streams)
}
