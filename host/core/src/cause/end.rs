//! Why a container's process ended, or never began.

use super::program::no_shebang;
use super::{Cause, MAX_VARIABLE, Program, of_refusal};
use crate::unit::format_bytes;

/// What is known of a process that ended, or that the engine could not start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ended<'a> {
    /// Its exit code, if it ran at all.
    pub exit_code: Option<i64>,
    /// Whether the kernel ended it for want of memory.
    pub out_of_memory: bool,
    /// Its memory limit in bytes.
    pub memory_limit: Option<u64>,
    /// How many times it was started again.
    pub restarts: u32,
    /// The last lines that it printed.
    pub log: &'a [String],
    /// What the engine said where it could not start it.
    pub refusal: Option<&'a str>,
    /// Path of its program as the engine knows it, and what is found there.
    pub program: Option<(&'a str, &'a Program)>,
    /// The processor of the machine, by Rust's name for it.
    pub architecture: &'a str,
    /// Its largest variable: the name, and the bytes of name, `=` and value.
    pub largest_variable: Option<(&'a str, usize)>,
    /// Whether an older copy with the same volume runs beside it.
    pub is_beside_old: bool,
}

/// Why the process ended.
pub fn of_end(ended: &Ended<'_>) -> Option<Cause> {
    if ended.out_of_memory {
        return Some(out_of_memory(ended.memory_limit));
    }
    let lines = || {
        ended
            .refusal
            .into_iter()
            .chain(ended.log.iter().rev().map(String::as_str))
    };
    lines()
        .find_map(|line| of_start(line, ended))
        .or_else(|| ended.refusal.and_then(of_refusal))
        .or_else(|| lines().find_map(|line| of_shell(line, ended)))
        .or_else(|| lines().find_map(|line| of_lock(line, ended)))
        .or_else(|| of_code(ended))
}

fn out_of_memory(limit: Option<u64>) -> Cause {
    match limit {
        Some(limit) => {
            let limit = format_bytes(limit);
            let (number, unit) = limit.split_at(limit.find(char::is_alphabetic).unwrap_or(0));
            Cause::new(
                format!("out of memory: its limit is {number} {unit}"),
                "give it more (`resources: { memory: … }` in doprax.yaml), or have it use less: fewer workers, smaller caches",
            )
        }
        None => Cause::new(
            "out of memory: the machine had none left",
            "give the greedy a limit (`resources: { memory: … }` in doprax.yaml), or the machine more memory or swap",
        ),
    }
}

/// What a line says that the kernel, runc or the container's init printed about the
/// program itself.
fn of_start(line: &str, ended: &Ended<'_>) -> Option<Cause> {
    let lower = line.to_ascii_lowercase();
    let is_about_start = lower.contains("exec ") || lower.contains("exec: ");
    if !is_about_start {
        return None;
    }
    let (path, program) = match ended.program {
        Some((path, program)) => (path.to_owned(), Some(program)),
        None => (program_in(line)?, None),
    };
    if lower.contains("argument list too long") {
        return Some(too_long(ended.largest_variable));
    }
    if lower.contains("exec format error") {
        let known = program.and_then(|program| program.bad_format(&path, ended.architecture));
        return Some(known.unwrap_or_else(|| no_shebang(&path)));
    }
    if lower.contains("permission denied") {
        return Some(not_executable(&path, program));
    }
    let is_missing =
        lower.contains("no such file or directory") || lower.contains("executable file not found");
    is_missing.then(|| {
        let known = program.and_then(|program| program.not_found(&path));
        known.unwrap_or_else(|| missing(&path))
    })
}

fn missing(path: &str) -> Cause {
    let text = match path.contains('/') {
        true => format!("the image has no {path}"),
        false => format!("the image has no program {path} in its PATH"),
    };
    Cause::new(
        text,
        "correct CMD or ENTRYPOINT in the Dockerfile (or `command`), or install or COPY what they name; what is on your machine is not in the image",
    )
}

