//! What the host logs, caught on this thread.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

/// Runs something, and returns what it answered with all that it logged on this thread, at every level.
///
/// # Panics
/// When it panics.
pub fn caught<T>(run: impl FnOnce() -> T) -> (T, String) {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let answer = tracing::subscriber::with_default(subscriber, run);
    let bytes = lines.0.lock().expect("no writer panics").clone();
    (answer, String::from_utf8_lossy(&bytes).into_owned())
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .expect("no writer panics")
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
