//! One connection for many threads, none of which waits for it longer than it has time.

use std::{
    ops::{Deref, DerefMut},
    sync::{Condvar, Mutex, PoisonError},
    time::Instant,
};

use rusqlite::Connection;

/// Where the connection lies while nobody works with it.
pub(super) struct Desk {
    connection: Mutex<Option<Connection>>,
    put_back: Condvar,
}

impl Desk {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection: Mutex::new(Some(connection)),
            put_back: Condvar::new(),
        }
    }

    /// Takes the connection, and nothing where it is not free before the deadline.
    pub(super) fn take(&self, deadline: Instant) -> Option<Taken<'_>> {
        let mut free = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(connection) = free.take() {
                return Some(Taken {
                    desk: self,
                    connection: Some(connection),
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

/// The connection in somebody's hands; it is put back when this is dropped, by a panic too.
pub(super) struct Taken<'a> {
    desk: &'a Desk,
    connection: Option<Connection>,
}

impl Deref for Taken<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
            .as_ref()
            .expect("it is there until the drop")
    }
}

impl DerefMut for Taken<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection
            .as_mut()
            .expect("it is there until the drop")
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut free = self
            .desk
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *free = self.connection.take();
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
        let desk = Desk::new(Connection::open_in_memory().unwrap());
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
