//! Why a store could not do what was asked: which file or server, what is wrong with it, and what a person does about it.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::ErrorCode;

use super::sql::SqlError;
use crate::error::{Fault, Party, Severity};

/// A store that refused. Cheap to clone, because one failed commit answers every job it carried.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{place}`: {kind}")]
pub struct StoreError {
    /// The database.
    pub place: StorePlace,
    /// Whose it is: the backend's catalogue or the crawl's state.
    pub party: Party,
    /// What is wrong.
    pub kind: StoreErrorKind,
}

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorePlace {
    /// A file.
    File(PathBuf),
    /// `postgres://host:port/database`, without user and password.
    Server(Arc<str>),
}

impl From<&Path> for StorePlace {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<&PathBuf> for StorePlace {
    fn from(path: &PathBuf) -> Self {
        Self::File(path.clone())
    }
}

impl fmt::Display for StorePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(address) => f.write_str(address),
        }
    }
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
    /// Written by an older version of the program, and it must not be changed now.
    #[error("has schema version {found}, which has to be brought to {known} first")]
    OlderSchema {
        /// Version in the database.
        found: i64,
        /// Version of this program.
        known: i64,
    },
    /// Collided with another change: a deadlock, a lock or a statement that took too long.
    #[error("a change collided with another ({0})")]
    Conflict(String),
    /// The server is not there, is just starting or stopping, or the connection to it was lost.
    #[error("cannot be reached ({0})")]
    Unavailable(String),
    /// Every connection was in use for as long as a job may wait.
    #[error("all {connections} connections have been in use for {} s", .waited.as_secs_f64())]
    Exhausted {
        /// How many there are.
        connections: usize,
        /// How long was waited for one.
        waited: Duration,
    },
    /// The server does not let this user in.
    #[error("refuses the login ({0})")]
    Login(String),
    /// The server has no database of this name.
    #[error("has no such database ({0})")]
    NoDatabase(String),
    /// The user lacks a right there.
    #[error("does not allow that to this user ({0})")]
    Denied(String),
    /// No encrypted connection with whom we trust.
    #[error("cannot be reached by TLS ({0})")]
    Tls(String),
    /// The address cannot be used.
    #[error("the address cannot be used: {0}")]
    Address(String),
    /// Something is there where nothing may be.
    #[error("is not empty: it has {0}")]
    NotEmpty(String),
    /// The operating system failed.
    #[error("input/output error ({0})")]
    Io(String),
    /// The store's thread has ended.
    #[error("is closed")]
    Closed,
    /// The program itself broke down in the middle of this one change or question; nothing of it stands.
    #[error("the program broke down in the middle of it")]
    Broke,
    /// The store works, but refuses this one change or holds something unreadable in this one row.
    #[error("{0}")]
    Refused(String),
}

impl StoreError {
    /// An error about a place.
    pub fn new(place: impl Into<StorePlace>, party: Party, kind: StoreErrorKind) -> Self {
        Self { place: place.into(), party, kind }
    }

    /// Does it concern the store as a whole (the run must stop) and not just one title?
    pub fn stops_run(&self) -> bool {
        !matches!(self.kind, StoreErrorKind::Refused(_) | StoreErrorKind::Conflict(_) | StoreErrorKind::Broke)
    }

    /// Is it worth doing the same again after a moment?
    pub fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            StoreErrorKind::Locked
                | StoreErrorKind::Conflict(_)
                | StoreErrorKind::Unavailable(_)
                | StoreErrorKind::Exhausted { .. }
        )
    }

    pub(crate) fn from_sqlite(path: &Path, party: Party, error: &rusqlite::Error) -> Self {
        Self::new(path, party, kind_of(error))
    }

    pub(crate) fn from_sql(place: StorePlace, party: Party, error: &SqlError) -> Self {
        let kind = match error {
            SqlError::Sqlite(error) => kind_of(error),
            SqlError::Postgres(failure) => failure.kind(),
            SqlError::Slow(_) | SqlError::Overtaken => StoreErrorKind::Conflict(error.to_string()),
            SqlError::Broke => StoreErrorKind::Broke,
            SqlError::Unreadable(text) | SqlError::Refused(text) => StoreErrorKind::Refused(text.clone()),
        };
        Self::new(place, party, kind)
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
            StoreErrorKind::Full | StoreErrorKind::Io(_) | StoreErrorKind::Closed => Severity::Transient,
            _ if self.is_transient() => Severity::Transient,
            _ => Severity::Permanent,
        }
    }

    fn party(&self) -> Party {
        self.party
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match &self.place {
            StorePlace::File(path) => file_hint(path, &self.kind),
            StorePlace::Server(_) => server_hint(&self.kind).map(Cow::Borrowed),
        }
    }
}

