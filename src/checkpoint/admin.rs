//! `parser state show|reset|repair`, as functions that return data. Export and import are in [`transfer`](super::transfer).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::atomic_file;
use super::entry::{LedgerEntry, Status};
use super::error::StateError;
use super::ledger::{self, Loaded};
use super::lock::{LockProbe, LockStatus};
use super::migrate;
use super::open;
use super::run::RunState;
use super::state::{AnyState, Document, LastRun, VERSION};
use super::{Checkpoint, Counts, Notice, StatePaths};

/// How many failed titles and how many bad lines are listed one by one.
const LISTED: usize = 20;

/// All that a person asks about a state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The checkpoint's file.
    pub checkpoint: PathBuf,
    /// The ledger's file.
    pub ledger: PathBuf,
    /// The raw pages' file.
    pub landing: PathBuf,
    /// The embedded catalogue's file.
    pub catalog: PathBuf,
    /// Whether there is a state at all.
    pub exists: bool,
    /// The version on disk: 2, or 1 for the former crawler's.
    pub version: u64,
    /// Who is working on it.
    pub lock: LockStatus,
    /// The number of the newest run.
    pub run_seq: u32,
    /// The run that `--resume` would continue.
    pub run: Option<RunState>,
    /// The last run that finished.
    pub last_run: Option<LastRun>,
    /// The newest `updated_at` that a finished run has seen.
    pub watermark: Option<String>,
    /// The backend of the fingerprints.
    pub target: Option<String>,
    /// Titles by their end.
    pub titles: Counts,
    /// The first failed titles.
    pub failures: Vec<FailedTitle>,
    /// Size of the ledger in bytes.
    pub ledger_bytes: u64,
    /// What the next run will mend.
    pub notices: Vec<Notice>,
}

/// A title that failed when it was last seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedTitle {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub title: String,
    /// Why.
    pub reason: String,
    /// Whether it may succeed by itself.
    pub retryable: bool,
}

/// Looks at a state. Neither waits for a run nor disturbs it, and changes no byte.
pub fn show(paths: &StatePaths, now: Timestamp) -> Result<Summary, StateError> {
    let state = Checkpoint::open_read_only(paths, now)?;
    let titles = state.counts();
    let mut failures = BTreeMap::new();
    if titles.failed > 0 {
        ledger::scan_latest(&paths.ledger, |id, line| {
            if failures.len() < LISTED
                && let Ok(entry) = serde_json::from_slice::<LedgerEntry>(line)
                && entry.status == Status::Failed
            {
                let reason = entry.reason.unwrap_or_default();
                failures.insert(id, FailedTitle { id, title: entry.title, reason, retryable: entry.retryable });
            }
            Ok(())
        })?;
    }
    let memory = state.shared.lock();
    let document = &memory.live.document;
    let migrated = state.notices().iter().any(|notice| matches!(notice, Notice::Migrated { .. }));
    Ok(Summary {
        checkpoint: paths.checkpoint.clone(),
        ledger: paths.ledger.clone(),
        landing: paths.landing.clone(),
        catalog: paths.catalog.clone(),
        exists: paths.checkpoint.exists() || paths.ledger.exists(),
        version: if migrated { 1 } else { VERSION },
        lock: LockProbe::new(&paths.lock).status(),
        run_seq: document.run_seq,
        run: document.run.clone(),
        last_run: document.last_run.clone(),
        watermark: document.watermark.clone(),
        target: document.target.as_ref().map(|target| target.id.clone()),
        titles,
        failures: failures.into_values().collect(),
        ledger_bytes: std::fs::metadata(&paths.ledger).map_or(0, |meta| meta.len()),
        notices: state.notices().to_vec(),
    })
}

/// What `reset` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResetDone {
    /// Where the old files are now.
    pub backups: Vec<PathBuf>,
}

/// Puts the state aside, so that the next run starts anew. With `keep_ledger` what is known of the titles stays.
/// Landed pages and the catalogue are not touched.
pub fn reset(paths: &StatePaths, keep_ledger: bool, now: Timestamp) -> Result<ResetDone, StateError> {
    missing_unless(paths, paths.checkpoint.exists() || paths.ledger.exists())?;
    let _lock = open::take_lock(paths, now, "state reset")?;
    let mut backups = Vec::new();
    // The checkpoint first: a ledger without one is known titles and no run, which is what `keep_ledger` leaves.
    let files = [Some(&paths.checkpoint), (!keep_ledger).then_some(&paths.ledger)];
    for file in files.into_iter().flatten().filter(|file| file.exists()) {
        let backup = StatePaths::backup(file, "reset", now);
        atomic_file::rename(file, &backup)?;
        backups.push(backup);
    }
    Ok(ResetDone { backups })
}

/// What became of the checkpoint in a repair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointRepair {
    /// It was in order.
    Intact,
    /// There was none, and no ledger either.
    Absent,
    /// Made anew from the ledger; the unfinished run is lost, the titles are not.
    Rebuilt {
        /// Where the unreadable one is; `None` when it was missing.
        backup: Option<PathBuf>,
        /// What was wrong with it.
        reason: String,
    },
    /// It was the former crawler's and is taken over.
    Migrated {
        /// Where the old one is.
        backup: PathBuf,
    },
}

