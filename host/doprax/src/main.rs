//! The Doprax binary: the host (`doprax serve`) and the command line that asks it.
//!
//! Everything a person sees is said here. Commands ask the host through its API and
//! nothing else; only `serve` knows the host itself, and only `check` and
//! `plugin inspect` load plugins.

mod acme;
mod actor;
mod addresses;
mod args;
mod command;
mod complete;
mod confirm;
mod context;
mod env_file;
mod failure;
mod limits;
mod open_files;
mod output;
mod own_app;
mod paint;
mod plugins;
mod progress;
mod quickstart;
mod remedy;
mod signals;
mod since;
mod source;
mod state;
mod terminal;
mod turn;
mod units;
mod upgrade;
mod variable;
mod visible;

use args::{Cli, Command};
use clap::FromArgMatches as _;
use context::Context;
use failure::{Failure, Result};
use own_app::OwnApp;
use paint::Paint;
use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    clap_complete::CompleteEnv::with_factory(|| complete::with_candidates(args::command()))
        .var(complete::VARIABLE)
        .complete();
    let words: Vec<_> = std::env::args_os().collect();
    let cli = own_app::parse(&args::command(), &words, OwnApp::here)
        .and_then(|matches| Cli::from_arg_matches(&matches))
        .unwrap_or_else(|error| exit_with(&error));
    let context = Context::new(&cli.global);
    match run(&context, cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(context.output.json, context.output.error_paint),
    }
}

/// Ends with what clap says; a lone `doprax` is answered with the help, also where the
/// environment already holds an option.
fn exit_with(error: &clap::Error) -> ! {
    if error.kind() == clap::error::ErrorKind::MissingSubcommand {
        // Where standard error is closed there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "{}", args::command().render_help());
        std::process::exit(2);
    }
    let asked = std::env::args_os().skip(1).take_while(|word| word != "--");
    if error.use_stderr() && asked.into_iter().any(|word| word == "--json") {
        let failure = usage(&error.render().to_string());
        // The exit code of wrong usage.
        let _ = failure.report(true, Paint::new(false));
        std::process::exit(2);
    }
    error.exit()
}

/// What clap says about a call, apart from what to do about it.
fn usage(said: &str) -> Failure {
    let said = said.trim();
    let (error, help) = said.split_once("\n\n").unwrap_or((said, ""));
    let failure = Failure::usage(error.strip_prefix("error: ").unwrap_or(error));
    match help.trim() {
        "" => failure,
        help => failure.help(help),
    }
}

fn run(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::Serve(serve) => {
            runtime(tokio::runtime::Builder::new_multi_thread())?.block_on(serve.run(context))
        }
        Command::Check(check) => check.run(context),
        Command::Schema(schema) => schema.run(context),
        Command::Completion(completion) => completion.run(),
        Command::Up(up) => ask(up.run(context)),
        Command::Plan(plan) => ask(plan.run(context)),
        Command::Apps(apps) => ask(apps.run(context)),
        Command::Status(status) => ask(status.run(context)),
        Command::Logs(logs) => ask(logs.run(context)),
        Command::Shell(shell) => ask(shell.run(context)),
        Command::Start(start) => ask(start.run(context)),
        Command::Stop(stop) => ask(stop.run(context)),
        Command::Restart(restart) => ask(restart.run(context)),
        Command::Releases(releases) => ask(releases.run(context)),
        Command::Rollback(rollback) => ask(rollback.run(context)),
        Command::Remove(remove) => ask(remove.run(context)),
        Command::Domain(domain) => ask(domain.run(context)),
        Command::Certs(certs) => ask(certs.run(context)),
        Command::Ca(ca) => ask(ca.run(context)),
        Command::Volume(volume) => ask(volume.run(context)),
        Command::Secret(secret) => ask(secret.run(context)),
        Command::Env(env) => ask(env.run(context)),
        Command::Operation(operation) => ask(operation.run(context)),
        Command::Events(events) => ask(events.run(context)),
        Command::Plugin(plugin) => ask(plugin.run(context)),
        Command::Quickstart(quickstart) => ask(quickstart.run(context)),
        Command::Doctor(doctor) => ask(doctor.run(context)),
    }
}

/// Runs a command that asks a host. One thread is enough, and starts faster.
fn ask(command: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = runtime(tokio::runtime::Builder::new_current_thread())?;
    let result = runtime.block_on(command);
    // A thread may still wait for a key that nobody will press.
    runtime.shutdown_background();
    result
}

fn runtime(mut builder: tokio::runtime::Builder) -> Result<tokio::runtime::Runtime> {
    builder
        .enable_all()
        .build()
        .map_err(|error| Failure::new("cannot start").because(&error))
}
