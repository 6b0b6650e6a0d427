//! The staging tables `parsed_series`, `parsed_release`, `parsed_character`, `parsed_pet`: what arrived, what became of
//! it, and what is still to be done.
//!
//! One row for each record, by its source, the source's id, and its shape (empty for whole records, else the name of a
//! part). A row moves `init` → `processing` → `processed` | `with_errors`; whoever has the lease of a `processing` row
//! may finish it, and a lease that has run out is anybody's. A row that was taken keeps its hash and lineage, but not its
//! payload; every other row is kept whole. The four tables are alike, so the SQL is written once.

mod claim;
mod lineage;
mod list;
mod rows;

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::model::{Collision, ImportId, RecordKind, UnknownWord};

pub use claim::{Claim, claim, release_claims, renew, requeue_errors};
pub use lineage::{Passage, lineage};
pub use list::{Filter, KindCounts, counts, list};
pub use rows::{Finish, Mark, StagedKey, by_key, discard, finish, get, owned, put, put_all, requeue, settle};

/// Where a staged row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// To be processed.
    Init,
    /// Somebody is at it.
    Processing,
    /// In the catalogue.
    Processed,
    /// Refused; the row says why. It is not tried again until somebody asks for it.
    WithErrors,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Init, Self::Processing, Self::Processed, Self::WithErrors];

    /// The word in the tables and in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Processing => "processing",
            Self::Processed => "processed",
            Self::WithErrors => "with_errors",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or(UnknownWord("`init`, `processing`, `processed`, `with_errors`"))
    }
}

/// A staged row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedRow {
    /// Row id.
    pub id: i64,
    /// Whose record.
    pub source_name: String,
    /// The source's id.
    pub external_id: String,
    /// Empty = a whole record.
    pub shape: String,
    /// As it came; gone once it is processed.
    pub payload: Option<String>,
    /// Of the payload.
    pub content_hash: String,
    /// Where it stands.
    pub state: State,
    /// What has to arrive first.
    pub waits_for: Option<String>,
    /// What to do when the catalogue has it already.
    pub collision: Collision,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it was refused: a short code.
    pub error_code: Option<String>,
    /// Why it was refused: a sentence.
    pub error_message: Option<String>,
    /// The import that brought it.
    pub import: Option<ImportId>,
    /// Until when somebody has it.
    pub lease_until: Option<i64>,
    /// When the sender saw it.
    pub observed_at: Option<i64>,
    /// Staged first.
    pub created_at: i64,
    /// Changed last.
    pub updated_at: i64,
}

fn table(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Series => "parsed_series",
        RecordKind::Release => "parsed_release",
        RecordKind::Character => "parsed_character",
        RecordKind::Pet => "parsed_pet",
    }
}
