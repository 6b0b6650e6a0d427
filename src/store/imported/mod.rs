//! Tables that are made of files: columns as the records have them, rows that are upserted by key.
//!
//! What is known of a table ([`Definition`]) stands in `bulk_table`; the product's own tables are never touched. Rows come
//! in chunks ([`Rows`]) that know nothing of the engine; one call of [`write()`] is one transaction's share of them.

mod define;
mod kind;
mod postgres;
mod registry;
mod rows;
mod seen;
mod sqlite;

use super::sql::{Engine, Session, SqlError};
use super::tables::quoted;

pub use define::{Column, Definition, Key, LINE_KEY, MOST_COLUMNS};
pub use kind::{Kind, Kinds};
pub use registry::{all, create_like, drop_all, find, is_own, names};
pub use rows::{Cell, Datum, Field, Reject, RowAt, Rows, Span};

/// Where rows go, and what may change there for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The table.
    pub table: String,
    /// What tells its rows apart.
    pub key: Key,
    /// The table must be there and stay as it is.
    pub frozen: bool,
}

/// What became of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// New rows.
    pub inserted: u64,
    /// Rows that differed.
    pub updated: u64,
    /// Rows that were as the record says.
    pub unchanged: u64,
    /// Records whose key came again later in the same file.
    pub duplicates: u64,
}

/// Gives the next rows; `None` = that was all of this transaction.
pub type Next<'n> = &'n mut dyn FnMut() -> Result<Option<Rows>, SqlError>;

/// Takes lines that are not stored, when the engine can be asked for other things.
pub type Keep<'k> = &'k mut dyn FnMut(Vec<Reject>) -> Result<(), SqlError>;

/// Writes rows into their table, which is made or widened as they need it.
pub fn write(
    session: &Session<'_>,
    target: &Target,
    now: i64,
    next: Next<'_>,
    keep: Keep<'_>,
) -> Result<Written, SqlError> {
    session.take_time()?;
    // Whoever else writes into this table waits: its columns stay as they are read here.
    session.lock(&format!("imported table {}", target.table.to_lowercase()))?;
    let known = find(session, &target.table)?;
    if let Some(known) = &known
        && known.key != target.key
    {
        return Err(SqlError::Refused(format!(
            "the table `{}` tells its rows apart by {}, not by {}",
            known.table, known.key, target.key
        )));
    }
    if known.is_none() && target.frozen {
        return Err(SqlError::Refused(format!("there is no table `{}` yet, and none may be made", target.table)));
    }
    let mut table =
        Table { stored: known.is_some(), changed: false, definition: known.unwrap_or_else(|| target.empty()) };
    let written = match session {
        Session::Sqlite(connection) => sqlite::write(session, connection, &mut table, next, keep)?,
        Session::Postgres(transaction) => postgres::write(session, transaction, &mut table, next, keep)?,
    };
    if table.changed {
        registry::save(session, &table.definition, now)?;
    }
    Ok(written)
}

impl Target {
    fn empty(&self) -> Definition {
        Definition { table: self.table.clone(), key: self.key.clone(), columns: Vec::new() }
    }
}

/// A table on its way from what it was to what its rows need.
struct Table {
    definition: Definition,
    /// It is in the database.
    stored: bool,
    /// It is not as the registry says.
    changed: bool,
}

impl Table {
    /// Makes or widens the table so that it takes rows with these fields; `false` = it was wide enough.
    fn admit(&mut self, session: &Session<'_>, fields: &[Field]) -> Result<bool, SqlError> {
        let before = self.definition.clone();
        let changed = self.definition.admit(fields);
        if self.stored && !changed {
            return Ok(false);
        }
        self.changed = true;
        if !self.stored {
            define::create(session, &self.definition, &quoted(&self.definition.table))?;
            self.stored = true;
            return Ok(true);
        }
        // Other values of the kinds that it has need no other table.
        if before.same_shape(&self.definition) {
            return Ok(false);
        }
        define::alter(session, &before, &self.definition)?;
        Ok(true)
    }
}

/// Statements of both engines name columns alike.
fn list(names: impl IntoIterator<Item = String>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// The engine's word for a type.
fn type_name(engine: Engine, kind: Kind) -> &'static str {
    match (engine, kind) {
        (Engine::Sqlite, Kind::Bool) => "BOOLEAN",
        (Engine::Sqlite, Kind::Int) => "INTEGER",
        (Engine::Sqlite, Kind::Real) => "REAL",
        (Engine::Sqlite, Kind::Text) => "TEXT",
        (Engine::Postgres, Kind::Bool) => "boolean",
        (Engine::Postgres, Kind::Int) => "bigint",
        (Engine::Postgres, Kind::Real) => "double precision",
        (Engine::Postgres, Kind::Text) => "text",
    }
}
