//! `doprax shell`: a command in a container, with a real terminal where there is one.
//!
//! Flow: the terminal goes raw, so that every key, Ctrl-C included, reaches the command;
//! keys go one way, output the other, and each change of the terminal's size follows.
//! Guarantees: the terminal is as before on every way out; the exit code is the command's.

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::terminal::{self, Mode};
use bytes::Bytes;
use doprax_api::client::{Client, ExecEvent, ExecReader, ExecWriter};
use doprax_api::wire::ExecRequest;
use doprax_core::name::{AppName, ServiceName};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// Run a command in a container: a shell, if none is given
///
/// On a terminal it is a real one: size, colours and keys work. In a pipe, standard input,
/// output and error are those of the command. The exit code is the command's.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax shell shop                        a shell in main
  doprax shell shop mysql                  a shell in the service mysql
  doprax shell shop -- python manage.py migrate
  doprax shell shop mysql -- mysqldump shop > shop.sql
  tar c files | doprax shell shop -- tar x -C /data")]
pub(crate) struct Shell {
    /// The app's name
    app: AppName,
    /// One of its containers: main or a service
    #[arg(default_value = "main")]
    container: ServiceName,
    /// The command and its arguments, after `--`
    #[arg(last = true)]
    command: Vec<String>,
}

impl Shell {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let client = context.client()?;
        let interactive = io::stdin().is_terminal() && io::stdout().is_terminal();
        let command = if self.command.is_empty() {
            vec![self.find_shell(&client).await?]
        } else {
            self.command.clone()
        };
        let term = std::env::var("TERM")
            .ok()
            .filter(|term| interactive && !term.is_empty());
        let request = ExecRequest {
            container: self.container.clone(),
            command,
            env: term
                .map(|term| ("TERM".to_owned(), term))
                .into_iter()
                .collect(),
            terminal: interactive.then(terminal::size),
            stdin: true,
        };
        let (writer, reader) = client.exec(&self.app, &request).await?;
        let code = attach(writer, reader, interactive).await?;
        if code == 0 {
            Ok(())
        } else {
            Err(Failure::Silent(u8::try_from(code).unwrap_or(1)))
        }
    }

    /// `bash` where the container has it, else `sh`. Tried, not looked up, because where
    /// programs are is the container's business.
    async fn find_shell(&self, client: &Client) -> Result<String> {
        let request = ExecRequest {
            container: self.container.clone(),
            command: vec!["bash".to_owned(), "--version".to_owned()],
            env: Vec::new(),
            terminal: None,
            stdin: false,
        };
        // A command that cannot be started is refused or ends with 126 or 127, as the
        // engine's version has it.
        let Ok((_writer, mut reader)) = client.exec(&self.app, &request).await else {
            return Ok("sh".to_owned());
        };
        loop {
            match reader.next().await {
                Ok(ExecEvent::Exit(0)) => return Ok("bash".to_owned()),
                Ok(ExecEvent::Exit(_)) | Err(_) => return Ok("sh".to_owned()),
                Ok(_) => {}
            }
        }
    }
}

/// Connects the command with this program's own input and output until it ends; returns
/// its exit code.
async fn attach(writer: ExecWriter, mut reader: ExecReader, interactive: bool) -> Result<i64> {
    let cannot_watch = |error: io::Error| Failure::new("cannot watch for signals").because(&error);
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot_watch)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(cannot_watch)?;
    // A command that cannot be started must not have taken a key.
    while !matches!(reader.next().await?, ExecEvent::Started) {}
    let _raw = match interactive {
        true => Some(
            Mode::raw()
                .map_err(|error| Failure::new("cannot set up the terminal").because(&error))?,
        ),
        false => None,
    };
    let resized = signal(SignalKind::window_change()).map_err(cannot_watch)?;
    // Apart from the output, because sending waits while the command does not read,
    // and a command may not read before what it printed is taken.
    tokio::spawn(send_input(writer, interactive.then_some(resized)));
    loop {
        tokio::select! {
            event = reader.next() => match event? {
                ExecEvent::Output { stderr, bytes } => print(stderr, &bytes)?,
                ExecEvent::Exit(code) => return Ok(code),
                ExecEvent::Started => {}
            },
            _ = terminate.recv() => return Ok(128 + 15),
            _ = hang_up.recv() => return Ok(128 + 1),
        }
    }
}

/// Hands on standard input and changes of the terminal's size. Ends when the connection
/// does; why is seen where output is read.
async fn send_input(mut writer: ExecWriter, mut resized: Option<Signal>) {
    let mut input = read_input();
    let mut connected = true;
    loop {
        let size_changed = async {
            match &mut resized {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        let sent = tokio::select! {
            piece = input.recv(), if connected => match piece {
                Some(bytes) => writer.write(bytes).await,
                None => {
                    connected = false;
                    writer.end().await
                }
            },
            _ = size_changed => writer.resize(terminal::size()).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Pieces of standard input, read by a thread of its own: a terminal cannot be waited
/// for in another way without changing its mode for everyone who shares it.
fn read_input() -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 32 << 10];
        let mut stdin = io::stdin().lock();
        loop {
            match stdin.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => {
                    if sender
                        .blocking_send(Bytes::copy_from_slice(&buffer[..length]))
                        .is_err()
                    {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    });
    receiver
}

fn print(stderr: bool, bytes: &[u8]) -> Result<()> {
    if stderr {
        let mut error = io::stderr().lock();
        error.write_all(bytes)?;
        error.flush()?;
    } else {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()?;
    }
    Ok(())
}
