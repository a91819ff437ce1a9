//! The digest of the source in a tar archive that anybody may have made.
//!
//! Long names come in entries of their own, before the entry that they name (GNU `L` and
//! `K`, and the extended headers of POSIX.1-2001, section "pax"). They are read here and
//! not by the library, which takes as much memory for them as the archive says.
//! Guarantees: constant memory but for eight bytes for each symbolic link; what is taken
//! means the same to the engine, which reads the archive by itself.

use doprax_core::source::{Entry, MAX_ENTRIES, MAX_PATH, SourceDigest};
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read};
use tar::{EntryType, Header, PaxExtensions};

/// Most bytes of an extended header: two paths, and what tools add of times and owners.
const MAX_EXTENDED: u64 = 64 << 10;

/// What stands before an entry about it.
#[derive(Default)]
struct Named {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
}

/// The digest of the source in `archive`.
pub(super) fn digest(archive: impl Read) -> io::Result<String> {
    let mut archive = tar::Archive::new(archive);
    let mut digest = SourceDigest::new();
    let mut named = Named::default();
    let mut links = Links::default();
    let mut count = 0;
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        let header = entry.header().clone();
        match header.entry_type() {
            EntryType::GNULongName => {
                once(&mut named.path, name(&mut entry)?)?;
                continue;
            }
            EntryType::GNULongLink => {
                once(&mut named.target, name(&mut entry)?)?;
                continue;
            }
            EntryType::XHeader => {
                extended(&mut entry, &mut named)?;
                continue;
            }
            // It holds for all that follow, and nothing in it counts here.
            EntryType::XGlobalHeader => {
                extended(&mut entry, &mut Named::default())?;
                continue;
            }
            _ => {}
        }
        count += 1;
        if count > MAX_ENTRIES {
            return Err(invalid(format!("it has more than {MAX_ENTRIES} entries")));
        }
        add(
            &mut digest,
            &mut links,
            std::mem::take(&mut named),
            &header,
            &mut entry,
        )?;
    }
    Ok(digest.finish())
}

fn add(
    digest: &mut SourceDigest,
    links: &mut Links,
    named: Named,
    header: &Header,
    content: &mut impl Read,
) -> io::Result<()> {
    let path = match named.path {
        Some(path) => path,
        None => header.path_bytes().into_owned(),
    };
    let kind = header.entry_type();
    if kind.is_file() && path.ends_with(b"/") {
        return Err(invalid("a file has the path of a folder".to_owned()));
    }
    let path = path_below(path)?;
    if links.is_above(&path) {
        return Err(invalid(format!("{path:?} stands below a symbolic link")));
    }
    let added = if kind.is_dir() {
        digest.add(&path, &Entry::Folder)
    } else if kind.is_symlink() {
        let target = named
            .target
            .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))
            .filter(|target| (1..=MAX_PATH).contains(&target.len()))
            .and_then(|target| String::from_utf8(target).ok())
            .ok_or_else(|| invalid(format!("the link {path:?} has no readable target")))?;
        links.insert(&path);
        digest.add(&path, &Entry::Symlink { target: &target })
    } else if kind.is_file() {
        let executable = header.mode()? & 0o100 != 0;
        let sha256 = content_digest(content)?;
        digest.add(&path, &Entry::File { executable, sha256 })
    } else {
        return Err(invalid(format!(
            "{path:?} is neither file, folder nor symbolic link"
        )));
    };
    added.map_err(|error| invalid(error.to_string()))
}

/// A path that stays below the folder into which it is unpacked.
fn path_below(bytes: Vec<u8>) -> io::Result<String> {
    if bytes.len() > MAX_PATH {
        return Err(invalid("a path is too long".to_owned()));
    }
    let path = String::from_utf8(bytes).map_err(|_| invalid("a path is not UTF-8".to_owned()))?;
    let path = path.trim_end_matches('/');
    let is_safe = |part: &str| !matches!(part, "" | "." | "..");
    if !path.split('/').all(is_safe) {
        return Err(invalid(format!(
            "{path:?} is not a path below the source folder"
        )));
    }
    Ok(path.to_owned())
}

/// The name that an entry of GNU's tar holds. It ends with a zero.
fn name(entry: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut name = bounded(entry, MAX_PATH as u64 + 1, "a path is too long")?;
    if name.last() == Some(&0) {
        name.pop();
    }
    Ok(name)
}

