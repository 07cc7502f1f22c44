//! Projection: the declared fields of every event of a batch, extracted in one pass.

/// What a column says of a row. The numbers are those of the plugin interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// The declared fields of every event of a batch.
#[derive(Debug, Default)]
pub struct Columns {}
