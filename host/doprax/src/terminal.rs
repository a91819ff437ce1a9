//! The terminal that a command was called from: its size, and its raw mode, which is
//! undone on every way out.

use doprax_api::wire::TerminalSize;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::io;
use std::os::fd::AsFd as _;

/// The terminal's size; 80 × 24 where it does not say.
pub(crate) fn size() -> TerminalSize {
    match tcgetwinsize(io::stdout().as_fd()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => TerminalSize {
            columns: size.ws_col,
            rows: size.ws_row,
        },
        _ => TerminalSize {
            columns: 80,
            rows: 24,
        },
    }
}

/// A terminal in another mode than it was; dropping it restores the mode, also when
/// the program panics.
pub(crate) struct Mode {
    before: Termios,
}

impl Mode {
    /// Every key goes to the program as it is pressed, Ctrl-C included.
    pub(crate) fn raw() -> io::Result<Self> {
        Self::change(Termios::make_raw)
    }

    /// What is typed is not shown.
    pub(crate) fn silent() -> io::Result<Self> {
        Self::change(|modes| {
            modes.local_modes.remove(LocalModes::ECHO);
            modes.local_modes.insert(LocalModes::ECHONL);
        })
    }

    fn change(change: impl FnOnce(&mut Termios)) -> io::Result<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(stdin.as_fd())?;
        let mut modes = before.clone();
        change(&mut modes);
        tcsetattr(stdin.as_fd(), OptionalActions::Now, &modes)?;
        Ok(Self { before })
    }
}

impl Drop for Mode {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing restored.
        let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Drain, &self.before);
    }
}