/// Takes the names out of an extended header. What else it may say is of no account, but
/// for what would give the entry another content than its own.
fn extended(entry: &mut tar::Entry<'_, impl Read>, named: &mut Named) -> io::Result<()> {
    let bytes = bounded(entry, MAX_EXTENDED, "an extended header is too long")?;
    for record in PaxExtensions::new(&bytes) {
        let record = record?;
        let key = record.key_bytes();
        match key {
            b"path" => once(&mut named.path, record.value_bytes().to_vec())?,
            b"linkpath" => once(&mut named.target, record.value_bytes().to_vec())?,
            _ if key == b"size" || key.starts_with(b"GNU.sparse.") => {
                let key = String::from_utf8_lossy(key);
                return Err(invalid(format!("an extended header has {key}")));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Readers differ in which of two names they take.
fn once(name: &mut Option<Vec<u8>>, found: Vec<u8>) -> io::Result<()> {
    match name.replace(found) {
        None => Ok(()),
        Some(_) => Err(invalid("an entry is named twice".to_owned())),
    }
}

fn bounded(entry: &mut impl Read, limit: u64, too_long: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    entry.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(invalid(too_long.to_owned()));
    }
    Ok(bytes)
}

/// The symbolic links so far, by a keyed hash of their paths.
#[derive(Default)]
struct Links {
    hasher: RandomState,
    paths: HashSet<u64>,
}

impl Links {
    fn insert(&mut self, path: &str) {
        self.paths.insert(self.hasher.hash_one(path));
    }

    /// Whether one of them stands above `path`.
    fn is_above(&self, path: &str) -> bool {
        !self.paths.is_empty()
            && path
                .match_indices('/')
                .any(|(at, _)| self.paths.contains(&self.hasher.hash_one(&path[..at])))
    }
}

fn content_digest(content: &mut impl Read) -> io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().into()),
            length => hasher.update(&buffer[..length]),
        }
    }
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of `kind` for `path`, with `size` bytes to follow.
    fn header(kind: EntryType, path: &str, size: u64) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(size);
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    fn entry(kind: EntryType, path: &str, content: &[u8]) -> Vec<u8> {
        let mut bytes = header(kind, path, content.len() as u64);
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }

    fn link(path: &str, target: &str) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        header.set_path(path).unwrap();
        if !target.is_empty() {
            header.set_link_name(target).unwrap();
        }
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    fn record(key: &str, value: &str) -> Vec<u8> {
        let rest = format!(" {key}={value}\n");
        let length = (1..).find(|n: &usize| n.to_string().len() + rest.len() == *n);
        format!("{}{rest}", length.unwrap()).into_bytes()
    }

    fn refusal(parts: &[Vec<u8>]) -> String {
        digest(parts.concat().as_slice()).unwrap_err().to_string()
    }

    #[test]
    fn long_names_of_both_kinds_are_the_same_source() {
        let path = format!("{}/file", "deep/".repeat(40));
        let path = path.replace("//", "/");
        let gnu = [
            entry(
                EntryType::GNULongName,
                "././@LongLink",
                format!("{path}\0").as_bytes(),
            ),
            entry(EntryType::Regular, "cut", b"text"),
        ];
        let posix = [
            entry(
                EntryType::XGlobalHeader,
                "g",
                &record("comment", "a commit"),
            ),
            entry(
                EntryType::XHeader,
                "x",
                &[record("mtime", "1.5"), record("path", &path)].concat(),
            ),
            entry(EntryType::Regular, "cut", b"text"),
        ];
        let mut expected = SourceDigest::new();
        let file = Entry::File {
            executable: false,
            sha256: Sha256::digest(b"text").into(),
        };
        expected.add(&path, &file).unwrap();
        let expected = expected.finish();
        assert_eq!(digest(gnu.concat().as_slice()).unwrap(), expected);
        assert_eq!(digest(posix.concat().as_slice()).unwrap(), expected);
    }

    /// Zeros that go on for ever, and how many were read.
    struct Endless(u64);

    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            buffer.fill(b'x');
            self.0 += buffer.len() as u64;
            Ok(buffer.len())
        }
    }

    #[test]
    fn a_name_of_600_mb_is_refused_before_it_is_read() {
        for kind in [
            EntryType::GNULongName,
            EntryType::GNULongLink,
            EntryType::XHeader,
            EntryType::XGlobalHeader,
        ] {
            let head = header(kind, "name", 600 << 20);
            let mut endless = Endless(0);
            let error = digest(head.as_slice().chain(&mut endless)).unwrap_err();
            assert!(error.to_string().contains("too long"), "{kind:?}: {error}");
            assert!(endless.0 < 1 << 20, "{kind:?}: {} bytes", endless.0);
        }
    }

    #[test]
    fn what_the_engine_could_take_for_something_else_is_refused() {
        let file = |path: &str| entry(EntryType::Regular, path, b"");
        let extended = |key: &str| {
            let before = entry(EntryType::XHeader, "x", &record(key, "1"));
            vec![before, file("a")]
        };
        let cases = [
            (vec![file("../a")], "not a path below"),
            (vec![file("/a")], "not a path below"),
            (
                vec![link("a", "/etc"), file("a-b"), file("a/b")],
                "below a symbolic link",
            ),
            (vec![entry(EntryType::Link, "a", b"")], "neither file"),
            (vec![entry(EntryType::Char, "a", b"")], "neither file"),
            (vec![entry(EntryType::Fifo, "a", b"")], "neither file"),
            (vec![entry(EntryType::GNUSparse, "a", b"")], "neither file"),
            (extended("GNU.sparse.realsize"), "has GNU.sparse.realsize"),
            (extended("size"), "has size"),
            (vec![file("a"), file("a")], "does not come after"),
            (vec![file("a/")], "the path of a folder"),
            (vec![link("a", "")], "no readable target"),
            (
                vec![
                    entry(EntryType::GNULongName, "l", b"b\0"),
                    entry(EntryType::XHeader, "x", &record("path", "c")),
                    file("a"),
                ],
                "named twice",
            ),
        ];
        for (parts, expected) in cases {
            let refusal = refusal(&parts);
            assert!(refusal.contains(expected), "{expected}: {refusal}");
        }
    }

    #[test]
    fn more_entries_than_a_source_may_have_are_refused() {
        let folders =
            (0..=MAX_ENTRIES).map(|n| entry(EntryType::Directory, &format!("{n:07}"), b""));
        let mut folders = folders.flatten();
        struct Bytes<I>(I);
        impl<I: Iterator<Item = u8>> Read for Bytes<I> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let mut length = 0;
                for (slot, byte) in buffer.iter_mut().zip(&mut self.0) {
                    *slot = byte;
                    length += 1;
                }
                Ok(length)
            }
        }
        let error = digest(Bytes(&mut folders)).unwrap_err();
        assert!(
            error.to_string().contains("more than 200000 entries"),
            "{error}"
        );
    }
}
