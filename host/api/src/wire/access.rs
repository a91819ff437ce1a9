//! Requests for apps, as the ingress saw them.

use doprax_reconcile::AccessRecord;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::UNIX_EPOCH;

/// A request and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Unix time in milliseconds at which its head had arrived.
    pub time_ms: u64,
    /// The app it was for, if one has that host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The host it was for.
    pub host: String,
    /// The method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// `HTTP/1.1`, `HTTP/2.0`.
    pub protocol: String,
    /// Whether it came by HTTPS.
    pub secure: bool,
    /// The status of the response; absent if the client was gone before.
    pub status: Option<u16>,
    /// Bytes of the response's body that were sent.
    pub bytes: u64,
    /// From its head to the end of the response, in microseconds.
    pub duration_us: u64,
    /// The client's address.
    pub client: IpAddr,
    /// The id on the page, if the ingress answered itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl From<&AccessRecord> for Access {
    fn from(record: &AccessRecord) -> Self {
        let since = record.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            time_ms: since.as_millis() as u64,
            app: record.app.as_ref().map(ToString::to_string),
            host: record.host.clone(),
            method: record.method.clone(),
            path: record.path.clone(),
            protocol: record.protocol.to_owned(),
            secure: record.secure,
            status: record.status,
            bytes: record.bytes,
            duration_us: record.duration.as_micros() as u64,
            client: record.client,
            request_id: record.request_id.clone(),
            error: record.error.clone(),
        }
    }
}
