//! Generating what the app's secrets are to be.

use doprax_core::secret::{SecretName, SecretSource};
use doprax_store::StoredSecret;
use std::collections::BTreeMap;

/// The characters of generated secrets: none that a shell, a URL or a file format
/// treats in its own way.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The new value of each secret that has none yet or is given another one.
pub(crate) struct NewValues {
    /// By name.
    pub(crate) values: BTreeMap<SecretName, String>,
    /// Variables that nobody gave a value, by the names people know.
    pub(crate) missing: Vec<String>,
}

/// What has to be written before containers can name `wanted`.
pub(crate) fn new_values(
    wanted: &BTreeMap<SecretName, SecretSource>,
    stored: &BTreeMap<SecretName, StoredSecret>,
    variables: &BTreeMap<String, String>,
) -> NewValues {
    let mut new = NewValues {
        values: BTreeMap::new(),
        missing: Vec::new(),
    };
    for (name, source) in wanted {
        let given = name
            .as_variable()
            .and_then(|variable| variables.get(variable));
        match (given, stored.get(name), source) {
            (Some(given), stored, _) => {
                if stored.is_none_or(|stored| stored.value != *given) {
                    new.values.insert(name.clone(), given.clone());
                }
            }
            (None, Some(_), _) => {}
            (None, None, SecretSource::Random { length }) => {
                new.values.insert(name.clone(), random_text(*length));
            }
            (None, None, SecretSource::Uuid) => {
                new.values
                    .insert(name.clone(), uuid::Uuid::new_v4().to_string());
            }
            (None, None, SecretSource::Given) => {
                new.missing
                    .push(name.as_variable().unwrap_or(name.as_str()).to_owned());
            }
        }
    }
    new
}

/// The revisions that secrets have once `new` is written.
pub(crate) fn revisions(
    stored: &BTreeMap<SecretName, StoredSecret>,
    new: &BTreeMap<SecretName, String>,
) -> BTreeMap<SecretName, u64> {
    let mut revisions: BTreeMap<SecretName, u64> = stored
        .iter()
        .map(|(name, secret)| (name.clone(), secret.revision))
        .collect();
    for name in new.keys() {
        let newest = stored.get(name).map_or(0, |secret| secret.newest);
        revisions.insert(name.clone(), newest + 1);
    }
    revisions
}

/// The values that secrets have once `new` is written.
pub(crate) fn values(
    stored: &BTreeMap<SecretName, StoredSecret>,
    new: &BTreeMap<SecretName, String>,
) -> BTreeMap<SecretName, String> {
    let stored = stored
        .iter()
        .map(|(name, secret)| (name.clone(), secret.value.clone()));
    stored.chain(new.clone()).collect()
}

fn random_text(length: u16) -> String {
    let mut text = String::with_capacity(length.into());
    let mut bytes = [0; 64];
    while text.len() < length.into() {
        getrandom::fill(&mut bytes).expect("the system has random numbers");
        // 62 × 4 = 248: bytes above are dropped, so that all characters are equally likely.
        let usable = bytes.iter().filter(|byte| **byte < 248);
        let characters =
            usable.map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
        text.extend(characters.take(usize::from(length) - text.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generates_once_and_names_all_that_is_missing() {
        let wanted = BTreeMap::from([
            (
                SecretName::word("random"),
                SecretSource::Random { length: 200 },
            ),
            (SecretName::word("kept"), SecretSource::Random { length: 8 }),
            (SecretName::word("uuid"), SecretSource::Uuid),
            (SecretName::variable("GIVEN"), SecretSource::Given),
            (SecretName::variable("SAME"), SecretSource::Given),
            (SecretName::variable("A"), SecretSource::Given),
            (SecretName::variable("B"), SecretSource::Given),
        ]);
        let secret = |value: &str| StoredSecret {
            revision: 3,
            newest: 5,
            value: value.to_owned(),
        };
        let stored = BTreeMap::from([
            (SecretName::word("kept"), secret("old")),
            (SecretName::variable("GIVEN"), secret("old")),
            (SecretName::variable("SAME"), secret("same")),
        ]);
        let variables = BTreeMap::from([
            ("GIVEN".to_owned(), "new".to_owned()),
            ("SAME".to_owned(), "same".to_owned()),
        ]);
        let new = new_values(&wanted, &stored, &variables);
        assert_eq!(new.missing, ["A", "B"]);
        assert_eq!(new.values.len(), 3);
        let random = &new.values[&SecretName::word("random")];
        assert!(random.len() == 200 && random.bytes().all(|byte| ALPHABET.contains(&byte)));
        assert_eq!(new.values[&SecretName::word("uuid")].len(), 36);

        let revisions = revisions(&stored, &new.values);
        assert_eq!(revisions[&SecretName::word("random")], 1);
        assert_eq!(revisions[&SecretName::word("kept")], 3);
        assert_eq!(revisions[&SecretName::variable("GIVEN")], 6);
    }
}
