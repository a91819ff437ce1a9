//! The two images that the guestbook needs: the official ones where a registry can be
//! reached, else images built from Debian's packages. Those have names of their own
//! and are never tagged as the official ones.

use super::engine::{install_packages, require_root};
use super::run::{is_installed, pipe, run, succeeds};
use super::{Error, Progress};
use std::fs;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const REGISTRY: (&str, u16) = ("registry-1.docker.io", 443);
const REGISTRY_PATIENCE: Duration = Duration::from_secs(4);

/// The Debian release that the built images are made of.
const SUITE: &str = "bookworm";
const BASE: &str = "doprax-quickstart/debian:bookworm";

/// Certificates that programs in the containers are to trust, as the machine does.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What makes an installed Debian an image.
const APT_CONFIGURATION: &str = "\
Acquire::Check-Valid-Until \"false\";
Acquire::Languages \"none\";
APT::Install-Recommends \"false\";
APT::Keep-Downloaded-Packages \"false\";
Dir::Cache::pkgcache \"\";
Dir::Cache::srcpkgcache \"\";
";
const DPKG_CONFIGURATION: &str = "\
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/locale/*
";
const NO_SERVICES: &str = "#!/bin/sh\nexit 101\n";

const PYTHON_DOCKERFILE: &str = include_str!("../../assets/quickstart/images/python/Dockerfile");
const REDIS_DOCKERFILE: &str = include_str!("../../assets/quickstart/images/redis/Dockerfile");
const REDIS_ENTRYPOINT: &str = include_str!("../../assets/quickstart/images/redis/entrypoint");

/// The images that the guestbook is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Images {
    /// From their registry.
    Official,
    /// Built on this machine.
    Built,
}

impl Images {
    /// The image that main's Dockerfile begins from.
    pub(crate) fn python(self) -> &'static str {
        match self {
            Self::Official => "python:3-slim",
            Self::Built => "doprax-quickstart/python:3",
        }
    }

    /// The image of the Redis service.
    pub(crate) fn redis(self) -> &'static str {
        match self {
            Self::Official => "redis:7",
            Self::Built => "doprax-quickstart/redis:7",
        }
    }
}

