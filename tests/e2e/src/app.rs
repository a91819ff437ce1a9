//! An app's source folder, a copy that a test may change.

use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A source folder that goes away with the test.
pub struct App {
    _parent: TempDir,
    folder: PathBuf,
}

impl App {
    /// An empty folder of this name, which is the app's name where its manifest has none.
    pub fn empty(name: &str) -> Self {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        Self {
            _parent: parent,
            folder,
        }
    }

    /// A copy of the app of this name under `tests/apps`.
    pub fn copy(name: &str) -> Self {
        let app = Self::empty(name);
        let apps = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .unwrap()
            .join("apps");
        copy_folder(&apps.join(name), &app.folder);
        app
    }

    /// The smallest app: its main is Nginx with one page, and starts in an instant.
    /// `manifest` is its doprax.yaml.
    pub fn tiny(name: &str, manifest: &str) -> Self {
        let app = Self::empty(name);
        app.write(
            "Dockerfile",
            "FROM doprax-test/nginx:1.22\nCOPY index.html /usr/share/nginx/html/index.html\n",
        );
        app.write("index.html", "first\n");
        app.write("doprax.yaml", manifest);
        app
    }

    /// Its folder, as an argument.
    pub fn path(&self) -> &str {
        self.folder.to_str().unwrap()
    }

    /// A path in the folder.
    pub fn at(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// Writes a file of the folder.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.at(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Removes a file of the folder.
    pub fn remove(&self, path: &str) {
        std::fs::remove_file(self.at(path)).unwrap();
    }

    /// Replaces a text that a file of the folder must have.
    #[track_caller]
    pub fn replace(&self, path: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.at(path)).unwrap();
        assert!(text.contains(from), "{path} has no {from:?}");
        self.write(path, text.replace(from, to));
    }
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
