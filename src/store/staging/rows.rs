//! Single rows: staged, finished, read, queued again, thrown away.

use super::{StagedRow, State, table};
use crate::model::{Collision, ImportId, RecordKind};
use crate::store::sql::{Row, Session, SqlError, Value, values};

/// Which row, by what the sender calls it.
#[derive(Debug, Clone, Copy)]
pub struct StagedKey<'a> {
    /// Which table.
    pub kind: RecordKind,
    /// Whose record.
    pub source_name: &'a str,
    /// The source's id.
    pub external_id: &'a str,
    /// Empty = a whole record.
    pub shape: &'a str,
}

/// How a row ends (or that it goes on waiting).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish<'a> {
    /// To be processed by a job.
    Open,
    /// In the catalogue. With an error, a part of it was refused.
    Processed(Option<(&'a str, &'a str)>),
    /// Completes by itself when this arrives.
    Waiting(&'a str),
    /// Refused: code and message.
    Errors(&'a str, &'a str),
}

impl<'a> Finish<'a> {
    fn state(self) -> State {
        match self {
            Self::Open | Self::Waiting(_) => State::Init,
            Self::Processed(_) => State::Processed,
            Self::Errors(..) => State::WithErrors,
        }
    }

    fn waits_for(self) -> Option<&'a str> {
        if let Self::Waiting(on) = self { Some(on) } else { None }
    }

    fn error(self) -> (Option<&'a str>, Option<&'a str>) {
        match self {
            Self::Errors(code, message) | Self::Processed(Some((code, message))) => (Some(code), Some(message)),
            _ => (None, None),
        }
    }
}

/// What is staged, beside its key.
#[derive(Debug, Clone, Copy)]
pub struct Mark<'a> {
    /// How it ended.
    pub finish: Finish<'a>,
    /// As it came; required unless it is processed.
    pub payload: Option<&'a str>,
    /// Of the payload.
    pub content_hash: &'a str,
    /// See [`StagedRow`].
    pub collision: Collision,
    /// Where it came from.
    pub import: Option<ImportId>,
    /// When the sender saw it.
    pub observed_at: Option<i64>,
    /// Has it been tried?
    pub tried: bool,
}

const PUT: &str = "(source_name, external_id, shape, payload, content_hash, state, waits_for, collision, attempts, \
                   error_code, error_message, import_id, observed_at, created_at, updated_at) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?14) \
                   ON CONFLICT (source_name, external_id, shape) DO UPDATE SET payload = excluded.payload, \
                   content_hash = excluded.content_hash, state = excluded.state, waits_for = excluded.waits_for, \
                   collision = excluded.collision, error_code = excluded.error_code, \
                   error_message = excluded.error_message, import_id = excluded.import_id, \
                   observed_at = excluded.observed_at, updated_at = excluded.updated_at, lease_owner = NULL, \
                   lease_until = NULL, attempts = excluded.attempts + CASE WHEN ";

fn put_sql(kind: RecordKind) -> String {
    let table = table(kind);
    // The same content again goes on counting, new content starts anew.
    format!("INSERT INTO {table} {PUT} {table}.content_hash = excluded.content_hash THEN {table}.attempts ELSE 0 END")
}

fn put_values<'v>(key: StagedKey<'v>, mark: Mark<'v>, import: Option<&'v str>, now: i64) -> Vec<Value<'v>> {
    let (code, message) = mark.finish.error();
    values![
        key.source_name,
        key.external_id,
        key.shape,
        mark.payload,
        mark.content_hash,
        mark.finish.state().as_str(),
        mark.finish.waits_for(),
        mark.collision.as_str(),
        i64::from(mark.tried),
        code,
        message,
        import,
        mark.observed_at,
        now
    ]
    .to_vec()
}

/// Stages a record, or what became of it. Whatever was staged under its key gives way; whoever was at that loses it.
pub fn put(session: &Session<'_>, key: StagedKey<'_>, mark: Mark<'_>, now: i64) -> Result<(), SqlError> {
    let import = mark.import.map(|id| id.to_string());
    session.execute(&put_sql(key.kind), &put_values(key, mark, import.as_deref(), now)).map(drop)
}

/// The same for many of one kind.
pub fn put_all(
    session: &Session<'_>,
    kind: RecordKind,
    rows: &[(StagedKey<'_>, Mark<'_>)],
    now: i64,
) -> Result<(), SqlError> {
    let imports: Vec<Option<String>> = rows.iter().map(|(_, mark)| mark.import.map(|id| id.to_string())).collect();
    let values = rows.iter().zip(&imports).map(|((key, mark), import)| put_values(*key, *mark, import.as_deref(), now));
    session.execute_many(&put_sql(kind), values).map(drop)
}

