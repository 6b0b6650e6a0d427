//! The checkpoint document, version 2: small, of constant size, replaced whole.
//!
//! Fields that a later build of the same version may add are carried along (`extra`), so that going back and forth
//! between builds loses nothing.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::error::StateError;
use super::migrate::V1State;
use super::run::{Counters, RunMode, RunState};

/// The word in `format`.
pub const FORMAT: &str = "parser-checkpoint";
/// The version this program writes.
pub const VERSION: u64 = 2;
/// No state that this program or its predecessor wrote is larger; what is, is something else.
pub(super) const MAX_FILE: u64 = 512 * 1024 * 1024;

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
        if self.target.is_some() {
            // The new backend has not seen what is older than the watermark: an incremental run would leave it nearly
            // empty and call that success.
            self.watermark = None;
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

    use super::{AnyState, Document};
    use crate::checkpoint::{RunMode, RunSpec, RunState, StateError};

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
        document.watermark = Some("2026-01-01T00:00:00Z".to_owned());
        document.retarget("a");
        assert!(document.watermark.is_some());
        document.retarget("b");
        assert_eq!(document.watermark, None, "the other backend has seen nothing yet");
        assert_eq!(document.run.as_ref().map(|run| run.seq), Some(2));
        assert_eq!((document.run_seq, document.target.map(|target| target.since)), (2, Some(2)));
    }
}
