//! Values that are the same for many, held once.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// Values that are the same for many, held once each, for as long as anybody uses them.
#[derive(Debug)]
pub(crate) struct Interner<T: ?Sized>(Mutex<HashSet<Arc<T>>>);

impl<T: ?Sized + Eq + Hash> Interner<T> {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self(Mutex::default())
    }

    /// The one value that is equal to this.
    pub(crate) fn share(&self, value: impl Into<Arc<T>>) -> Arc<T> {
        let value = value.into();
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = held.get(&*value) {
            return Arc::clone(found);
        }
        // Before it grows, so that it does not grow for what nobody uses any more.
        if held.len() == held.capacity() {
            held.retain(|value| Arc::strong_count(value) > 1);
        }
        held.insert(Arc::clone(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_equal_is_held_once() {
        let interner = Interner::<str>::new();
        let first = interner.share("one");
        assert!(Arc::ptr_eq(&first, &interner.share("one")));
        assert_ne!(first, interner.share("two"));
    }

    #[test]
    fn what_nobody_uses_is_let_go() {
        let interner = Interner::<str>::new();
        let kept = interner.share("kept");
        for number in 0..1000 {
            interner.share(number.to_string());
        }
        let held = interner.0.lock().unwrap();
        assert!(held.capacity() < 100, "{}", held.capacity());
        assert!(held.contains(&kept));
    }
}
