//! What can go wrong with a plugin.

use crate::reason::Reason;
use doprax_core::service::SettingDiagnostic;
use std::fmt;
use std::path::PathBuf;

/// A plugin that cannot be loaded or called.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine for plugins does not start on this machine.
    #[error("cannot start the engine for plugins")]
    Engine {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The thread that watches over calls does not start.
    #[error("cannot start the thread that watches over plugins")]
    Thread {
        /// Why.
        source: std::io::Error,
    },
    /// The folder for compiled plugins cannot be used.
    #[error("cannot use {} for compiled plugins", path.display())]
    Cache {
        /// The folder or the file in it.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A component cannot be kept or read.
    #[error("cannot use {} for components", path.display())]
    Component {
        /// The file or its folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The folder for compiled plugins can be written by others, who could put code
    /// there that the host would run.
    #[error("{} must belong to the host's user and be closed to others (chmod 700)", path.display())]
    CacheNotOurs {
        /// The folder or the file in it.
        path: PathBuf,
    },
    /// The component is larger than allowed.
    #[error("plugin {plugin} has {size} bytes, more than the {limit} allowed")]
    TooLarge {
        /// Its file or name.
        plugin: String,
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The bytes are no component that this engine takes.
    #[error("{plugin} is not a plugin")]
    NotAComponent {
        /// Its file or name.
        plugin: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It wants something from the machine.
    #[error("plugin {plugin} wants {import}, which plugins do not get")]
    ForbiddenImport {
        /// Its file or name.
        plugin: String,
        /// The import.
        import: String,
    },
    /// It does not follow the contract.
    #[error("plugin {plugin} does not follow the contract doprax:plugin@0.1")]
    Contract {
        /// Its file or name.
        plugin: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A component that a release was described by cannot judge it any more.
    #[error(
        "component {digest} of an earlier host is not used; the plugin of its name takes its place"
    )]
    GivesWay {
        /// SHA-256 of the component, in hexadecimal.
        digest: String,
        /// Why.
        source: Box<Error>,
    },
    /// Two plugins answer to one name.
    #[error("two plugins answer to the name {name}")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// No plugin answers to the name.
    #[error("no plugin answers to {name}; there are {}", known.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// Names that plugins answer to.
        known: Vec<String>,
    },
    /// It used up what it may use.
    #[error("plugin {plugin} {exceeded}{}", Printed(output))]
    Exceeded {
        /// Its name.
        plugin: String,
        /// What it used up.
        exceeded: Exceeded,
        /// The end of what it printed.
        output: String,
    },
    /// It failed while it was asked.
    #[error("plugin {plugin} failed{}", Printed(output))]
    Failed {
        /// Its name.
        plugin: String,
        /// The end of what it printed: a panic's text.
        output: String,
        /// What the engine says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It answered with something that cannot be.
    #[error("plugin {plugin} gave a wrong answer: {at}: {reason}")]
    Answer {
        /// Its name.
        plugin: String,
        /// Which part of the answer, such as `files[0].path`.
        at: String,
        /// What is wrong with it.
        reason: Reason,
    },
}

/// A limit of [`crate::Limits`] that a call exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    /// Units of work.
    Fuel,
    /// Duration.
    WallClock,
    /// Memory or tables.
    Memory,
    /// Bytes handed to the host.
    AnswerSize,
    /// Depth of calls.
    Stack,
    /// Calls at the same time, of all plugins together.
    Calls,
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fuel => "computed longer than it may",
            Self::WallClock => "took longer than it may",
            Self::Memory => "wanted more memory than it may have",
            Self::AnswerSize => "gave an answer larger than it may",
            Self::Stack => "nested its calls deeper than it may",
            Self::Calls => "was not asked, because too many calls are under way",
        })
    }
}

/// What a plugin printed, after a colon, if it did.
struct Printed<'a>(&'a str);

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.0)
        }
    }
}

impl Error {
    pub(crate) fn engine(error: wasmtime::Error) -> Self {
        Self::Engine {
            source: error.into(),
        }
    }
}

/// Why a service has no description.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    /// The plugin objects to what the user wants.
    #[error("{}", Objections(.0))]
    Diagnostics(Vec<SettingDiagnostic>),
    /// The plugin is at fault.
    #[error(transparent)]
    Plugin(#[from] Error),
}

struct Objections<'a>(&'a [SettingDiagnostic]);

impl fmt::Display for Objections<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, objection) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            if !objection.path.is_empty() {
                write!(f, "settings.{}: ", objection.path.join("."))?;
            }
            f.write_str(&objection.message)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objections_stand_in_one_line_each_with_its_setting() {
        let objection = |path: &[&str], message: &str| SettingDiagnostic {
            path: path.iter().map(|part| (*part).to_owned()).collect(),
            message: message.to_owned(),
            help: None,
        };
        let error = DescribeError::Diagnostics(vec![
            objection(&["memory", "max"], "too much"),
            objection(&[], "no version"),
        ]);
        assert_eq!(
            error.to_string(),
            "settings.memory.max: too much; no version"
        );
    }
}
