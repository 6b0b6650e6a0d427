//! One SQL for both engines: statements are written once, with `?1`, `?2` … as parameters, and run in a [`Session`] of
//! SQLite or of PostgreSQL. So the engines cannot drift apart; the few places where their languages differ ask
//! [`Session::engine`].
//!
//! What both understand alike, and what is therefore used: `ON CONFLICT … DO UPDATE`, `RETURNING`,
//! `IS [NOT] DISTINCT FROM`, `TRUE` and `FALSE`, `CAST`, window functions, partial indexes. Times are whole
//! milliseconds since 1970 in parameters and rows, whatever the column's type; lists are JSON text.

mod error;
mod row;
mod value;

use rusqlite::Connection;

pub use error::SqlError;
pub use row::{Column, Row};
pub use value::{Value, signed};

/// Parameters of a statement: `values![id, name]`, each anything that becomes a [`Value`].
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        &[$($crate::store::sql::Value::from($value)),*]
    };
}
pub(crate) use values;

/// Which language is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// The embedded file.
    Sqlite,
    /// A server.
    Postgres,
}

/// One open transaction of one engine. It begins before a job gets it and ends after the job returns: committed when
/// the job succeeded, else undone.
#[derive(Debug)]
pub enum Session<'c> {
    /// A savepoint on the writer's connection, or a question on a reader's.
    Sqlite(&'c Connection),
}

impl Session<'_> {
    /// Which language the rare statement that differs must speak.
    pub fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
        }
    }

    /// Runs a change; how many rows it touched.
    pub fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, SqlError> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                Ok(statement.execute(rusqlite::params_from_iter(values))? as u64)
            }
        }
    }

    /// Runs the same change for many rows, without waiting for each in turn where the engine is a server.
    pub fn execute_many<'v>(&self, sql: &str, rows: impl IntoIterator<Item = Vec<Value<'v>>>) -> Result<u64, SqlError> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let mut touched = 0;
                for row in rows {
                    touched += statement.execute(rusqlite::params_from_iter(&row))? as u64;
                }
                Ok(touched)
            }
        }
    }

    /// All rows of an answer, each made into a `T`.
    pub fn query<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        mut make: impl FnMut(&Row<'_>) -> Result<T, SqlError>,
    ) -> Result<Vec<T>, SqlError> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(rusqlite::params_from_iter(values))?;
                let mut made = Vec::new();
                while let Some(row) = rows.next()? {
                    made.push(make(&Row::Sqlite(row))?);
                }
                Ok(made)
            }
        }
    }

    /// The first row of an answer, if there is one.
    pub fn first<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        make: impl FnOnce(&Row<'_>) -> Result<T, SqlError>,
    ) -> Result<Option<T>, SqlError> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(rusqlite::params_from_iter(values))?;
                rows.next()?.map(|row| make(&Row::Sqlite(row))).transpose()
            }
        }
    }

    /// The first row of an answer that always has one (an aggregate, `INSERT … RETURNING`).
    pub fn one<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        make: impl FnOnce(&Row<'_>) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        self.first(sql, values, make)?.ok_or_else(|| SqlError::Unreadable("an answer without a row".to_owned()))
    }

    /// Is there such a row?
    pub fn exists(&self, sql: &str, values: &[Value<'_>]) -> Result<bool, SqlError> {
        Ok(self.first(sql, values, |_| Ok(()))?.is_some())
    }

    /// Runs statements without parameters, separated by `;`.
    pub fn batch(&self, sql: &str) -> Result<(), SqlError> {
        match self {
            Self::Sqlite(connection) => Ok(connection.execute_batch(sql)?),
        }
    }

    /// Waits until no other transaction holds the lock of this name, and holds it until this one ends. Whoever decides
    /// on what it read takes it first; SQLite has one writer and needs none.
    pub fn lock(&self, name: &str) -> Result<(), SqlError> {
        let _ = name;
        match self {
            Self::Sqlite(_) => Ok(()),
        }
    }
}
