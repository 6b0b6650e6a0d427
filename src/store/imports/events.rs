//! What happened to an import, in order. The numbers have no gaps and become visible in order, on every engine,
//! because they are given out under the lock of the import's row: a reader that knows the last one has missed nothing.

use super::{Number, take_numbers};
use crate::store::sql::{Session, SqlError, values};

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// 1, 2, 3 … of its import.
    pub id: i64,
    /// `import`, `batch`, `progress`.
    pub kind: String,
    /// JSON.
    pub data: String,
    /// When.
    pub created_at: i64,
}

/// Adds an event; its number.
pub fn append(session: &Session<'_>, import: Number, kind: &str, data: &str, now: i64) -> Result<i64, SqlError> {
    let id = take_numbers(session, import, 0, 1)?.event;
    insert(session, import, id, kind, data, now)?;
    Ok(id)
}

/// Adds an event under a number that was given out already.
pub(super) fn insert(
    session: &Session<'_>,
    import: Number,
    id: i64,
    kind: &str,
    data: &str,
    now: i64,
) -> Result<(), SqlError> {
    session
        .execute(
            "INSERT INTO import_event (import, id, type, data, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            values![import, id, kind, data, now],
        )
        .map(drop)
}

/// What followed the event `after`.
pub fn events_after(
    session: &Session<'_>,
    import: Number,
    after: i64,
    limit: u32,
) -> Result<Vec<StoredEvent>, SqlError> {
    session.query(
        "SELECT id, type, data, created_at FROM import_event WHERE import = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
        values![import, after, limit],
        |row| Ok(StoredEvent { id: row.get(0)?, kind: row.get(1)?, data: row.get(2)?, created_at: row.get(3)? }),
    )
}

/// Number of the last one, 0 if there is none.
pub fn last_event(session: &Session<'_>, import: Number) -> Result<i64, SqlError> {
    session.one("SELECT events FROM import_record WHERE number = ?1", values![import], |row| row.get(0))
}
