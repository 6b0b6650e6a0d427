//! Rows into a table of the embedded file: one prepared statement that inserts, one that updates what differs, values
//! bound from where they lie.

use rusqlite::functions::FunctionFlags;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, Statement, ToSql};

use super::kind::real_text;
use super::seen::Seen;
use super::{Cell, Datum, Definition, Keep, Kind, Next, RowAt, Rows, Table, Written, list};
use crate::store::sql::{Session, SqlError};
use crate::store::tables::quoted;

/// KiB of cached pages while rows are written, and before and after.
const CACHE: i64 = -64 * 1024;
const USUAL_CACHE: i64 = -2048;

pub(super) fn write(
    session: &Session<'_>,
    connection: &Connection,
    table: &mut Table,
    next: Next<'_>,
    keep: Keep<'_>,
) -> Result<Written, SqlError> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("real_text", 1, flags, |context| {
        context.get::<Option<f64>>(0).map(|value| {
            value.map(|value| {
                let mut text = String::new();
                real_text(value, &mut text);
                text
            })
        })
    })?;
    connection.pragma_update(None, "cache_size", CACHE)?;
    let written = write_all(session, connection, table, next, keep);
    // The process may live on.
    connection.pragma_update(None, "cache_size", USUAL_CACHE)?;
    connection.execute_batch("PRAGMA shrink_memory")?;
    written
}

fn write_all(
    session: &Session<'_>,
    connection: &Connection,
    table: &mut Table,
    next: Next<'_>,
    keep: Keep<'_>,
) -> Result<Written, SqlError> {
    let (mut written, mut seen, mut scratch) = (Written::default(), Seen::default(), String::new());
    let mut statements: Option<Statements<'_>> = None;
    while let Some(mut rows) = next()? {
        keep(std::mem::take(&mut rows.rejects))?;
        written.duplicates += rows.duplicates;
        if rows.rows.is_empty() {
            continue;
        }
        // Statements would keep the table as it is.
        if table.needs(&rows) {
            statements = None;
            table.admit(session, &rows.fields)?;
        }
        if statements.is_none() {
            statements = Some(Statements::new(connection, &table.definition)?);
        }
        let Some(statements) = &mut statements else { continue };
        let places = places(&table.definition, &rows);
        for row in &rows.rows {
            statements.store(connection, &rows, row, &places, &mut seen, &mut scratch, &mut written)?;
        }
    }
    Ok(written)
}

impl Table {
    fn needs(&self, rows: &Rows) -> bool {
        !self.stored || self.definition.clone().admit(&rows.fields)
    }
}

/// Where a field's values go: the parameter's number and the column's type.
type Place = (usize, Kind);

fn places(definition: &Definition, rows: &Rows) -> Vec<Place> {
    let place = |name: &str| definition.column(name).map_or((0, Kind::Text), |at| (at + 1, definition.kind(at)));
    rows.fields.iter().map(|field| place(&field.name)).collect()
}

struct Statements<'c> {
    insert: Statement<'c>,
    /// Only if there is anything but the key.
    update: Option<Statement<'c>>,
    /// The row's own id, where the key is not that.
    find: Option<Statement<'c>>,
    /// The key's parameter; the one after the last column is the line's hash.
    key: usize,
    hashed: bool,
}

impl<'c> Statements<'c> {
    fn new(connection: &'c Connection, definition: &Definition) -> Result<Self, SqlError> {
        let (table, names, key_name) = (quoted(&definition.table), definition.names(), definition.key_name());
        let key = definition.key_column();
        let at = key.unwrap_or(names.len() - 1);
        let places = (1..=names.len()).map(|place| format!("?{place}"));
        let insert =
            format!("INSERT INTO {table} ({}) VALUES ({}) ON CONFLICT DO NOTHING", names.join(", "), list(places));
        let others = || names.iter().enumerate().filter(|(index, _)| *index != at);
        let set = list(others().map(|(index, name)| format!("{name} = ?{}", index + 1)));
        let (old, new) =
            (list(others().map(|(_, name)| name.clone())), list(others().map(|(index, _)| format!("?{}", index + 1))));
        let update = (names.len() > 1)
            .then(|| {
                let sql = format!("UPDATE {table} SET {set} WHERE {key_name} = ?{} AND ({old}) IS NOT ({new})", at + 1);
                connection.prepare(&sql)
            })
            .transpose()?;
        let is_id = key.is_some_and(|index| definition.kind(index) == Kind::Int);
        let find = (!is_id)
            .then(|| connection.prepare(&format!("SELECT _rowid_ FROM {table} WHERE {key_name} = ?1")))
            .transpose()?;
        Ok(Self { insert: connection.prepare(&insert)?, update, find, key: at + 1, hashed: key.is_none() })
    }

