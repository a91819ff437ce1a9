//! Runs programs by argument vectors.

use super::{Error, Progress};
use std::collections::VecDeque;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// Lines of output that an error keeps.
const KEPT_LINES: usize = 15;

/// Runs `command` to its end; everything it prints is progress.
pub(super) fn run(
    action: &'static str,
    command: &mut Command,
    progress: Progress<'_>,
) -> Result<(), Error> {
    run_with(action, command, Stdio::null(), progress)
}

/// Runs `to` with the output of `from` as its input; what `to` prints is progress.
pub(super) fn pipe(
    action: &'static str,
    from: &mut Command,
    to: &mut Command,
    progress: Progress<'_>,
) -> Result<(), Error> {
    let program = name(from);
    let not_run = |source| Error::NotRun {
        action,
        program: program.clone(),
        source,
    };
    let mut source = from
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(not_run)?;
    let input = source.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let result = run_with(action, to, input, progress);
    let status = source.wait().map_err(not_run)?;
    result?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::Failed {
            action,
            program,
            output: Vec::new(),
        })
    }
}

/// Runs `command` silently and tells whether it succeeded.
pub(super) fn succeeds(command: &mut Command) -> bool {
    let command = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Whether a program of this name is installed, `sbin` folders included, which are
/// not in everybody's `PATH`.
pub(super) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path);
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"]
        .into_iter()
        .map(Into::into);
    folders
        .chain(system)
        .any(|folder| Path::new(&folder).join(program).is_file())
}

fn run_with(
    action: &'static str,
    command: &mut Command,
    input: Stdio,
    progress: Progress<'_>,
) -> Result<(), Error> {
    let program = name(command);
    let not_run = |source| Error::NotRun {
        action,
        program: program.clone(),
        source,
    };
    let (reader, writer) = io::pipe().map_err(not_run)?;
    let errors = writer.try_clone().map_err(not_run)?;
    let spawned = command.stdin(input).stdout(writer).stderr(errors).spawn();
    // The builder holds writing ends of the pipe, and its reader waits for the last one.
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = spawned.map_err(not_run)?;
    let output = follow(BufReader::new(reader), progress);
    let status = child.wait().map_err(not_run)?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::Failed {
            action,
            program,
            output,
        })
    }
}

/// Passes lines on until the writers are gone, and returns the last of them.
fn follow(mut reader: BufReader<io::PipeReader>, progress: Progress<'_>) -> Vec<String> {
    let mut last = VecDeque::new();
    let mut line = Vec::new();
    while reader
        .read_until(b'\n', &mut line)
        .is_ok_and(|length| length > 0)
    {
        // Of a line that was overwritten again and again, what was seen last.
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end().rsplit('\r').next().unwrap_or_default();
        let text = text.to_owned();
        line.clear();
        if text.is_empty() {
            continue;
        }
        progress(&text);
        if last.len() == KEPT_LINES {
            last.pop_front();
        }
        last.push_back(text);
    }
    last.into()
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn lines_of_both_outputs_are_progress_and_the_last_are_in_the_error() {
        let lines = RefCell::new(Vec::new());
        let error = run(
            "try",
            Command::new("sh").args(["-c", "printf '5%%\\r10%%\\rone\\n'; echo two >&2; exit 3"]),
            &|line| lines.borrow_mut().push(line.to_owned()),
        )
        .unwrap_err();
        assert_eq!(*lines.borrow(), ["one", "two"]);
        assert_eq!(error.to_string(), "sh failed to try");
        assert_eq!(error.output(), ["one", "two"]);
    }

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let error = run("try", &mut Command::new("debootstrap-is-not-here"), &|_| {}).unwrap_err();
        assert!(
            error
                .remedy()
                .contains("`apt-get install debootstrap-is-not-here`")
        );
    }

    #[test]
    fn a_pipe_fails_if_either_side_does() {
        let quiet: Progress<'_> = &|_| {};
        let sh = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let both = |from: &str, to: &str| pipe("try", &mut sh(from), &mut sh(to), quiet);
        assert!(both("echo hi", "read word; test \"$word\" = hi").is_ok());
        assert!(both("echo hi; exit 1", "cat").is_err());
        assert!(both("echo hi", "cat >/dev/null; exit 1").is_err());
    }
}
