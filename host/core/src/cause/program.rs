//! The program that a container runs, as it is found in the container.

use super::Cause;

/// What stands at the path of a container's program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// Nothing.
    Missing,
    /// A folder.
    Folder,
    /// A file.
    File {
        /// Its first bytes.
        head: Vec<u8>,
    },
}

impl Program {
    /// The interpreter that its first line names.
    pub fn interpreter(&self) -> Option<String> {
        let Self::File { head } = self else {
            return None;
        };
        let line = head
            .strip_prefix(b"#!")?
            .split(|byte| *byte == b'\n')
            .next()?;
        let line = String::from_utf8_lossy(line);
        // A carriage return belongs to the name, as the kernel sees it.
        let word = line.trim_start_matches(' ').split(' ').next()?;
        Some(word.to_owned())
    }

    /// Why the system says that the file, which is there, is not.
    pub(super) fn not_found(&self, path: &str) -> Option<Cause> {
        if *self == Self::Missing {
            return None;
        }
        let Some(interpreter) = self.interpreter() else {
            return Some(Cause::new(
                format!("{path} is in the image, but the loader that it was linked for is not"),
                "it was built for another C library (glibc or musl): build it in the Dockerfile on the same base image, or link it statically",
            ));
        };
        if let Some(plain) = interpreter.strip_suffix('\r') {
            return Some(Cause::new(
                format!(
                    "{path} has Windows line ends (CRLF), so the system looks for {plain} with a carriage return in its name"
                ),
                format!(
                    "save it with Unix line ends (`sed -i 's/\\r$//' {name}`); where Git makes them, `{name} text eol=lf` in .gitattributes keeps it so",
                    name = path.rsplit('/').next().unwrap_or(path)
                ),
            ));
        }
        Some(Cause::new(
            format!("{path} is to be run by {interpreter}, which the image does not have"),
            format!(
                "install {interpreter} in the Dockerfile, or name another one in the first line (`#!/bin/sh`)"
            ),
        ))
    }

    /// Why the system does not know the file's format.
    pub(super) fn bad_format(&self, path: &str, architecture: &str) -> Option<Cause> {
        let Self::File { head } = self else {
            return None;
        };
        if let Some(machine) = machine(head) {
            return (machine != architecture).then(|| {
                Cause::new(
                    format!("{path} is built for another processor: {machine}, and this machine is {architecture}"),
                    format!("build it in the Dockerfile, or for this machine (`FROM --platform=linux/{}`)", oci_name(architecture)),
                )
            });
        }
        if head.starts_with(b"\xef\xbb\xbf#!") {
            return Some(Cause::new(
                format!(
                    "{path} begins with a byte order mark, so the system does not see its `#!`"
                ),
                "save it as UTF-8 without BOM",
            ));
        }
        (!head.starts_with(b"#!")).then(|| no_shebang(path))
    }
}

/// A file in no format that the system knows.
pub(super) fn no_shebang(path: &str) -> Cause {
    Cause::new(
        format!(
            "{path} is neither a program for this machine nor a script with `#!` in its first line (exec format error)"
        ),
        "begin a script with `#!/bin/sh`; build a program for this machine's processor",
    )
}

/// The processor that a program is built for (ELF: `e_machine`), by Rust's name for it.
fn machine(head: &[u8]) -> Option<&'static str> {
    let bytes: [u8; 2] = head
        .strip_prefix(b"\x7fELF")?
        .get(14..16)?
        .try_into()
        .ok()?;
    let is_big_endian = head.get(5) == Some(&2);
    let number = match is_big_endian {
        true => u16::from_be_bytes(bytes),
        false => u16::from_le_bytes(bytes),
    };
    Some(match number {
        3 => "x86",
        8 => "mips",
        21 => "powerpc64",
        22 => "s390x",
        40 => "arm",
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv64",
        258 => "loongarch64",
        _ => "an unknown one",
    })
}

/// The name of a processor in image platforms.
fn oci_name(architecture: &str) -> &str {
    match architecture {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        other => other,
    }
}
