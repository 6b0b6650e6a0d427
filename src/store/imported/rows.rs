//! Rows on their way to a table: a chunk of a file, parsed. Text stays where it is in the chunk; only what had to be
//! unescaped is kept apart.

use bytes::Bytes;

use super::Kinds;
use crate::store::objects::Position;

/// A piece of the chunk's bytes, or of those kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first byte.
    pub start: u32,
    /// How many.
    pub len: u32,
}

/// One value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Datum {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Real(f64),
    /// Text as it stands in the chunk; also nested JSON, and numbers that no type of ours holds.
    Text(Span),
    /// Text that had to be unescaped.
    Unescaped(Span),
}

/// One value of one row. What is NULL or not there has none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// Index into the fields.
    pub field: u16,
    /// The value.
    pub datum: Datum,
}

/// A field that records of the chunk have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub seen: Kinds,
}

/// Where a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowAt {
    /// The line of the file.
    pub line: u64,
    /// Its cells, as a range.
    pub cells: (u32, u32),
    /// The hash of its line, where that is the key.
    pub hash: [u8; 16],
}

/// A line that is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Where it begins.
    pub at: Position,
    /// A name for programs.
    pub code: &'static str,
    /// A sentence for people.
    pub message: String,
    /// The line as it was, without its end; nothing of one that was too long to be kept.
    pub original: Bytes,
}

/// A chunk of a file, parsed.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// The chunk.
    pub source: Bytes,
    /// Text that had to be unescaped.
    pub unescaped: Vec<u8>,
    /// Fields of its records; those of rejected ones only have seen nothing.
    pub fields: Vec<Field>,
    /// Values of all rows, row by row.
    pub cells: Vec<Cell>,
    /// Rows in the order of the file; keys are unique.
    pub rows: Vec<RowAt>,
    /// Records whose key came again later in the chunk.
    pub duplicates: u64,
    /// Lines that are not stored.
    pub rejects: Vec<Reject>,
    /// Where the next chunk begins.
    pub end: Option<Position>,
}

impl Rows {
    /// The cells of a row.
    pub fn cells(&self, row: &RowAt) -> &[Cell] {
        self.cells.get(row.cells.0 as usize..row.cells.1 as usize).unwrap_or_default()
    }

    /// The bytes of a text.
    pub fn text(&self, datum: Datum) -> &[u8] {
        let (bytes, span): (&[u8], _) = match datum {
            Datum::Text(span) => (&self.source, span),
            Datum::Unescaped(span) => (&self.unescaped, span),
            Datum::Bool(_) | Datum::Int(_) | Datum::Real(_) => return &[],
        };
        let start = span.start as usize;
        bytes.get(start..start + span.len as usize).unwrap_or_default()
    }
}
