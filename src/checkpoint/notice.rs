//! What opening a state had to mend or found odd: nothing of it stops the run, all of it is told.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// One thing to tell the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
pub enum Notice {
    /// The predecessor's state was taken over.
    Migrated {
        /// Where the old file is now; `None` when only looked at.
        backup: Option<PathBuf>,
        /// Titles taken over.
        titles: u64,
        /// What could not be used, one line each; all of it is in the backup.
        rejected: Vec<String>,
    },
    /// The last line of the ledger was cut off by a crash; its title was never reported as finished.
    TornTail {
        /// Its bytes.
        bytes: u64,
    },
    /// Superseded lines were removed.
    Compacted {
        /// Lines before.
        lines: u64,
        /// Titles, and lines after.
        titles: u64,
    },
    /// The checkpoint speaks of titles, but there is no ledger with them.
    LedgerMissing {
        /// How many it spoke of.
        expected: u64,
    },
    /// There are titles, but no checkpoint.
    CheckpointMissing {
        /// How many.
        titles: u64,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Migrated { backup, titles, rejected } => {
                write!(f, "took over {titles} titles from the former crawler's state")?;
                if let Some(backup) = backup {
                    write!(f, "; it is kept as {}", backup.display())?;
                }
                if let Some(first) = rejected.first() {
                    write!(f, "; {} entries were not usable (the first: {first})", rejected.len())?;
                }
                Ok(())
            }
            Self::TornTail { bytes } => {
                write!(f, "the last line of the ledger was cut off by a crash ({bytes} bytes), its title runs again")
            }
            Self::Compacted { lines, titles } => write!(f, "compacted the ledger from {lines} to {titles} lines"),
            Self::LedgerMissing { expected } => {
                write!(f, "the ledger with {expected} titles is missing; they will be loaded again")
            }
            Self::CheckpointMissing { titles } => {
                write!(f, "there is a ledger with {titles} titles but no checkpoint; going on from the ledger")
            }
        }
    }
}
