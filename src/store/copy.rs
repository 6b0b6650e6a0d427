//! Copies everything from one store into another, whichever engines they are on.
//!
//! All or nothing: one moment of the one is read, and everything is written to the other in one transaction, which ends
//! only when both have the same rows and the same dump of the catalogue. Rows travel in batches through a short queue,
//! so memory does not grow with the store. Row ids and the store's identity are kept: a crawl that goes on with the
//! copy knows what was loaded.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::sql::{Cell, Engine, Session, SqlError, Value};
use super::sqlite::CrashPoints;
use super::tables::{self, Table, quoted};
use super::{Store, StoreError, StoreErrorKind, catalogue, imported};

const POINTS: CrashPoints = CrashPoints { before: "copy.before_commit", after: "copy.after_commit" };

/// Rows and bytes of one batch.
const BATCH_ROWS: usize = 500;
const BATCH_BYTES: usize = 1 << 20;

/// Batches between reader and writer.
const QUEUE: usize = 2;

/// Tables that a new store has rows in.
const GIVEN: [&str; 2] = ["meta", "job"];

/// A table's name and how many rows of it there are.
pub type Rows = Vec<(String, u64)>;

/// What travels from the reader to the writer.
enum Parcel {
    /// First of all: the tables that were made of files.
    Imported(Vec<imported::Definition>),
    /// Rows of this table follow; their columns.
    Table(String, Vec<String>),
    Batch(Vec<Vec<Cell>>),
    /// That was all; the hash of the catalogue's dump.
    End(blake3::Hash),
}

/// What there is to copy.
pub async fn rows(store: &Store) -> Result<Rows, StoreError> {
    store.read(count).await
}

/// Fails if anything is in the store beyond what a new one is given.
pub async fn must_be_empty(store: &Store) -> Result<(), StoreError> {
    let filled = filled(&store.read(count).await?);
    if filled.is_empty() { Ok(()) } else { Err(store.error(StoreErrorKind::NotEmpty(filled))) }
}

/// Copies everything; how many rows of each table. `replace` = what `to` has is deleted in the same transaction.
pub async fn copy(from: &Store, to: &Store, replace: bool) -> Result<Rows, StoreError> {
    if !replace {
        must_be_empty(to).await?;
    }
    let (parcels, arriving) = sync_channel(QUEUE);
    let reading = from.read(move |session| send(session, &parcels));
    let writing = to.write(POINTS, move |session| receive(session, &arriving, replace));
    match tokio::join!(reading, writing) {
        (Ok(()), written) => written,
        // The one that failed first says why; the other only missed its partner.
        (Err(read), Err(written)) if is_left_alone(&read) => Err(written),
        (Err(read), _) => Err(read),
    }
}

const ALONE: &str = "the other side of the copy has stopped";

fn alone<E>(_: E) -> SqlError {
    SqlError::Refused(ALONE.to_owned())
}

fn is_left_alone(error: &StoreError) -> bool {
    matches!(&error.kind, StoreErrorKind::Refused(text) if text == ALONE)
}

fn count(session: &Session<'_>) -> Result<Rows, SqlError> {
    session.take_time()?;
    tables::tables(session)?.into_iter().map(|table| Ok((table.name.clone(), number(session, &table.name)?))).collect()
}

fn number(session: &Session<'_>, table: &str) -> Result<u64, SqlError> {
    session.one(&format!("SELECT count(*) FROM {}", quoted(table)), &[], |row| row.get(0))
}

fn filled(rows: &Rows) -> String {
    let filled = rows.iter().filter(|(name, rows)| *rows > 0 && !GIVEN.contains(&name.as_str()));
    filled.map(|(name, rows)| format!("{rows} of {name}")).collect::<Vec<_>>().join(", ")
}

fn list(columns: &[String]) -> String {
    columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ")
}

fn send(session: &Session<'_>, parcels: &SyncSender<Parcel>) -> Result<(), SqlError> {
    session.take_time()?;
    parcels.send(Parcel::Imported(imported::all(session)?)).map_err(alone)?;
    for table in tables::tables(session)? {
        let columns: Vec<_> = table.columns.iter().map(|column| column.name.clone()).collect();
        let mut sql = format!("SELECT {} FROM {}", list(&columns), quoted(&table.name));
        if !table.key().is_empty() {
            sql = format!("{sql} ORDER BY {}", table.key().join(", "));
        }
        parcels.send(Parcel::Table(table.name, columns)).map_err(alone)?;
        let (mut batch, mut bytes) = (Vec::new(), 0);
        session.query(&sql, &[], |row| {
            let cells = (0..table.columns.len()).map(|index| row.cell(index)).collect::<Result<Vec<_>, _>>()?;
            bytes += cells.iter().map(Cell::size).sum::<usize>();
            batch.push(cells);
            if batch.len() >= BATCH_ROWS || bytes >= BATCH_BYTES {
                bytes = 0;
                parcels.send(Parcel::Batch(std::mem::take(&mut batch))).map_err(alone)?;
            }
            Ok(())
        })?;
        parcels.send(Parcel::Batch(batch)).map_err(alone)?;
    }
    parcels.send(Parcel::End(dump_hash(session)?)).map_err(alone)
}

