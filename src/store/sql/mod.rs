//! One SQL for both engines: statements are written once, with `?1`, `?2` … as parameters, and run in a [`Session`] of
//! SQLite or of PostgreSQL. So the engines cannot drift apart; the few places where their languages differ ask
//! [`Session::engine`].
//!
//! What both understand alike, and what is therefore used: `ON CONFLICT … DO UPDATE`, `RETURNING`,
//! `IS [NOT] DISTINCT FROM`, `TRUE` and `FALSE`, `CAST`, window functions, partial indexes. Times are whole
//! milliseconds since 1970 in parameters and rows, whatever the column's type; lists are JSON text.

mod error;
mod row;
mod set;
mod value;

use rusqlite::Connection;

use crate::store::postgres::{Answer, Transaction};

pub use crate::store::postgres::CopyType;

pub use error::SqlError;
pub use row::{Column, Row};
pub use set::Columns;
pub use value::{Cell, Value, signed};

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

impl Engine {
    /// The texts of a JSON list as a table `w` with a column `value`.
    ///
    /// Ask for what belongs to each in a sub-select (`SELECT …, (SELECT … WHERE key = w.value LIMIT 1) FROM …`): it goes
    /// by the whole key. In a join a server may prefer a part of the key, as long as it believes the table to be small.
    pub fn texts(self, list: &str) -> String {
        match self {
            Self::Sqlite => format!("json_each({list}) AS w"),
            Self::Postgres => format!("jsonb_array_elements_text(CAST(CAST({list} AS text) AS jsonb)) AS w (value)"),
        }
    }

    /// That a key is one of the few that `select` finds. As an array on a server: a set might be found
    /// anew for each row that is compared with it, and be another each time.
    pub fn among(self, key: &str, select: &str) -> String {
        match self {
            Self::Sqlite => format!("{key} IN ({select})"),
            Self::Postgres => format!("{key} = ANY (ARRAY({select}))"),
        }
    }

    /// The same of those that nobody else has just locked, and locks them.
    pub fn claimable(self, key: &str, select: &str) -> String {
        match self {
            Self::Sqlite => self.among(key, select),
            Self::Postgres => self.among(key, &format!("{select} FOR UPDATE SKIP LOCKED")),
        }
    }

    /// What tells the rows of a table apart within one statement, whatever their key is.
    pub fn row_id(self) -> &'static str {
        match self {
            Self::Sqlite => "rowid",
            Self::Postgres => "ctid",
        }
    }
}

/// One open transaction of one engine. It begins before a job gets it and ends after the job returns: committed when
/// the job succeeded, else undone.
#[derive(Debug)]
pub enum Session<'c> {
    /// A savepoint on the writer's connection, or a question on a reader's.
    Sqlite(&'c Connection),
    /// A transaction on a connection to a server.
    Postgres(&'c Transaction<'c>),
}

impl Session<'_> {
    /// Which language the rare statement that differs must speak.
    pub fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
        }
    }

    /// Runs a change; how many rows it touched.
    pub fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, SqlError> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                Ok(statement.execute(rusqlite::params_from_iter(values))? as u64)
            }
            Self::Postgres(transaction) => transaction.execute(sql, values),
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
            Self::Postgres(transaction) => transaction.execute_many(sql, rows),
        }
    }

    /// Inserts rows (`INSERT … RETURNING id`) and gives their ids, in order; like [`Session::execute_many`] without
    /// waiting for each in turn.
    pub fn insert_many<'v>(
        &self,
        sql: &str,
        rows: impl IntoIterator<Item = Vec<Value<'v>>>,
    ) -> Result<Vec<i64>, SqlError> {
        let mut ids = Vec::new();
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                for row in rows {
                    ids.push(statement.query_row(rusqlite::params_from_iter(&row), |row| row.get(0))?);
                }
            }
            Self::Postgres(transaction) => transaction.first_of_many(sql, rows, |row| {
                ids.push(Row::Postgres(row).get(0)?);
                Ok(())
            })?,
        }
        Ok(ids)
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
            Self::Postgres(transaction) => {
                let mut made = Vec::new();
                transaction.each(sql, values, |row| {
                    made.push(make(&Row::Postgres(row))?);
                    Ok(())
                })?;
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
            Self::Postgres(transaction) => {
                let row = transaction.first(sql, values)?;
                row.map(|row| make(&Row::Postgres(Answer::new(&row)))).transpose()
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

    /// From now on the statements of this transaction may take as long as they need: for reading or writing everything.
    pub fn take_time(&self) -> Result<(), SqlError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(transaction) => transaction.take_time(),
        }
    }

    /// Runs statements without parameters, separated by `;`.
    pub fn batch(&self, sql: &str) -> Result<(), SqlError> {
        match self {
            Self::Sqlite(connection) => Ok(connection.execute_batch(sql)?),
            Self::Postgres(transaction) => transaction.batch(sql),
        }
    }

    /// Tries something that may fail, without giving up what was done before: a failure undoes `job` alone. The outer
    /// error means that the whole transaction is lost.
    pub fn attempt<T>(&self, job: impl FnOnce() -> Result<T, SqlError>) -> Result<Result<T, SqlError>, SqlError> {
        self.batch("SAVEPOINT attempt")?;
        let done = job();
        if done.is_err() {
            if let Self::Postgres(transaction) = self {
                transaction.forgive();
            }
            self.batch("ROLLBACK TO SAVEPOINT attempt")?;
        }
        self.batch("RELEASE SAVEPOINT attempt")?;
        Ok(done)
    }

    /// Waits until no other transaction holds the lock of this name, and holds it until this one ends. Whoever decides
    /// on what it read takes it first; SQLite has one writer and needs none.
    pub fn lock(&self, name: &str) -> Result<(), SqlError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(_) => {
                self.exists("SELECT pg_advisory_xact_lock(hashtextextended(?1, 0))", values![name]).map(drop)
            }
        }
    }

    /// The same, but beside others that take it so; [`Session::lock`] waits for all of them.
    pub fn lock_shared(&self, name: &str) -> Result<(), SqlError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(_) => {
                self.exists("SELECT pg_advisory_xact_lock_shared(hashtextextended(?1, 0))", values![name]).map(drop)
            }
        }
    }

    /// Ends this transaction's work if it takes longer than `limit` in all. On the embedded engine, whose statements are
    /// short, whoever runs many looks at the clock now and then.
    pub fn end_within(&self, limit: std::time::Duration) -> Result<(), SqlError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(transaction) => transaction.end_within(limit),
        }
    }

    /// Copies rows into a table (`COPY … FROM STDIN (FORMAT binary)`) of a server; how many. The embedded engine has no
    /// such thing, and needs none.
    pub fn copy_in<'v, R: AsRef<[Value<'v>]>>(
        &self,
        sql: &str,
        types: &[CopyType],
        rows: impl IntoIterator<Item = R>,
    ) -> Result<u64, SqlError> {
        match self {
            Self::Sqlite(_) => Err(SqlError::Refused("the embedded engine copies nothing".to_owned())),
            Self::Postgres(transaction) => transaction.copy_in(sql, types, rows.into_iter()),
        }
    }
}