fn not_executable(path: &str, program: Option<&Program>) -> Cause {
    if program == Some(&Program::Folder) {
        return Cause::new(
            format!("{path} is a folder, not a program"),
            "name the program in it in CMD or ENTRYPOINT",
        );
    }
    Cause::new(
        format!("{path} may not be executed"),
        "make it executable: `chmod +x` in the source, or `COPY --chmod=755` or `RUN chmod +x` in the Dockerfile",
    )
}

fn too_long(largest: Option<(&str, usize)>) -> Cause {
    let help = "put what is large into a file (`files:` in doprax.yaml) or a volume, and name its path in the variable";
    match largest {
        Some((name, bytes)) if bytes > MAX_VARIABLE => Cause::new(
            format!(
                "its variable {name} has {} KiB, and Linux takes no variable of 128 KiB",
                bytes >> 10
            ),
            help,
        ),
        Some((name, _)) => Cause::new(
            format!("its variables are larger together than Linux takes; {name} is the largest"),
            help,
        ),
        None => Cause::new(
            "its command and variables are larger than Linux takes",
            help,
        ),
    }
}

/// The program that a line names: `exec /x: …`, `exec: "/x": …`, `exec /x failed: …`.
fn program_in(line: &str) -> Option<String> {
    let after = |word: &str| line.find(word).map(|at| at + word.len());
    let at = after("exec: ").or_else(|| after("exec "))?;
    let rest = line[at..].trim_start();
    let name = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => rest.split([':', ' ']).next()?,
    };
    // Older runtimes name no program: `exec user process caused: …`.
    (!matches!(name, "" | "user")).then(|| name.to_owned())
}

/// What a shell says of a command that it does not find: `sh: 1: x: not found`,
/// `bash: x: command not found`.
fn of_shell(line: &str, ended: &Ended<'_>) -> Option<Cause> {
    if ended.exit_code != Some(127) {
        return None;
    }
    let line = line.trim_end();
    let before = line
        .strip_suffix(": not found")
        .or_else(|| line.strip_suffix(": command not found"))?;
    let name = before.rsplit(": ").next()?;
    if let Some((path, program)) = ended.program
        && name.contains("ELF")
        && let Some(cause) = program.bad_format(path, ended.architecture)
    {
        return Some(cause);
    }
    if let Some(plain) = name.strip_suffix('\r') {
        return Some(Cause::new(
            format!(
                "a script has Windows line ends (CRLF), so the shell looks for {plain} with a carriage return in its name"
            ),
            "save it with Unix line ends (`sed -i 's/\\r$//' FILE`); where Git makes them, `*.sh text eol=lf` in .gitattributes keeps it so",
        ));
    }
    Some(missing(name))
}

/// Programs say in many ways that another one has what they want for themselves.
fn of_lock(line: &str, ended: &Ended<'_>) -> Option<Cause> {
    if !ended.is_beside_old {
        return None;
    }
    let lower = line.to_ascii_lowercase();
    let says = [
        "lock",
        "resource temporarily unavailable",
        "already running",
        "another process",
        "another instance",
        "in use by",
    ];
    // "block", "clock" and "deadlock" speak of something else.
    let is_lock = |phrase: &&str| match *phrase {
        "lock" => lower
            .split(|c: char| !c.is_ascii_alphanumeric())
            .any(|word| matches!(word, "lock" | "locked" | "lockfile" | "unlock" | "locking")),
        phrase => lower.contains(phrase),
    };
    says.iter().any(is_lock).then(|| {
        Cause::new(
            "it finds its data locked, and the copy that still serves has the same volume",
            "where two copies must not run at the same time, write `strategy: recreate` under main in doprax.yaml: the old one then ends first",
        )
    })
}

