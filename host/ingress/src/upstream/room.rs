//! Room for what is small and soon forgotten.

use bytes::BytesMut;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Room that small messages of one thread share, so that not each has to find its own.
/// Whoever fills it takes what it has filled by [`BytesMut::split`].
#[derive(Debug, Default)]
pub(super) struct Room(Mutex<BytesMut>);

impl Room {
    /// Room, empty, for `least` bytes and more; where there is less, `new` bytes of it are
    /// made. They are kept by whatever of their content is still in use.
    pub(super) fn with(&self, least: usize, new: usize) -> MutexGuard<'_, BytesMut> {
        let mut room = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A panic may have left something.
        room.clear();
        if room.capacity() < least {
            room.reserve(new);
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::Room;

    #[test]
    fn what_was_taken_stays_as_it_was() {
        let room = Room::default();
        let taken: Vec<_> = (0..100_u8)
            .map(|byte| {
                let mut room = room.with(8, 64);
                assert!(room.is_empty() && room.capacity() >= 8);
                room.extend_from_slice(&[byte; 7]);
                room.split()
            })
            .collect();
        room.with(8, 64).extend_from_slice(b"left by a panic");
        assert!(room.with(8, 64).is_empty());
        for (byte, taken) in (0..).zip(taken) {
            assert_eq!(taken[..], [byte; 7]);
        }
    }
}
