//! What a table is like, how it is made, and how it becomes wider.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Field, Kind, Kinds, list, type_name};
use crate::store::sql::{Engine, Session, SqlError, values};
use crate::store::tables::quoted;

/// Most columns of a table: beyond that PostgreSQL may find a row too long.
pub const MOST_COLUMNS: usize = 400;

/// The column that tells rows apart that have no key of their own.
pub const LINE_KEY: &str = "_line_hash";

/// Longest name that PostgreSQL keeps whole.
const LONGEST_NAME: usize = 63;

/// Names that one of the engines has given to something in every table.
const TAKEN: [&str; 10] = ["rowid", "oid", "_rowid_", "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid", LINE_KEY];

/// What tells the rows of a table apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Key {
    /// This field of the record.
    Field(String),
    /// The whole line.
    Line,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, "`{name}`"),
            Self::Line => f.write_str("their whole line"),
        }
    }
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The field of the records.
    pub field: String,
    /// Its name in the table.
    pub name: String,
    /// What has been seen in it.
    pub seen: Kinds,
}

/// One table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its name.
    pub table: String,
    /// Its key.
    pub key: Key,
    /// Its columns.
    pub columns: Vec<Column>,
}

impl Definition {
    /// The column of a field.
    pub fn column(&self, field: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.field == field)
    }

    /// The type of a column.
    pub fn kind(&self, index: usize) -> Kind {
        let Some(column) = self.columns.get(index) else { return Kind::Text };
        if self.is_key(column) { column.seen.key_kind() } else { column.seen.kind() }
    }

    /// Its place among the columns; none = the hash of the line.
    pub fn key_column(&self) -> Option<usize> {
        match &self.key {
            Key::Field(field) => self.column(field),
            Key::Line => None,
        }
    }

    fn is_key(&self, column: &Column) -> bool {
        matches!(&self.key, Key::Field(field) if *field == column.field)
    }

    /// The name of its key's column, quoted.
    pub(super) fn key_name(&self) -> String {
        self.key_column().map_or_else(|| quoted(LINE_KEY), |index| quoted(&self.columns[index].name))
    }

    /// Takes in what rows bring; `false` = nothing new.
    pub(super) fn admit(&mut self, fields: &[Field]) -> bool {
        let mut changed = false;
        for field in fields.iter().filter(|field| !field.seen.is_none()) {
            if let Some(column) = self.columns.iter_mut().find(|column| column.field == field.name) {
                let seen = column.seen.and(field.seen);
                changed |= seen != column.seen;
                column.seen = seen;
            } else {
                let name = self.free_name(&field.name);
                self.columns.push(Column { field: field.name.clone(), name, seen: field.seen });
                changed = true;
            }
        }
        changed
    }

    /// Does the same table hold both?
    pub(super) fn same_shape(&self, other: &Self) -> bool {
        self.columns.len() == other.columns.len()
            && (0..self.columns.len()).all(|index| self.kind(index) == other.kind(index))
    }

    /// A column's name for a field: its own, if both engines take it and no other column has it in other letters.
    fn free_name(&self, field: &str) -> String {
        let mut name: String = field.chars().map(|c| if c == '\0' { '_' } else { c }).collect();
        if name.is_empty() {
            name.push('_');
        }
        let used: HashSet<String> = self.columns.iter().map(|column| column.name.to_lowercase()).collect();
        let free = |name: &str| {
            let lower = name.to_lowercase();
            name.len() <= LONGEST_NAME && !used.contains(&lower) && !TAKEN.contains(&lower.as_str())
        };
        if free(&name) {
            return name;
        }
        let mut end = name.len().min(LONGEST_NAME - 6);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        name.truncate(end);
        // There are fewer columns than numbers.
        (2..=MOST_COLUMNS + 2).map(|number| format!("{name}_{number}")).find(|name| free(name)).unwrap_or(name)
    }

    /// Names of all columns, quoted, the hidden key last.
    pub(super) fn names(&self) -> Vec<String> {
        let hidden = (self.key == Key::Line).then(|| quoted(LINE_KEY));
        self.columns.iter().map(|column| quoted(&column.name)).chain(hidden).collect()
    }

    fn described(&self, engine: Engine) -> String {
        let columns = self.columns.iter().enumerate().map(|(index, column)| {
            let key = match (self.is_key(column), self.kind(index)) {
                (true, Kind::Int) => " PRIMARY KEY",
                (true, _) => " PRIMARY KEY NOT NULL",
                (false, _) => "",
            };
            // Keys sort by their bytes, as they do in the file.
            let order = match (engine, self.is_key(column), self.kind(index)) {
                (Engine::Postgres, true, Kind::Text) => " COLLATE \"C\"",
                _ => "",
            };
            format!("{} {}{order}{key}", quoted(&column.name), type_name(engine, self.kind(index)))
        });
        let bytes = if engine == Engine::Sqlite { "BLOB" } else { "bytea" };
        let hidden = (self.key == Key::Line).then(|| format!("{} {bytes} PRIMARY KEY NOT NULL", quoted(LINE_KEY)));
        list(columns.chain(hidden))
    }
}

