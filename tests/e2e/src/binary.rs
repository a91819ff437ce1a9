//! Which binary is tested, and that it is that of the sources as they are.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

/// The binary under test: the one that `DOPRAX_BINARY` names, else that of this build, which
/// must not be older than what it is built from.
#[track_caller]
pub fn binary() -> PathBuf {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match FOUND.get_or_init(find) {
        Ok(binary) => binary.clone(),
        Err(problem) => panic!("{problem}"),
    }
}

fn find() -> Result<PathBuf, String> {
    let missing = "there is no built binary: `cargo build --release`, or name one in DOPRAX_BINARY";
    if let Some(path) = std::env::var_os("DOPRAX_BINARY").map(PathBuf::from) {
        return path.is_file().then_some(path).ok_or_else(|| missing.into());
    }
    // target/release/deps/e2e-… → target/release/doprax
    let program = std::env::current_exe().unwrap();
    let mut folders = program.ancestors().map(|folder| folder.join("doprax"));
    let binary = folders.find(|path| path.is_file()).ok_or(missing)?;
    // tests/e2e → the repository
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    match newer(&binary, root.unwrap()) {
        None => Ok(binary),
        Some(source) => Err(format!(
            "{} is older than {}: build it first (`cargo build --release`), or together with the \
             tests (`cargo test --release -p doprax -p doprax-e2e`), or name one in \
             DOPRAX_BINARY",
            binary.display(),
            source.display()
        )),
    }
}

/// A source file below `root` that has changed since the binary was built.
fn newer(binary: &Path, root: &Path) -> Option<PathBuf> {
    let built = changed(binary)?;
    let mut folders = ["host", "plugins", "sdk"]
        .map(|name| root.join(name))
        .to_vec();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).ok()?.flatten() {
            let path = entry.path();
            let name = path.file_stem().and_then(|name| name.to_str());
            // What is only there for tests.
            if matches!(name, None | Some("tests" | "examples" | "fake" | "target")) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && changed(&path).is_some_and(|changed| changed > built)
            {
                return Some(path);
            }
        }
    }
    None
}

fn changed(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::time::Duration;

    #[test]
    fn a_binary_that_is_older_than_its_sources_is_not_tested() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["host/core/src", "host/core/tests", "plugins", "sdk"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        let now = SystemTime::now();
        let write = |path: &str, age: u64| {
            let file = File::create(root.join(path)).unwrap();
            file.set_modified(now - Duration::from_secs(age)).unwrap();
            root.join(path)
        };
        let binary = write("doprax", 10);
        let source = write("host/core/src/lib.rs", 20);
        write("host/core/tests/lib.rs", 0);
        write("host/core/README.md", 0);
        assert_eq!(newer(&binary, root), None);
        write("host/core/src/lib.rs", 0);
        assert_eq!(newer(&binary, root), Some(source));
    }
}
