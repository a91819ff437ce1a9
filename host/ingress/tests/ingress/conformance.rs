//! The ingress under programs that others have written to load, test and scan servers.

mod curl;
mod h2load;
mod h2spec;
mod scanners;

use crate::pki::Authority;
use crate::required::required;
use crate::rig::{AnyBody, Fed, Origin, Rig, any, app, text};
use doprax_core::route::{HostOptions, Route};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use hyper::{HeaderMap, Request, Response};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;

/// A name that every resolver knows.
const NAME: &str = "localhost";

/// Longer than any of the programs may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// An ingress that serves one app by HTTP and HTTPS.
struct Site {
    rig: Rig,
    /// Of the programs that no distribution has.
    programs: PathBuf,
    /// Has what programs read and write, and the root certificate in `root.pem`.
    folder: TempDir,
    _origin: Origin,
}

impl Site {
    /// Starts one. Nothing, and a word about it, where `DOPRAX_TEST_CONFORMANCE` does not
    /// name the folder that `tests/conformance/tools` prints.
    async fn start() -> Option<Self> {
        let programs = required("DOPRAX_TEST_CONFORMANCE")?;
        let origin = Origin::new(answer).await;
        let rig = Rig::new(origin.target());
        let route = Route {
            options: HostOptions {
                keep_http: true,
                ..HostOptions::default()
            },
            ..Route::new(app(), origin.target())
        };
        rig.ingress.publish([(NAME.to_owned(), route)].into());
        let authority = Authority::new();
        let key = authority.issue(&[NAME]);
        rig.certificates.serve(NAME, &key);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("root.pem"), &authority.root_pem).unwrap();
        Some(Self {
            rig,
            programs: programs.into(),
            folder,
            _origin: origin,
        })
    }

    fn http(&self, path: &str) -> String {
        format!("http://{NAME}:{}{path}", self.rig.address.port())
    }

    fn https(&self, path: &str) -> String {
        format!("https://{NAME}:{}{path}", self.rig.https.port())
    }

    /// A file with so many bytes.
    fn file(&self, bytes: usize) -> PathBuf {
        let path = self.folder.path().join(format!("{bytes}-bytes"));
        std::fs::write(&path, vec![b'x'; bytes]).unwrap();
        path
    }
}

/// What the app answers: trailers, or how many bytes it was sent.
async fn answer(request: Request<Incoming>) -> Response<AnyBody> {
    if request.uri().path() == "/trailers" {
        let (feed, fed) = tokio::sync::mpsc::channel(2);
        let name = hyper::header::HeaderName::from_static("digest");
        let trailers = HeaderMap::from_iter([(name, "abc".parse().unwrap())]);
        let hello = bytes::Bytes::from_static(b"hello\n");
        feed.try_send(Frame::data(hello)).unwrap();
        feed.try_send(Frame::trailers(trailers)).unwrap();
        let response = Response::builder().header("trailer", "digest");
        return response.body(any(Fed(fed))).unwrap();
    }
    let mut body = request.into_body();
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, bytes::Bytes::len);
    }
    Response::new(text(format!("{bytes} bytes\n")))
}

/// Runs a program to its end. Returns whether it calls that a success, and what it said
/// on standard output and then on standard error.
async fn run(command: &mut Command) -> (bool, String) {
    command.kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("it does not end: {command:?}"));
    let output = output.unwrap_or_else(|error| panic!("{error}: {command:?}"));
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}
