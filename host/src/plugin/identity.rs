//! Who an event is and when it happened, for what is counted once however often it is delivered.

use crate::{
    columns::{Columns, Kind, Path, Projection},
    digest::sha256,
    effects::Readers,
    event::EventBatch,
    ledger::windows::EventMark,
};

/// Where an event says what it is called; summaries spell it differently.
const PATHS: [&str; 2] = ["/eventID", "/eventId"];

/// The identity of an event with this identifier, or with these bytes where it has none: the first half of
/// a SHA-256.
pub(super) fn identity(event_id: Option<&[u8]>, event: &[u8]) -> [u8; 16] {
    let id = event_id.filter(|id| !id.is_empty());
    let hash = sha256(&[id.unwrap_or(event)]);
    let mut identity = [0; 16];
    identity.copy_from_slice(&hash[..16]);
    identity
}

/// The columns that say who an event is; declared only where a plugin counts.
#[derive(Debug)]
pub(super) struct Identities {
    columns: [usize; PATHS.len()],
}

impl Identities {
    pub(super) fn declare(projection: &mut Projection) -> Self {
        let columns =
            PATHS.map(|path| projection.column(&Path::parse(path).expect("a constant pointer")));
        Self { columns }
    }

    /// One mark a row. An event without a time happened when it was received.
    pub(super) fn marks(
        &self,
        batch: &EventBatch,
        columns: &Columns,
        readers: &Readers,
        rows: &[u32],
        now_ms: i64,
    ) -> Vec<EventMark> {
        let mark = |row: &u32| {
            let row = *row as usize;
            let named = self
                .columns
                .iter()
                .find(|column| columns.kind(row, **column) == Kind::String);
            let id = named.map(|column| columns.text(batch, row, *column));
            EventMark {
                identity: identity(id.as_deref(), batch.event(row)),
                time_ms: readers.time_ms(batch, columns, row).unwrap_or(now_ms),
            }
        };
        rows.iter().map(mark).collect()
    }
}
