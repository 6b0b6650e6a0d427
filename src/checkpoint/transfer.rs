//! `parser state export|import`: a whole state as one JSON document, to move it, keep it or look into it.

use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::admin::missing_unless;
use super::atomic_file;
use super::entry::LedgerEntry;
use super::error::{StateError, json_reason};
use super::ledger;
use super::migrate;
use super::open;
use super::paths::StatePaths;
use super::state::{AnyState, Document};

/// The word in `format`.
pub const EXPORT_FORMAT: &str = "parser-state-export";
/// The version this program writes and reads.
pub const EXPORT_VERSION: u64 = 1;

/// Writes the whole state, title by title, and says how many. Needs no lock: what a run adds meanwhile is in it or
/// not, like after a crash at that instant.
pub fn export(paths: &StatePaths, now: Timestamp, out: &mut dyn Write) -> Result<u64, StateError> {
    missing_unless(paths, paths.checkpoint.exists() || paths.ledger.exists())?;
    let bytes = open::read(&paths.checkpoint)?;
    // Damage must be mended first, not carried along silently.
    let loaded = ledger::load(&paths.ledger)?;
    let (document, old) = match bytes.map(|bytes| AnyState::parse(&bytes, &paths.checkpoint)).transpose()? {
        None => (Document::fresh(), Vec::new()),
        Some(AnyState::V2(document)) => (*document, Vec::new()),
        Some(AnyState::V1Python(state)) => {
            let migrated = state.migrate(now);
            (migrated.document, migrated.entries)
        }
    };
    let document = open::agree(Some(document), &loaded, &mut Vec::new());
    let name = Path::new("the export");
    let fault = |error| StateError::io("write", name, error);
    let head = serde_json::to_string(&document).map_err(|error| StateError::json(name, &error))?;
    write!(out, "{{\"format\":\"{EXPORT_FORMAT}\",\"version\":{EXPORT_VERSION},\"exported_at\":\"{now}\",\n\"checkpoint\":{head},\n\"ledger\":[").map_err(fault)?;
    let mut titles = 0_u64;
    let mut put = |line: &[u8]| {
        out.write_all(if titles == 0 { b"\n" } else { b",\n" })?;
        titles += 1;
        out.write_all(line)
    };
    ledger::scan_latest(&paths.ledger, |_, line| put(line).map_err(fault))?;
    for entry in old.iter().filter(|entry| !loaded.entries.contains_key(&entry.id.0)) {
        let line = serde_json::to_vec(entry).map_err(|error| StateError::json(name, &error))?;
        put(&line).map_err(fault)?;
    }
    out.write_all(b"\n]}\n").and_then(|()| out.flush()).map_err(fault)?;
    Ok(titles)
}

/// [`export`] into a file, which is whole or not there.
pub fn export_to_file(paths: &StatePaths, file: &Path, now: Timestamp) -> Result<u64, StateError> {
    let mut titles = 0;
    atomic_file::replace_with(file, |out| {
        titles = export(paths, now, out)?;
        Ok(())
    })?;
    Ok(titles)
}

/// What `import` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Titles in the state now.
    pub titles: u64,
    /// Where the replaced files are.
    pub backups: Vec<PathBuf>,
    /// What could not be used of a former crawler's state, one line each.
    pub rejected: Vec<String>,
}

#[derive(Deserialize)]
struct Probe {
    #[serde(default)]
    format: Option<String>,
}

#[derive(Deserialize)]
struct ExportDocument<'a> {
    version: u64,
    #[serde(borrow)]
    checkpoint: &'a RawValue,
    #[serde(borrow)]
    ledger: Vec<&'a RawValue>,
}

/// A state to be put in place: the document, and the lines of its ledger.
struct Incoming {
    document: Document,
    lines: Vec<u8>,
    rejected: Vec<String>,
}

