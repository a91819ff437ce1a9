//! The secrets of a service.

use crate::bindings::plugin::exports::doprax::plugin::service as wit;
use crate::reason::{At as _, Reason, Wrong, each};
use crate::value::{excerpt, line, range, unique, word};
use doprax_core::name::ServiceName;
use doprax_core::secret::{Derivation, Encoding, SecretName, SecretSource};
use std::collections::BTreeMap;

/// A secret that a service declares.
pub(super) struct Declared {
    /// By this name its texts know it.
    pub(super) local: String,
    pub(super) name: SecretName,
    pub(super) source: SecretSource,
    /// What it is, where only a person can give it.
    pub(super) what: Option<String>,
}

/// The secrets that a service declares, checked.
pub(super) fn secrets(
    service: &ServiceName,
    declared: Vec<wit::Secret>,
) -> Result<Vec<Declared>, Wrong> {
    let kinds = declared.iter().map(|secret| match &secret.source {
        wit::SecretSource::Derived(_) => (secret.name.clone(), None),
        source => (
            secret.name.clone(),
            Some(full(service, &secret.name, source)),
        ),
    });
    let originals: BTreeMap<String, Option<SecretName>> = kinds.collect();
    let secrets = each("secrets", declared, |secret| {
        let local = local(secret.name)?;
        let what = match &secret.source {
            wit::SecretSource::Given(what) => Some(line(what.clone())?),
            _ => None,
        };
        Ok(Declared {
            name: full(service, &local, &secret.source),
            source: source(secret.source, &originals)?,
            local,
            what,
        })
    })?;
    unique(secrets.iter().map(|secret| secret.local.as_str())).at(|| "secrets".to_owned())?;
    Ok(secrets)
}

/// Its name within the app.
fn full(service: &ServiceName, local: &str, source: &wit::SecretSource) -> SecretName {
    match source {
        wit::SecretSource::Given(_) => SecretName::given(service, local),
        _ => SecretName::plugin(service, local),
    }
}

fn local(name: String) -> Result<String, Reason> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let name = word(name)?;
    match name.bytes().all(allowed) {
        true => Ok(name),
        false => Err(Reason::Word(excerpt(&name))),
    }
}

/// `originals` are what others can be made of; what is made itself has no name there.
fn source(
    source: wit::SecretSource,
    originals: &BTreeMap<String, Option<SecretName>>,
) -> Result<SecretSource, Reason> {
    Ok(match source {
        wit::SecretSource::Random(length) => {
            range(length.into(), 8, 256)?;
            SecretSource::Random { length }
        }
        wit::SecretSource::Bytes(wit::RandomBytes { count, encoding }) => {
            range(count.into(), 8, 1024)?;
            SecretSource::Bytes {
                count,
                encoding: match encoding {
                    wit::Encoding::Hex => Encoding::Hex,
                    wit::Encoding::Base64 => Encoding::Base64,
                    wit::Encoding::Base64url => Encoding::Base64url,
                },
            }
        }
        wit::SecretSource::Uuid => SecretSource::Uuid,
        wit::SecretSource::Given(_) => SecretSource::Given,
        wit::SecretSource::Derived(derived) => SecretSource::Derived {
            from: match originals.get(&derived.secret) {
                Some(Some(original)) => original.clone(),
                Some(None) => return Err(Reason::Derived(excerpt(&derived.secret))),
                None => return Err(Reason::Undeclared(excerpt(&derived.secret))),
            },
            derivation: match derived.derivation {
                wit::Derivation::Sha256 => Derivation::Sha256,
                wit::Derivation::Bcrypt => Derivation::Bcrypt,
            },
        },
    })
}
