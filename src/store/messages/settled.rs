//! Dead letters that somebody has dealt with.

use std::collections::HashMap;

use crate::store::sql::{Session, SqlError, Value, values};

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

/// Remembers what was done with letters of a topic.
pub fn settle(session: &Session<'_>, topic: &str, ids: &[String], action: Settled, now: i64) -> Result<(), SqlError> {
    session.execute_many(
        "INSERT INTO dead_letter_settled (id, topic, action, settled_at) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (id) DO NOTHING",
        ids.iter().map(|id| vec![Value::from(id), topic.into(), action.as_str().into(), now.into()]),
    )?;
    Ok(())
}

/// What was done with some of these.
pub fn settled(session: &Session<'_>, ids: &[String]) -> Result<HashMap<String, Settled>, SqlError> {
    let list = serde_json::to_string(ids).map_err(|error| SqlError::Refused(error.to_string()))?;
    let select = format!(
        "SELECT w.value, (SELECT action FROM dead_letter_settled WHERE id = w.value LIMIT 1) FROM {}",
        session.engine().texts("?1")
    );
    let rows = session.query(&select, values![&list], |row| {
        let action = row.text_or_null(1)?.map(|action| match action {
            "replayed" => Settled::Replayed,
            _ => Settled::Discarded,
        });
        Ok((row.get::<String>(0)?, action))
    })?;
    Ok(rows.into_iter().filter_map(|(id, action)| Some((id, action?))).collect())
}

/// Forgets what was done with letters of a topic before a time; with how many.
pub fn forget_settled(session: &Session<'_>, topic: &str, before: i64) -> Result<u64, SqlError> {
    session.execute("DELETE FROM dead_letter_settled WHERE topic = ?1 AND settled_at < ?2", values![topic, before])
}