const BROKE: &str =
    "this is a fault of the program, and happens again with the same data: what it said last tells where";

const NOT_EMPTY: &str = "name an empty database, or replace what is there by --force";

fn file_hint(path: &Path, kind: &StoreErrorKind) -> Option<Cow<'static, str>> {
    // A bare name is in the folder where the program runs.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(match kind {
        StoreErrorKind::NotEmpty(_) => Cow::Borrowed(NOT_EMPTY),
        StoreErrorKind::Broke => Cow::Borrowed(BROKE),
        StoreErrorKind::Full => {
            Cow::Owned(format!("free some space on the disk of `{}`, then go on with `--resume`", folder.display()))
        }
        StoreErrorKind::ReadOnly(_) => Cow::Owned(format!(
            "check that `{}` exists and that this user may write to it, or set STATE_PATH to a folder that it may",
            folder.display()
        )),
        StoreErrorKind::Corrupt(_) => Cow::Owned(format!(
            "restore `{0}` from a backup, or move it away (with `{0}-wal` and `{0}-shm`) and run again to build it anew",
            path.display()
        )),
        StoreErrorKind::Locked => Cow::Borrowed("wait for the other process to end, then go on with `--resume`"),
        StoreErrorKind::NewerSchema { .. } => {
            Cow::Borrowed("use the newer version of parser that wrote it, or another STATE_PATH")
        }
        StoreErrorKind::Io(_) => Cow::Borrowed("check the disk, then go on with `--resume`"),
        StoreErrorKind::Closed => Cow::Borrowed("an earlier message says why; then go on with `--resume`"),
        _ => return None,
    })
}

fn server_hint(kind: &StoreErrorKind) -> Option<&'static str> {
    Some(match kind {
        StoreErrorKind::NotEmpty(_) => NOT_EMPTY,
        StoreErrorKind::Broke => BROKE,
        StoreErrorKind::Full => "free some space on the disk of the PostgreSQL server, then go on with `--resume`",
        StoreErrorKind::ReadOnly(_) => "it is a standby or set read-only: DATABASE_URL has to name the primary",
        StoreErrorKind::Corrupt(_) => {
            "the database is damaged or its tables were changed by hand: restore a backup, or name an empty database"
        }
        StoreErrorKind::NewerSchema { .. } => "use the newer version of parser that wrote it, or another database",
        StoreErrorKind::OlderSchema { .. } => {
            "start `parser serve`, or run without --dry-run once: either brings the tables up to date"
        }
        StoreErrorKind::Conflict(_) => "it was tried several times; try again when less is going on",
        StoreErrorKind::Unavailable(_) => {
            "is PostgreSQL running there, and are host and port in DATABASE_URL right? `parser diagnose` asks it; \
             then go on with `--resume`"
        }
        StoreErrorKind::Exhausted { .. } => "raise DATABASE_CONNECTIONS, or send fewer requests at once",
        StoreErrorKind::Login(_) => "check user and password in DATABASE_URL, and the server's pg_hba.conf",
        StoreErrorKind::NoDatabase(_) => "create it (`createdb NAME`), or correct the name at the end of DATABASE_URL",
        StoreErrorKind::Denied(_) => "grant it: GRANT CREATE, USAGE ON SCHEMA public, or let the user own the database",
        StoreErrorKind::Tls(_) => {
            "check the server's certificate, name its authority by sslrootcert, or choose another sslmode in DATABASE_URL"
        }
        StoreErrorKind::Address(_) => {
            "DATABASE_URL is postgres://user:password@host:port/database, with special characters percent-encoded"
        }
        StoreErrorKind::Io(_) => "look into the log of the PostgreSQL server, then go on with `--resume`",
        StoreErrorKind::Closed => "an earlier message says why; then go on with `--resume`",
        StoreErrorKind::Locked | StoreErrorKind::Refused(_) => return None,
    })
}
