//! Getting images before anything else changes.

use super::Draft;
use crate::plan::{Act, Plan};
use std::collections::BTreeMap;

/// The steps that pull these images, each of the digest that is wanted if any is, and then
/// `build` another on those that it builds on.
pub fn images(
    pulls: &BTreeMap<&str, Option<&str>>,
    builds_on: impl Fn(&str) -> bool,
    build: Option<Act>,
) -> Plan {
    let mut draft = Draft::default();
    let mut bases = Vec::new();
    for (reference, digest) in pulls {
        let pull = Act::PullImage {
            reference: (*reference).to_owned(),
            digest: digest.map(str::to_owned),
        };
        let pulled = draft.act(pull, &[]);
        if builds_on(reference) {
            bases.push(pulled);
        }
    }
    if let Some(build) = build {
        draft.act(build, &bases);
    }
    draft.finish()
}
