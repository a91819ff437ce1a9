//! Runs the program that manages TXT records.

use crate::Error;
use crate::policy::Hook;
use std::convert::Infallible;
use std::io;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{ChildStderr, Command};

/// How much of the end of its standard error is told.
const MOST_TOLD: usize = 500;

/// How long its last words are waited for when it has ended.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// Runs the hook; `action` is `present` or `cleanup`.
pub(crate) async fn run(
    hook: &Hook,
    action: &'static str,
    name: &str,
    value: &str,
) -> Result<(), Error> {
    let ended = tokio::time::timeout(hook.timeout, end(hook, action, name, value));
    let result = ended.await.unwrap_or_else(|_| {
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("ended after {} s", hook.timeout.as_secs()),
        ))
    });
    result.map_err(|source| Error::Hook {
        program: hook.program.clone(),
        action,
        name: name.to_owned(),
        source,
    })
}

/// Dropping this kills the program.
async fn end(hook: &Hook, action: &str, name: &str, value: &str) -> io::Result<()> {
    let mut child = Command::new(&hook.program)
        .args(&hook.arguments)
        .args([action, name, value])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut said = Vec::new();
    let status = match child.stderr.take() {
        Some(mut stderr) => {
            let status = tokio::select! {
                status = child.wait() => status,
                never = listen(&mut stderr, &mut said) => match never {},
            };
            // The last of it; something that the program has left behind may keep the
            // pipe open.
            let rest = tokio::time::timeout(LAST_WORDS, listen(&mut stderr, &mut said));
            let _ = rest.await;
            status?
        }
        None => child.wait().await?,
    };
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said);
    Err(io::Error::other(format!("{status}: {}", said.trim())))
}

/// Reads for ever, so that the program never waits for a reader; keeps the end.
async fn listen(from: &mut ChildStderr, said: &mut Vec<u8>) -> Infallible {
    let mut buffer = [0; 1024];
    loop {
        match from.read(&mut buffer).await {
            Ok(length @ 1..) => {
                said.extend_from_slice(&buffer[..length]);
                said.drain(..said.len().saturating_sub(MOST_TOLD));
            }
            Ok(0) | Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(script: &str, timeout: Duration) -> Hook {
        Hook {
            program: "sh".to_owned(),
            arguments: ["-c", script, "hook"].map(str::to_owned).to_vec(),
            timeout,
        }
    }

    #[tokio::test]
    async fn gets_its_arguments_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("called");
        let script = format!("printf '%s|' \"$@\" >{}", file.display());
        let minute = Duration::from_secs(60);
        run(
            &hook(&script, minute),
            "present",
            "_acme-challenge.a.test",
            "a b;$(id)",
        )
        .await
        .unwrap();
        assert_eq!(
            std::fs::read_to_string(file).unwrap(),
            "present|_acme-challenge.a.test|a b;$(id)|"
        );
    }

    #[tokio::test]
    async fn a_failure_tells_what_the_program_said() {
        let hook = hook("echo no such zone >&2; exit 3", Duration::from_secs(60));
        let error = run(&hook, "cleanup", "a.test", "x").await.unwrap_err();
        assert_eq!(
            error.in_full(),
            "the DNS hook sh cleanup failed for a.test: exit status: 3: no such zone"
        );
    }

    #[tokio::test]
    async fn may_say_much_and_leave_something_behind() {
        let script = "sleep 20 & head -c 1000000 /dev/zero >&2; echo done >&2; exit 1";
        let hook = hook(script, Duration::from_secs(10));
        let error = run(&hook, "present", "a.test", "x").await.unwrap_err();
        assert!(error.in_full().ends_with("done"), "{}", error.in_full());
    }

    #[tokio::test]
    async fn is_ended_after_its_time() {
        let hook = hook("exec sleep 600", Duration::from_millis(50));
        let error = run(&hook, "present", "a.test", "x").await.unwrap_err();
        assert!(error.in_full().ends_with("ended after 0 s"), "{error}");
    }
}
