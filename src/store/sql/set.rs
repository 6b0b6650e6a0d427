//! The same change for many rows: one by one with a prepared statement where the engine is a file, all in one statement
//! where it is a server, which so parses, plans and answers once for all of them.

use super::{Engine, Row, Session, SqlError, Value};
use crate::store::postgres::{CopyType, Set};

/// Columns of a table and what they are.
pub type Columns<'c> = [(&'c str, CopyType)];

impl Session<'_> {
    /// Inserts rows in their order; how many. `tail` says what is done about conflicts.
    pub fn insert_set(
        &self,
        (table, columns): (&str, &Columns<'_>),
        tail: &str,
        rows: &[Vec<Value<'_>>],
    ) -> Result<u64, SqlError> {
        if rows.is_empty() {
            return Ok(0);
        }
        let sql = self.insertion(table, columns, tail);
        match self {
            Self::Sqlite(_) => self.execute_many(&sql, rows.iter().cloned()),
            Self::Postgres(transaction) => transaction.execute_set(&sql, &Set::of(columns.len(), rows)),
        }
    }

    /// Inserts rows and gives what `tail` (`RETURNING …`) says of each, in no order.
    pub fn insert_set_returning<T>(
        &self,
        (table, columns): (&str, &Columns<'_>),
        tail: &str,
        rows: &[Vec<Value<'_>>],
        mut make: impl FnMut(&Row<'_>) -> Result<T, SqlError>,
    ) -> Result<Vec<T>, SqlError> {
        let mut made = Vec::with_capacity(rows.len());
        if rows.is_empty() {
            return Ok(made);
        }
        let sql = self.insertion(table, columns, tail);
        match self {
            Self::Sqlite(_) => {
                for row in rows {
                    made.extend(self.query(&sql, row, &mut make)?);
                }
            }
            Self::Postgres(transaction) => transaction.query_set(&sql, &Set::of(columns.len(), rows), |row| {
                made.push(make(&Row::Postgres(row))?);
                Ok(())
            })?,
        }
        Ok(made)
    }

    /// Changes rows. `one` changes one, whose values are its parameters; `all` changes what is in `{given}`, a set with
    /// the columns `c1`, `c2` … of these types.
    pub fn update_set(
        &self,
        (one, all): (&str, &str),
        types: &[CopyType],
        rows: &[Vec<Value<'_>>],
    ) -> Result<u64, SqlError> {
        if rows.is_empty() {
            return Ok(0);
        }
        match self {
            Self::Sqlite(_) => self.execute_many(one, rows.iter().cloned()),
            Self::Postgres(transaction) => {
                let names: Vec<_> = (1..=types.len()).map(|number| format!("c{number}")).collect();
                let given = format!("{} AS given ({})", unnest(types.iter().copied()), names.join(", "));
                transaction.execute_set(&all.replace("{given}", &given), &Set::of(types.len(), rows))
            }
        }
    }

    /// What a server answers to `sql` about rows, which are `{given}` there: a set with the columns `c1`, `c2` … of these
    /// types, and `number` from 1.
    pub fn query_set<T>(
        &self,
        sql: &str,
        types: &[CopyType],
        rows: &[Vec<Value<'_>>],
        mut make: impl FnMut(&Row<'_>) -> Result<T, SqlError>,
    ) -> Result<Vec<T>, SqlError> {
        let Self::Postgres(transaction) = self else {
            return Err(SqlError::Refused("the embedded engine is asked row by row".to_owned()));
        };
        let names: Vec<_> = (1..=types.len()).map(|number| format!("c{number}")).collect();
        let all = unnest(types.iter().copied());
        let given = format!("{all} WITH ORDINALITY AS given ({}, number)", names.join(", "));
        let mut made = Vec::with_capacity(rows.len());
        transaction.query_set(&sql.replace("{given}", &given), &Set::of(types.len(), rows), |row| {
            made.push(make(&Row::Postgres(row))?);
            Ok(())
        })?;
        Ok(made)
    }

    fn insertion(&self, table: &str, columns: &Columns<'_>, tail: &str) -> String {
        let names = columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let rows = match self.engine() {
            Engine::Sqlite => {
                let places: Vec<_> = (1..=columns.len()).map(|place| format!("?{place}")).collect();
                format!("VALUES ({})", places.join(", "))
            }
            Engine::Postgres => format!("SELECT * FROM {}", unnest(columns.iter().map(|(_, ty)| *ty))),
        };
        format!("INSERT INTO {table} ({names}) {rows} {tail}")
    }
}

/// Lists as the columns of a set.
fn unnest(types: impl Iterator<Item = CopyType>) -> String {
    let lists: Vec<_> = (1..).zip(types).map(|(place, ty)| format!("CAST(?{place} AS {}[])", ty.name())).collect();
    format!("unnest({})", lists.join(", "))
}
