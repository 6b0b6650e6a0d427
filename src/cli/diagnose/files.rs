//! The state's folder: does it exist, may it be written, is there space; and the embedded catalogue.

use std::io::Write as _;
use std::path::Path;

use crate::checkpoint::StatePaths;
use crate::error::Party;

use super::Check;

/// Looks at the folder by writing a file that is gone at once.
pub(super) fn look_at(paths: &StatePaths) -> Vec<Check> {
    let mut checks = vec![folder(&paths.dir)];
    for (name, path) in [("landing", &paths.landing), ("catalogue", &paths.catalog)] {
        if let Some(size) = std::fs::metadata(path).ok().map(|file| file.len()) {
            checks.push(Check::good(name, Party::State, format!("{} ({:.1} MiB)", path.display(), mebibytes(size))));
        }
    }
    checks
}

fn folder(dir: &Path) -> Check {
    let name = "state folder";
    if !dir.exists() {
        // The first run makes it: what counts is whether it can.
        let Some(parent) = dir.ancestors().find(|folder| folder.exists()) else {
            return Check::bad(name, Party::State, format!("{} cannot be made", dir.display()), "set STATE_PATH");
        };
        return match probe(parent) {
            Ok(()) => Check::good(name, Party::State, format!("{} will be made by the first run", dir.display())),
            Err(error) => refused(parent, &error),
        };
    }
    match probe(dir) {
        Ok(()) => Check::good(name, Party::State, format!("{} is writable", dir.display())),
        Err(error) => refused(dir, &error),
    }
}

fn refused(dir: &Path, error: &std::io::Error) -> Check {
    let hint = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => "free some space on that disk",
        std::io::ErrorKind::NotADirectory => "a file is where a folder should be: set STATE_PATH to a folder",
        _ => "let this user write there, or set STATE_PATH to another folder",
    };
    Check::bad("state folder", Party::State, format!("{} cannot be written: {error}", dir.display()), hint)
}

/// A page and its journal need some room: 1 MiB must fit.
fn probe(dir: &Path) -> std::io::Result<()> {
    let mut file = tempfile::tempfile_in(dir)?;
    file.write_all(&vec![0; 1 << 20])?;
    file.sync_all()
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
