//! What each observed container is good for.

use super::runs;
use crate::blueprint::{Blueprint, Container};
use crate::copy::CopyName;
use crate::observed::{ObservedContainer, State};

/// The observed containers, sorted by what becomes of them.
pub(super) struct Survey<'a> {
    /// Every container of the blueprint.
    pub(super) services: Vec<Copies<'a>>,
    /// Copies of containers that the blueprint no longer has.
    pub(super) unwanted: Vec<&'a ObservedContainer>,
    /// What is in the way of a name and serves nobody: it goes first.
    pub(super) evicted: Vec<&'a ObservedContainer>,
}

/// A container of the blueprint and the copies of it that exist.
pub(super) struct Copies<'a> {
    /// What it shall be.
    pub(super) spec: &'a Container,
    /// The digest of that.
    pub(super) hash: String,
    /// The digest of that which containers of earlier hosts bear.
    pub(super) earlier_hash: String,
    /// The name under which a copy serves.
    pub(super) real: CopyName,
    /// The name under which a copy waits beside the serving one.
    pub(super) spare: CopyName,
    /// The copy that is as it shall be, under whatever name.
    pub(super) wanted: Option<&'a ObservedContainer>,
    /// The copy that is another and bears the name, and the name it gets when it
    /// has to give way.
    pub(super) occupant: Option<(&'a ObservedContainer, CopyName)>,
    /// The other copies.
    pub(super) others: Vec<&'a ObservedContainer>,
    /// Names of copies that are evicted.
    pub(super) evicted: Vec<&'a CopyName>,
}

impl Copies<'_> {
    /// Whether a copy was made from what it shall be.
    fn is_wanted(&self, copy: &ObservedContainer) -> bool {
        copy.hash == self.hash || copy.hash == self.earlier_hash
    }

    /// Whether the copy that is as it shall be is on no network.
    pub(super) fn is_detached(&self) -> bool {
        self.wanted.is_some_and(|copy| !copy.attached)
    }

    /// Whether no copy of any kind exists.
    pub(super) fn is_new(&self) -> bool {
        self.wanted.is_none()
            && self.occupant.is_none()
            && self.others.is_empty()
            && self.evicted.is_empty()
    }
}

impl<'a> Survey<'a> {
    pub(super) fn new(blueprint: &'a Blueprint, observed: &'a [ObservedContainer]) -> Self {
        let mut survey = Self {
            services: Vec::new(),
            unwanted: Vec::new(),
            evicted: Vec::new(),
        };
        let mut by_service = std::collections::BTreeMap::<_, Vec<_>>::new();
        for container in observed {
            by_service
                .entry(&container.service)
                .or_default()
                .push(container);
        }
        let mut found = by_service.clone();
        for spec in blueprint.containers.values() {
            let hash = spec.made_from(&blueprint.revisions);
            let mut copies = Copies {
                spec,
                real: CopyName::serving(&spec.name),
                spare: CopyName::spare(&spec.name, &hash),
                hash,
                earlier_hash: spec.hash(&blueprint.revisions),
                wanted: None,
                occupant: None,
                others: Vec::new(),
                evicted: Vec::new(),
            };
            let away = |copy: &ObservedContainer| CopyName::spare(&spec.name, &copy.hash);
            for copy in found.remove(&spec.name).unwrap_or_default() {
                // Of the names that plans give, a copy has one of its own two.
                let misnamed = copy.name.service().is_some()
                    && copy.name != copies.real
                    && copy.name != away(copy);
                if misnamed || matches!(copy.state, State::Paused | State::Dead) {
                    copies.evicted.push(&copy.name);
                    survey.evicted.push(copy);
                } else {
                    copies.others.push(copy);
                }
            }
            let evicted = copies.sort(away);
            copies.evicted.extend(evicted.iter().map(|copy| &copy.name));
            survey.evicted.extend(evicted);
            survey.services.push(copies);
        }
        for (service, containers) in found {
            for copy in containers {
                let own = copy.name == CopyName::serving(service)
                    || copy.name == CopyName::spare(service, &copy.hash);
                if own || copy.name.service().is_none() {
                    survey.unwanted.push(copy);
                } else {
                    survey.evicted.push(copy);
                }
            }
        }
        survey
    }
}

impl<'a> Copies<'a> {
    /// Picks the wanted copy and the occupant from the others, and returns those
    /// that are in the way of the names that the plan will give.
    fn sort(
        &mut self,
        away: impl Fn(&ObservedContainer) -> CopyName,
    ) -> Vec<&'a ObservedContainer> {
        let mut evicted = Vec::new();
        // One that runs before one that bears the name before any other.
        let best = self
            .others
            .iter()
            .filter(|copy| self.is_wanted(copy))
            .max_by_key(|copy| {
                (
                    runs(copy.state),
                    copy.name == self.real,
                    copy.name == self.spare,
                )
            });
        self.wanted = best.copied();
        let wanted = self.wanted.map(|copy| &copy.name);
        self.others.retain(|copy| Some(&copy.name) != wanted);

        if let Some(index) = self.others.iter().position(|copy| copy.name == self.real) {
            let occupant = self.others.remove(index);
            let away = away(occupant);
            if self.is_wanted(occupant) {
                // The wanted copy runs under another name, and this one does not run.
                evicted.push(occupant);
            } else {
                let twin = self.others.iter().position(|copy| copy.name == away);
                evicted.extend(twin.map(|twin| self.others.remove(twin)));
                self.occupant = Some((occupant, away));
            }
        }
        evicted
    }
}
