//! One run per state: an advisory lock that the kernel releases when its process dies, however it dies.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::StateError;

/// A look at the lock (`state show`, dry runs) takes a shared lock for an instant; a start at that very instant
/// must not be refused for it.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(15);

/// Who holds a lock, as written into the lock file by its holder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process id; 0 when the file does not say.
    #[serde(default)]
    pub pid: u32,
    /// Name of the machine.
    #[serde(default)]
    pub host: String,
    /// When it took the lock.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// What it does: `run --mode full`.
    #[serde(default)]
    pub command: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pid == 0 {
            return f.write_str("another process");
        }
        write!(f, "process {} on {}", self.pid, self.host)?;
        if !self.command.is_empty() {
            write!(f, " (`{}`", self.command)?;
            if let Some(since) = self.since {
                write!(f, ", since {since:.0}")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

/// The held lock; dropping it lets go.
#[derive(Debug)]
pub struct StateLock {
    file: File,
}

impl StateLock {
    /// Takes the lock, or says who has it.
    pub fn acquire(path: &Path, command: &str, now: Timestamp) -> Result<Self, StateError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| StateError::io("open", path, error))?;
        for attempt in 1..=ATTEMPTS {
            match file.try_lock() {
                Ok(()) => {
                    let mut lock = Self { file };
                    lock.sign(command, now);
                    return Ok(lock);
                }
                Err(TryLockError::Error(error)) => return Err(StateError::io("lock", path, error)),
                Err(TryLockError::WouldBlock) if attempt < ATTEMPTS => std::thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        Err(StateError::Locked { path: path.to_path_buf(), holder: read_holder(path) })
    }

    /// Best effort: the lock holds without it (and a full disk is reported where it matters).
    fn sign(&mut self, command: &str, now: Timestamp) {
        let holder =
            Holder { pid: std::process::id(), host: host_name(), since: Some(now), command: command.to_owned() };
        if self.file.set_len(0).is_ok()
            && let Ok(text) = serde_json::to_vec(&holder)
        {
            self.file.write_all(&text).ok();
        }
    }
}

impl Drop for StateLock {
    fn drop(&mut self) {
        // The file stays (removing it would let two processes lock two files of one name); its text goes.
        self.file.set_len(0).ok();
        self.file.unlock().ok();
    }
}

/// What a look at the lock found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LockStatus {
    /// Nobody holds it.
    Free,
    /// This process does.
    Held(Holder),
}

/// Looks at the lock without changing a byte on disk.
#[derive(Debug)]
pub struct LockProbe {
    path: PathBuf,
}

impl LockProbe {
    /// For this lock file, which need not exist.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf() }
    }

    /// Free, or who holds it. A file that cannot be opened counts as free: the run itself will say why not.
    pub fn status(&self) -> LockStatus {
        let Ok(file) = File::open(&self.path) else { return LockStatus::Free };
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => LockStatus::Held(read_holder(&self.path)),
            _ => LockStatus::Free,
        }
    }
}

fn read_holder(path: &Path) -> Holder {
    let mut text = Vec::new();
    File::open(path).and_then(|file| file.take(16 * 1024).read_to_end(&mut text)).ok();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_else(|| "this machine".to_owned())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{LockProbe, LockStatus, StateLock};
    use crate::checkpoint::StateError;

    #[test]
    fn a_second_taker_is_told_who_holds_it() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("lock");
        let probe = LockProbe::new(&path);
        assert_eq!(probe.status(), LockStatus::Free);
        assert!(!path.exists(), "looking makes no file");

        let held = StateLock::acquire(&path, "run --mode full", Timestamp::UNIX_EPOCH)?;
        let before = std::fs::read(&path)?;
        let Err(StateError::Locked { holder, .. }) = StateLock::acquire(&path, "run", Timestamp::UNIX_EPOCH) else {
            panic!("locked twice");
        };
        assert_eq!((holder.pid, holder.command.as_str()), (std::process::id(), "run --mode full"));
        assert_eq!(probe.status(), LockStatus::Held(holder));
        assert_eq!(std::fs::read(&path)?, before, "looking changes no byte");

        drop(held);
        assert_eq!(probe.status(), LockStatus::Free);
        StateLock::acquire(&path, "run", Timestamp::UNIX_EPOCH)?;
        Ok(())
    }
}
