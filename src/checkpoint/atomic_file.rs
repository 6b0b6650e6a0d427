//! Replaces a file so that every reader, and every crash, sees the old one or the new one whole.
//!
//! Temp file in the same folder → write → fsync → rename → fsync of the folder (without which the rename may be lost
//! with the power). The only place that writes whole files here; the ledger's append is the other writer.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::error::StateError;

/// Left by a killed process and removed by [`sweep`].
const TEMP_SUFFIX: &str = ".tmp";

/// Replaces `path` by these bytes.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    replace_with(path, |out| out.write_all(bytes).map_err(|error| StateError::io("write", path, error)))
}

/// Replaces `path` by what `fill` writes. When `fill` fails the old file stays.
pub(super) fn replace_with(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), StateError>,
) -> Result<(), StateError> {
    let fault = |action| move |error| StateError::io(action, path, error);
    // A state file may be a link to another disk: what it points to is replaced, not the link.
    let existing = path.symlink_metadata().ok();
    let target = match &existing {
        Some(meta) if meta.is_symlink() => fs::canonicalize(path).map_err(fault("follow the link"))?,
        _ => path.to_path_buf(),
    };
    let dir = folder_of(&target);
    let mut temp = tempfile::Builder::new()
        .prefix(&temp_prefix(&target))
        .suffix(TEMP_SUFFIX)
        .tempfile_in(&dir)
        .map_err(fault("write"))?;
    // New files are for the owner only (tempfile's default); one that an operator opened up stays as it was.
    if let Some(meta) = existing.filter(fs::Metadata::is_file) {
        temp.as_file().set_permissions(meta.permissions()).map_err(fault("write"))?;
    }
    fail::fail_point!("atomic_file.before_write");
    let mut out = BufWriter::with_capacity(64 * 1024, temp.as_file_mut());
    fill(&mut out)?;
    out.flush().map_err(fault("write"))?;
    drop(out);
    fail::fail_point!("atomic_file.sync", |_| Err(StateError::io(
        "write",
        path,
        std::io::Error::from_raw_os_error(28)
    )));
    temp.as_file().sync_all().map_err(fault("write"))?;
    fail::fail_point!("atomic_file.before_rename");
    temp.persist(&target).map_err(|error| StateError::io("replace", path, error.error))?;
    fail::fail_point!("atomic_file.after_rename");
    sync_folder(&dir)
}

/// Moves a file to another name in the same folder, durably.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), StateError> {
    fs::rename(from, to).map_err(|error| StateError::io("rename", from, error))?;
    sync_folder(&folder_of(to))
}

/// Copies a file under a new name, durably; the copy is whole or absent.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), StateError> {
    let mut source = File::open(from).map_err(|error| StateError::io("read", from, error))?;
    replace_with(to, |out| {
        std::io::copy(&mut source, out).map(drop).map_err(|error| StateError::io("back up", from, error))
    })
}

/// Makes renames and new files in a folder durable.
pub(super) fn sync_folder(dir: &Path) -> Result<(), StateError> {
    File::open(dir).and_then(|folder| folder.sync_all()).map_err(|error| StateError::io("sync", dir, error))
}

/// Removes temp files that a killed process left beside `path`. Call it only while holding the lock.
pub(super) fn sweep(path: &Path) {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let prefix = temp_prefix(&target);
    let Ok(entries) = fs::read_dir(folder_of(&target)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&prefix) && name.ends_with(TEMP_SUFFIX) {
            // Litter only: a file that cannot be removed harms nobody.
            fs::remove_file(entry.path()).ok();
        }
    }
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

fn temp_prefix(path: &Path) -> String {
    format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::{replace, replace_with, sweep};
    use crate::checkpoint::StateError;

    #[test]
    fn replaces_and_keeps_the_mode() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("c.json");
        replace(&path, b"one")?;
        assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640))?;
        replace(&path, b"two")?;
        assert_eq!(fs::read(&path)?, b"two");
        assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(dir.path())?.count(), 1, "no temp file stays");
        Ok(())
    }

    #[test]
    fn a_failed_fill_leaves_the_old_file() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("c.json");
        replace(&path, b"old")?;
        let result = replace_with(&path, |out| {
            out.write_all(b"half").map_err(|error| StateError::io("write", &path, error))?;
            Err(StateError::Missing { path: path.clone() })
        });
        assert!(result.is_err());
        assert_eq!(fs::read(&path)?, b"old");
        assert_eq!(fs::read_dir(dir.path())?.count(), 1);
        Ok(())
    }

    #[test]
    fn a_link_keeps_pointing() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        fs::create_dir(dir.path().join("disk"))?;
        let real = dir.path().join("disk/real.json");
        replace(&real, b"old")?;
        let link = dir.path().join("c.json");
        std::os::unix::fs::symlink(&real, &link)?;
        replace(&link, b"new")?;
        assert!(link.symlink_metadata()?.is_symlink());
        assert_eq!(fs::read(&real)?, b"new");
        Ok(())
    }

    #[test]
    fn sweeping_takes_only_own_litter() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("c.json");
        for name in [".c.json.abc.tmp", "c.json", "c.json.tmp", ".other.abc.tmp"] {
            fs::File::create(dir.path().join(name))?;
        }
        sweep(&path);
        assert!(!dir.path().join(".c.json.abc.tmp").exists());
        assert_eq!(fs::read_dir(dir.path())?.count(), 3);
        Ok(())
    }
}
