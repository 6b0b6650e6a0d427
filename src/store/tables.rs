//! Which tables and columns there are, asked of the database itself: for whoever handles all of them alike.

use super::sql::{Engine, Session, SqlError, values};

/// One table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Name.
    pub name: String,
    /// In the order of their making.
    pub columns: Vec<Column>,
    /// Tables that must be filled before this one.
    pub refers_to: Vec<String>,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name.
    pub name: String,
    /// The engine's word for its type.
    pub kind: String,
    /// May it be NULL?
    pub nullable: bool,
    /// Its place in the primary key, from 1; 0 = not in it.
    pub key: u32,
    /// The engine numbers new rows by it.
    pub counted: bool,
}

impl Table {
    /// Columns of the primary key, quoted and in order.
    pub fn key(&self) -> Vec<String> {
        let mut key: Vec<_> = self.columns.iter().filter(|column| column.key > 0).collect();
        key.sort_by_key(|column| column.key);
        key.into_iter().map(|column| quoted(&column.name)).collect()
    }
}

/// As an identifier in a statement.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// All tables of the store, those that others refer to first. The book-keeping of the migrations is not among them.
pub fn tables(session: &Session<'_>) -> Result<Vec<Table>, SqlError> {
    let names = match session.engine() {
        Engine::Sqlite => {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' \
             AND name <> 'refinery_schema_history' ORDER BY name"
        }
        Engine::Postgres => {
            "SELECT CAST(relname AS TEXT) FROM pg_class WHERE relkind = 'r' \
             AND relnamespace = CAST(CAST(current_schema() AS TEXT) AS regnamespace) \
             AND relname <> 'refinery_schema_history' ORDER BY relname"
        }
    };
    let names: Vec<String> = session.query(names, &[], |row| row.get(0))?;
    let mut waiting = Vec::with_capacity(names.len());
    for name in names {
        let columns = columns(session, &name)?;
        let mut refers_to = parents(session, &name)?;
        // One that refers to itself is filled in the order of its key: older rows are referred to.
        refers_to.retain(|parent| *parent != name);
        waiting.push(Table { name, columns, refers_to });
    }
    in_order(waiting)
}

fn columns(session: &Session<'_>, table: &str) -> Result<Vec<Column>, SqlError> {
    let sql = match session.engine() {
        Engine::Sqlite => {
            "SELECT name, type, \"notnull\" = 0 AND pk = 0, pk, FALSE FROM pragma_table_info(?1) ORDER BY cid"
        }
        Engine::Postgres => {
            "SELECT CAST(a.attname AS TEXT), format_type(a.atttypid, NULL), NOT a.attnotnull, \
             coalesce((SELECT k.place FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k (attnum, place) \
             WHERE i.indrelid = a.attrelid AND i.indisprimary AND k.attnum = a.attnum), 0), a.attidentity <> '' \
             FROM pg_attribute a WHERE a.attrelid = to_regclass(quote_ident(?1)) AND a.attnum > 0 \
             AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum"
        }
    };
    session.query(sql, values![table], |row| {
        Ok(Column {
            name: row.get(0)?,
            kind: row.get(1)?,
            nullable: row.get(2)?,
            key: row.get(3)?,
            counted: row.get(4)?,
        })
    })
}

fn parents(session: &Session<'_>, table: &str) -> Result<Vec<String>, SqlError> {
    let sql = match session.engine() {
        Engine::Sqlite => "SELECT DISTINCT \"table\" FROM pragma_foreign_key_list(?1) ORDER BY 1",
        Engine::Postgres => {
            "SELECT DISTINCT CAST(p.relname AS TEXT) FROM pg_constraint k JOIN pg_class p ON p.oid = k.confrelid \
             WHERE k.contype = 'f' AND k.conrelid = to_regclass(quote_ident(?1)) ORDER BY 1"
        }
    };
    session.query(sql, values![table], |row| row.get(0))
}

fn in_order(mut waiting: Vec<Table>) -> Result<Vec<Table>, SqlError> {
    let mut ordered: Vec<Table> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let ready = |table: &Table| table.refers_to.iter().all(|name| ordered.iter().any(|done| done.name == *name));
        let (next, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(ready);
        if next.is_empty() {
            return Err(SqlError::Unreadable("tables refer to each other in a circle".to_owned()));
        }
        ordered.extend(next);
        waiting = rest;
    }
    Ok(ordered)
}
