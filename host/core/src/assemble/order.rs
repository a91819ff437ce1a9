//! The order of services that go by each other.

use crate::name::ServiceName;
use std::collections::{BTreeMap, BTreeSet};

/// What each service goes by. Names without an entry count as there already.
pub(super) type Edges<'a> = BTreeMap<&'a ServiceName, BTreeSet<&'a ServiceName>>;

/// The services, each after all that it goes by; or a circle of them, its first once more
/// at the end.
pub(super) fn order<'a>(edges: &Edges<'a>) -> Result<Vec<&'a ServiceName>, Vec<ServiceName>> {
    let mut waiting: Vec<&ServiceName> = edges.keys().copied().collect();
    let mut ordered = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let left: BTreeSet<&ServiceName> = waiting.iter().copied().collect();
        let (later, now): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|name| edges[name].iter().any(|other| left.contains(other)));
        if now.is_empty() {
            return Err(circle(edges, &left));
        }
        ordered.extend(now);
        waiting = later;
    }
    Ok(ordered)
}

/// A circle among services that all go by others of them.
fn circle(edges: &Edges<'_>, left: &BTreeSet<&ServiceName>) -> Vec<ServiceName> {
    let mut path: Vec<&ServiceName> = Vec::new();
    let mut at = left.first().copied();
    while let Some(name) = at {
        if let Some(start) = path.iter().position(|other| *other == name) {
            let names = path[start..].iter().chain([&name]);
            return names.map(|name| ServiceName::clone(name)).collect();
        }
        path.push(name);
        at = edges[name]
            .iter()
            .find(|other| left.contains(*other))
            .copied();
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(edges: &[(&str, &[&str])]) -> Result<Vec<String>, Vec<String>> {
        let name = |name: &&str| ServiceName::new(*name).expect("a label");
        let owned: Vec<(ServiceName, Vec<ServiceName>)> = edges
            .iter()
            .map(|(from, to)| (name(from), to.iter().map(name).collect()))
            .collect();
        let edges = owned.iter().map(|(from, to)| (from, to.iter().collect()));
        match order(&edges.collect()) {
            Ok(names) => Ok(names.into_iter().map(ToString::to_string).collect()),
            Err(names) => Err(names.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn each_comes_after_what_it_goes_by() {
        let expected = ["c", "b", "d", "a"].map(str::to_owned).to_vec();
        let edges: [(&str, &[&str]); 4] = [
            ("a", &["b", "c"]),
            ("b", &["c"]),
            ("c", &["gone"]),
            ("d", &["c"]),
        ];
        assert_eq!(ordered(&edges), Ok(expected));
        assert_eq!(ordered(&[]), Ok(Vec::new()));
    }

    #[test]
    fn a_circle_is_named_without_what_leads_to_it() {
        let edges: [(&str, &[&str]); 4] = [("a", &["b"]), ("b", &["c"]), ("c", &["b"]), ("d", &[])];
        let expected = ["b", "c", "b"].map(str::to_owned).to_vec();
        assert_eq!(ordered(&edges), Err(expected));
        let itself: [(&str, &[&str]); 1] = [("a", &["a"])];
        assert_eq!(ordered(&itself), Err(vec!["a".to_owned(), "a".to_owned()]));
    }
}
