//! Opening a state: lock, litter, migration, torn tail, compaction, and making document and ledger agree.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use jiff::Timestamp;

use super::atomic_file;
use super::error::StateError;
use super::ledger::{self, Appender, Entries, Loaded};
use super::lock::StateLock;
use super::migrate;
use super::notice::Notice;
use super::paths::StatePaths;
use super::run::Counters;
use super::state::{AnyState, Document, MAX_FILE};

/// A state in memory.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) document: Document,
    pub(super) entries: Entries,
    pub(super) notices: Vec<Notice>,
}

/// For a run: under the lock, mended on disk.
pub(super) fn for_writing(
    paths: &StatePaths,
    now: Timestamp,
    command: &str,
) -> Result<(StateLock, Opened, Appender), StateError> {
    let lock = take_lock(paths, now, command)?;
    let mut notices = Vec::new();
    let document = match read(&paths.checkpoint)? {
        None => None,
        Some(bytes) => Some(match AnyState::parse(&bytes, &paths.checkpoint)? {
            AnyState::V2(document) => *document,
            AnyState::V1Python(old) => {
                let mut migrated = old.migrate(now);
                let backup = migrate::apply(paths, &bytes, &mut migrated, now)?;
                notices.push(Notice::Migrated {
                    backup: Some(backup),
                    titles: migrated.entries.len() as u64,
                    rejected: migrated.rejected,
                });
                migrated.document
            }
        }),
    };
    let mut loaded = ledger::load(&paths.ledger)?;
    if loaded.torn > 0 {
        notices.push(Notice::TornTail { bytes: loaded.torn });
    }
    if loaded.wants_compaction() {
        ledger::compact(&paths.ledger)?;
        let lines = loaded.lines;
        loaded.good_len =
            fs::metadata(&paths.ledger).map_err(|error| StateError::io("read", &paths.ledger, error))?.len();
        notices.push(Notice::Compacted { lines, titles: loaded.entries.len() as u64 });
    }
    let appender = Appender::open(&paths.ledger, loaded.good_len)?;
    let mut document = agree(document, &loaded, &mut notices);
    document.ledger.file = migrate::file_name(&paths.ledger);
    Ok((lock, Opened { document, entries: loaded.entries, notices }, appender))
}

/// For looking: not a byte changes.
pub(super) fn for_reading(paths: &StatePaths, now: Timestamp) -> Result<Opened, StateError> {
    let mut notices = Vec::new();
    let parsed = read(&paths.checkpoint)?.map(|bytes| AnyState::parse(&bytes, &paths.checkpoint)).transpose()?;
    let mut loaded = ledger::load(&paths.ledger)?;
    if loaded.torn > 0 {
        notices.push(Notice::TornTail { bytes: loaded.torn });
    }
    let document = match parsed {
        None => None,
        Some(AnyState::V2(document)) => Some(*document),
        Some(AnyState::V1Python(old)) => {
            let migrated = old.migrate(now);
            for entry in &migrated.entries {
                loaded.entries.entry(entry.id.0).or_insert_with(|| entry.compact());
            }
            notices.push(Notice::Migrated {
                backup: None,
                titles: migrated.entries.len() as u64,
                rejected: migrated.rejected,
            });
            Some(migrated.document)
        }
    };
    let document = agree(document, &loaded, &mut notices);
    Ok(Opened { document, entries: loaded.entries, notices })
}

/// Makes the folder if need be, takes the lock, removes what a killed process left half written.
pub(super) fn take_lock(paths: &StatePaths, now: Timestamp, command: &str) -> Result<StateLock, StateError> {
    fs::create_dir_all(&paths.dir).map_err(|error| StateError::io("make the folder", &paths.dir, error))?;
    let lock = StateLock::acquire(&paths.lock, command, now)?;
    atomic_file::sweep(&paths.checkpoint);
    atomic_file::sweep(&paths.ledger);
    Ok(lock)
}

/// The bytes of a file, `None` when there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    let fault = |error| StateError::io("read", path, error);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(fault)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(StateError::Corrupt {
            path: path.to_path_buf(),
            place: "its end".to_owned(),
            reason: format!("larger than {} MiB, no state is", MAX_FILE >> 20),
        });
    }
    Ok(Some(bytes))
}

/// The ledger is right about titles and about which run numbers are used, the document about everything else.
pub(super) fn agree(document: Option<Document>, loaded: &Loaded, notices: &mut Vec<Notice>) -> Document {
    let titles = loaded.entries.len() as u64;
    match &document {
        Some(document) if titles == 0 && document.ledger.entries > 0 => {
            notices.push(Notice::LedgerMissing { expected: document.ledger.entries });
        }
        None if titles > 0 => notices.push(Notice::CheckpointMissing { titles }),
        _ => {}
    }
    let mut document = document.unwrap_or_else(Document::fresh);
    // A number used twice would make titles of an older run look finished in a new one.
    document.run_seq = document.run_seq.max(loaded.newest_run());
    if let Some(run) = &mut document.run {
        run.counters = Counters::default();
        for entry in loaded.entries.values().filter(|entry| entry.run() == run.seq) {
            run.counters.add(entry.status());
        }
    }
    document.ledger.entries = titles;
    document
}
