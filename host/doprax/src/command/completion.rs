//! `doprax completion`: have the shell complete what is typed.

use crate::complete;
use crate::failure::{Failure, Result};
use clap_complete::Shell;
use clap_complete::env::Shells;

/// Print a script that lets the shell complete commands, apps, containers and plugins
///
/// The script asks this program what may follow. Load it anew after an upgrade.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  echo 'source <(doprax completion bash)' >> ~/.bashrc
  echo 'source <(doprax completion zsh)' >> ~/.zshrc
  echo 'doprax completion fish | source' >> ~/.config/fish/config.fish")]
pub(crate) struct Completion {
    /// The shell
    shell: Shell,
}

impl Completion {
    pub(crate) fn run(self) -> Result<()> {
        let shell = self.shell.to_string();
        let shells = Shells::builtins();
        let shell = shells
            .completer(&shell)
            .ok_or_else(|| Failure::usage(format!("{shell} cannot be helped")))?;
        let mut script = Vec::new();
        shell.write_registration(
            complete::VARIABLE,
            "doprax",
            "doprax",
            "doprax",
            &mut script,
        )?;
        std::io::Write::write_all(&mut std::io::stdout(), &script)?;
        Ok(())
    }
}
