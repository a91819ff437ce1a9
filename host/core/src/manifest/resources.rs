//! `resources`.

use super::reader::{At, Reader};
use super::unit;
use crate::resources::Resources;

/// The limits.
pub(super) fn read<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Option<Resources> {
    let fields = reader.fields(at, &["memory", "cpus", "disk"])?;
    Some(Resources {
        memory: fields.get("memory").and_then(|at| unit::bytes(reader, at)),
        millicpus: fields
            .get("cpus")
            .and_then(|at| unit::millicpus(reader, at)),
        disk: fields.get("disk").and_then(|at| unit::bytes(reader, at)),
    })
}