/// An open row of this key is done with: the catalogue has what the record says.
pub fn settle(session: &Session<'_>, key: StagedKey<'_>, content_hash: &str, now: i64) -> Result<(), SqlError> {
    session
        .execute(
            &format!(
                "UPDATE {} SET state = 'processed', payload = NULL, content_hash = ?4, waits_for = NULL, \
                 error_code = NULL, error_message = NULL, lease_owner = NULL, lease_until = NULL, updated_at = ?5 \
                 WHERE source_name = ?1 AND external_id = ?2 AND shape = ?3 AND state <> 'processed'",
                table(key.kind)
            ),
            values![key.source_name, key.external_id, key.shape, content_hash, now],
        )
        .map(drop)
}

/// Ends one row of a job.
pub fn finish(session: &Session<'_>, kind: RecordKind, id: i64, finish: Finish<'_>, now: i64) -> Result<(), SqlError> {
    let (code, message) = finish.error();
    let keep = if matches!(finish, Finish::Processed(_)) { "payload = NULL, " } else { "" };
    session
        .execute(
            &format!(
                "UPDATE {} SET {keep}state = ?2, waits_for = ?3, error_code = ?4, error_message = ?5, \
                 lease_owner = NULL, lease_until = NULL, updated_at = ?6 WHERE id = ?1",
                table(kind)
            ),
            values![id, finish.state().as_str(), finish.waits_for(), code, message, now],
        )
        .map(drop)
}

/// All columns, in the order of [`row`].
pub(super) const COLUMNS: &str = "id, source_name, external_id, shape, payload, content_hash, state, waits_for, \
                                  collision, attempts, error_code, error_message, import_id, lease_until, \
                                  observed_at, created_at, updated_at";

pub(super) fn row(row: &Row<'_>) -> Result<StagedRow, SqlError> {
    let unreadable = |what: &str, text: &str| SqlError::Unreadable(format!("a stored {what} is unreadable: `{text}`"));
    let import: Option<String> = row.get(12)?;
    Ok(StagedRow {
        id: row.get(0)?,
        source_name: row.get(1)?,
        external_id: row.get(2)?,
        shape: row.get(3)?,
        payload: row.get(4)?,
        content_hash: row.get(5)?,
        state: row.text(6)?.parse().map_err(|_| unreadable("state", "state"))?,
        waits_for: row.get(7)?,
        collision: row.text(8)?.parse().map_err(|_| unreadable("policy", "collision"))?,
        attempts: row.get(9)?,
        error_code: row.get(10)?,
        error_message: row.get(11)?,
        import: import.map(|id| id.parse().map_err(|_| unreadable("import", &id))).transpose()?,
        lease_until: row.get(13)?,
        observed_at: row.get(14)?,
        created_at: row.get(15)?,
        updated_at: row.get(16)?,
    })
}

/// One row.
pub fn get(session: &Session<'_>, kind: RecordKind, id: i64) -> Result<Option<StagedRow>, SqlError> {
    session.first(&format!("SELECT {COLUMNS} FROM {} WHERE id = ?1", table(kind)), values![id], row)
}

/// One row by its key.
pub fn by_key(session: &Session<'_>, key: StagedKey<'_>) -> Result<Option<StagedRow>, SqlError> {
    session.first(
        &format!(
            "SELECT {COLUMNS} FROM {} WHERE source_name = ?1 AND external_id = ?2 AND shape = ?3",
            table(key.kind)
        ),
        values![key.source_name, key.external_id, key.shape],
        row,
    )
}

/// A row that `owner` has claimed, kept from everybody else until the transaction ends; `None` = it lost it.
pub fn owned(session: &Session<'_>, kind: RecordKind, id: i64, owner: &str) -> Result<Option<StagedRow>, SqlError> {
    let lock = match session.engine() {
        crate::store::sql::Engine::Sqlite => "",
        crate::store::sql::Engine::Postgres => " FOR UPDATE",
    };
    session.first(
        &format!(
            "SELECT {COLUMNS} FROM {} WHERE id = ?1 AND state = 'processing' AND lease_owner = ?2{lock}",
            table(kind)
        ),
        values![id, owner],
        row,
    )
}

/// Puts a refused row back into the queue; `false` = it is not one that was refused.
pub fn requeue(session: &Session<'_>, kind: RecordKind, id: i64, now: i64) -> Result<bool, SqlError> {
    let touched = session.execute(
        &format!(
            "UPDATE {} SET state = 'init', attempts = 0, updated_at = ?2 \
             WHERE id = ?1 AND state = 'with_errors' AND shape = ''",
            table(kind)
        ),
        values![id, now],
    )?;
    Ok(touched > 0)
}

/// Throws a row away. What it brought into the catalogue stays there.
pub fn discard(session: &Session<'_>, kind: RecordKind, id: i64) -> Result<bool, SqlError> {
    Ok(session.execute(&format!("DELETE FROM {} WHERE id = ?1", table(kind)), values![id])? > 0)
}