/// A ledger line that was taken out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BadLine {
    /// Its number.
    pub line: u64,
    /// What was wrong.
    pub reason: String,
}

/// What `repair` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// What became of the checkpoint.
    pub checkpoint: CheckpointRepair,
    /// Ledger lines that are good.
    pub kept: u64,
    /// Ledger lines that were taken out.
    pub rejected: u64,
    /// The first of them.
    pub bad_lines: Vec<BadLine>,
    /// Where they are now.
    pub rejects: Option<PathBuf>,
    /// The ledger as it was.
    pub ledger_backup: Option<PathBuf>,
    /// Bytes of a torn last line that were cut off.
    pub torn: u64,
}

/// Keeps all that is readable; what is not goes beside it. A newer state is refused, it is not damaged.
pub fn repair(paths: &StatePaths, now: Timestamp) -> Result<Repaired, StateError> {
    missing_unless(paths, paths.checkpoint.exists() || paths.ledger.exists())?;
    let _lock = open::take_lock(paths, now, "state repair")?;
    let checkpoint_bytes = open::read(&paths.checkpoint)?;
    let parsed = checkpoint_bytes.as_deref().map(|bytes| AnyState::parse(bytes, &paths.checkpoint));
    if let Some(Err(newer @ StateError::Newer { .. })) = parsed {
        return Err(newer);
    }
    let mut done = repair_ledger(paths, now)?;
    let loaded = ledger::load(&paths.ledger)?;
    done.checkpoint = match parsed {
        Some(Ok(AnyState::V2(mut document))) => {
            if done.rejected > 0 {
                // A lost line may have carried what the backend has now; an older one must not pass for it.
                document.target = None;
                put(paths, *document, &loaded)?;
            }
            CheckpointRepair::Intact
        }
        Some(Ok(AnyState::V1Python(old))) => {
            let mut migrated = old.migrate(now);
            let bytes = checkpoint_bytes.as_deref().unwrap_or_default();
            CheckpointRepair::Migrated { backup: migrate::apply(paths, bytes, &mut migrated, now)? }
        }
        Some(Err(error)) => {
            let backup = StatePaths::backup(&paths.checkpoint, "corrupt", now);
            atomic_file::copy(&paths.checkpoint, &backup)?;
            put(paths, Document::fresh(), &loaded)?;
            CheckpointRepair::Rebuilt { backup: Some(backup), reason: error.to_string() }
        }
        None if loaded.entries.is_empty() => CheckpointRepair::Absent,
        None => {
            put(paths, Document::fresh(), &loaded)?;
            CheckpointRepair::Rebuilt { backup: None, reason: "it was missing".to_owned() }
        }
    };
    Ok(done)
}

fn put(paths: &StatePaths, document: Document, loaded: &Loaded) -> Result<(), StateError> {
    let mut document = open::agree(Some(document), loaded, &mut Vec::new());
    document.ledger.file = migrate::file_name(&paths.ledger);
    atomic_file::replace(&paths.checkpoint, &document.to_bytes(&paths.checkpoint)?)
}

fn repair_ledger(paths: &StatePaths, now: Timestamp) -> Result<Repaired, StateError> {
    let mut done = Repaired {
        checkpoint: CheckpointRepair::Intact,
        kept: 0,
        rejected: 0,
        bad_lines: Vec::new(),
        rejects: None,
        ledger_backup: None,
        torn: 0,
    };
    let tail = ledger::scan(&paths.ledger, |line| {
        match line.parse() {
            Ok(_) => done.kept += 1,
            Err(reason) => {
                done.rejected += 1;
                if done.bad_lines.len() < LISTED {
                    done.bad_lines.push(BadLine { line: line.number, reason });
                }
            }
        }
        Ok(())
    })?;
    done.torn = tail.torn;
    if done.rejected == 0 && done.torn == 0 {
        return Ok(done);
    }
    if done.rejected > 0 {
        let backup = StatePaths::backup(&paths.ledger, "corrupt", now);
        atomic_file::copy(&paths.ledger, &backup)?;
        let rejects = paths.rejects();
        let earlier = open::read(&rejects)?.unwrap_or_default();
        atomic_file::replace_with(&rejects, |out| {
            let fault = |error| StateError::io("write", &rejects, error);
            out.write_all(&earlier).map_err(fault)?;
            ledger::scan(&paths.ledger, |line| match line.parse() {
                Ok(_) => Ok(()),
                Err(_) => ledger::write_line(out, line.bytes).map_err(fault),
            })
            .map(drop)
        })?;
        done.rejects = Some(rejects);
        done.ledger_backup = Some(backup);
    }
    fail::fail_point!("checkpoint.repair.before_ledger");
    atomic_file::replace_with(&paths.ledger, |out| {
        ledger::scan(&paths.ledger, |line| match line.parse() {
            Ok(_) => ledger::write_line(out, line.bytes).map_err(|error| StateError::io("write", &paths.ledger, error)),
            Err(_) => Ok(()),
        })
        .map(drop)
    })?;
    Ok(done)
}

pub(super) fn missing_unless(paths: &StatePaths, exists: bool) -> Result<(), StateError> {
    if exists { Ok(()) } else { Err(StateError::Missing { path: Path::to_path_buf(&paths.checkpoint) }) }
}