/// Replaces the state by an exported one, or by a former crawler's. The file is checked whole before anything is
/// touched, and backups of what is replaced are kept.
pub fn import(paths: &StatePaths, file: &Path, now: Timestamp) -> Result<Imported, StateError> {
    let bytes = open::read(file)?.ok_or_else(|| StateError::Missing { path: file.to_path_buf() })?;
    let Incoming { document, lines, rejected } = read_incoming(file, &bytes, now)?;
    drop(bytes);
    let _lock = open::take_lock(paths, now, "state import")?;
    let mut backups = Vec::new();
    for old in [&paths.checkpoint, &paths.ledger].into_iter().filter(|old| old.exists()) {
        let backup = StatePaths::backup(old, "import", now);
        atomic_file::copy(old, &backup)?;
        backups.push(backup);
    }
    // First a checkpoint without run and target: killed between the two replacements, the next start must not take
    // titles of one state for finished in the run of the other.
    let used = ledger::load(&paths.ledger).map(|old| old.newest_run()).unwrap_or_default();
    let bare = Document { run_seq: document.run_seq.max(used), run: None, target: None, ..document.clone() };
    atomic_file::replace(&paths.checkpoint, &bare.to_bytes(&paths.checkpoint)?)?;
    fail::fail_point!("checkpoint.import.before_ledger");
    atomic_file::replace(&paths.ledger, &lines)?;
    fail::fail_point!("checkpoint.import.after_ledger");
    let loaded = ledger::load(&paths.ledger)?;
    let mut document = open::agree(Some(document), &loaded, &mut Vec::new());
    document.ledger.file = migrate::file_name(&paths.ledger);
    atomic_file::replace(&paths.checkpoint, &document.to_bytes(&paths.checkpoint)?)?;
    Ok(Imported { titles: loaded.entries.len() as u64, backups, rejected })
}

fn read_incoming(file: &Path, bytes: &[u8], now: Timestamp) -> Result<Incoming, StateError> {
    let refuse = |reason: String| StateError::Import { path: file.to_path_buf(), reason };
    let broken = |error: &serde_json::Error| {
        refuse(format!("line {} column {}: {}", error.line(), error.column(), json_reason(error)))
    };
    let probe: Probe = serde_json::from_slice(bytes).map_err(|error| broken(&error))?;
    if probe.format.as_deref() != Some(EXPORT_FORMAT) {
        return match AnyState::parse(bytes, file).map_err(|error| refuse(error.to_string()))? {
            AnyState::V1Python(old) => {
                let migrated = old.migrate(now);
                let mut lines = Vec::new();
                for entry in &migrated.entries {
                    serde_json::to_writer(&mut lines, entry).map_err(|error| broken(&error))?;
                    lines.push(b'\n');
                }
                Ok(Incoming { document: migrated.document, lines, rejected: migrated.rejected })
            }
            AnyState::V2(_) => Err(refuse("a checkpoint alone has no titles; give the export".to_owned())),
        };
    }
    let export: ExportDocument<'_> = serde_json::from_slice(bytes).map_err(|error| broken(&error))?;
    if export.version != EXPORT_VERSION {
        return Err(refuse(format!("export version {}, this program reads {EXPORT_VERSION}", export.version)));
    }
    let document = match AnyState::parse(export.checkpoint.get().as_bytes(), file) {
        Ok(AnyState::V2(document)) => *document,
        Ok(AnyState::V1Python(_)) => return Err(refuse("its checkpoint has no version".to_owned())),
        Err(error) => return Err(refuse(error.to_string())),
    };
    let mut lines = Vec::with_capacity(bytes.len());
    for (index, raw) in export.ledger.iter().enumerate() {
        push_line(&mut lines, raw.get()).map_err(|reason| refuse(format!("ledger entry {}: {reason}", index + 1)))?;
    }
    Ok(Incoming { document, lines, rejected: Vec::new() })
}

/// One entry, checked, on one line however it was laid out.
fn push_line(lines: &mut Vec<u8>, raw: &str) -> Result<(), String> {
    serde_json::from_str::<LedgerEntry>(raw).map_err(|error| json_reason(&error))?;
    let start = lines.len();
    if raw.contains(['\n', '\r']) {
        let value: serde_json::Value = serde_json::from_str(raw).map_err(|error| json_reason(&error))?;
        serde_json::to_writer(&mut *lines, &value).map_err(|error| json_reason(&error))?;
    } else {
        lines.extend_from_slice(raw.as_bytes());
    }
    let bytes = &lines[start..];
    let line = ledger::Line { number: 1, bytes, too_long: bytes.len() > ledger::MAX_LINE };
    line.parse()?;
    lines.push(b'\n');
    Ok(())
}
