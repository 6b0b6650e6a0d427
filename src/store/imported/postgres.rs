//! Rows into a table of a server: by COPY into a table of the transaction's own, then merged in one statement.

use bytes::{BufMut as _, BytesMut};

use super::sqlite::text_of;
use super::{Datum, Definition, Keep, Key, Kind, Next, RowAt, Rows, Table, Written, define, list, type_name};
use crate::store::postgres::Transaction;
use crate::store::sql::{Engine, Session, SqlError};

/// Bytes that are sent at once.
const PIECE: usize = 256 << 10;

/// Bytes of lines that are not stored, and not yet kept either.
const MOST_WAITING: usize = 4 << 20;

/// What every COPY in this format begins with: signature, flags, no extension.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

pub(super) fn write(
    session: &Session<'_>,
    transaction: &Transaction<'_>,
    table: &mut Table,
    next: Next<'_>,
    keep: Keep<'_>,
) -> Result<Written, SqlError> {
    let (mut written, mut sent, mut scratch) = (Written::default(), 0_u64, String::new());
    // What has arrived has the columns of the table to be, under numbers.
    let mut arrived: Option<Definition> = None;
    let mut copy = None;
    let (mut rejects, mut waiting) = (Vec::new(), 0);
    while let Some(mut rows) = next()? {
        // While a COPY goes on the server takes nothing else.
        waiting += rows.rejects.iter().map(|reject| reject.original.len() + reject.message.len() + 100).sum::<usize>();
        rejects.append(&mut rows.rejects);
        if waiting >= MOST_WAITING {
            finish(copy.take())?;
            keep(std::mem::take(&mut rejects))?;
            waiting = 0;
        }
        written.duplicates += rows.duplicates;
        if rows.rows.is_empty() {
            continue;
        }
        let mut wanted = arrived.clone().unwrap_or_else(|| table.definition.clone());
        wanted.admit(&rows.fields);
        if arrived.as_ref().is_none_or(|arrived| !arrived.same_shape(&wanted)) {
            finish(copy.take())?;
            shape(session, arrived.as_ref(), &wanted)?;
        }
        arrived = Some(wanted);
        let Some(definition) = &arrived else { continue };
        if copy.is_none() {
            let mut begun = transaction
                .feed_in(&format!("COPY bulk_arrived ({}) FROM STDIN (FORMAT binary)", columns(definition)))?;
            begun.send(HEAD.into())?;
            copy = Some(begun);
        }
        let Some(copy) = &mut copy else { continue };
        let places: Vec<_> = rows.fields.iter().map(|field| definition.column(&field.name)).collect();
        let mut out = BytesMut::with_capacity(PIECE + (PIECE >> 2));
        for row in &rows.rows {
            tuple(&mut out, definition, &rows, row, &places, &mut scratch)?;
            if out.len() >= PIECE {
                copy.send(out.split().freeze())?;
            }
        }
        copy.send(out.freeze())?;
        sent += rows.rows.len() as u64;
    }
    finish(copy)?;
    keep(rejects)?;
    let Some(arrived) = arrived else { return Ok(written) };
    let fields: Vec<_> =
        arrived.columns.iter().map(|column| super::Field { name: column.field.clone(), seen: column.seen }).collect();
    table.admit(session, &fields)?;
    merge(session, &table.definition, sent, &mut written)?;
    session.batch("DROP TABLE bulk_arrived")?;
    Ok(written)
}

fn finish(copy: Option<crate::store::postgres::CopyIn<'_, '_>>) -> Result<(), SqlError> {
    let Some(mut copy) = copy else { return Ok(()) };
    copy.send((-1_i16).to_be_bytes().to_vec().into())?;
    copy.finish()
}

/// Makes the table of what arrives, or makes it wider.
fn shape(session: &Session<'_>, from: Option<&Definition>, to: &Definition) -> Result<(), SqlError> {
    let kind = |index: usize| type_name(Engine::Postgres, to.kind(index));
    let Some(from) = from else {
        let columns = (0..to.columns.len()).map(|index| format!("c{index} {}", kind(index)));
        let hash = (to.key == Key::Line).then(|| "h bytea".to_owned());
        let columns = list(std::iter::once("n bigint".to_owned()).chain(columns).chain(hash));
        return session.batch(&format!("CREATE TEMP TABLE bulk_arrived ({columns}) ON COMMIT DROP"));
    };
    let widened = (0..from.columns.len()).filter(|index| from.kind(*index) != to.kind(*index)).map(|index| {
        let value = define::converted(Engine::Postgres, &format!("c{index}"), from.kind(index), to.kind(index));
        format!("ALTER COLUMN c{index} TYPE {} USING {value}", kind(index))
    });
    let added = (from.columns.len()..to.columns.len()).map(|index| format!("ADD COLUMN c{index} {}", kind(index)));
    session.batch(&format!("ALTER TABLE bulk_arrived {}", list(widened.chain(added))))
}