/// What the exit code alone says (signal(7); 128 and the signal's number).
fn of_code(ended: &Ended<'_>) -> Option<Cause> {
    let (text, help) = match ended.exit_code? {
        0 if ended.restarts > 1 => (
            "it ends by itself, without an error (exit code 0), each time it is started",
            "a container lives as long as its command: run the server in the foreground, without `&` and without daemon mode",
        ),
        126 => (
            "its command may not be executed (exit code 126)",
            "make it executable: `chmod +x` in the source, or `RUN chmod +x` in the Dockerfile",
        ),
        127 => (
            "its command is not in the image (exit code 127)",
            "correct CMD or ENTRYPOINT in the Dockerfile, or install what they name",
        ),
        132 => (
            "it uses instructions that this machine's processor lacks (exit code 132, SIGILL)",
            "use a version that was built for older processors",
        ),
        134 => (
            "it aborted itself (exit code 134, SIGABRT)",
            "the log says why, if anything does",
        ),
        137 => (
            "it was killed (exit code 137, SIGKILL)",
            "where nobody did so by hand, memory ran out: `dmesg` on the host's machine tells, `resources: { memory: … }` in doprax.yaml sets a limit",
        ),
        139 => (
            "it crashed (exit code 139, SIGSEGV)",
            "the program or a library in it has a fault; try another version of the base image",
        ),
        _ => return None,
    };
    Some(Cause::new(text, help))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text and remedy that belong to what is known, where they are to contain these.
    #[track_caller]
    fn check(ended: &Ended<'_>, text: &str, help: &str) {
        let cause = of_end(ended).unwrap_or_else(|| panic!("nothing for {ended:?}"));
        assert!(cause.text.contains(text), "{text:?} in {cause:?}");
        assert!(cause.help.contains(help), "{help:?} in {cause:?}");
    }

    fn file(head: &[u8]) -> Program {
        Program::File {
            head: head.to_vec(),
        }
    }

    #[test]
    fn a_program_that_cannot_run_is_told_by_what_it_is() {
        let mut arm = b"\x7fELF\x02\x01\x01".to_vec();
        arm.resize(18, 0);
        arm.extend([183, 0]);
        let gone = "no such file or directory";
        let runc = |rest: &str| {
            format!(
                "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: {rest}: unknown"
            )
        };
        // What was said, the program's path, what is there, text, remedy.
        let cases = [
            (
                format!("exec /start.sh: {gone}"),
                file(b"#!/bin/sh\r\nx"),
                "Windows line ends",
                "sed -i",
            ),
            (
                "[FATAL tini (7)] exec /start.sh failed: No such file or directory".to_owned(),
                file(b"#!/bin/sh\r\n"),
                "CRLF",
                "eol=lf",
            ),
            (
                "standard_init_linux.go:228: exec user process caused: no such file or directory"
                    .to_owned(),
                file(b"#!/bin/sh\r\n"),
                "CRLF",
                "eol=lf",
            ),
            (
                format!("exec /start.sh: {gone}"),
                file(b"#! /bin/bash -e\n"),
                "run by /bin/bash, which the image",
                "#!/bin/sh",
            ),
            (
                format!("exec /start.sh: {gone}"),
                file(b"\x7fELF\x02"),
                "loader",
                "statically",
            ),
            (
                runc("\"/start.sh\": stat /start.sh: no such file or directory"),
                Program::Missing,
                "the image has no /start.sh",
                "COPY",
            ),
            (
                "exec /start.sh: exec format error".to_owned(),
                file(b"echo hi\n"),
                "exec format error",
                "#!/bin/sh",
            ),
            (
                "exec /start.sh: exec format error".to_owned(),
                file(b"\xef\xbb\xbf#!/bin/sh\n"),
                "byte order mark",
                "without BOM",
            ),
            (
                "exec /start.sh: exec format error".to_owned(),
                file(&arm),
                "aarch64, and this machine is x86_64",
                "--platform=linux/amd64",
            ),
            (
                runc("\"/start.sh\": permission denied"),
                file(b"#!/bin/sh\n"),
                "may not be executed",
                "chmod +x",
            ),
            (
                runc("\"/start.sh\": permission denied"),
                Program::Folder,
                "is a folder",
                "program in it",
            ),
        ];
        for (said, program, text, help) in &cases {
            let log = [said.clone()];
            let program = Some(("/start.sh", program));
            let architecture = "x86_64";
            check(
                &Ended {
                    log: &log,
                    program,
                    architecture,
                    exit_code: Some(1),
                    ..Ended::default()
                },
                text,
                help,
            );
            check(
                &Ended {
                    refusal: Some(said),
                    program,
                    architecture,
                    ..Ended::default()
                },
                text,
                help,
            );
        }
    }

    #[test]
    fn what_was_printed_tells_where_nothing_else_does() {
        let cases = [
            (
                "OCI runtime create failed: exec: \"nosuch\": executable file not found in $PATH: unknown",
                1,
                "no program nosuch in its PATH",
                "CMD",
            ),
            (
                "sh: 1: nosuch: not found",
                127,
                "no program nosuch",
                "ENTRYPOINT",
            ),
            (
                "/start.sh: line 2: gunicorn: command not found",
                127,
                "gunicorn",
                "install",
            ),
            (
                "/start.sh: 2: npm\r: not found",
                127,
                "Windows line ends",
                "eol=lf",
            ),
            (
                "exec /x: exec format error",
                1,
                "/x is neither",
                "#!/bin/sh",
            ),
        ];
        for (line, code, text, help) in cases {
            let log = ["before".to_owned(), line.to_owned()];
            check(
                &Ended {
                    log: &log,
                    exit_code: Some(code),
                    ..Ended::default()
                },
                text,
                help,
            );
        }
    }

    #[test]
    fn an_end_is_told_by_memory_code_and_limits() {
        let memory = Ended {
            exit_code: Some(137),
            out_of_memory: true,
            memory_limit: Some(64 << 20),
            ..Ended::default()
        };
        check(
            &memory,
            "out of memory: its limit is 64 MiB",
            "resources: { memory",
        );
        check(
            &Ended {
                memory_limit: None,
                ..memory
            },
            "the machine had none",
            "limit",
        );
        let code = |exit_code, restarts| Ended {
            exit_code: Some(exit_code),
            restarts,
            ..Ended::default()
        };
        check(&code(137, 0), "killed", "dmesg");
        check(&code(0, 3), "exit code 0", "foreground");
        check(&code(132, 0), "SIGILL", "older processors");
        assert_eq!(of_end(&code(1, 5)), None);
        assert_eq!(of_end(&code(0, 0)), None);
        let log = ["exec /sbin/docker-init: argument list too long".to_owned()];
        let too_long = |largest_variable| Ended {
            log: &log,
            exit_code: Some(1),
            largest_variable,
            ..Ended::default()
        };
        check(
            &too_long(Some(("BIG", 140_000))),
            "variable BIG has 136 KiB",
            "files:",
        );
        check(&too_long(Some(("A", 9_000))), "A is the largest", "files:");
    }

    #[test]
    fn a_lock_is_the_old_copys_only_where_one_is_there() {
        let held = [
            "could not obtain lock on /data/app.db",
            "sqlite3.OperationalError: database is locked",
            "FATAL: lock file \"postmaster.pid\" already exists",
            "panic: resource temporarily unavailable",
            "another instance is already running",
        ];
        for line in held {
            let log = [line.to_owned()];
            let ended = Ended {
                log: &log,
                exit_code: Some(1),
                is_beside_old: true,
                ..Ended::default()
            };
            check(&ended, "locked", "strategy: recreate");
            assert_eq!(
                of_end(&Ended {
                    is_beside_old: false,
                    ..ended
                }),
                None
            );
        }
        let log = ["clock skew in block 7".to_owned()];
        let other = Ended {
            log: &log,
            exit_code: Some(1),
            is_beside_old: true,
            ..Ended::default()
        };
        assert_eq!(of_end(&other), None);
    }
}
