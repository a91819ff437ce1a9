//! What may be typed.

use crate::command;
use crate::own_app::APP;
use clap::builder::Styles;
use clap::builder::styling::AnsiColor;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use doprax_api::client::Address;
use std::path::PathBuf;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Yellow.on_default().bold())
    .usage(AnsiColor::Yellow.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Deploy apps with their services on your own machine.
///
/// An app is a folder with a Dockerfile and a doprax.yaml. The Dockerfile builds main;
/// doprax.yaml names the services beside it (MySQL, Redis, Nginx, Elasticsearch, …).
/// `doprax up` builds, starts and connects all of them on a private network and gives
/// the app an address.
#[derive(Debug, Parser)]
#[command(
    name = "doprax",
    version,
    styles = STYLES,
    max_term_width = 100,
    propagate_version = false,
    disable_help_subcommand = false,
    after_help = "\
Begin here:
  doprax quickstart        try it: an engine, a host and an app in one command
  doprax serve             run the host (keep it running; apps outlive it)
  doprax up                deploy the app in this folder
  doprax logs APP -f       see what it prints

`doprax COMMAND --help` explains a command, with examples.",
    after_long_help = "\
Begin here:
  doprax quickstart        try it: an engine, a host and an app in one command
  doprax serve             run the host (keep it running; apps outlive it)
  doprax up                deploy the app in this folder
  doprax apps              list what is deployed
  doprax logs APP -f       see what it prints
  doprax shell APP         look around in it
  doprax doctor            find out what is wrong with this machine

A doprax.yaml:
  app: guestbook
  main:
    envs:
      - DB_HOST: mysql
      - DB_PASS: random_1            # generated once, the same wherever it stands
        type: password
  services:
    - mysql:
        tag: \"8.4\"
        envs:
          - MYSQL_ROOT_PASSWORD: random
            type: password
          - MYSQL_PASSWORD: random_1
            type: password
    - redis:

Exit codes: 0 done, 1 failed, 2 called wrongly. `doprax shell` ends as its command does.
`doprax COMMAND --help` explains a command, with examples."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What holds for every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// The host to ask: unix:///PATH, or http://HOST:PORT with DOPRAX_TOKEN
    #[arg(
        long,
        global = true,
        env = "DOPRAX_HOST",
        hide_env = true,
        value_name = "ADDRESS"
    )]
    pub(crate) host: Option<Address>,
    /// Folder of the host's state and socket [default: /var/lib/doprax for root]
    ///
    /// Also DOPRAX_STATE. For other users than root it is `doprax` in $XDG_STATE_HOME,
    /// or in ~/.local/state.
    #[arg(
        long,
        global = true,
        env = "DOPRAX_STATE",
        hide_env = true,
        value_name = "DIR"
    )]
    pub(crate) state: Option<PathBuf>,
    /// Answer in JSON, for scripts
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No colours (also NO_COLOR)
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// Only say what was asked for
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more; twice: say everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The commands, in the order in which people need them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Quickstart(command::quickstart::Quickstart),
    Serve(Box<command::serve::Serve>),
    Up(command::up::Up),
    Plan(command::plan::Plan),
    Check(command::check::Check),
    Apps(command::apps::Apps),
    Status(command::status::Status),
    Logs(command::logs::Logs),
    Shell(command::shell::Shell),
    Start(command::control::Start),
    Stop(command::control::Stop),
    Restart(command::control::Restart),
    Releases(command::releases::Releases),
    Rollback(command::rollback::Rollback),
    Remove(command::remove::Remove),
    Domain(command::domain::Domain),
    Certs(command::certs::Certs),
    Ca(command::ca::Ca),
    Volume(command::volume::Volume),
    Secret(command::secret::Secret),
    Env(command::env::Env),
    Operation(command::operation::Operation),
    Events(command::events::Events),
    Plugin(command::plugin::Plugin),
    Schema(command::schema::Schema),
    Doctor(command::doctor::Doctor),
    Completion(command::completion::Completion),
}

/// The command line, as it is understood.
pub(crate) fn command() -> clap::Command {
    Cli::command().mut_subcommands(telling_of_own_app)
}

/// With the help of each argument that may be left out in an app's own folder.
fn telling_of_own_app(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|arg| {
        let first = arg.get_id() == APP && arg.is_required_set();
        match arg.get_help().filter(|_| first) {
            Some(help) => {
                let help = format!("{help}; may be left out in the app's own folder");
                arg.help(help)
            }
            None => arg,
        }
    });
    command.mut_subcommands(telling_of_own_app)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_help_has_an_example() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let after = command.get_after_long_help();
            let after = after.map(ToString::to_string).unwrap_or_default();
            assert!(after.contains(path.trim()), "{path}: {after}");
            for below in command.get_subcommands() {
                if below.get_name() != "help" {
                    check(below, &path);
                }
            }
        }
        check(&command(), "");
    }
}
