//! What a shell may complete: besides what the command line knows of itself, the apps,
//! containers and plugins of the host. A host that does not answer at once has none.

use crate::own_app::{APP, CONTAINER, OwnApp, RELEASE};
use crate::plugins;
use crate::state;
use clap::{Arg, Command};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use doprax_api::client::{Address, Client, ClientError};
use doprax_core::name::AppName;
use std::path::PathBuf;
use std::time::Duration;

/// The variable with which a shell asks what may follow.
pub(crate) const VARIABLE: &str = "DOPRAX_COMPLETE";

/// How long a person who pressed a key waits for a host.
const PATIENCE: Duration = Duration::from_secs(1);

/// The command with what its arguments may be.
pub(crate) fn with_candidates(command: Command) -> Command {
    let command = command.mut_args(|arg: Arg| match arg.get_id().as_str() {
        APP => arg.add(ArgValueCandidates::new(apps)),
        CONTAINER => arg.add(ArgValueCandidates::new(containers)),
        RELEASE => arg.add(ArgValueCandidates::new(releases)),
        "plugin" => arg.add(ArgValueCandidates::new(plugin_names)),
        _ => arg,
    });
    command.mut_subcommands(with_candidates)
}

/// Asks the host that the environment names, else the usual one.
fn ask<T, F: Future<Output = Result<T, ClientError>>>(
    asked: impl FnOnce(Client) -> F,
) -> Option<T> {
    let named = std::env::var("DOPRAX_HOST").ok();
    let address = match named.filter(|named| !named.is_empty()) {
        Some(named) => named.parse().ok()?,
        None => {
            let folder = std::env::var_os("DOPRAX_STATE").map(PathBuf::from);
            Address::Unix(state::folder(folder.as_deref()).ok()?.join(state::SOCKET))
        }
    };
    let token = std::env::var("DOPRAX_TOKEN").ok();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    runtime.block_on(async {
        let asking = asked(Client::new(address, token));
        tokio::time::timeout(PATIENCE, asking).await.ok()?.ok()
    })
}

fn names(names: impl IntoIterator<Item = String>) -> Vec<CompletionCandidate> {
    names.into_iter().map(CompletionCandidate::new).collect()
}

fn apps() -> Vec<CompletionCandidate> {
    let apps = ask(|client| async move { client.apps().await });
    names(apps.into_iter().flatten().map(|app| app.app.to_string()))
}

/// The words after the program's name that may be names of apps.
fn typed() -> Vec<AppName> {
    let words = std::env::args().skip_while(|word| word != "--").skip(2);
    words.filter_map(|word| AppName::new(word).ok()).collect()
}

/// The containers of the app that was typed, or of the folder's.
fn containers() -> Vec<CompletionCandidate> {
    let typed = typed();
    let found = ask(|client| async move {
        let apps = client.apps().await?;
        let is_app = |name: &&AppName| apps.iter().any(|app| app.app == **name);
        match typed.iter().find(is_app) {
            Some(app) => client.app(app).await.map(Some),
            None => Ok(None),
        }
    });
    match found.flatten() {
        Some(app) => names(
            app.containers
                .into_iter()
                .map(|found| found.name.to_string()),
        ),
        None => names(OwnApp::here().into_iter().flat_map(|own| own.containers)),
    }
}

/// The releases of the app that was typed, or of the folder's.
fn releases() -> Vec<CompletionCandidate> {
    let typed = typed();
    let found = ask(|client| async move {
        let apps = client.apps().await?;
        let is_app = |name: &AppName| apps.iter().any(|app| app.app == *name);
        let own = OwnApp::here().map(|own| own.name);
        match typed.into_iter().chain(own).find(is_app) {
            Some(app) => client.releases(&app).await.map(Some),
            None => Ok(None),
        }
    });
    let found = found.flatten().into_iter().flat_map(|found| found.releases);
    names(found.map(|entry| entry.number.to_string()))
}

fn plugin_names() -> Vec<CompletionCandidate> {
    match ask(|client| async move { client.plugins().await }) {
        Some(plugins) => names(plugins.into_iter().map(|plugin| plugin.id)),
        None => {
            let plugins = plugins::open();
            let known = plugins.iter().flat_map(|plugins| plugins.known());
            names(known.map(|plugin| plugin.id.clone()))
        }
    }
}
