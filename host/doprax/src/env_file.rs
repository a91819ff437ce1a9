//! Reads files of variables that a person names.

use crate::failure::{Failure, Result};
use doprax_core::dotenv;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

/// The variables of a file; `-` is standard input. Reads no more than such a file may have,
/// so that a device without an end is refused.
pub(crate) fn read(path: &Path) -> Result<BTreeMap<String, String>> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Failure::new(format!("cannot read variables from {}", path.display())).because(error)
    };
    let mut bytes = Vec::new();
    let mut take = |from: &mut dyn Read| {
        let most = dotenv::MAX_BYTES as u64 + 1;
        from.take(most).read_to_end(&mut bytes).map(drop)
    };
    let taken = match path.to_str() {
        Some("-") => take(&mut io::stdin().lock()),
        _ => std::fs::File::open(path).and_then(|mut file| take(&mut file)),
    };
    taken.map_err(|error| failed(&error))?;
    dotenv::parse(&bytes).map_err(|error| {
        failed(&error)
            .help("write one NAME=value on each line; a value with line breaks goes in quotes")
    })
}
