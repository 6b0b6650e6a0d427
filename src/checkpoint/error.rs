//! What can go wrong with the state on disk, and the way out of each.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Fault, Party, Severity};

use super::lock::Holder;

/// A fault of the state. Cheap to clone, because one failed write answers every mark of its group.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StateError {
    /// Another run works on this state.
    #[error("the state is in use: {} is held by {holder}", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, as far as it says.
        holder: Holder,
    },
    /// Written by a later version of this program.
    #[error("{} has state version {version}, this program knows up to {supported}", path.display())]
    Newer {
        /// The checkpoint.
        path: PathBuf,
        /// What it says.
        version: u64,
        /// What is understood here.
        supported: u64,
    },
    /// Not readable as a state of this program.
    #[error("{} is corrupt at {place}: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// `line 7`, `line 1 column 20`, `the beginning`.
        place: String,
        /// What is wrong there.
        reason: String,
    },
    /// No space left, or the quota is used up.
    #[error("cannot {action} {}: the disk is full", path.display())]
    DiskFull {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: Arc<io::Error>,
    },
    /// The file system is mounted read-only.
    #[error("cannot {action} {}: the file system is read-only", path.display())]
    ReadOnly {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: Arc<io::Error>,
    },
    /// The user of this process may not do that.
    #[error("cannot {action} {}: permission denied", path.display())]
    Denied {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: Arc<io::Error>,
    },
    /// Any other fault of the file system.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: Arc<io::Error>,
    },
    /// The file given to `state import` is not usable; nothing was changed.
    #[error("cannot import {}: {reason}", path.display())]
    Import {
        /// The file given.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// There is no state to work on.
    #[error("there is no state at {}", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// `state reset` without `--yes`.
    #[error("not reset: {} would lose its run and its titles", path.display())]
    Unconfirmed {
        /// The checkpoint.
        path: PathBuf,
    },
    /// A title was marked, or a page finished, outside a run.
    #[error("no run has begun in {}", path.display())]
    NoRun {
        /// The checkpoint.
        path: PathBuf,
    },
    /// The thread that writes the state has ended.
    #[error("the writer of {} has stopped", path.display())]
    WriterStopped {
        /// The checkpoint.
        path: PathBuf,
    },
}

impl StateError {
    /// Sorts a fault of the file system.
    pub(crate) fn io(action: &'static str, path: &Path, error: io::Error) -> Self {
        let path = path.to_path_buf();
        let kind = error.kind();
        let source = Arc::new(error);
        match kind {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { action, path, source },
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { action, path, source },
            io::ErrorKind::PermissionDenied => Self::Denied { action, path, source },
            _ => Self::Io { action, path, source },
        }
    }

    /// A fault that JSON reading found, with its line and column.
    pub(crate) fn json(path: &Path, error: &serde_json::Error) -> Self {
        let place = match (error.line(), error.column()) {
            (0, _) => "the beginning".to_owned(),
            (line, column) => format!("line {line} column {column}"),
        };
        Self::Corrupt { path: path.to_path_buf(), place, reason: json_reason(error) }
    }
}

/// The message without its `at line 1 column 2`, which is printed once, in front.
pub(super) fn json_reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rfind(" at line ").map_or(text.clone(), |end| text[..end].to_owned())
}

impl Fault for StateError {
    fn severity(&self) -> Severity {
        match self {
            Self::Locked { .. } => Severity::Transient,
            _ => Severity::Permanent,
        }
    }

    fn party(&self) -> Party {
        match self {
            Self::Unconfirmed { .. } => Party::Usage,
            _ => Party::State,
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint: Cow<'static, str> = match self {
            Self::Locked { .. } => {
                "wait for the other run to end, or give this one its own STATE_PATH; the lock ends with its process, \
                 so there is no file to delete"
                    .into()
            }
            Self::Newer { .. } => "run the newer version of this program again, or save the state with its \
                                   `parser state export` and start another with a different STATE_PATH"
                .into(),
            Self::Corrupt { .. } => "`parser state repair` keeps all that is readable and a backup of the rest; \
                                     `parser state reset` starts over, also with a backup"
                .into(),
            Self::DiskFull { path, .. } => {
                format!("free some space for {}, then run again with --resume; nothing saved is lost", folder(path))
                    .into()
            }
            Self::ReadOnly { .. } => "set STATE_PATH to a folder on a writable file system".into(),
            Self::Denied { path, .. } => {
                format!("make {} writable for the user that runs this, or set STATE_PATH elsewhere", folder(path))
                    .into()
            }
            Self::Io { path, source, .. } => match source.kind() {
                io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                    format!("a part of {} is a file, not a folder: set STATE_PATH elsewhere", path.display()).into()
                }
                io::ErrorKind::Unsupported => {
                    "this file system cannot lock files: set STATE_PATH to a folder on a local disk".into()
                }
                _ => format!("check the disk and the permissions of {}", folder(path)).into(),
            },
            Self::Import { .. } => {
                "give a file that `parser state export` wrote, or a state of the former crawler".into()
            }
            Self::Missing { .. } => "check STATE_PATH; a first `parser run` makes the state".into(),
            Self::Unconfirmed { .. } => "say `parser state reset --yes`; a backup is kept".into(),
            Self::NoRun { .. } | Self::WriterStopped { .. } => "run again with --resume".into(),
        };
        Some(hint)
    }
}

fn folder(path: &Path) -> std::path::Display<'_> {
    path.parent().unwrap_or(path).display()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::StateError;
    use crate::error::{Fault, Party, Severity, chain};

    #[test]
    fn faults_of_the_disk_become_their_own_variants() {
        let make =
            |code| StateError::io("replace", Path::new("/s/checkpoint.json"), io::Error::from_raw_os_error(code));
        assert!(matches!(make(28), StateError::DiskFull { .. }));
        assert!(matches!(make(122), StateError::DiskFull { .. }));
        assert!(matches!(make(30), StateError::ReadOnly { .. }));
        assert!(matches!(make(13), StateError::Denied { .. }));
        assert!(matches!(make(5), StateError::Io { .. }));
        let text = chain(&make(28));
        assert!(text.contains("/s/checkpoint.json") && text.contains("disk is full"), "{text}");
        assert_eq!(make(28).party(), Party::State);
        assert_eq!(make(28).severity(), Severity::Permanent);
        assert!(make(28).hint().is_some_and(|hint| hint.contains("/s")));
    }

    #[test]
    fn json_faults_name_the_place_once() {
        let Err(error) = serde_json::from_str::<u8>("{\n  x") else { panic!("parsed") };
        let text = StateError::json(Path::new("c.json"), &error).to_string();
        assert_eq!(text.matches("line").count(), 1, "{text}");
    }
}
