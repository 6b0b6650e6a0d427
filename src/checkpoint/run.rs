//! One run as the checkpoint knows it: what it was asked for, how far it is, what it counted.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::model::SeriesId;

use super::entry::Status;

/// What a run is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunMode {
    /// The whole catalogue.
    Full,
    /// Changed since the watermark.
    Incremental,
    /// Airing titles and those with missing episodes.
    Ongoing,
    /// One title.
    One,
}

impl RunMode {
    /// The word of the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Incremental => "incremental",
            Self::Ongoing => "ongoing",
            Self::One => "one",
        }
    }
}

impl std::fmt::Display for RunMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Pages are landed.
    Listing,
    /// Titles are loaded.
    Titles,
}

impl Phase {
    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Listing => "listing",
            Self::Titles => "titles",
        }
    }
}

/// What a run counts. `extracted = loaded + unchanged + failed + skipped`, always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Titles finished in any way.
    pub extracted: u64,
    /// New or changed in the backend.
    pub loaded: u64,
    /// Already there.
    pub unchanged: u64,
    /// To be tried again.
    pub failed: u64,
    /// Left out on purpose.
    pub skipped: u64,
}

impl Counters {
    /// Counts one title.
    pub(super) fn add(&mut self, status: Status) {
        self.extracted += 1;
        *self.of(status) += 1;
    }

    /// Takes one title back, because it is marked again.
    pub(super) fn remove(&mut self, status: Status) {
        self.extracted = self.extracted.saturating_sub(1);
        let count = self.of(status);
        *count = count.saturating_sub(1);
    }

    fn of(&mut self, status: Status) -> &mut u64 {
        match status {
            Status::Done => &mut self.loaded,
            Status::Unchanged => &mut self.unchanged,
            Status::Failed => &mut self.failed,
            Status::Skipped => &mut self.skipped,
        }
    }
}

/// What a new run is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSpec {
    /// The mode.
    pub mode: RunMode,
    /// The title of mode `one`.
    pub source_id: Option<SeriesId>,
    /// `--max-pages`.
    pub max_pages: Option<u32>,
    /// `--limit`.
    pub limit: Option<u32>,
    /// `--from-landing`.
    pub from_landing: bool,
    /// Which generation of landed pages belongs to the run.
    pub generation: u64,
}

impl RunSpec {
    /// A run without limits.
    pub fn new(mode: RunMode) -> Self {
        Self { mode, source_id: None, max_pages: None, limit: None, from_landing: false, generation: 0 }
    }
}

/// A run that has begun and is not finished.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// Identifies the run in logs and reports.
    pub id: Uuid,
    /// Its number; ledger lines carry it.
    pub seq: u32,
    /// The mode.
    pub mode: RunMode,
    /// The title of mode `one`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<SeriesId>,
    /// How far it is.
    pub phase: Phase,
    /// Finished pages of the listing.
    #[serde(default)]
    pub last_page: u32,
    /// Where the listing goes on; `None` at its beginning and at its end.
    #[serde(default)]
    pub cursor: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// `--max-pages`.
    #[serde(default)]
    pub max_pages: Option<u32>,
    /// `--limit`.
    #[serde(default)]
    pub limit: Option<u32>,
    /// `--from-landing`.
    #[serde(default)]
    pub from_landing: bool,
    /// Which generation of landed pages belongs to the run.
    #[serde(default)]
    pub generation: u64,
    /// The newest `updated_at` seen so far; becomes the watermark when the run finishes.
    #[serde(default)]
    pub watermark_candidate: Option<String>,
    /// What it counted. Only for people: opening the state counts anew from the ledger.
    #[serde(default)]
    pub counters: Counters,
    /// Fields of other builds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl RunState {
    pub(super) fn new(spec: &RunSpec, seq: u32, now: Timestamp) -> Self {
        Self {
            id: run_id(now),
            seq,
            mode: spec.mode,
            source_id: spec.source_id,
            phase: Phase::Listing,
            last_page: 0,
            cursor: None,
            started_at: now,
            max_pages: spec.max_pages,
            limit: spec.limit,
            from_landing: spec.from_landing,
            generation: spec.generation,
            watermark_candidate: None,
            counters: Counters::default(),
            extra: Map::new(),
        }
    }
}

/// A version 7 id, so that runs sort by time.
fn run_id(now: Timestamp) -> Uuid {
    let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
    let nanos = u32::try_from(millis % 1000).unwrap_or_default() * 1_000_000;
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, millis / 1000, nanos))
}
