//! `doprax completion`: have the shell complete what is typed.

use crate::args::Cli;
use crate::failure::Result;
use clap::CommandFactory as _;
use clap_complete::Shell;

/// Print a script that lets the shell complete commands
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax completion bash > /etc/bash_completion.d/doprax
  doprax completion zsh > \"${fpath[1]}/_doprax\"
  doprax completion fish > ~/.config/fish/completions/doprax.fish")]
pub(crate) struct Completion {
    /// The shell
    shell: Shell,
}

impl Completion {
    pub(crate) fn run(self) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "doprax", &mut script);
        std::io::Write::write_all(&mut std::io::stdout(), &script)?;
        Ok(())
    }
}
