//! The token that opens the API where no file permission does: on a TCP port.

use rustix::fs::{Mode, OFlags};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Bytes of randomness in a token.
const LENGTH: usize = 32;

/// A token could not be read or made.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep the API's token in {path}")]
pub struct TokenError {
    /// The token's file.
    path: PathBuf,
    /// Why.
    source: std::io::Error,
}

/// The secret that a client on a TCP port must show. Only its digest is kept.
#[derive(Clone)]
pub struct Token {
    digest: [u8; 32],
}

impl Token {
    /// The token of the given text.
    pub fn new(text: &str) -> Self {
        Self {
            digest: Sha256::digest(text.as_bytes()).into(),
        }
    }

    /// The token in the file at `path`; makes both where there is none. Only the
    /// file's owner can read it.
    pub fn load_or_create(path: &Path) -> Result<Self, TokenError> {
        let text = read(path)
            .or_else(|error| {
                if error.kind() == std::io::ErrorKind::NotFound {
                    create(path)
                } else {
                    Err(error)
                }
            })
            .map_err(|source| TokenError {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self::new(text.trim()))
    }

    /// Whether `text` is the token. Takes the same time whatever is wrong with it.
    pub fn matches(&self, text: &str) -> bool {
        let given: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        self.digest
            .iter()
            .zip(given)
            .fold(0, |difference, (a, b)| difference | (a ^ b))
            == 0
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(4096).read_to_string(&mut text)?;
    if text.trim().is_empty() {
        return Err(std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            "the file is empty; remove it for a new token",
        ));
    }
    Ok(text)
}

fn create(path: &Path) -> std::io::Result<String> {
    let mut random = [0; LENGTH];
    getrandom::fill(&mut random).map_err(std::io::Error::other)?;
    let mut text = String::with_capacity(2 * LENGTH + 1);
    for byte in random {
        use std::fmt::Write as _;
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
    }
    text.push('\n');
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?);
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_token_is_made_once_and_readable_by_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let first = Token::load_or_create(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.trim().len(), 2 * LENGTH);
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(Token::load_or_create(&path).unwrap().matches(text.trim()));
        assert!(first.matches(text.trim()));
        for wrong in ["", "0", &text, &text[1..64]] {
            assert!(!first.matches(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn an_empty_file_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "\n").unwrap();
        assert!(Token::load_or_create(&path).is_err());
    }
}
