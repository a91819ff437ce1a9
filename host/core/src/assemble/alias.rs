//! The names that a container answers to beside its own.

use super::Input;
use crate::name::ServiceName;
use std::collections::{BTreeMap, BTreeSet};

/// Aliases of every container on the app's network.
///
/// The alias `SERVICE` stands beside the container's name for resolvers that ignore
/// search domains. A second name `NAME` is `NAME.APP.internal` as well, which is
/// what the search domain makes of it. `SERVICE.APP.internal` is never an alias:
/// only the container's name moves when a new copy takes over.
pub(super) fn aliases(input: &Input<'_>) -> BTreeMap<ServiceName, Vec<String>> {
    let domain = input.instance.domain(&input.spec.app);
    let mut taken: BTreeSet<String> = input
        .spec
        .services
        .keys()
        .map(|name| name.as_str().to_owned())
        .collect();
    taken.insert(ServiceName::main().as_str().to_owned());

    let mut all = BTreeMap::new();
    for (name, spec) in &input.spec.services {
        let mut aliases = vec![name.as_str().to_owned()];
        let names = input
            .plugin_names
            .get(&spec.plugin)
            .map_or(&[][..], Vec::as_slice);
        // Only a service that bears its plugin's name bears its other names too: a
        // second service of the kind has a name of its own.
        if names.iter().any(|known| known.as_str() == name.as_str()) {
            for second in names {
                if taken.insert(second.as_str().to_owned()) {
                    push_second(&mut aliases, second.as_str(), &domain);
                }
            }
        }
        all.insert(name.clone(), aliases);
    }

    let mut main = vec![ServiceName::main().as_str().to_owned()];
    let app = input.spec.app.as_str();
    if !taken.contains(app) {
        push_second(&mut main, app, &domain);
    }
    all.insert(ServiceName::main(), main);
    all
}

fn push_second(aliases: &mut Vec<String>, name: &str, domain: &str) {
    aliases.push(name.to_owned());
    aliases.push(format!("{name}.{domain}"));
}
