//! Sealing: authenticated encryption with a key that is not in the database.

use crate::Error;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

const KEY_LENGTH: usize = 32;

/// The host's key. What is sealed for one purpose opens only for that purpose, so
/// that rows of the database cannot be exchanged for each other.
#[derive(Clone)]
pub(crate) struct Seal {
    key: Arc<LessSafeKey>,
    random: SystemRandom,
}

impl Seal {
    /// Reads the key, or makes one where there is none.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let in_key = |source| Error::Key {
            path: path.to_owned(),
            source,
        };
        let random = SystemRandom::new();
        let bytes = match read_key(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                make_key(path, &random).map_err(in_key)?
            }
            other => other.map_err(in_key)?,
        };
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes)
            .map_err(|_| in_key(ErrorKind::InvalidData.into()))?;
        Ok(Self {
            key: Arc::new(LessSafeKey::new(key)),
            random,
        })
    }

    /// Seals `plain` for `purpose`. Random 96-bit nonces are safe for the number of
    /// values a host ever seals (NIST SP 800-38D section 8.3 allows 2^32).
    pub(crate) fn seal(&self, purpose: &str, plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        self.random
            .fill(&mut nonce)
            .expect("the system has random numbers");
        let mut sealed = nonce.to_vec();
        let mut body = plain.to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(purpose.as_bytes()),
                &mut body,
            )
            .expect("a value in memory is shorter than the cipher's limit");
        sealed.append(&mut body);
        sealed
    }

    /// Opens what was sealed for `purpose`.
    pub(crate) fn unseal(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let refused = || Error::Sealed {
            what: purpose.to_owned(),
        };
        let (nonce, body) = sealed
            .split_first_chunk::<NONCE_LEN>()
            .ok_or_else(refused)?;
        let mut body = body.to_vec();
        let length = self
            .key
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(purpose.as_bytes()),
                &mut body,
            )
            .map_err(|_| refused())?
            .len();
        body.truncate(length);
        Ok(body)
    }

    /// Seals a value as JSON.
    pub(crate) fn seal_json<T: serde::Serialize>(&self, purpose: &str, value: &T) -> Vec<u8> {
        let json = serde_json::to_vec(value).expect("stored types have only string keys");
        self.seal(purpose, &json)
    }
}

fn read_key(path: &Path) -> std::io::Result<[u8; KEY_LENGTH]> {
    let mut bytes = Vec::new();
    // One byte more than a key, so that a longer file is noticed.
    std::fs::File::open(path)?
        .take(KEY_LENGTH as u64 + 1)
        .read_to_end(&mut bytes)?;
    bytes.try_into().map_err(|_| {
        std::io::Error::new(
            ErrorKind::InvalidData,
            format!("a key has {KEY_LENGTH} bytes"),
        )
    })
}

/// Makes a key. It is whole on disk before it has its name: a power cut leaves
/// either no key or this one.
fn make_key(path: &Path, random: &SystemRandom) -> std::io::Result<[u8; KEY_LENGTH]> {
    let mut bytes = [0; KEY_LENGTH];
    random
        .fill(&mut bytes)
        .map_err(|_| std::io::Error::other("the system has no random numbers"))?;
    let draft = path.with_extension("key.new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    if let Some(folder) = path.parent() {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_for_its_purpose_and_undamaged() {
        let folder = tempfile::tempdir().unwrap();
        let seal = Seal::open(&folder.path().join("secret.key")).unwrap();
        let sealed = seal.seal("secret shop/a", b"hunter2");
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
        assert_eq!(seal.unseal("secret shop/a", &sealed).unwrap(), b"hunter2");
        assert!(seal.unseal("secret shop/b", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(seal.unseal("secret shop/a", &damaged).is_err(), "byte {at}");
        }
        assert!(seal.unseal("secret shop/a", &sealed[..5]).is_err());
    }

    #[test]
    fn the_key_is_kept_and_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.key");
        let sealed = Seal::open(&path).unwrap().seal("x", b"y");
        assert_eq!(
            Seal::open(&path).unwrap().unseal("x", &sealed).unwrap(),
            b"y"
        );
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        for length in [0, KEY_LENGTH - 1, KEY_LENGTH + 1, 2 * KEY_LENGTH] {
            std::fs::write(&path, vec![7; length]).unwrap();
            assert!(Seal::open(&path).is_err(), "{length}");
            // What is no key may be the only copy of one.
            assert_eq!(std::fs::read(&path).unwrap().len(), length);
        }
    }
}
