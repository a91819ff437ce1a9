//! Why something failed, in words, and what to do about it: from what an engine, a kernel
//! or a program said, which names the symptom. Pure; where nothing better is known than
//! what was said, there is no [`Cause`].

mod build;
mod end;
mod listening;
mod program;

pub use build::of_build;
pub use end::{Ended, of_end};
pub use listening::{listening, of_silence};
pub use program::Program;

/// Longest `NAME=value` that Linux takes, in bytes, without the zero behind it
/// (`MAX_ARG_STRLEN`, execve(2)).
pub const MAX_VARIABLE: usize = (128 << 10) - 1;

/// Why something failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// What is the matter, as a sentence without its full stop.
    pub text: String,
    /// What to do about it.
    pub help: String,
}

impl Cause {
    fn new(text: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            help: help.into(),
        }
    }
}

/// What is the matter where there is no room left, whoever says so.
fn of_full_disk(message: &str) -> Option<Cause> {
    message.contains("no space left on device").then(|| {
        Cause::new(
            "the engine's disk is full",
            "`docker system df` shows what takes the room, `docker builder prune` frees what old builds left",
        )
    })
}

/// Why the engine refused to create or start a container, apart from its program, of which
/// [`of_end`] knows more.
pub fn of_refusal(message: &str) -> Option<Cause> {
    let is_file_under_volume = message.contains("is not directory")
        || message.contains("Are you trying to mount a directory onto a file");
    if is_file_under_volume {
        return Some(Cause::new(
            "a volume is mounted where its image has a file, and a volume is a folder",
            "mount the folder that the file is in, or a folder of its own",
        ));
    }
    of_full_disk(message)
}
