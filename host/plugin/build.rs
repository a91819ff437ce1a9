//! Builds every plugin under `plugins/` for WebAssembly, so that they are part of
//! this crate.
//!
//! A Cargo inside Cargo: it has a target folder of its own, because the outer one
//! holds the lock of the other. It is the same for all ways in which this crate is built
//! (checked, tested, with other features), so that plugins are compiled once.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-wasip2";
const PROFILE: &str = "plugin";
/// The plugin of this crate's tests, which is no part of the host.
const HOSTILE: &str = "hostile";

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?)
        .join("../..")
        .canonicalize()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for watched in [
        "plugins",
        "host/plugin/tests/hostile",
        "sdk",
        "wit",
        "Cargo.toml",
        "Cargo.lock",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    println!("cargo::rerun-if-env-changed=CARGO_NET_OFFLINE");

    let plugins = plugins(&root.join("plugins"))?;
    // target/release/build/doprax-plugin-…/out → target/release/plugins
    let profile = out
        .ancestors()
        .nth(3)
        .ok_or("OUT_DIR is no folder of Cargo's")?;
    let target = profile.join("plugins");
    let component = |name: &str| {
        target
            .join(TARGET)
            .join(PROFILE)
            .join(format!("plugin_{name}.wasm"))
    };
    build(
        &root,
        &target,
        plugins.iter().map(String::as_str).chain([HOSTILE]),
    )?;
    println!(
        "cargo::rustc-env=DOPRAX_HOSTILE_PLUGIN={}",
        component(HOSTILE).display()
    );

    let mut source = String::from(
        "/// The plugins that are part of the host: name and component.\n\
         pub const BUILTIN: &[(&str, &[u8])] = &[\n",
    );
    for plugin in &plugins {
        let file = target
            .join(TARGET)
            .join(PROFILE)
            .join(format!("plugin_{plugin}.wasm"));
        writeln!(
            source,
            "    ({plugin:?}, include_bytes!({:?})),",
            file.display().to_string()
        )?;
    }
    source.push_str("];\n");
    fs::write(out.join("builtin.rs"), source)?;
    Ok(())
}

/// The names of the plugins: the folders that are crates.
fn plugins(folder: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").exists() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn build<'a>(
    root: &Path,
    target: &Path,
    plugins: impl Iterator<Item = &'a str>,
) -> Result<(), Box<dyn Error>> {
    bring_target(root)?;
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(root)
        .args([
            "build",
            "--quiet",
            "--locked",
            "--target",
            TARGET,
            "--profile",
            PROFILE,
        ])
        .arg("--target-dir")
        .arg(target);
    for plugin in plugins {
        command.arg("--package").arg(format!("plugin-{plugin}"));
    }
    // What the outer Cargo says about the outer target must not reach the inner one:
    // flags, linkers, wrappers that check instead of compile.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let about_outer_build = name.starts_with("CARGO_")
            && ![
                "CARGO_HOME",
                "CARGO_NET_OFFLINE",
                "CARGO_HTTP_",
                "CARGO_REGISTRIES_",
                "CARGO_SOURCE_",
            ]
            .iter()
            .any(|kept| name.starts_with(kept));
        if about_outer_build
            || matches!(
                name.as_ref(),
                "RUSTFLAGS"
                    | "RUSTC_WRAPPER"
                    | "RUSTC_WORKSPACE_WRAPPER"
                    | "RUSTC_LINKER"
                    | "TARGET"
            )
        {
            command.env_remove(name.as_ref());
        }
    }
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr);
    for line in message.lines() {
        println!("cargo::warning={line}");
    }
    Err("building the plugins failed, see above".into())
}

/// Has the target brought if it was taken away since Cargo last asked for rustc's version,
/// whose answer it keeps.
fn bring_target(root: &Path) -> Result<(), Box<dyn Error>> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let asked = Command::new(root.join(".cargo/rustc"))
        .arg(rustc)
        .arg("-vV")
        .output()?;
    if asked.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&asked.stderr).trim().into())
}
