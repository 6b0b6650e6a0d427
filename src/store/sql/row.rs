//! Rows of answers.

use rusqlite::types::ValueRef;

use super::{Cell, SqlError};
use crate::store::postgres::Answer;

/// One row, valid until the next is read.
#[derive(Debug)]
pub enum Row<'r> {
    /// Of SQLite.
    Sqlite(&'r rusqlite::Row<'r>),
    /// Of PostgreSQL.
    Postgres(Answer<'r>),
}

impl Row<'_> {
    /// The value of a column.
    pub fn get<T: Column>(&self, index: usize) -> Result<T, SqlError> {
        T::read(self, index)
    }

    /// Text, borrowed.
    pub fn text(&self, index: usize) -> Result<&str, SqlError> {
        self.text_or_null(index)?.ok_or_else(|| SqlError::Unreadable(format!("column {index} is NULL")))
    }

    /// A server's list of texts (`text[]`), borrowed; none for NULL.
    pub fn texts(&self, index: usize) -> Result<Vec<&str>, SqlError> {
        match self {
            Self::Sqlite(_) => Err(SqlError::Unreadable(format!("column {index} is no list"))),
            Self::Postgres(row) => row.texts(index),
        }
    }

    /// Text or NULL, borrowed.
    pub fn text_or_null(&self, index: usize) -> Result<Option<&str>, SqlError> {
        match self {
            Self::Sqlite(row) => Ok(row.get_ref(index)?.as_str_or_null().map_err(rusqlite::Error::from)?),
            Self::Postgres(row) => row.text(index),
        }
    }

    /// Bytes or NULL, borrowed.
    pub fn bytes_or_null(&self, index: usize) -> Result<Option<&[u8]>, SqlError> {
        match self {
            Self::Sqlite(row) => Ok(row.get_ref(index)?.as_bytes_or_null().map_err(rusqlite::Error::from)?),
            Self::Postgres(row) => row.bytes(index),
        }
    }

    /// The value of a column, whatever its type. JSON is without the blanks that a server puts into it.
    pub fn cell(&self, index: usize) -> Result<Cell, SqlError> {
        match self {
            Self::Sqlite(row) => Ok(match row.get_ref(index)? {
                ValueRef::Null => Cell::Null,
                ValueRef::Integer(value) => Cell::Int(value),
                ValueRef::Real(value) => Cell::Real(value),
                text @ ValueRef::Text(_) => Cell::Text(text.as_str().map_err(rusqlite::Error::from)?.to_owned()),
                ValueRef::Blob(value) => Cell::Blob(value.to_vec()),
            }),
            Self::Postgres(row) => row.cell(index),
        }
    }

    fn int_or_null(&self, index: usize) -> Result<Option<i64>, SqlError> {
        match self {
            Self::Sqlite(row) => Ok(row.get(index)?),
            Self::Postgres(row) => row.int(index),
        }
    }

    fn real_or_null(&self, index: usize) -> Result<Option<f64>, SqlError> {
        match self {
            Self::Sqlite(row) => Ok(row.get(index)?),
            Self::Postgres(row) => row.real(index),
        }
    }

    fn bool_or_null(&self, index: usize) -> Result<Option<bool>, SqlError> {
        match self {
            Self::Sqlite(row) => Ok(row.get(index)?),
            Self::Postgres(row) => row.bool(index),
        }
    }

    fn is_null(&self, index: usize) -> Result<bool, SqlError> {
        match self {
            Self::Sqlite(row) => Ok(matches!(row.get_ref(index)?, ValueRef::Null)),
            Self::Postgres(row) => row.is_null(index),
        }
    }
}

/// A type that a column can be read as. Whole numbers are checked against the type's range; times are milliseconds.
pub trait Column: Sized {
    /// Reads it.
    fn read(row: &Row<'_>, index: usize) -> Result<Self, SqlError>;
}

fn present<T>(value: Option<T>, index: usize) -> Result<T, SqlError> {
    value.ok_or_else(|| SqlError::Unreadable(format!("column {index} is NULL")))
}

macro_rules! whole {
    ($($type:ty),*) => {
        $(impl Column for $type {
            fn read(row: &Row<'_>, index: usize) -> Result<Self, SqlError> {
                let number = present(row.int_or_null(index)?, index)?;
                Self::try_from(number)
                    .map_err(|_| SqlError::Unreadable(format!("column {index}: {number} is out of range")))
            }
        })*
    };
}
whole!(i64, i32, i16, u64, u32, u16, u8);

impl Column for f64 {
    fn read(row: &Row<'_>, index: usize) -> Result<Self, SqlError> {
        present(row.real_or_null(index)?, index)
    }
}

impl Column for bool {
    fn read(row: &Row<'_>, index: usize) -> Result<Self, SqlError> {
        present(row.bool_or_null(index)?, index)
    }
}

impl Column for String {
    fn read(row: &Row<'_>, index: usize) -> Result<Self, SqlError> {
        row.text(index).map(str::to_owned)
    }
}

impl Column for Vec<u8> {
    fn read(row: &Row<'_>, index: usize) -> Result<Self, SqlError> {
        present(row.bytes_or_null(index)?, index).map(<[u8]>::to_vec)
    }
}

impl<T: Column> Column for Option<T> {
    fn read(row: &Row<'_>, index: usize) -> Result<Self, SqlError> {
        if row.is_null(index)? { Ok(None) } else { T::read(row, index).map(Some) }
    }
}
