//! A command on a real terminal, which script(1) makes.

use crate::cli::{Cli, Running};
use crate::wait::look_for;
use std::io::Write as _;
use std::process::{ChildStdin, Command};

/// A command on a terminal of a size.
pub struct Terminal {
    running: Running,
    keys: ChildStdin,
    /// The terminal's own file.
    device: String,
}

impl Terminal {
    /// Runs a command on a new terminal.
    #[track_caller]
    pub fn start(cli: &Cli, arguments: &[&str], columns: u16, rows: u16) -> Self {
        let command: Vec<String> = std::iter::once(crate::binary().to_str().unwrap())
            .chain(arguments.iter().copied())
            .map(quoted)
            .collect();
        let line = format!(
            "echo device=$(tty); stty cols {columns} rows {rows}; exec {}",
            command.join(" ")
        );
        let (running, keys) = cli.on_terminal(&line);
        let device = crate::wait_for("the terminal's name", 10, || {
            let output = running.stdout();
            let (_, rest) = output.split_once("device=")?;
            Some(rest.lines().next()?.trim().to_owned())
        });
        Self {
            running,
            keys,
            device,
        }
    }

    /// Presses keys.
    #[track_caller]
    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Gives the terminal another size.
    #[track_caller]
    pub fn resize(&self, columns: u16, rows: u16) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let status = Command::new("stty")
            .args(["-F", &self.device, "cols", &columns, "rows", &rows])
            .status();
        assert!(status.unwrap().success(), "stty -F {}", self.device);
    }

    /// Waits until a text is on the screen.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        self.running.wait_for(text, 20);
    }

    /// Whether a text is on the screen within a second.
    pub fn shows(&self, text: &str) -> bool {
        look_for(1, || self.running.stdout().contains(text).then_some(())).is_some()
    }

    /// Waits for the command's end, and returns its exit code.
    #[track_caller]
    pub fn end(mut self) -> i32 {
        self.running.end(20).code
    }
}

/// The word as sh(1) reads it back.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
