//! Which commit a folder is at.

use std::path::Path;
use std::process::{Command, Stdio};

/// The Git commit that a folder is at, where it is at one and Git is there to ask.
pub fn commit(folder: &Path) -> Option<String> {
    let asked = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["rev-parse", "--verify", "HEAD"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|asked| asked.status.success())?;
    let name = String::from_utf8(asked.stdout).ok()?;
    Some(name.trim().to_owned())
}
