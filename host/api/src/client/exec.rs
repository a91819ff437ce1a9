//! The client's side of a command in a container.

use super::{Client, ClientError, connect};
use crate::wire::{ExecInput, ExecOutput, ExecRequest, STDERR, TerminalSize};
use bytes::Bytes;
use doprax_core::name::AppName;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use http::{Request, StatusCode};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::{Error, Message};

type Socket = WebSocketStream<Box<dyn connect::Stream>>;

/// What comes from a running command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecEvent {
    /// It runs.
    Started,
    /// It printed something.
    Output {
        /// Whether by standard error.
        stderr: bool,
        /// What.
        bytes: Bytes,
    },
    /// It ended with this code; nothing comes after it.
    Exit(i64),
}

/// What goes to a running command.
pub struct ExecWriter {
    sender: SplitSink<Socket, Message>,
    client: Client,
}

/// What comes from a running command.
pub struct ExecReader {
    receiver: SplitStream<Socket>,
    client: Client,
}

pub(super) async fn start(
    client: &Client,
    app: &AppName,
    request: &ExecRequest,
) -> Result<(ExecWriter, ExecReader), ClientError> {
    let stream = connect::open(&client.address).await?;
    let authority = connect::authority(&client.address);
    let mut upgrade = Request::builder()
        .uri(format!("ws://{authority}/v1/apps/{app}/exec"))
        .header(http::header::HOST, authority)
        .header(http::header::CONNECTION, "Upgrade")
        .header(http::header::UPGRADE, "websocket")
        .header(http::header::SEC_WEBSOCKET_VERSION, "13")
        .header(http::header::SEC_WEBSOCKET_KEY, generate_key());
    if let Some(token) = &client.token {
        upgrade = upgrade.header(http::header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let upgrade = upgrade.body(()).map_err(|error| broken(client, error))?;
    let (socket, _) = tokio_tungstenite::client_async(upgrade, stream)
        .await
        .map_err(|error| refused(client, error))?;
    let (mut sender, receiver) = socket.split();
    let text = serde_json::to_string(request)
        .expect("wire types have only string keys, so they serialize");
    sender
        .send(Message::text(text))
        .await
        .map_err(|error| broken(client, error))?;
    Ok((
        ExecWriter {
            sender,
            client: client.clone(),
        },
        ExecReader {
            receiver,
            client: client.clone(),
        },
    ))
}

/// The host answers with its usual error where it does not upgrade.
fn refused(client: &Client, error: Error) -> ClientError {
    match error {
        Error::Http(answer) => {
            let (head, body) = answer.into_parts();
            client.refused(head.status, &head.headers, &body.unwrap_or_default())
        }
        error => broken(client, error),
    }
}

fn broken(client: &Client, error: impl std::error::Error + Send + Sync + 'static) -> ClientError {
    ClientError::Broken {
        address: client.address.clone(),
        source: Box::new(error),
    }
}

impl ExecWriter {
    /// Gives the command something to read.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), ClientError> {
        self.send(Message::Binary(bytes)).await
    }

    /// Ends what the command reads.
    pub async fn end(&mut self) -> Result<(), ClientError> {
        self.tell(ExecInput::Eof).await
    }

    /// Tells the size of the terminal.
    pub async fn resize(&mut self, size: TerminalSize) -> Result<(), ClientError> {
        self.tell(ExecInput::Resize(size)).await
    }

    async fn tell(&mut self, input: ExecInput) -> Result<(), ClientError> {
        let text = serde_json::to_string(&input)
            .expect("wire types have only string keys, so they serialize");
        self.send(Message::text(text)).await
    }

    async fn send(&mut self, message: Message) -> Result<(), ClientError> {
        self.sender
            .send(message)
            .await
            .map_err(|error| broken(&self.client, error))
    }
}

impl ExecReader {
    /// What comes next. Ends with [`ExecEvent::Exit`] or an error.
    pub async fn next(&mut self) -> Result<ExecEvent, ClientError> {
        loop {
            let message = match self.receiver.next().await {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Err(broken(&self.client, error)),
                None => {
                    return Err(broken(
                        &self.client,
                        std::io::Error::from(std::io::ErrorKind::UnexpectedEof),
                    ));
                }
            };
            match message {
                Message::Binary(frame) => {
                    let Some(stream) = frame.first() else {
                        continue;
                    };
                    return Ok(ExecEvent::Output {
                        stderr: *stream == STDERR,
                        bytes: frame.slice(1..),
                    });
                }
                Message::Text(text) => match serde_json::from_str(&text) {
                    Ok(ExecOutput::Started) => return Ok(ExecEvent::Started),
                    Ok(ExecOutput::Exit(code)) => return Ok(ExecEvent::Exit(code)),
                    Ok(ExecOutput::Failed(failure)) => {
                        let status = StatusCode::UNPROCESSABLE_ENTITY;
                        return Err(ClientError::Refused {
                            status,
                            failure: Box::new(failure),
                        });
                    }
                    Err(error) => return Err(self.client.not_understood(error)),
                },
                _ => {}
            }
        }
    }
}