/// The images that are on the engine behind `socket` or can be had from their
/// registry, which are then pulled. Nothing: they have to be built ([`build`]).
pub(crate) fn find(socket: &Path, progress: Progress<'_>) -> Result<Option<Images>, Error> {
    for images in [Images::Official, Images::Built] {
        let names = ["image", "inspect", images.python(), images.redis()];
        if succeeds(docker(socket).args(names)) {
            return Ok(Some(images));
        }
    }
    if !registry_answers() {
        progress("no container registry can be reached from here");
        return Ok(None);
    }
    for name in [Images::Official.python(), Images::Official.redis()] {
        progress(&format!("docker pull {name}"));
        match run(
            "pull an image",
            docker(socket).args(["pull", name]),
            progress,
        ) {
            Ok(()) => {}
            // The registry refuses: too many pulls, or a proxy in between.
            Err(Error::Failed { .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(Images::Official))
}

/// Builds the images from Debian's packages, which takes a minute or two and needs
/// root, about 300 MB and Debian's mirror. Installs `debootstrap` where it is missing.
pub(crate) fn build(socket: &Path, progress: Progress<'_>) -> Result<Images, Error> {
    require_root("build a base image")?;
    if !succeeds(docker(socket).args(["image", "inspect", BASE])) {
        build_base(socket, progress)?;
    }
    let folder = Workspace::new()?;
    let python = folder.path.join("python");
    write(&python.join("Dockerfile"), PYTHON_DOCKERFILE, 0o644)?;
    let redis = folder.path.join("redis");
    write(&redis.join("Dockerfile"), REDIS_DOCKERFILE, 0o644)?;
    write(&redis.join("entrypoint"), REDIS_ENTRYPOINT, 0o755)?;
    for (name, context) in [
        (Images::Built.python(), python),
        (Images::Built.redis(), redis),
    ] {
        progress(&format!("docker build --tag {name}"));
        let mut command = docker(socket);
        // The command line of some releases lacks what the other builder needs.
        command
            .env("DOCKER_BUILDKIT", "0")
            .args(["build", "--tag", name])
            .arg(context);
        run("build an image", &mut command, progress)?;
    }
    Ok(Images::Built)
}

fn build_base(socket: &Path, progress: Progress<'_>) -> Result<(), Error> {
    if !is_installed("debootstrap") {
        // The keys of Debian are not on every Ubuntu.
        let packages = ["debootstrap", "debian-archive-keyring"];
        install_packages("install debootstrap", &packages, progress)?;
    }
    let folder = Workspace::new()?;
    let root = folder.path.join("root");
    progress(&format!("debootstrap {SUITE}"));
    let mut command = Command::new("debootstrap");
    command.args(["--variant=minbase", SUITE]).arg(&root);
    run("install a minimal Debian", &mut command, progress)?;
    trim(&root)?;
    progress(&format!("docker import {BASE}"));
    let mut tar = Command::new("tar");
    tar.args([
        "--create",
        "--numeric-owner",
        "--exclude=./dev/*",
        "--exclude=./proc/*",
    ])
    .args(["--exclude=./usr/share/doc/*", "--exclude=./usr/share/man/*"])
    .args([
        "--exclude=./usr/share/locale/*",
        "--exclude=./var/cache/apt/*",
    ])
    .args(["--exclude=./var/lib/apt/lists/*", "--directory"])
    .arg(&root)
    .arg(".");
    pipe(
        "import the base image",
        &mut tar,
        docker(socket).args(["import", "-", BASE]),
        progress,
    )
}

/// Makes an image of what is a machine so far.
fn trim(root: &Path) -> Result<(), Error> {
    write(
        &root.join("etc/apt/apt.conf.d/image"),
        APT_CONFIGURATION,
        0o644,
    )?;
    write(
        &root.join("etc/dpkg/dpkg.cfg.d/image"),
        DPKG_CONFIGURATION,
        0o644,
    )?;
    write(&root.join("usr/sbin/policy-rc.d"), NO_SERVICES, 0o755)?;
    if let Ok(certificates) = fs::read_to_string(CERTIFICATES) {
        write(
            &root.join(CERTIFICATES.trim_start_matches('/')),
            &certificates,
            0o644,
        )?;
        // `update-ca-certificates` makes the file above from this one.
        let source = root.join("usr/local/share/ca-certificates/machine.crt");
        write(&source, &certificates, 0o644)?;
    }
    Ok(())
}

/// Whether the registry of the official images can be reached. Behind a proxy only
/// the engine can tell, so it is asked.
fn registry_answers() -> bool {
    let proxied = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if ["HTTPS_PROXY", "https_proxy"].into_iter().any(proxied) {
        return true;
    }
    let Ok(addresses) = REGISTRY.to_socket_addrs() else {
        return false;
    };
    let reached = |address| TcpStream::connect_timeout(&address, REGISTRY_PATIENCE).is_ok();
    addresses.take(2).any(reached)
}

fn docker(socket: &Path) -> Command {
    let mut command = Command::new("docker");
    command
        .arg("--host")
        .arg(format!("unix://{}", socket.display()));
    command
}

fn write(path: &Path, content: &str, mode: u32) -> Result<(), Error> {
    let written = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, content)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    };
    written().map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })
}

/// A folder that is gone when it is dropped.
struct Workspace {
    path: PathBuf,
}

impl Workspace {
    fn new() -> Result<Self, Error> {
        // Not on /tmp, which may be small or in memory, or mounted without devices.
        let path = PathBuf::from(format!("/var/tmp/doprax-quickstart-{}", std::process::id()));
        let workspace = Self { path };
        fs::create_dir_all(&workspace.path).map_err(|source| Error::Write {
            path: workspace.path.clone(),
            source,
        })?;
        Ok(workspace)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // Not by walking the tree: a debootstrap that was cut short leaves /proc mounted
        // in it.
        succeeds(
            Command::new("rm")
                .args(["-rf", "--one-file-system"])
                .arg(&self.path),
        );
    }
}