fn receive(session: &Session<'_>, parcels: &Receiver<Parcel>, replace: bool) -> Result<Rows, SqlError> {
    session.take_time()?;
    session.lock("copy")?;
    if !replace {
        let filled = filled(&count(session)?);
        if !filled.is_empty() {
            return Err(SqlError::Refused(format!("something was written to it meanwhile: {filled}")));
        }
    }
    imported::drop_all(session)?;
    for table in tables::tables(session)?.iter().rev() {
        session.execute(&format!("DELETE FROM {}", quoted(&table.name)), &[])?;
    }
    let Parcel::Imported(definitions) = parcels.recv().map_err(alone)? else { return Err(alone(())) };
    definitions.iter().try_for_each(|definition| imported::create_like(session, definition))?;
    let tables = tables::tables(session)?;
    let mut done: Rows = Vec::with_capacity(tables.len());
    let mut insert = Insert::default();
    let hash = loop {
        match parcels.recv().map_err(alone)? {
            Parcel::Imported(_) => return Err(alone(())),
            Parcel::Table(name, columns) => {
                let table = tables.iter().find(|table| table.name == name);
                insert = Insert::into(table, &name, &columns, session.engine())?;
                done.push((name, 0));
            }
            Parcel::Batch(rows) => {
                let count = rows.len() as u64;
                session.execute_many(&insert.sql, rows.iter().map(|row| insert.values(row)))?;
                if let Some((_, rows)) = done.last_mut() {
                    *rows += count;
                }
            }
            Parcel::End(hash) => break hash,
        }
    };
    if session.engine() == Engine::Postgres {
        for table in &tables {
            count_on(session, table)?;
        }
    }
    verify(session, &done, hash)?;
    Ok(done)
}

/// The statement that takes rows of one table.
#[derive(Default)]
struct Insert {
    sql: String,
    /// Columns that hold text here, whatever they hold over there.
    text: Vec<bool>,
}

impl Insert {
    fn into(table: Option<&Table>, name: &str, columns: &[String], engine: Engine) -> Result<Self, SqlError> {
        let differs = |what: &str| SqlError::Refused(format!("the two stores have different tables: {what}"));
        let table = table.ok_or_else(|| differs(name))?;
        if table.columns.len() != columns.len() {
            return Err(differs(name));
        }
        let mut text = Vec::with_capacity(columns.len());
        for column in columns {
            let own = table.columns.iter().find(|own| own.name == *column);
            let own = own.ok_or_else(|| differs(&format!("{name}.{column}")))?;
            text.push(own.kind.eq_ignore_ascii_case("text"));
        }
        let places: Vec<_> = (1..=columns.len()).map(|place| format!("?{place}")).collect();
        // Rows keep their ids, also where the engine would number them.
        let own_ids = if engine == Engine::Postgres { " OVERRIDING SYSTEM VALUE" } else { "" };
        let sql =
            format!("INSERT INTO {} ({}){own_ids} VALUES ({})", quoted(&table.name), list(columns), places.join(", "));
        Ok(Self { sql, text })
    }

    fn values<'r>(&self, row: &'r [Cell]) -> Vec<Value<'r>> {
        let text = self.text.iter().copied().chain(std::iter::repeat(false));
        row.iter()
            .zip(text)
            .map(|(cell, text)| match cell {
                Cell::Blob(bytes) if text => std::str::from_utf8(bytes).map_or(Value::Blob(bytes), Value::Text),
                cell => cell.as_value(),
            })
            .collect()
    }
}

/// The next row gets an id after the largest that was copied.
fn count_on(session: &Session<'_>, table: &Table) -> Result<(), SqlError> {
    for column in table.columns.iter().filter(|column| column.counted) {
        let name = quoted(&column.name);
        let sql = format!(
            "SELECT setval(pg_get_serial_sequence(?1, ?2), coalesce(max({name}), 1), max({name}) IS NOT NULL) FROM {}",
            quoted(&table.name)
        );
        session.exists(&sql, &[Value::from(&quoted(&table.name)), Value::from(&column.name)])?;
    }
    Ok(())
}

fn verify(session: &Session<'_>, copied: &Rows, hash: blake3::Hash) -> Result<(), SqlError> {
    for (name, rows) in copied {
        let found = number(session, name)?;
        if found != *rows {
            return Err(SqlError::Refused(format!(
                "{name}: {rows} rows were sent, {found} are there; nothing is kept"
            )));
        }
    }
    if dump_hash(session)? == hash {
        return Ok(());
    }
    Err(SqlError::Refused("the copied catalogue is not that of the original; nothing is kept".to_owned()))
}

fn dump_hash(session: &Session<'_>) -> Result<blake3::Hash, SqlError> {
    let mut hasher = blake3::Hasher::new();
    catalogue::dump_lines(session, |line| {
        hasher.update(line.as_bytes());
        Ok(())
    })?;
    Ok(hasher.finalize())
}
