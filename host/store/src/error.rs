//! What can go wrong with the store.

use std::path::PathBuf;

/// An error of the store. Texts hold no values of secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The state folder cannot be made or read.
    #[error("cannot use the state folder {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The database cannot be opened.
    #[error("cannot open the database in {}", folder.display())]
    Open {
        /// The state folder.
        folder: PathBuf,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
    /// The key cannot be read or made.
    #[error("cannot use the key {}", path.display())]
    Key {
        /// The key's file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Something sealed does not open: another key, or damage.
    #[error(
        "cannot open what is sealed as {what}: secret.key is not the key it was sealed with, or the database is damaged"
    )]
    Sealed {
        /// What it is.
        what: String,
    },
    /// A query failed.
    #[error("cannot {action}")]
    Query {
        /// What was tried.
        action: &'static str,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
    /// A row does not mean what it should: written by a newer version, or damaged.
    #[error("cannot understand what is stored as {what}")]
    Row {
        /// What it is.
        what: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Names the action that a query is for.
pub(crate) fn doing(action: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |source| Error::Query { action, source }
}
