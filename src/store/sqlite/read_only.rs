//! Opening a database for looking only: not a byte of it, or of its folder, may change.
//!
//! An ordinary read-only connection to a WAL database still creates `-shm` and may fold the log back. So a file that
//! was closed cleanly is opened as immutable, and one that a crash (or a running process) left with a log is copied,
//! log and all, to a private folder and opened there.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use super::{Options, Place, configure, migrate};
use crate::store::error::StoreError;

/// Copies that were torn by a running writer before we give up and use the last one.
const COPY_ATTEMPTS: u32 = 5;

pub(super) fn open(place: &Place, options: &Options) -> Result<Option<(Connection, Option<TempDir>)>, StoreError> {
    let io = |error: &std::io::Error| StoreError::from_io(&place.path, place.party, error);
    let Some(file) = stat(&place.path).map_err(|error| io(&error))? else { return Ok(None) };
    if file.len() == 0 {
        // Created, never written: as good as absent.
        return Ok(None);
    }
    let log = stat(&beside(&place.path, "-wal")).map_err(|error| io(&error))?;
    if log.is_none_or(|log| log.len() == 0) {
        let connection = open_immutable(&place.path).map_err(|error| place.error(&error))?;
        if migrate::check(&connection, options.schema).map_err(|problem| problem.at(place))? {
            return Ok(Some((connection, None)));
        }
        // Older tables: the copy is migrated instead.
    }
    let folder = tempfile::Builder::new().prefix("parser-").tempdir().map_err(|error| io(&error))?;
    let target = folder.path().join("copy.db");
    copy(&place.path, &target).map_err(|error| io(&error))?;
    let mut connection = Connection::open_with_flags(&target, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .and_then(|connection| configure(&connection, options).map(|()| connection))
        .map_err(|error| place.error(&error))?;
    migrate::run(&mut connection, options.schema).map_err(|problem| problem.at(place))?;
    connection.pragma_update(None, "query_only", true).map_err(|error| place.error(&error))?;
    Ok(Some((connection, Some(folder))))
}

fn open_immutable(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri(path), flags)?;
    connection.pragma_update(None, "cache_size", -2048)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

/// `?`, `#` and `%` would end or change the path inside a URI.
fn uri(path: &Path) -> String {
    let text = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("file:{text}?immutable=1&mode=ro")
}

/// Copies file and log; again when either changed meanwhile, because a checkpoint between the two would lose commits.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    let (from_log, to_log) = (beside(from, "-wal"), beside(to, "-wal"));
    for _ in 0..COPY_ATTEMPTS {
        let before = (stat(from)?.map(|file| stamp(&file)), stat(&from_log)?.map(|file| stamp(&file)));
        std::fs::copy(from, to)?;
        if before.1.is_some() {
            std::fs::copy(&from_log, &to_log)?;
        } else if to_log.exists() {
            std::fs::remove_file(&to_log)?;
        }
        let after = (stat(from)?.map(|file| stamp(&file)), stat(&from_log)?.map(|file| stamp(&file)));
        if before == after {
            break;
        }
    }
    Ok(())
}

fn stamp(file: &Metadata) -> (u64, Option<std::time::SystemTime>) {
    (file.len(), file.modified().ok())
}

fn stat(path: &Path) -> std::io::Result<Option<Metadata>> {
    match std::fs::metadata(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::uri;
    use std::path::Path;

    #[test]
    fn odd_characters_stay_inside_the_path() {
        assert_eq!(uri(Path::new("/a b/50%?#.db")), "file:/a b/50%25%3f%23.db?immutable=1&mode=ro");
    }
}
