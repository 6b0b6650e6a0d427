//! Which tables are imported ones, and what is known of them.

use super::define;
use super::{Column, Definition, Key};
use crate::store::sql::{Row, Session, SqlError, values};
use crate::store::tables::{self, quoted};

/// Names that later versions of the product may want for themselves begin like this.
const RESERVED: [&str; 8] = ["sqlite_", "pg_", "refinery_", "bulk_", "import_", "parsed_", "node_", "landing_"];

/// The table of this name, in whatever letters.
pub fn find(session: &Session<'_>, table: &str) -> Result<Option<Definition>, SqlError> {
    session.first(
        "SELECT name, key_field, columns FROM bulk_table WHERE folded = ?1",
        values![&table.to_lowercase()],
        read,
    )
}

/// All imported tables.
pub fn all(session: &Session<'_>) -> Result<Vec<Definition>, SqlError> {
    session.query("SELECT name, key_field, columns FROM bulk_table ORDER BY folded", &[], read)
}

/// Their names.
pub fn names(session: &Session<'_>) -> Result<Vec<String>, SqlError> {
    session.query("SELECT name FROM bulk_table ORDER BY folded", &[], |row| row.get(0))
}

fn read(row: &Row<'_>) -> Result<Definition, SqlError> {
    let columns: Vec<Column> = serde_json::from_str(row.text(2)?)
        .map_err(|error| SqlError::Unreadable(format!("what is known of an imported table: {error}")))?;
    let key = row.text_or_null(1)?.map_or(Key::Line, |field| Key::Field(field.to_owned()));
    Ok(Definition { table: row.get(0)?, key, columns })
}

/// Keeps what a table is like now.
pub(super) fn save(session: &Session<'_>, table: &Definition, now: i64) -> Result<(), SqlError> {
    let columns = serde_json::to_string(&table.columns).map_err(|error| SqlError::Refused(error.to_string()))?;
    let key = match &table.key {
        Key::Field(field) => Some(field.as_str()),
        Key::Line => None,
    };
    session.execute(
        "INSERT INTO bulk_table (folded, name, key_field, columns, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)
         ON CONFLICT (folded) DO UPDATE SET columns = excluded.columns, updated_at = excluded.updated_at",
        values![&table.table.to_lowercase(), &table.table, key, &columns, now],
    )?;
    Ok(())
}

/// Is it a table of the product, or a name that it keeps for itself?
pub fn is_own(session: &Session<'_>, table: &str) -> Result<bool, SqlError> {
    let lower = table.to_lowercase();
    if RESERVED.iter().any(|start| lower.starts_with(start)) {
        return Ok(true);
    }
    let imported = names(session)?;
    let others = tables::tables(session)?.into_iter().filter(|other| !imported.contains(&other.name));
    Ok(others.into_iter().any(|other| other.name.to_lowercase() == lower))
}

/// Makes an empty table as it is in another store.
pub fn create_like(session: &Session<'_>, table: &Definition) -> Result<(), SqlError> {
    define::create(session, table, &quoted(&table.table))
}

/// Throws all imported tables away; the rows of the registry are left to the caller.
pub fn drop_all(session: &Session<'_>) -> Result<(), SqlError> {
    names(session)?.iter().try_for_each(|name| session.batch(&format!("DROP TABLE {}", quoted(name))))
}
