//! Tables are made and changed by numbered, checksummed SQL files built into the program.

use refinery::{Migration, Runner};
use rusqlite::{Connection, OptionalExtension};

use super::Place;
use crate::store::error::{StoreError, StoreErrorKind};

/// The migrations of one database, oldest first.
#[derive(Debug)]
pub struct Schema {
    /// `("V1__name", sql)`, in the order of their numbers.
    pub migrations: &'static [(&'static str, &'static str)],
}

impl Schema {
    /// The newest version: the number that the last name begins with.
    pub fn version(&self) -> i64 {
        let number = |name: &str| name.strip_prefix('V')?.split_once("__")?.0.parse().ok();
        self.migrations.last().and_then(|(name, _)| number(name)).unwrap_or(0)
    }
}

/// What can go wrong here, before the path is known.
#[derive(Debug)]
pub(super) enum Problem {
    Sqlite(rusqlite::Error),
    Newer { found: i64, known: i64 },
    Other(String),
}

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Problem {
    pub(super) fn at(self, place: &Place) -> StoreError {
        match self {
            Self::Sqlite(error) => place.error(&error),
            Self::Newer { found, known } => {
                StoreError::new(&place.path, place.party, StoreErrorKind::NewerSchema { found, known })
            }
            Self::Other(text) => StoreError::new(&place.path, place.party, StoreErrorKind::Corrupt(text)),
        }
    }
}

/// Version of the file's tables; 0 for an empty file.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    let history: Option<i64> = connection
        .query_row("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'refinery_schema_history'", [], |row| {
            row.get(0)
        })
        .optional()?;
    if history.is_none() {
        return Ok(0);
    }
    connection.query_row("SELECT coalesce(max(version), 0) FROM refinery_schema_history", [], |row| row.get(0))
}

/// Refuses a file that a newer program wrote; says whether it is up to date.
pub(super) fn check(connection: &Connection, schema: &Schema) -> Result<bool, Problem> {
    let found = version(connection)?;
    let known = schema.version();
    if found > known {
        return Err(Problem::Newer { found, known });
    }
    Ok(found == known)
}

/// Brings the file up to date. Applied migrations are compared by checksum.
pub(super) fn run(connection: &mut Connection, schema: &Schema) -> Result<(), Problem> {
    check(connection, schema)?;
    let migrations = schema
        .migrations
        .iter()
        .map(|(name, sql)| Migration::unapplied(name, sql))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Problem::Other(error.to_string()))?;
    match Runner::new(&migrations).run(connection) {
        Ok(_) => Ok(()),
        Err(error) => Err(sqlite_cause(&error).unwrap_or_else(|| Problem::Other(error.to_string()))),
    }
}

/// The SQLite error inside refinery's, rebuilt because it cannot be moved out.
fn sqlite_cause(error: &refinery::Error) -> Option<Problem> {
    let refinery::error::Kind::Connection(message, cause) = error.kind() else { return None };
    let rusqlite::Error::SqliteFailure(code, text) = cause.downcast_ref::<rusqlite::Error>()? else { return None };
    let text = text.clone().unwrap_or_else(|| message.clone());
    Some(Problem::Sqlite(rusqlite::Error::SqliteFailure(*code, Some(text))))
}
