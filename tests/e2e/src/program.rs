//! A program at a path of its own, in whose place another can come while it runs.

use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The binary under test at another path, which goes away with the test.
pub struct Program {
    folder: TempDir,
}

impl Program {
    /// The binary at a path of its own.
    pub fn new() -> Self {
        let binary = crate::binary();
        // Links need one file system, and a program that is written cannot be started.
        let folder = tempfile::tempdir_in(binary.parent().unwrap()).unwrap();
        let program = Self { folder };
        program.link(&binary);
        program
    }

    /// Its path.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("doprax")
    }

    /// Puts another program in its place. A process that runs the one before goes on.
    pub fn replace(&self, program: &Path) {
        std::fs::remove_file(self.path()).unwrap();
        self.link(program);
    }

    /// Puts a file in its place that is no program.
    pub fn replace_by_text(&self, text: &str) {
        std::fs::remove_file(self.path()).unwrap();
        std::fs::write(self.path(), text).unwrap();
    }

    /// Writes a file beside it.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn link(&self, program: &Path) {
        std::fs::hard_link(program, self.path()).unwrap();
    }
}

impl Default for Program {
    fn default() -> Self {
        Self::new()
    }
}
