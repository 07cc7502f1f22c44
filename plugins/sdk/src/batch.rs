//! What a plugin is handed: events as rows, of which each declared field is a column.

use crate::{
    bindings::{Batch as Raw, sluicegate::plugin::types::Column},
    subscription::Places,
};

/// A field that was asked for in `configure`; what rows are read by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub(crate) column: usize,
    /// The column of the member with the whole dotted name; [`NO_COLUMN`] where the name can mean none.
    pub(crate) literal: usize,
}

/// No batch has so many columns.
pub(crate) const NO_COLUMN: usize = usize::MAX;

/// What a value is. The numbers are those of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of JSON's own kinds")]
pub enum Kind {
    Absent = 0,
    Null = 1,
    String = 2,
    Number = 3,
    Boolean = 4,
    Object = 5,
    Array = 6,
}

impl Kind {
    pub(crate) fn of(number: u8) -> Self {
        match number {
            1 => Self::Null,
            2 => Self::String,
            3 => Self::Number,
            4 => Self::Boolean,
            5 => Self::Object,
            6 => Self::Array,
            _ => Self::Absent,
        }
    }
}

/// Names a field of a row: a [`Field`], or its path for where speed does not matter.
pub trait Select {
    /// The field, if it was asked for.
    fn find(self, fields: &[String]) -> Option<Field>;
}

impl Select for Field {
    fn find(self, _: &[String]) -> Option<Field> {
        Some(self)
    }
}

impl Select for &str {
    fn find(self, fields: &[String]) -> Option<Field> {
        let places = Places::of(self);
        let position = |path: &String| fields.iter().position(|field| field == path);
        let literal = places.literal.as_ref().and_then(position);
        Some(Field {
            column: position(&places.path)?,
            literal: literal.unwrap_or(NO_COLUMN),
        })
    }
}

/// The events of one object that the plugin subscribed to, in the object's order.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    raw: &'a Raw,
    fields: &'a [String],
}

impl<'a> Batch<'a> {
    pub(crate) fn new(raw: &'a Raw, fields: &'a [String]) -> Self {
        Self { raw, fields }
    }

    /// How many events there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.raw.rows
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.raw.rows == 0
    }

    /// The only clock: milliseconds since 1970, UTC.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.raw.now_ms
    }

    /// The events.
    pub fn rows(&self) -> impl Iterator<Item = Row<'a>> + use<'a> {
        let batch = *self;
        (0..self.raw.rows).map(move |index| Row { batch, index })
    }
}

/// One event. What was not asked for, does not exist or is null, is nothing here.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    batch: Batch<'a>,
    index: u32,
}

impl<'a> Row<'a> {
    /// Position in the batch.
    #[must_use]
    pub fn index(self) -> u32 {
        self.index
    }

    /// What the field is.
    #[must_use]
    pub fn kind(self, field: impl Select) -> Kind {
        let kind = self
            .column(field)
            .and_then(|column| column.kinds.get(self.index as usize));
        Kind::of(kind.copied().unwrap_or(0))
    }

    /// Whether the event has the field, and not as null.
    #[must_use]
    pub fn has(self, field: impl Select) -> bool {
        !matches!(self.kind(field), Kind::Absent | Kind::Null)
    }

    /// The field's text in UTF-8, of whatever kind it is; empty where there is none, or null.
    #[must_use]
    pub fn bytes(self, field: impl Select) -> &'a [u8] {
        self.column(field).map_or(&[], |column| self.slice(column))
    }

    /// The text of a string, unescaped.
    #[must_use]
    pub fn str(self, field: impl Select) -> Option<&'a str> {
        self.text(field, &[Kind::String])
    }

    /// The JSON text of an object or an array.
    #[must_use]
    pub fn json(self, field: impl Select) -> Option<&'a str> {
        self.text(field, &[Kind::Object, Kind::Array])
    }

    /// A boolean; also a string of `true` or `false`, for `CloudTrail` writes many so.
    #[must_use]
    pub fn bool(self, field: impl Select) -> Option<bool> {
        match self.text(field, &[Kind::Boolean, Kind::String])? {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// A number that is whole and fits.
    #[must_use]
    pub fn i64(self, field: impl Select) -> Option<i64> {
        self.text(field, &[Kind::Number])?.parse().ok()
    }

    fn text(self, field: impl Select, kinds: &[Kind]) -> Option<&'a str> {
        let column = self.column(field)?;
        let kind = Kind::of(*column.kinds.get(self.index as usize)?);
        if kinds.contains(&kind) {
            std::str::from_utf8(self.slice(column)).ok()
        } else {
            None
        }
    }

    #[inline]
    fn column(self, field: impl Select) -> Option<&'a Column> {
        let field = field.find(self.batch.fields)?;
        let columns = &self.batch.raw.columns;
        let nested = columns.get(field.column)?;
        if field.literal == NO_COLUMN {
            return Some(nested);
        }
        let literal = columns.get(field.literal)?;
        Some(self.either(literal, nested))
    }

    /// The literal member, unless it says nothing where the nested one does. Out of line, so that the
    /// common case stays small.
    #[cold]
    fn either(self, literal: &'a Column, nested: &'a Column) -> &'a Column {
        let kind = |column: &Column| column.kinds.get(self.index as usize).copied().unwrap_or(0);
        let says_more = kind(nested) > 1 || kind(literal) == 0;
        if kind(literal) <= 1 && says_more {
            nested
        } else {
            literal
        }
    }

    #[inline]
    fn slice(self, column: &'a Column) -> &'a [u8] {
        let index = self.index as usize;
        // Of most columns a row has nothing.
        if column.kinds.get(index).is_none_or(|kind| *kind <= 1) {
            return &[];
        }
        match column.offsets.get(index..).and_then(<[u32]>::first_chunk) {
            Some(&[start, end]) => column
                .data
                .get(start as usize..end as usize)
                .unwrap_or_default(),
            None => &[],
        }
    }
}
