//! Generating what the app's secrets are to be.

use super::derive;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use doprax_core::blueprint::hex;
use doprax_core::secret::{Encoding, SecretName, SecretSource};
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
            (None, None, SecretSource::Bytes { count, encoding }) => {
                new.values
                    .insert(name.clone(), random_bytes(*count, *encoding));
            }
            // Below, when what it is made of has its value.
            (None, None, SecretSource::Derived { .. }) => {}
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
    for (name, source) in wanted {
        let SecretSource::Derived { from, derivation } = source else {
            continue;
        };
        let kept = stored.get(from).map(|stored| &stored.value);
        // One that nobody gave is named among those.
        let Some(original) = new.values.get(from).or(kept) else {
            continue;
        };
        let is_made_of_it = |kept: &StoredSecret| derive::holds(*derivation, &kept.value, original);
        if !stored.get(name).is_some_and(is_made_of_it) {
            let value = derive::derive(*derivation, original);
            new.values.insert(name.clone(), value);
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

fn random_bytes(count: u16, encoding: Encoding) -> String {
    let mut bytes = vec![0; count.into()];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    match encoding {
        Encoding::Hex => hex(&bytes),
        Encoding::Base64 => BASE64_STANDARD.encode(bytes),
        Encoding::Base64url => BASE64_URL_SAFE_NO_PAD.encode(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doprax_core::secret::Derivation;

    fn stored(value: &str) -> StoredSecret {
        StoredSecret {
            revision: 1,
            newest: 1,
            value: value.to_owned(),
        }
    }

    #[test]
    fn bytes_are_written_as_they_are_wanted() {
        let bytes = |encoding| SecretSource::Bytes {
            count: 32,
            encoding,
        };
        let names = ["hex", "base64", "url"].map(SecretName::word);
        let wanted = BTreeMap::from([
            (names[0].clone(), bytes(Encoding::Hex)),
            (names[1].clone(), bytes(Encoding::Base64)),
            (names[2].clone(), bytes(Encoding::Base64url)),
        ]);
        let new = new_values(&wanted, &BTreeMap::new(), &BTreeMap::new());
        let value = |index: usize| new.values[&names[index]].as_str();
        assert_eq!(value(0).len(), 64);
        assert!(
            value(0)
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        );
        assert_eq!(
            BASE64_STANDARD.decode(value(1)).map(|bytes| bytes.len()),
            Ok(32)
        );
        assert_eq!(
            BASE64_URL_SAFE_NO_PAD
                .decode(value(2))
                .map(|bytes| bytes.len()),
            Ok(32)
        );
    }

    #[test]
    fn what_is_made_of_another_secret_is_made_anew_with_it_and_only_then() {
        let [original, made, hash] = ["a-password", "made", "hash"].map(SecretName::word);
        let derived = |derivation| SecretSource::Derived {
            from: original.clone(),
            derivation,
        };
        let wanted = BTreeMap::from([
            (original.clone(), SecretSource::Random { length: 20 }),
            (made.clone(), derived(Derivation::Sha256)),
            (hash.clone(), derived(Derivation::Bcrypt)),
        ]);
        let variables = BTreeMap::new();
        let first = new_values(&wanted, &BTreeMap::new(), &variables);
        assert_eq!(first.values.len(), 3);
        let holds = |values: &BTreeMap<SecretName, String>, original: &str| {
            derive::holds(Derivation::Sha256, &values[&made], original)
                && derive::holds(Derivation::Bcrypt, &values[&hash], original)
        };
        assert!(holds(&first.values, &first.values[&original]));

        let mut kept: BTreeMap<SecretName, StoredSecret> = BTreeMap::new();
        for (name, value) in &first.values {
            kept.insert(name.clone(), stored(value));
        }
        assert!(new_values(&wanted, &kept, &variables).values.is_empty());
        kept.insert(original, stored("another"));
        let again = new_values(&wanted, &kept, &variables);
        assert_eq!(again.values.len(), 2);
        assert!(holds(&again.values, "another"));
    }

    #[test]
    fn what_is_made_of_a_value_that_nobody_gave_waits_for_it() {
        let given = SecretName::variable("DB_PASSWORD");
        let derived = SecretSource::Derived {
            from: given.clone(),
            derivation: Derivation::Sha256,
        };
        let wanted = BTreeMap::from([
            (given, SecretSource::Given),
            (SecretName::word("made"), derived),
        ]);
        let new = new_values(&wanted, &BTreeMap::new(), &BTreeMap::new());
        assert_eq!(new.missing, ["DB_PASSWORD"]);
        assert!(new.values.is_empty());
    }

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
