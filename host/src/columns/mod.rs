//! Projection: the declared fields of every event of a batch, extracted in one pass.
//!
//! All paths that anybody declared (plugins, sinks, the host itself) are joined into one tree; walking
//! an event along that tree steps over everything nobody asked for.

mod path;
mod projection;

use std::borrow::Cow;

pub use self::{
    path::{MAX_SEGMENTS, Path, PathError, Segment},
    projection::Projection,
};
use crate::{event::EventBatch, json};

/// What a column says of a row. The numbers are those of the plugin interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names of JSON's own kinds")]
pub enum Kind {
    #[default]
    Absent = 0,
    Null = 1,
    String = 2,
    Number = 3,
    Boolean = 4,
    Object = 5,
    Array = 6,
}

impl Kind {
    /// The kind of the JSON value that begins with this byte.
    #[must_use]
    pub fn of(first: u8) -> Self {
        match first {
            b'"' => Self::String,
            b'{' => Self::Object,
            b'[' => Self::Array,
            b't' | b'f' => Self::Boolean,
            b'n' => Self::Null,
            _ => Self::Number,
        }
    }

    /// The kind with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        [
            Self::Absent,
            Self::Null,
            Self::String,
            Self::Number,
            Self::Boolean,
            Self::Object,
            Self::Array,
        ]
        .get(usize::from(number))
        .copied()
    }

    /// Whether a mask may replace it.
    #[must_use]
    pub fn is_leaf(self) -> bool {
        matches!(
            self,
            Self::Null | Self::String | Self::Number | Self::Boolean
        )
    }
}

/// Where a value lies: in the batch, or among the gathered arrays.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    start: u32,
    end: u32,
    kind: Kind,
    gathered: bool,
    /// Whether it is a string with something escaped in it.
    escaped: bool,
}

/// The declared fields of every event of a batch.
#[derive(Debug, Default)]
pub struct Columns {
    width: usize,
    cells: Vec<Cell>,
    gathered: Vec<u8>,
}

impl Columns {
    fn new(width: usize, rows: usize) -> Self {
        Self {
            width,
            cells: vec![Cell::default(); width * rows],
            gathered: Vec::new(),
        }
    }

    /// The kind of a field of a row.
    #[must_use]
    pub fn kind(&self, row: usize, column: usize) -> Kind {
        self.cells[row * self.width + column].kind
    }

    /// The JSON text of a field of a row (a string with its quotes); empty where it is absent.
    #[must_use]
    pub fn json<'a>(&'a self, batch: &'a EventBatch, row: usize, column: usize) -> &'a [u8] {
        let cell = &self.cells[row * self.width + column];
        let source = if cell.gathered {
            &self.gathered
        } else {
            &batch.data
        };
        &source[cell.start as usize..cell.end as usize]
    }

    /// The column text of a field of a row: of a string the unescaped text, of anything else the JSON.
    #[must_use]
    pub fn text<'a>(&'a self, batch: &'a EventBatch, row: usize, column: usize) -> Cow<'a, [u8]> {
        match self.written(batch, row, column) {
            (text, true) => json::unescape(text),
            (text, false) => Cow::Borrowed(text),
        }
    }

    /// Appends the column text of a field of a row.
    pub(crate) fn text_into(
        &self,
        batch: &EventBatch,
        row: usize,
        column: usize,
        out: &mut Vec<u8>,
    ) {
        match self.written(batch, row, column) {
            (text, true) => json::unescape_into(text, out),
            (text, false) => out.extend_from_slice(text),
        }
    }

    /// A field's text as it is written, a string without its quotes; and whether it holds escapes.
    #[inline]
    fn written<'a>(&'a self, batch: &'a EventBatch, row: usize, column: usize) -> (&'a [u8], bool) {
        let cell = &self.cells[row * self.width + column];
        let json = self.json(batch, row, column);
        match cell.kind {
            Kind::String => (inside(json), cell.escaped),
            _ => (json, false),
        }
    }

    /// Where in the batch's bytes the field lies, unless it was gathered or is absent.
    #[must_use]
    pub fn range(&self, row: usize, column: usize) -> Option<std::ops::Range<usize>> {
        let cell = &self.cells[row * self.width + column];
        (cell.kind != Kind::Absent && !cell.gathered)
            .then_some(cell.start as usize..cell.end as usize)
    }
}

/// The column text of a value of this kind.
#[must_use]
pub fn text(kind: Kind, json: &[u8]) -> Cow<'_, [u8]> {
    match kind {
        Kind::String => json::unescape(inside(json)),
        _ => Cow::Borrowed(json),
    }
}

/// A string without its quotes.
fn inside(string: &[u8]) -> &[u8] {
    &string[1..string.len() - 1]
}