/// Makes a table of this name.
pub(super) fn create(session: &Session<'_>, definition: &Definition, name: &str) -> Result<(), SqlError> {
    session.batch(&format!("CREATE TABLE {name} ({})", definition.described(session.engine())))
}

/// Makes a table wider.
pub(super) fn alter(session: &Session<'_>, from: &Definition, to: &Definition) -> Result<(), SqlError> {
    let widened: Vec<_> = (0..from.columns.len()).filter(|index| from.kind(*index) != to.kind(*index)).collect();
    if session.engine() == Engine::Sqlite && !widened.is_empty() {
        return rebuild(session, from, to);
    }
    let table = quoted(&to.table);
    let widened = widened.into_iter().map(|index| {
        let (name, kind) = (quoted(&to.columns[index].name), to.kind(index));
        let value = converted(Engine::Postgres, &name, from.kind(index), kind);
        format!("ALTER COLUMN {name} TYPE {} USING {value}", type_name(Engine::Postgres, kind))
    });
    let added = (from.columns.len()..to.columns.len()).map(|index| {
        format!("ADD COLUMN {} {}", quoted(&to.columns[index].name), type_name(session.engine(), to.kind(index)))
    });
    match session.engine() {
        Engine::Postgres => session.batch(&format!("ALTER TABLE {table} {}", list(widened.chain(added)))),
        Engine::Sqlite => added.into_iter().try_for_each(|add| session.batch(&format!("ALTER TABLE {table} {add}"))),
    }
}

/// SQLite cannot change a column's type: the table is made anew, with the indexes and triggers that somebody gave it.
fn rebuild(session: &Session<'_>, from: &Definition, to: &Definition) -> Result<(), SqlError> {
    let (table, new) = (quoted(&to.table), quoted("bulk_rebuilt"));
    let beside: Vec<String> = session.query(
        "SELECT sql FROM sqlite_master WHERE lower(tbl_name) = lower(?1) AND type IN ('index', 'trigger') AND sql IS NOT NULL",
        values![&to.table],
        |row| row.get(0),
    )?;
    create(session, to, &new)?;
    let values = (0..from.columns.len())
        .map(|index| converted(Engine::Sqlite, &quoted(&from.columns[index].name), from.kind(index), to.kind(index)));
    let hidden = (to.key == Key::Line).then(|| quoted(LINE_KEY));
    session.batch(&format!(
        "INSERT INTO {new} ({}) SELECT {} FROM {table}; DROP TABLE {table}; ALTER TABLE {new} RENAME TO {table}",
        list(from.names()),
        list(values.chain(hidden)),
    ))?;
    beside.iter().try_for_each(|sql| session.batch(sql))
}

/// An expression that gives a column's value as another type, as if it had come as that.
pub(super) fn converted(engine: Engine, name: &str, from: Kind, to: Kind) -> String {
    match (from, to, engine) {
        (Kind::Bool, Kind::Text, _) => format!("CASE WHEN {name} THEN 'true' WHEN NOT {name} THEN 'false' END"),
        (Kind::Int, Kind::Real, _) => format!("CAST({name} AS double precision)"),
        (Kind::Int, Kind::Text, _) => format!("CAST({name} AS text)"),
        (Kind::Real, Kind::Text, Engine::Sqlite) => format!("real_text({name})"),
        (Kind::Real, Kind::Text, Engine::Postgres) => format!(
            "CASE WHEN abs({name}) < 9007199254740992 AND trunc({name}) = {name} \
             THEN CAST(CAST({name} AS bigint) AS text) ELSE CAST({name} AS text) END"
        ),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Definition, Field, Key, Kinds};

    #[test]
    fn every_field_has_a_column_that_both_engines_take() {
        let mut table = Definition { table: "t".to_owned(), key: Key::Line, columns: Vec::new() };
        let long = "я".repeat(50);
        let names = ["Name", "name", "NAME", "rowid", "ctid", "", "a\0b", "a\"b", &long, &format!("{long}2")];
        let fields = names.map(|name| Field { name: name.to_owned(), seen: Kinds::INT });
        assert!(table.admit(&fields));
        assert!(!table.admit(&fields));
        let made: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(made[..8], ["Name", "name_2", "NAME_3", "rowid_2", "ctid_2", "_", "a_b", "a\"b"]);
        assert!(made[8..].iter().all(|name| name.len() <= 63) && made[8] != made[9], "{made:?}");
    }
}
