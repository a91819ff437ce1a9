//! A socket between host and engine that can go away, and that counts.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

/// The proxy; its socket is there while it listens.
pub(crate) struct Proxy {
    folder: tempfile::TempDir,
    engine: String,
    open: Arc<AtomicUsize>,
    listening: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy that does not listen yet, for the engine at `unix:///…`.
    pub(crate) fn new(engine: &str) -> Self {
        let engine = engine.trim_start_matches("unix://").to_owned();
        let folder = tempfile::tempdir().unwrap();
        Self {
            folder,
            engine,
            open: Arc::default(),
            listening: None,
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("engine.sock")
    }

    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    pub(crate) fn listen(&mut self) {
        let listener = UnixListener::bind(self.socket()).unwrap();
        let (engine, open) = (self.engine.clone(), Arc::clone(&self.open));
        self.listening = Some(tokio::spawn(async move {
            // Dropped with this task, and the connections with it.
            let mut connections = JoinSet::new();
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let counted = Counted::new(&open);
                let engine = engine.clone();
                connections.spawn(async move {
                    let _counted = counted;
                    let mut far = UnixStream::connect(engine).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        }));
    }

    /// Goes away, as an engine does that is killed.
    pub(crate) async fn stop(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
            let _ = listening.await;
            std::fs::remove_file(self.socket()).unwrap();
        }
    }
}

struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(open))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
