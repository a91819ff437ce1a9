//! Looking into a container for why its process ended or does not answer.

use super::observe::exit_code_of;
use super::{CHANGE, Docker, Failure, LOOK, label};
use crate::{Error, Examination, Exec};
use bollard::models::{ContainerCreateBody, ContainerCreateResponse, ContainerInspectResponse};
use bollard::query_parameters::{
    ContainerArchiveInfoOptionsBuilder, DownloadFromContainerOptionsBuilder, EventsOptionsBuilder,
    RemoveContainerOptionsBuilder,
};
use doprax_core::cause::{Program, listening};
use doprax_core::name::{AppName, MAIN};
use futures_util::StreamExt as _;
use std::collections::{BTreeSet, HashMap};
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes of a program that tell what it is.
const HEAD: usize = 512;

/// Most bytes of an archive that are read for them, and of what a command prints.
const MOST: usize = 64 << 10;

/// Most links that are followed, as the kernel does.
const LINKS: usize = 40;

/// Where a program is looked for if its container does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Docker {
    /// What can be found out about a container's program and sockets.
    pub(super) async fn examine_container(&self, container: &str) -> Result<Examination, Error> {
        let failed = |failure| self.container_error(failure, "look into container", container);
        let Some(found) = self.inspect(container).await.map_err(failed)? else {
            return Ok(Examination::default());
        };
        let program = self.program(container, &found).await.map_err(failed)?;
        let state = found.state.as_ref();
        let is_running = state.and_then(|state| state.running).unwrap_or_default();
        let sockets = match is_running {
            true => self.sockets(container, &found).await,
            false => None,
        };
        Ok(Examination {
            program,
            sockets,
            exit_code: self.last_exit(&found).await,
        })
    }

    /// The exit code of the process that ended last. The engine's description of a container
    /// forgets it with the next start; its last events do not.
    async fn last_exit(&self, found: &ContainerInspectResponse) -> Option<i64> {
        let known = exit_code_of(found);
        if known.is_some() || found.restart_count.unwrap_or_default() == 0 {
            return known;
        }
        let only = |key: &str, value: &str| (key.to_owned(), vec![value.to_owned()]);
        let filters = HashMap::from([
            only("type", "container"),
            only("container", found.id.as_deref()?),
            only("event", "die"),
        ]);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let options = EventsOptionsBuilder::default()
            .since("1")
            .until(&format!("{}.{:09}", now.as_secs(), now.subsec_nanos()))
            .filters(&filters)
            .build();
        let mut events = self.client.events(Some(options));
        let reading = async {
            let mut code = None;
            while let Some(Ok(event)) = events.next().await {
                let said = event.actor.and_then(|actor| actor.attributes);
                code = said.and_then(|said| said.get("exitCode")?.parse().ok());
            }
            code
        };
        tokio::time::timeout(LOOK, reading).await.ok()?
    }

    /// The program that a container runs, and what stands there.
    async fn program(
        &self,
        container: &str,
        found: &ContainerInspectResponse,
    ) -> Result<Option<(String, Program)>, Failure> {
        let Some(name) = found.path.clone().filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        let config = found.config.as_ref();
        if name.contains('/') {
            let folder = config.and_then(|config| config.working_dir.as_deref());
            let path = Path::new(folder.filter(|folder| !folder.is_empty()).unwrap_or("/"));
            let program = self
                .head(container, &path.join(&name).to_string_lossy())
                .await?;
            return Ok(Some((name, program)));
        }
        let env = config
            .and_then(|config| config.env.as_deref())
            .unwrap_or_default();
        let folders = env
            .iter()
            .find_map(|variable| variable.strip_prefix("PATH="));
        for folder in folders.unwrap_or(PATH).split(':').take(LINKS) {
            let path = format!("{folder}/{name}");
            match self.head(container, &path).await? {
                Program::Missing | Program::Folder => {}
                program => return Ok(Some((path, program))),
            }
        }
        Ok(Some((name, Program::Missing)))
    }

    /// What stands at `path`, links followed within the container.
    async fn head(&self, container: &str, path: &str) -> Result<Program, Failure> {
        let mut path = path.to_owned();
        for _ in 0..LINKS {
            match self.head_once(container, &path).await? {
                Found::Program(program) => return Ok(program),
                Found::Link(target) => {
                    let folder = Path::new(&path).parent().unwrap_or(Path::new("/"));
                    path = folder.join(target).to_string_lossy().into_owned();
                }
            }
        }
        Ok(Program::Missing)
    }

    async fn head_once(&self, container: &str, path: &str) -> Result<Found, Failure> {
        let options = DownloadFromContainerOptionsBuilder::default()
            .path(path)
            .build();
        let mut pieces = self
            .client
            .download_from_container(container, Some(options));
        let mut bytes = Vec::new();
        let reading = async {
            while bytes.len() < MOST {
                match pieces.next().await {
                    Some(piece) => bytes.extend_from_slice(&piece?),
                    None => break,
                }
            }
            Ok::<(), bollard::errors::Error>(())
        };
        match self.within(LOOK, reading).await {
            Ok(()) => Ok(first_entry(&bytes)),
            Err(failure) if failure.is(404) => Ok(Found::Program(Program::Missing)),
            Err(failure) => Err(failure),
        }
    }

    /// The sockets that listen in a container; nothing where nobody can say.
    async fn sockets(
        &self,
        container: &str,
        found: &ContainerInspectResponse,
    ) -> Option<BTreeSet<SocketAddr>> {
        let pid = found.state.as_ref()?.pid.filter(|pid| *pid > 0)?;
        if self.transport.is_local()
            && let Some(tables) = tables_of(pid, found.id.as_deref()?).await
        {
            return Some(listening(&tables));
        }
        let exec = Exec {
            command: ["cat", "/proc/net/tcp", "/proc/net/tcp6"]
                .map(str::to_owned)
                .into(),
            ..Exec::default()
        };
        let reading = async {
            let mut session = self.start_exec(container, &exec).await.ok()?;
            let mut printed = Vec::new();
            while let Some(Ok(piece)) = session.output.next().await
                && printed.len() < MOST
            {
                printed.extend_from_slice(&piece.bytes);
            }
            Some(String::from_utf8_lossy(&printed).into_owned())
        };
        let printed = tokio::time::timeout(LOOK, reading).await.ok()??;
        // A container without `cat` says so instead.
        printed
            .contains("local_address")
            .then(|| listening(&printed))
    }

    /// Which of `paths` are there in an image and no folders. Looked up in a container that
    /// is made for it and never runs; where it is left over, it is a copy of main that the
    /// next plan removes.
    pub(super) async fn find_files_at(
        &self,
        app: &AppName,
        image: &str,
        paths: &[String],
    ) -> Result<BTreeSet<String>, Error> {
        self.files_in(app, image, paths)
            .await
            .map_err(|failure| self.error(failure, format!("look into image {image}")))
    }

    async fn files_in(
        &self,
        app: &AppName,
        image: &str,
        paths: &[String],
    ) -> Result<BTreeSet<String>, Failure> {
        let mut labels = self.labels(app);
        labels.insert(label::SERVICE.to_owned(), MAIN.to_owned());
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            // An image without a command makes no container.
            cmd: Some(vec!["/".to_owned()]),
            labels: Some(labels),
            ..ContainerCreateBody::default()
        };
        let created = self
            .transport
            .post_json::<ContainerCreateResponse>("/containers/create", &body);
        let id = self.within(CHANGE, created).await?.id;
        let found = self.files_of(&id, paths).await;
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build();
        self.within(CHANGE, self.client.remove_container(&id, Some(options)))
            .await?;
        found
    }

    async fn files_of(&self, id: &str, paths: &[String]) -> Result<BTreeSet<String>, Failure> {
        let mut files = BTreeSet::new();
        for path in paths {
            let options = ContainerArchiveInfoOptionsBuilder::default()
                .path(path)
                .build();
            let answer = self.client.get_container_archive_info(id, Some(options));
            match self.within(LOOK, answer).await {
                Ok(found) => {
                    // Go's os.FileMode: the highest bits are the kind, none for a file.
                    let kind = found.file_mode & 0x8f28_0000;
                    if kind == 0 {
                        files.insert(path.clone());
                    }
                }
                Err(failure) if failure.is(404) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(files)
    }
}

enum Found {
    Program(Program),
    Link(String),
}

/// What the first entry of an archive's beginning is.
fn first_entry(bytes: &[u8]) -> Found {
    let mut archive = tar::Archive::new(bytes);
    let entry = archive
        .entries()
        .ok()
        .and_then(|mut entries| entries.next());
    let Some(Ok(entry)) = entry else {
        return Found::Program(Program::Missing);
    };
    let kind = entry.header().entry_type();
    if kind.is_dir() {
        return Found::Program(Program::Folder);
    }
    if let Some(target) = entry.link_name_bytes().filter(|_| kind.is_symlink()) {
        return Found::Link(String::from_utf8_lossy(&target).into_owned());
    }
    let mut head = Vec::new();
    // What was cut off is not needed.
    let _ = entry.take(HEAD as u64).read_to_end(&mut head);
    Found::Program(Program::File { head })
}

/// The kernel's tables of the network that a process of this machine is in; nothing where
/// the number is not that of the container's process here.
async fn tables_of(pid: i64, id: &str) -> Option<String> {
    let read = |name: &str| tokio::fs::read_to_string(format!("/proc/{pid}/{name}"));
    if !read("cgroup").await.ok()?.contains(id) {
        return None;
    }
    let four = read("net/tcp").await.ok()?;
    // A machine without IPv6 has no such table.
    let six = read("net/tcp6").await.unwrap_or_default();
    Some(four + &six)
}
