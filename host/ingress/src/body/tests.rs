//! The body of a request that a client sends by HTTP/2, in memory.

use super::*;
use crate::access::Records;
use crate::account::{Account, Ledger};
use crate::http2::Streams;
use crate::metrics::Counters;
use bytes::Bytes;
use h2::SendStream;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use std::sync::Arc;
use std::time::Duration;

/// Room for all that is sent here.
const WINDOW: u32 = 1024 * 1024;

/// What a client sends of a body, and what has to send it on.
pub(crate) struct Sent {
    pub(crate) client: SendStream<Bytes>,
    pub(crate) body: RequestBody,
    pub(crate) counters: Counters,
}

impl Sent {
    /// A body of which the client says that it has so many bytes, if it says that. It breaks
    /// off if nothing comes for `limit`.
    pub(crate) async fn new(length: Option<u64>, limit: Duration) -> Self {
        let (client, server) = tokio::io::duplex(WINDOW as usize);
        let server = tokio::spawn(async move {
            let mut builder = h2::server::Builder::new();
            builder
                .initial_window_size(WINDOW)
                .initial_connection_window_size(WINDOW);
            builder.handshake::<_, Bytes>(server).await.unwrap()
        });
        let (mut sender, connection) = h2::client::handshake(client).await.unwrap();
        tokio::spawn(connection);
        let mut server = server.await.unwrap();
        let asked = Request::post("http://shop.localhost/").body(()).unwrap();
        let (response, client) = sender.send_request(asked, false).unwrap();
        let (request, respond) = server.accept().await.unwrap().unwrap();
        tokio::spawn(async move {
            let _open = (sender, response, respond);
            while server.accept().await.is_some() {}
        });
        let known = Streams::new(limit).open(1).known().clone();
        let incoming = Incoming::http2(request.into_body(), length, None, known);
        let counters = Counters::new(1);
        let records = Arc::new(Records::new(None));
        let ledger = Arc::new(Ledger::new(0, Arc::clone(counters.of(0)), records));
        let account = Account::new(&ledger, None);
        Self {
            client,
            body: RequestBody::new(incoming, Some(limit), &account),
            counters,
        }
    }

    /// The client sends so many bytes.
    pub(crate) fn send(&mut self, bytes: usize) {
        let data = Bytes::from(vec![b'x'; bytes]);
        self.client.send_data(data, false).unwrap();
    }

    /// The client has sent all, with trailers or without.
    pub(crate) fn end(&mut self, trailers: bool) {
        if trailers {
            self.client.send_trailers(trailer()).unwrap();
        } else {
            self.client.send_data(Bytes::new(), true).unwrap();
        }
    }
}

/// The trailers that it sends.
pub(crate) fn trailer() -> HeaderMap {
    let digest = HeaderName::from_static("digest");
    HeaderMap::from_iter([(digest, HeaderValue::from_static("abc"))])
}
