//! What the tests of the state share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use parser::checkpoint::{Checkpoint, LedgerEntry, StateError, StatePaths, Status};
use parser::model::SeriesId;

pub(crate) type TestResult = Result<(), Box<dyn std::error::Error>>;

/// A moment; the state has no clock of its own.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_770_000_000 + second).unwrap_or(Timestamp::UNIX_EPOCH)
}

pub(crate) fn paths(dir: &Path) -> StatePaths {
    StatePaths::resolve(dir, dir)
}

pub(crate) fn open(paths: &StatePaths) -> Result<Checkpoint, StateError> {
    Checkpoint::open(paths, at(0), "test")
}

pub(crate) fn entry(id: u64, status: Status) -> LedgerEntry {
    let mut entry = LedgerEntry::new(SeriesId(id), format!("Title {id} ☂"), status, at(1));
    entry.fingerprint = Some([u8::try_from(id % 251).unwrap_or_default(); 16]);
    entry.episodes = 12;
    entry
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => panic!("no runtime: {error}"),
    }
}

/// Every file below `dir`: bytes and time of change.
pub(crate) fn snapshot(dir: &Path) -> std::io::Result<BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            files.insert(path.clone(), (Vec::new(), path.metadata()?.modified()?));
            files.extend(snapshot(&path)?);
        } else {
            files.insert(path.clone(), (std::fs::read(&path)?, path.metadata()?.modified()?));
        }
    }
    Ok(files)
}

/// The names of the files in `dir`, sorted.
pub(crate) fn names(dir: &Path) -> std::io::Result<Vec<String>> {
    let mut names = std::fs::read_dir(dir)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// How many files in `dir` have this extension.
pub(crate) fn count(dir: &Path, extension: &str) -> std::io::Result<usize> {
    Ok(names(dir)?.iter().filter(|name| Path::new(name).extension().is_some_and(|ext| ext == extension)).count())
}
