//! The clock that ends calls which take too long.
//!
//! A thread advances the engine's epoch while calls are under way, and sleeps while
//! none are, so that an idle host does not wake up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;
use wasmtime::Engine;

/// Pause between two advances of the epoch.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Advances an engine's epoch while calls are under way.
pub(crate) struct Watch {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Default)]
struct Shared {
    calls: AtomicUsize,
    awake: AtomicBool,
    ended: AtomicBool,
}

/// A call that is under way.
pub(crate) struct Watched<'a>(&'a Shared);

impl Watch {
    /// Starts the thread. It ends when the watch is dropped.
    pub(crate) fn start(engine: Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let handle = thread::Builder::new()
            .name("plugin-clock".to_owned())
            .spawn(move || tick(&seen, &engine))?;
        Ok(Self {
            shared,
            thread: handle.thread().clone(),
        })
    }

    /// Marks the beginning of a call; the end is when the mark is dropped.
    pub(crate) fn call(&self) -> Watched<'_> {
        self.shared.calls.fetch_add(1, Ordering::SeqCst);
        if !self.shared.awake.swap(true, Ordering::SeqCst) {
            self.thread.unpark();
        }
        Watched(&self.shared)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tick(shared: &Shared, engine: &Engine) {
    while !shared.ended.load(Ordering::SeqCst) {
        if shared.calls.load(Ordering::SeqCst) == 0 {
            shared.awake.store(false, Ordering::SeqCst);
            // A call that began just now either is counted here or finds the thread
            // asleep and wakes it.
            if shared.calls.load(Ordering::SeqCst) == 0 {
                thread::park();
                continue;
            }
            shared.awake.store(true, Ordering::SeqCst);
        }
        thread::sleep(TICK);
        engine.increment_epoch();
    }
}