/// The line's number, the columns, the hash.
fn columns(definition: &Definition) -> String {
    let columns = (0..definition.columns.len()).map(|index| format!("c{index}"));
    let hash = (definition.key == Key::Line).then(|| "h".to_owned());
    list(std::iter::once("n".to_owned()).chain(columns).chain(hash))
}

fn tuple(
    out: &mut BytesMut,
    definition: &Definition,
    rows: &Rows,
    row: &RowAt,
    places: &[Option<usize>],
    scratch: &mut String,
) -> Result<(), SqlError> {
    let hashed = definition.key == Key::Line;
    let count = definition.columns.len() + 1 + usize::from(hashed);
    out.put_i16(i16::try_from(count).map_err(|_| SqlError::Refused("too many columns".to_owned()))?);
    out.put_i32(8);
    out.put_i64(crate::store::sql::signed(row.line)?);
    let cells = rows.cells(row);
    // Records mostly have their fields in the order of the columns.
    let mut at = 0;
    for index in 0..definition.columns.len() {
        let is = |cell: &super::Cell| places.get(usize::from(cell.field)).copied().flatten() == Some(index);
        let cell = match cells.get(at) {
            Some(cell) if is(cell) => {
                at += 1;
                Some(cell)
            }
            _ => cells.iter().position(is).map(|found| {
                at = found + 1;
                &cells[found]
            }),
        };
        match cell {
            None => out.put_i32(-1),
            Some(cell) => field(out, rows, cell.datum, definition.kind(index), scratch)?,
        }
    }
    if hashed {
        put(out, &row.hash)?;
    }
    Ok(())
}

fn put(out: &mut BytesMut, bytes: &[u8]) -> Result<(), SqlError> {
    out.put_i32(i32::try_from(bytes.len()).map_err(|_| SqlError::Refused("a value is too long".to_owned()))?);
    out.put_slice(bytes);
    Ok(())
}

fn field(out: &mut BytesMut, rows: &Rows, datum: Datum, kind: Kind, scratch: &mut String) -> Result<(), SqlError> {
    match (datum, kind) {
        (Datum::Text(_) | Datum::Unescaped(_), _) => put(out, rows.text(datum)),
        (_, Kind::Text) => {
            text_of(datum, scratch);
            put(out, scratch.as_bytes())
        }
        (Datum::Bool(value), _) => put(out, &[value.into()]),
        #[expect(clippy::cast_precision_loss, reason = "a column of reals has only whole numbers that fit")]
        (Datum::Int(value), Kind::Real) => put(out, &(value as f64).to_be_bytes()),
        (Datum::Int(value), _) => put(out, &value.to_be_bytes()),
        (Datum::Real(value), _) => put(out, &value.to_be_bytes()),
    }
}

/// Brings what has arrived into the table: of equal keys the last, new rows, and those that differ.
fn merge(session: &Session<'_>, definition: &Definition, sent: u64, written: &mut Written) -> Result<(), SqlError> {
    let key = definition.key_column().map_or_else(|| "h".to_owned(), |index| format!("c{index}"));
    session.batch("ANALYZE bulk_arrived")?;
    let duplicates = session.execute(
        &format!(
            "DELETE FROM bulk_arrived a USING (SELECT {key} AS k, max(n) AS n FROM bulk_arrived GROUP BY {key} \
             HAVING count(*) > 1) last WHERE a.{key} = last.k AND a.n < last.n"
        ),
        &[],
    )?;
    let (names, key_name) = (definition.names(), definition.key_name());
    let arrived: Vec<_> = (0..definition.columns.len())
        .map(|index| format!("c{index}"))
        .chain((definition.key == Key::Line).then(|| "h".to_owned()))
        .collect();
    let others = || names.iter().filter(|name| **name != key_name);
    let action = if names.len() > 1 {
        format!(
            "DO UPDATE SET {} WHERE ({}) IS DISTINCT FROM ({})",
            list(others().map(|name| format!("{name} = excluded.{name}"))),
            list(others().map(|name| format!("t.{name}"))),
            list(others().map(|name| format!("excluded.{name}"))),
        )
    } else {
        "DO NOTHING".to_owned()
    };
    let (inserted, updated): (u64, u64) = session.one(
        &format!(
            "WITH written AS (INSERT INTO {} AS t ({}) SELECT {} FROM bulk_arrived ON CONFLICT ({key_name}) {action} \
             RETURNING xmax = 0 AS fresh) \
             SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) FROM written",
            crate::store::tables::quoted(&definition.table),
            names.join(", "),
            arrived.join(", "),
        ),
        &[],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    written.duplicates += duplicates;
    written.inserted += inserted;
    written.updated += updated;
    written.unchanged += sent - duplicates - inserted - updated;
    Ok(())
}