    #[expect(clippy::too_many_arguments, reason = "what one row needs, borrowed from different owners")]
    fn store(
        &mut self,
        connection: &Connection,
        rows: &Rows,
        row: &RowAt,
        places: &[Place],
        seen: &mut Seen,
        scratch: &mut String,
        written: &mut Written,
    ) -> Result<(), SqlError> {
        let hash = self.hashed.then_some((self.key, row.hash));
        bind(&mut self.insert, rows, row, places, hash, scratch)?;
        if self.insert.raw_execute()? == 1 {
            seen.mark(connection.last_insert_rowid());
            written.inserted += 1;
            return Ok(());
        }
        let again = seen.mark(self.id(rows, row, places, scratch)?);
        let changed = match &mut self.update {
            None => false,
            Some(update) => {
                bind(update, rows, row, places, hash, scratch)?;
                update.raw_execute()? > 0
            }
        };
        match (again, changed) {
            (true, _) => written.duplicates += 1,
            (false, true) => written.updated += 1,
            (false, false) => written.unchanged += 1,
        }
        Ok(())
    }

    /// The id of the row that is there already.
    fn id(&mut self, rows: &Rows, row: &RowAt, places: &[Place], scratch: &mut String) -> Result<i64, SqlError> {
        let key =
            rows.cells(row).iter().find(|cell| places.get(usize::from(cell.field)).is_some_and(|p| p.0 == self.key));
        let Some(find) = &mut self.find else {
            return Ok(match key.map(|cell| cell.datum) {
                Some(Datum::Int(id)) => id,
                _ => 0,
            });
        };
        let value = match key {
            Some(cell) if !self.hashed => value(rows, cell, Kind::Text, scratch),
            _ => ValueRef::Blob(&row.hash),
        };
        Ok(find.query_row([Bound(value)], |row| row.get(0)).optional()?.unwrap_or_default())
    }
}

/// A value that SQLite copies from where it lies.
struct Bound<'a>(ValueRef<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.0))
    }
}

fn bind(
    statement: &mut Statement<'_>,
    rows: &Rows,
    row: &RowAt,
    places: &[Place],
    hash: Option<(usize, [u8; 16])>,
    scratch: &mut String,
) -> Result<(), SqlError> {
    // What the record does not have is NULL.
    statement.clear_bindings();
    for cell in rows.cells(row) {
        let Some(&(place, kind)) = places.get(usize::from(cell.field)) else { continue };
        statement.raw_bind_parameter(place, Bound(value(rows, cell, kind, scratch)))?;
    }
    if let Some((place, hash)) = hash {
        statement.raw_bind_parameter(place, Bound(ValueRef::Blob(&hash)))?;
    }
    Ok(())
}

/// A cell as its column's type.
fn value<'v>(rows: &'v Rows, cell: &Cell, kind: Kind, scratch: &'v mut String) -> ValueRef<'v> {
    match (cell.datum, kind) {
        (datum @ (Datum::Text(_) | Datum::Unescaped(_)), _) => ValueRef::Text(rows.text(datum)),
        (Datum::Bool(value), Kind::Text) => ValueRef::Text(if value { b"true" } else { b"false" }),
        (Datum::Bool(value), _) => ValueRef::Integer(value.into()),
        #[expect(clippy::cast_precision_loss, reason = "a column of reals has only whole numbers that fit")]
        (Datum::Int(value), Kind::Real) => ValueRef::Real(value as f64),
        (Datum::Real(value), Kind::Bool | Kind::Int | Kind::Real) => ValueRef::Real(value),
        (Datum::Int(value), Kind::Bool | Kind::Int) => ValueRef::Integer(value),
        (number, Kind::Text) => {
            text_of(number, scratch);
            ValueRef::Text(scratch.as_bytes())
        }
    }
}

/// A number as text.
pub(super) fn text_of(number: Datum, out: &mut String) {
    use std::fmt::Write as _;
    out.clear();
    match number {
        Datum::Int(value) => {
            // Writing into a string does not fail.
            let _ = write!(out, "{value}");
        }
        Datum::Real(value) => real_text(value, out),
        Datum::Bool(value) => out.push_str(if value { "true" } else { "false" }),
        Datum::Text(_) | Datum::Unescaped(_) => {}
    }
}
