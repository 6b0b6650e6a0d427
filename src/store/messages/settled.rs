//! Dead letters that somebody has dealt with.

use std::collections::HashMap;

use crate::store::sql::{Session, SqlError, Value};

/// What was done with a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Settled {
    /// It was sent to its topic again.
    Replayed,
    /// It was given up.
    Discarded,
}

impl Settled {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
        }
    }
}

/// Remembers what was done.
pub fn settle(session: &Session<'_>, ids: &[String], action: Settled, now: i64) -> Result<(), SqlError> {
    session.execute_many(
        "INSERT INTO dead_letter_settled (id, action, settled_at) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING",
        ids.iter().map(|id| vec![Value::from(id), action.as_str().into(), now.into()]),
    )?;
    Ok(())
}

/// Everything that was done with any.
pub fn settled(session: &Session<'_>) -> Result<HashMap<String, Settled>, SqlError> {
    let rows = session.query("SELECT id, action FROM dead_letter_settled", &[], |row| {
        let action = if row.text(1)? == "replayed" { Settled::Replayed } else { Settled::Discarded };
        Ok((row.get(0)?, action))
    })?;
    Ok(rows.into_iter().collect())
}
