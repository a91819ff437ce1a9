//! Who calls the program, for the list of releases.

use std::ffi::OsString;

/// The user and the machine, `ann@desk`, as far as they are known. Whoever became root with
/// sudo is who it was before.
pub(crate) fn actor() -> Option<String> {
    let variable = |name: &str| std::env::var_os(name);
    let user = user(variable)?;
    let node = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Some(match node.trim() {
        "" => user,
        node => format!("{user}@{node}"),
    })
}

fn user(variable: impl Fn(&str) -> Option<OsString>) -> Option<String> {
    let named = ["SUDO_USER", "USER", "LOGNAME"].into_iter();
    let named = named.filter_map(|name| variable(name)?.into_string().ok());
    named.into_iter().find(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_became_root_is_who_it_was() {
        let of = |set: &[(&str, &str)]| {
            user(|name| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| value.into())
            })
        };
        let both = [("USER", "root"), ("SUDO_USER", "ann")];
        assert_eq!(of(&both).as_deref(), Some("ann"));
        assert_eq!(of(&both[..1]).as_deref(), Some("root"));
        assert_eq!(
            of(&[("USER", ""), ("LOGNAME", "bob")]).as_deref(),
            Some("bob")
        );
        assert_eq!(of(&[]), None);
    }
}
