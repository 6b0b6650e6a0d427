//! Why a statement did not do what it should, in the words of the engine.

use crate::store::postgres::Failure;

/// A failed statement.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// SQLite says so.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL says so, or does not answer.
    #[error(transparent)]
    Postgres(#[from] Failure),
    /// A stored value is not what the program wrote there.
    #[error("{0}")]
    Unreadable(String),
    /// The work of a transaction took longer than it may.
    #[error("it took longer than {} s", .0.as_secs_f64())]
    Slow(std::time::Duration),
    /// Somebody else has changed the same rows meanwhile.
    #[error("somebody else has just changed the same")]
    Overtaken,
    /// The job broke down.
    #[error("the program broke down in the middle of it")]
    Broke,
    /// The job itself found that it must be undone.
    #[error("{0}")]
    Refused(String),
}

impl SqlError {
    /// Was somebody else quicker, so that doing it again from what is there now may succeed?
    pub fn is_overtaken(&self) -> bool {
        match self {
            Self::Overtaken => true,
            Self::Postgres(failure) => failure.is_duplicate(),
            _ => false,
        }
    }
}
