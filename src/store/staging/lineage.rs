//! Through which rows an entity has come: what a page about it shows. Payloads stay where they are.

use super::{State, table};
use crate::model::RecordKind;
use crate::store::sql::{Session, SqlError, values};

/// One row that was about an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// Row id.
    pub id: i64,
    /// Empty = a whole record.
    pub shape: String,
    /// Where it stands.
    pub state: State,
    /// Why it was refused, in words.
    pub error: Option<String>,
    /// The import that brought it.
    pub import: Option<String>,
    /// When the sender saw it.
    pub observed_at: Option<i64>,
    /// Changed last.
    pub updated_at: i64,
}

/// The rows of an entity, the newest first.
pub fn lineage(
    session: &Session<'_>,
    kind: RecordKind,
    source_name: &str,
    external_id: &str,
    limit: u32,
) -> Result<Vec<Passage>, SqlError> {
    session.query(
        &format!(
            "SELECT id, shape, state, error_message, CAST(import_id AS TEXT), observed_at, updated_at FROM {} \
             WHERE source_name = ?1 AND external_id = ?2 ORDER BY updated_at DESC, id DESC LIMIT ?3",
            table(kind)
        ),
        values![source_name, external_id, limit],
        |row| {
            let unreadable = |_| SqlError::Unreadable("a stored state is unreadable".to_owned());
            Ok(Passage {
                id: row.get(0)?,
                shape: row.get(1)?,
                state: row.text(2)?.parse().map_err(unreadable)?,
                error: row.get(3)?,
                import: row.get(4)?,
                observed_at: row.get(5)?,
                updated_at: row.get(6)?,
            })
        },
    )
}
