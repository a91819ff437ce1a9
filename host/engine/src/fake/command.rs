//! Commands in containers of the engine in memory: the few that tests run.

use crate::{Exec, ExecSession, Output};
use bytes::Bytes;
use futures_util::StreamExt as _;
use std::collections::BTreeMap;
use tokio::io::AsyncReadExt as _;

/// A command that is about to run.
pub(super) struct Command {
    exec: Exec,
    env: BTreeMap<String, String>,
    files: BTreeMap<String, Vec<u8>>,
    gets_ready: bool,
}

/// What a command leaves.
struct Ended {
    code: i64,
    stderr: bool,
    text: Vec<u8>,
}

impl Command {
    pub(super) fn new(
        exec: &Exec,
        mut env: BTreeMap<String, String>,
        files: BTreeMap<String, Vec<u8>>,
        gets_ready: bool,
    ) -> Self {
        env.extend(exec.env.iter().cloned());
        Self {
            exec: exec.clone(),
            env,
            files,
            gets_ready,
        }
    }

    /// Runs it. `ended` gets the exit code before the output ends.
    pub(super) fn start(self, id: String, ended: impl FnOnce(i64) + Send + 'static) -> ExecSession {
        let (input, mut stdin) = tokio::io::duplex(1 << 16);
        let output = futures_util::stream::once(async move {
            let mut read = Vec::new();
            if self.exec.stdin {
                // Its own writer never fails.
                let _ = stdin.read_to_end(&mut read).await;
            }
            let left = self.run(read);
            ended(left.code);
            let bytes = match self.exec.terminal {
                Some(_) => String::from_utf8_lossy(&left.text)
                    .replace('\n', "\r\n")
                    .into_bytes(),
                None => left.text,
            };
            Ok(Output {
                stderr: left.stderr,
                bytes: Bytes::from(bytes),
            })
        })
        .filter(|piece| {
            let is_empty = matches!(piece, Ok(piece) if piece.bytes.is_empty());
            std::future::ready(!is_empty)
        });
        ExecSession {
            id,
            output: output.boxed(),
            input: Box::pin(input),
        }
    }

    fn run(&self, input: Vec<u8>) -> Ended {
        let words: Vec<&str> = self.exec.command.iter().map(String::as_str).collect();
        let ended = |code, text: Vec<u8>| Ended {
            code,
            stderr: code != 0,
            text,
        };
        match words.as_slice() {
            ["true"] => ended(0, Vec::new()),
            ["false"] => ended(1, Vec::new()),
            ["cat"] => ended(0, input),
            ["cat", path] => match self.files.get(*path) {
                Some(bytes) => ended(0, bytes.clone()),
                None => ended(
                    1,
                    format!("cat: {path}: No such file or directory\n").into(),
                ),
            },
            ["echo", words @ ..] => ended(0, format!("{}\n", words.join(" ")).into()),
            ["printenv", name] => match self.env.get(*name) {
                Some(value) => ended(0, format!("{value}\n").into()),
                None => ended(1, Vec::new()),
            },
            // Anything else asks whether the service serves.
            _ if self.gets_ready => ended(0, Vec::new()),
            _ => ended(1, b"not ready\n".to_vec()),
        }
    }
}
