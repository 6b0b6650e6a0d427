//! Lets one process at a time make or change the tables of a folder's databases.
//!
//! The lock is on the folder itself: a lock on the database file would meddle with SQLite's own (closing any handle of
//! a file drops the locks of the whole process on it), and a lock file would be one more file to explain.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// Waits until nobody else prepares a database of this folder; the lock ends when the handle is dropped.
///
/// On a file system without such locks there is nothing to wait for, and SQLite's own locks have to do: `None`.
pub(super) fn folder_of(path: &Path) -> io::Result<Option<File>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let handle = match File::open(folder) {
        Ok(handle) => handle,
        // A folder that may be entered but not listed.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
        Err(error) => return Err(error),
    };
    match handle.try_lock() {
        Ok(()) => Ok(Some(handle)),
        Err(TryLockError::WouldBlock) => handle.lock().map(|()| Some(handle)),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}
