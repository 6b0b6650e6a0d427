//! Parameters of statements.

use rusqlite::types::{ToSqlOutput, ValueRef};

use super::SqlError;

/// One parameter, borrowed from the job.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// SQL's NULL.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number, or a time as milliseconds since 1970.
    Int(i64),
    /// A number.
    Real(f64),
    /// Text, JSON, or a UUID.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

/// A value of a row, whatever its type; becomes a parameter again.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// SQL's NULL.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number, or a time as milliseconds since 1970.
    Int(i64),
    /// A number.
    Real(f64),
    /// Text, JSON, or a UUID.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl Cell {
    /// The same as a parameter.
    pub fn as_value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Real(value) => Value::Real(*value),
            Self::Text(value) => Value::Text(value),
            Self::Blob(value) => Value::Blob(value),
        }
    }

    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        match self {
            Self::Text(value) => value.len() + 24,
            Self::Blob(value) => value.len() + 24,
            _ => 24,
        }
    }
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Self::Null => ValueRef::Null,
            Self::Bool(value) => ValueRef::Integer(value.into()),
            Self::Int(value) => ValueRef::Integer(value),
            Self::Real(value) => ValueRef::Real(value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Blob(value) => ValueRef::Blob(value),
        }))
    }
}

macro_rules! from {
    ($($type:ty => $variant:ident),* $(,)?) => {
        $(impl From<$type> for Value<'_> {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}
from!(bool => Bool, i64 => Int, i32 => Int, u32 => Int, u16 => Int, u8 => Int, f64 => Real);

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Blob(value)
    }
}

impl<'a, T> From<Option<T>> for Value<'a>
where
    Value<'a>: From<T>,
{
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Self::from)
    }
}

impl<'a> From<&'a Option<String>> for Value<'a> {
    fn from(value: &'a Option<String>) -> Self {
        Self::from(value.as_deref())
    }
}

/// An unsigned number as a parameter: both engines' numbers are signed.
pub fn signed(number: u64) -> Result<i64, SqlError> {
    i64::try_from(number).map_err(|_| SqlError::Refused(format!("{number} is too large a number for the store")))
}
