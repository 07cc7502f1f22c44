//! One thing for many threads, none of which waits for it longer than it has time.

use std::{
    ops::{Deref, DerefMut},
    sync::{Condvar, Mutex, PoisonError},
    time::Instant,
};

/// Where it lies while nobody works with it.
pub(super) struct Desk<T> {
    free: Mutex<Option<T>>,
    put_back: Condvar,
}

impl<T> Desk<T> {
    pub(super) fn new(thing: T) -> Self {
        Self {
            free: Mutex::new(Some(thing)),
            put_back: Condvar::new(),
        }
    }

    /// Takes it, and nothing where it is not free before the deadline.
    pub(super) fn take(&self, deadline: Instant) -> Option<Taken<'_, T>> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(thing) = free.take() {
                return Some(Taken {
                    desk: self,
                    thing: Some(thing),
                });
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            (free, _) = self
                .put_back
                .wait_timeout(free, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The thing in somebody's hands; it is put back when this is dropped, by a panic too.
pub(super) struct Taken<'a, T> {
    desk: &'a Desk<T>,
    thing: Option<T>,
}

impl<T> Deref for Taken<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.thing.as_ref().expect("it is there until the drop")
    }
}

impl<T> DerefMut for Taken<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.thing.as_mut().expect("it is there until the drop")
    }
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        let mut free = self
            .desk
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *free = self.thing.take();
        drop(free);
        self.desk.put_back.notify_one();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_comes_too_late_gets_nothing_and_who_waits_gets_it() {
        let desk = Desk::new(());
        let soon = || Instant::now() + Duration::from_millis(10);
        let taken = desk.take(soon()).unwrap();
        assert!(desk.take(soon()).is_none());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| desk.take(soon() + Duration::from_mins(1)).is_some());
            drop(taken);
            assert!(waiting.join().unwrap());
        });
        assert!(desk.take(Instant::now()).is_some(), "it was put back");
    }
}
