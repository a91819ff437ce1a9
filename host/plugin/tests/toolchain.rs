//! What `.cargo/rustc` does where the target of the plugins is missing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output};

fn program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Asks for the version of a rustc whose toolchain `1.95-here` lies in `folder`, with only
/// bash and the programs of `folder` in the path.
fn ask(folder: &Path) -> Output {
    symlink("/bin/bash", folder.join("bash")).unwrap();
    let sysroot = folder.join("1.95-here");
    fs::create_dir_all(&sysroot).unwrap();
    let script = format!(
        "if [ \"$1\" = --print ]; then echo '{}'; else echo rustc 1.95; fi",
        sysroot.display()
    );
    program(&folder.join("a-rustc"), &script);
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cargo/rustc"))
        .arg(folder.join("a-rustc"))
        .arg("-vV")
        .env("PATH", folder)
        .output()
        .unwrap()
}

#[test]
fn the_target_is_brought_for_the_toolchain_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let asked = folder.path().join("asked");
    let script = format!("echo \"$@\" >'{}'", asked.display());
    program(&folder.path().join("rustup"), &script);
    let output = ask(folder.path());
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"rustc 1.95\n");
    let asked = fs::read_to_string(asked).unwrap();
    assert_eq!(asked, "target add --toolchain 1.95-here wasm32-wasip2\n");
}

#[test]
fn a_target_that_is_there_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let target = "1.95-here/lib/rustlib/wasm32-wasip2/lib";
    fs::create_dir_all(folder.path().join(target)).unwrap();
    program(&folder.path().join("rustup"), "exit 1");
    assert!(ask(folder.path()).status.success());
}

#[test]
fn without_rustup_the_first_second_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let output = ask(folder.path());
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("wasm32-wasip2") && said.contains("https://rustup.rs"),
        "{said}"
    );
}
