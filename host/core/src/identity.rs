//! Which image each reference of a blueprint means.

use crate::blueprint::{Blueprint, Container, ImageIdentity};
use crate::observed::{Observed, ObservedContainer};
use std::collections::BTreeMap;

/// Writes down in `blueprint` which images its references mean: `found`, by reference;
/// what is not among them stays what it was in `previous`.
///
/// A container that was made before images were told apart by their ids, and of the image
/// that its reference still means, stays as it is.
pub fn identify(
    blueprint: &mut Blueprint,
    previous: Option<&Blueprint>,
    found: &BTreeMap<String, ImageIdentity>,
    observed: &Observed,
) {
    for container in blueprint.containers.values_mut() {
        let reference = container.image.reference();
        let before = previous.and_then(|previous| {
            let before = previous.containers.get(&container.name)?;
            let copy = copy_of(previous, before, observed);
            (before.image.reference() == reference).then_some((before, copy))
        });
        let known = before.and_then(|(before, copy)| known(before, copy));
        container.identity = match (found.get(reference), known) {
            (Some(found), Some(known)) if known.id == found.id => Some(known),
            (Some(found), _) => Some(found.clone()),
            (None, known) => known,
        };
    }
}

/// The blueprint with what is known of the images of containers that were made before
/// images were told apart by their ids.
pub fn adopted(blueprint: &Blueprint, observed: &Observed) -> Blueprint {
    let mut adopted = blueprint.clone();
    for container in adopted.containers.values_mut() {
        let copy = copy_of(blueprint, container, observed);
        container.identity = known(container, copy);
    }
    adopted
}

fn known(before: &Container, copy: Option<&ObservedContainer>) -> Option<ImageIdentity> {
    before.identity.clone().or_else(|| {
        let id = &copy?.image_id;
        (!id.is_empty()).then(|| ImageIdentity {
            id: id.clone(),
            digest: None,
            adopted: true,
        })
    })
}

/// The copy that was made from what a container of a blueprint is.
fn copy_of<'a>(
    blueprint: &Blueprint,
    container: &Container,
    observed: &'a Observed,
) -> Option<&'a ObservedContainer> {
    let hash = container.hash(&blueprint.revisions);
    let mut copies = observed.containers.iter();
    copies.find(|copy| copy.service == container.name && copy.hash == hash)
}
