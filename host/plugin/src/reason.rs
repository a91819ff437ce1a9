//! What can be wrong with an answer, and where.

use crate::value::ENTRIES;
use doprax_core::name::NameError;

/// What is wrong with a part of an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Not an absolute path in its shortest form.
    #[error("{0:?} is not an absolute path without `.`, `..` and doubled slashes")]
    Path(String),
    /// Not a name of the wanted kind.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Not a word of the wanted kind.
    #[error("{0:?} is not a name: letters, digits, `_`, `-` and `.`")]
    Word(String),
    /// A control character where there may be none.
    #[error("holds a control character")]
    Control,
    /// Empty where it may not be.
    #[error("is empty")]
    Empty,
    /// Too many characters.
    #[error("is longer than {0}")]
    Long(usize),
    /// Too many entries.
    #[error("has more than {0} entries")]
    Many(usize),
    /// Two entries for one thing.
    #[error("{0:?} occurs twice")]
    Twice(String),
    /// Outside of its range.
    #[error("{value} is not between {low} and {high}")]
    Range {
        /// The value.
        value: u64,
        /// The lowest allowed.
        low: u64,
        /// The highest allowed.
        high: u64,
    },
    /// Not an image reference with tag or digest.
    #[error("{0:?} is not an image reference with a tag or digest")]
    Image(String),
    /// A secret that the service does not declare.
    #[error("secret {0:?} is not declared")]
    Undeclared(String),
    /// A secret made of one that is made of another itself.
    #[error("secret {0:?} is made of another itself")]
    Derived(String),
    /// A masked value that everyone who has the plugin knows.
    #[error("a masked value must be made of secrets, not of fixed characters")]
    LiteralSecret,
    /// No such container in the app.
    #[error("the app has no container {0:?}")]
    Container(String),
    /// Itself or main, where another service is meant.
    #[error("{0} is not another service of the app")]
    Neighbour(String),
    /// A file or volume in a folder in memory, which would hide it.
    #[error("{0:?} is in a folder in memory")]
    Hidden(String),
    /// Not the value of a kernel parameter.
    #[error("{0:?} is not one to four numbers with a space between two")]
    Numbers(String),
    /// More than the plugin's grants allow.
    #[error("{0} is not among the plugin's grants")]
    NotGranted(String),
    /// A UDP port of which something is said that holds for TCP alone.
    #[error("a UDP port has no TLS, and is for other containers only")]
    Udp,
    /// A volume that is only read and gets an owner.
    #[error("a volume that is only read keeps its owner")]
    OnlyRead,
    /// Not a JSON Schema of an object.
    #[error("is not the JSON Schema of an object")]
    Schema,
    /// Not an `https://` address.
    #[error("{0:?} is not an https:// address")]
    Address(String),
}

/// A part of an answer that cannot be, and what is wrong with it.
pub(crate) struct Wrong {
    pub(crate) at: String,
    pub(crate) reason: Reason,
}

pub(crate) trait At<T> {
    /// Says which part of the answer it is about.
    fn at(self, at: impl FnOnce() -> String) -> Result<T, Wrong>;
}

impl<T> At<T> for Result<T, Reason> {
    fn at(self, at: impl FnOnce() -> String) -> Result<T, Wrong> {
        self.map_err(|reason| Wrong { at: at(), reason })
    }
}

/// Converts each entry of a list, saying which of them is wrong.
pub(crate) fn each<A, B>(
    at: &str,
    entries: Vec<A>,
    convert: impl Fn(A) -> Result<B, Reason>,
) -> Result<Vec<B>, Wrong> {
    if entries.len() > ENTRIES {
        return Err(Wrong {
            at: at.to_owned(),
            reason: Reason::Many(ENTRIES),
        });
    }
    let entries = entries.into_iter().enumerate();
    entries
        .map(|(index, entry)| convert(entry).at(|| format!("{at}[{index}]")))
        .collect()
}
