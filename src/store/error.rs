//! Why a store could not do what was asked: which file, what is wrong with it, and what a person does about it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use super::sql::SqlError;
use crate::error::{Fault, Party, Severity};

/// A store that refused. Cheap to clone, because one failed commit answers every job it carried.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{}`: {kind}", .path.display())]
pub struct StoreError {
    /// The database file.
    pub path: PathBuf,
    /// Whose file it is: the backend's catalogue or the crawl's state.
    pub party: Party,
    /// What is wrong.
    pub kind: StoreErrorKind,
}

/// What is wrong with a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreErrorKind {
    /// The disk (or the quota) is full.
    #[error("no space left to write")]
    Full,
    /// The file or its folder cannot be opened or written.
    #[error("cannot be opened or written ({0})")]
    ReadOnly(String),
    /// Not a database, or a damaged one.
    #[error("is not a database or is damaged ({0})")]
    Corrupt(String),
    /// Another process holds the write lock for longer than we wait.
    #[error("is locked by another process")]
    Locked,
    /// Written by a newer version of the program.
    #[error("has schema version {found}; this program knows versions up to {known}")]
    NewerSchema {
        /// Version in the file.
        found: i64,
        /// Newest version of this program.
        known: i64,
    },
    /// The operating system failed.
    #[error("input/output error ({0})")]
    Io(String),
    /// The store's thread has ended.
    #[error("is closed")]
    Closed,
    /// The store works, but refuses this one change or holds something unreadable in this one row.
    #[error("{0}")]
    Refused(String),
}

impl StoreError {
    /// An error about `path`.
    pub fn new(path: &Path, party: Party, kind: StoreErrorKind) -> Self {
        Self { path: path.to_owned(), party, kind }
    }

    /// Does it concern the store as a whole (the run must stop) and not just one title?
    pub fn stops_run(&self) -> bool {
        !matches!(self.kind, StoreErrorKind::Refused(_))
    }

    pub(crate) fn from_sqlite(path: &Path, party: Party, error: &rusqlite::Error) -> Self {
        Self::new(path, party, kind_of(error))
    }

    pub(crate) fn from_sql(path: &Path, party: Party, error: &SqlError) -> Self {
        match error {
            SqlError::Sqlite(error) => Self::from_sqlite(path, party, error),
            SqlError::Unreadable(text) | SqlError::Refused(text) => {
                Self::new(path, party, StoreErrorKind::Refused(text.clone()))
            }
        }
    }

    pub(crate) fn from_io(path: &Path, party: Party, error: &std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => StoreErrorKind::Full,
            std::io::ErrorKind::PermissionDenied
            | std::io::ErrorKind::ReadOnlyFilesystem
            | std::io::ErrorKind::NotADirectory
            | std::io::ErrorKind::IsADirectory
            | std::io::ErrorKind::NotFound => StoreErrorKind::ReadOnly(error.to_string()),
            _ => StoreErrorKind::Io(error.to_string()),
        };
        Self::new(path, party, kind)
    }
}

fn kind_of(error: &rusqlite::Error) -> StoreErrorKind {
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreErrorKind::Full,
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            StoreErrorKind::ReadOnly(text)
        }
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => StoreErrorKind::Corrupt(text),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
            StoreErrorKind::Locked
        }
        Some(ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory | ErrorCode::NoLargeFileSupport) => {
            StoreErrorKind::Io(text)
        }
        _ => StoreErrorKind::Refused(text),
    }
}

impl Fault for StoreError {
    fn severity(&self) -> Severity {
        match self.kind {
            StoreErrorKind::Full | StoreErrorKind::Locked | StoreErrorKind::Io(_) | StoreErrorKind::Closed => {
                Severity::Transient
            }
            _ => Severity::Permanent,
        }
    }

    fn party(&self) -> Party {
        self.party
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        Some(match &self.kind {
            StoreErrorKind::Full => {
                Cow::Owned(format!("free some space on the disk of `{}`, then `parser run --resume`", folder.display()))
            }
            StoreErrorKind::ReadOnly(_) => Cow::Owned(format!(
                "check that `{}` exists and that this user may write to it, or set STATE_PATH to a folder that it may",
                folder.display()
            )),
            StoreErrorKind::Corrupt(_) => Cow::Owned(format!(
                "restore `{0}` from a backup, or move it away (with `{0}-wal` and `{0}-shm`) and run again to build it anew",
                self.path.display()
            )),
            StoreErrorKind::Locked => Cow::Borrowed("wait for the other process to end, then `parser run --resume`"),
            StoreErrorKind::NewerSchema { .. } => {
                Cow::Borrowed("use the newer version of parser that wrote it, or another STATE_PATH")
            }
            StoreErrorKind::Io(_) => Cow::Borrowed("check the disk, then `parser run --resume`"),
            StoreErrorKind::Closed => Cow::Borrowed("an earlier message says why; then `parser run --resume`"),
            StoreErrorKind::Refused(_) => return None,
        })
    }
}
