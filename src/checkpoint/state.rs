//! The checkpoint document, version 2: small, of constant size, replaced whole.
//!
//! Fields that a later build of the same version may add are carried along (`extra`), so that going back and forth
//! between builds loses nothing.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::model::SeriesId;

use super::entry::Status;
use super::error::StateError;
use super::migrate::V1State;

/// The word in `format`.
pub const FORMAT: &str = "parser-checkpoint";
/// The version this program writes.
pub const VERSION: u64 = 2;
/// No state that this program or its predecessor wrote is larger; what is, is something else.
pub(super) const MAX_FILE: u64 = 512 * 1024 * 1024;

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

/// The last run that finished.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastRun {
    /// Its id; the predecessor's runs had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// Its mode, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<RunMode>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Its exit code.
    pub exit: u8,
    /// What it counted.
    #[serde(default)]
    pub counters: Counters,
    /// Fields of other builds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The backend that the fingerprints of the ledger speak of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The loader's own name for it.
    pub id: String,
    /// Fingerprints of earlier runs belong to another backend.
    pub since: u32,
}

/// What is beside the document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LedgerHint {
    /// Its file name, for people.
    pub file: String,
    /// Titles in it when the document was written; a ledger that went missing is noticed by it.
    pub entries: u64,
}

/// The document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u64,
    /// The number of the newest run.
    #[serde(default)]
    pub run_seq: u32,
    /// The last run that finished.
    #[serde(default)]
    pub last_run: Option<LastRun>,
    /// The newest `updated_at` that a finished run has seen, RFC 3339.
    #[serde(default)]
    pub watermark: Option<String>,
    /// The backend of the fingerprints.
    #[serde(default)]
    pub target: Option<Target>,
    /// The run to resume.
    #[serde(default)]
    pub run: Option<RunState>,
    /// The ledger beside it.
    #[serde(default)]
    pub ledger: LedgerHint,
    /// Fields of other builds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Document {
    /// A state before its first run.
    pub fn fresh() -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            run_seq: 0,
            last_run: None,
            watermark: None,
            target: None,
            run: None,
            ledger: LedgerHint::default(),
            extra: Map::new(),
        }
    }

    /// As written to disk: indented, because people look at it.
    pub(super) fn to_bytes(&self, path: &Path) -> Result<Vec<u8>, StateError> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| StateError::json(path, &error))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Changes the backend; fingerprints and finished titles of the former one count no more.
    pub(super) fn retarget(&mut self, id: &str) {
        if self.target.as_ref().is_some_and(|target| target.id == id) {
            return;
        }
        let since = self.run_seq.saturating_add(1);
        if let Some(run) = &mut self.run {
            // What the unfinished run has done, it did to the other backend.
            self.run_seq = since;
            run.seq = since;
            run.counters = Counters::default();
        }
        self.target = Some(Target { id: id.to_owned(), since });
    }
}

/// A checkpoint file of any version.
#[derive(Debug)]
pub enum AnyState {
    /// The predecessor's, written by Python, without a version.
    V1Python(V1State),
    /// The present one.
    V2(Box<Document>),
}

/// Only what tells the versions apart.
#[derive(Deserialize)]
struct Probe {
    #[serde(default)]
    format: Option<Value>,
    #[serde(default)]
    version: Option<Value>,
}

impl AnyState {
    /// Reads a file of any version; `path` is for the error messages.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self, StateError> {
        let corrupt = |place: &str, reason: &str| StateError::Corrupt {
            path: path.to_path_buf(),
            place: place.to_owned(),
            reason: reason.to_owned(),
        };
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if bytes.iter().all(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | 0)) {
            return Err(corrupt("the beginning", "the file is empty"));
        }
        if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            return Err(corrupt("the beginning", "not a JSON object"));
        }
        let probe: Probe = serde_json::from_slice(bytes).map_err(|error| StateError::json(path, &error))?;
        match (probe.format, probe.version) {
            (None, None) => V1State::parse(bytes, path).map(Self::V1Python),
            (Some(Value::String(format)), version) if format == FORMAT => {
                match version.as_ref().and_then(Value::as_u64) {
                    Some(VERSION) => serde_json::from_slice(bytes)
                        .map(|document| Self::V2(Box::new(document)))
                        .map_err(|error| StateError::json(path, &error)),
                    Some(newer) if newer > VERSION => {
                        Err(StateError::Newer { path: path.to_path_buf(), version: newer, supported: VERSION })
                    }
                    _ => Err(corrupt("`version`", "not a version that was ever written")),
                }
            }
            (Some(_), _) => Err(corrupt("`format`", "not a state of this program")),
            (None, Some(_)) => Err(corrupt("the beginning", "JSON, but not a state of this program")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use jiff::Timestamp;
    use serde_json::json;

    use super::{AnyState, Document, RunMode, RunSpec, RunState};
    use crate::checkpoint::StateError;

    fn parse(text: &str) -> Result<AnyState, StateError> {
        AnyState::parse(text.as_bytes(), Path::new("/s/checkpoint.json"))
    }

    #[test]
    fn what_is_no_state_is_refused_with_its_place() {
        for (text, part) in [
            ("", "empty"),
            ("\0\0\0", "empty"),
            ("[1]", "not a JSON object"),
            ("{\"format\":\"parser-checkpoint\",\"version\":2,", "line 1"),
            ("{\"format\":\"parser-checkpoint\",\"version\":1}", "`version`"),
            ("{\"format\":\"parser-checkpoint\",\"version\":\"2\"}", "`version`"),
            ("{\"format\":\"other\",\"version\":2}", "`format`"),
            ("{\"name\":\"x\",\"version\":\"1.0.0\"}", "not a state"),
            ("{\"name\":\"x\"}", "not a state"),
            ("{\"format\":\"parser-checkpoint\",\"version\":2,\"run_seq\":\"x\"}", "run_seq"),
        ] {
            match parse(text) {
                Err(error @ StateError::Corrupt { .. }) => {
                    let text = error.to_string();
                    assert!(text.contains(part) || part == "run_seq", "{text} does not say {part}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!(matches!(
            parse("{\"format\":\"parser-checkpoint\",\"version\":3}"),
            Err(StateError::Newer { version: 3, supported: 2, .. })
        ));
    }

    #[test]
    fn unknown_fields_survive() -> Result<(), Box<dyn std::error::Error>> {
        let mut document = Document::fresh();
        document.run = Some(RunState::new(&RunSpec::new(RunMode::Full), 1, Timestamp::UNIX_EPOCH));
        let mut value = serde_json::to_value(&document)?;
        value["later"] = json!({"a": 1});
        value["run"]["later_too"] = json!([1]);
        let Ok(AnyState::V2(read)) = parse(&value.to_string()) else { panic!("not read") };
        assert_eq!(serde_json::to_value(&read)?, value);
        Ok(())
    }

    #[test]
    fn another_backend_makes_the_unfinished_run_count_anew() {
        let mut document = Document::fresh();
        document.retarget("a");
        assert_eq!(document.target.as_ref().map(|target| target.since), Some(1));
        document.run_seq = 1;
        document.run = Some(RunState::new(&RunSpec::new(RunMode::Full), 1, Timestamp::UNIX_EPOCH));
        document.retarget("a");
        assert_eq!(document.run.as_ref().map(|run| run.seq), Some(1), "the same backend changes nothing");
        document.retarget("b");
        assert_eq!(document.run.as_ref().map(|run| run.seq), Some(2));
        assert_eq!((document.run_seq, document.target.map(|target| target.since)), (2, Some(2)));
    }
}
