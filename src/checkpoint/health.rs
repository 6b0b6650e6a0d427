//! How the services fared in the newest run: a small file beside the checkpoint, replaced whole at the end of every run
//! that was not a dry one. The checkpoint itself knows titles, not requests; this is for whoever shows a person which
//! service gives trouble.

use std::io::{ErrorKind, Read as _};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::atomic_file;
use super::error::StateError;
use super::paths::StatePaths;
use super::run::{Counters, RunMode};

/// No file of ours is larger.
const LONGEST: u64 = 1024 * 1024;

/// One run's end and its services.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// The run's id.
    pub run: Option<String>,
    /// Its mode.
    pub mode: Option<RunMode>,
    /// When it began, perhaps in an earlier process.
    pub started_at: Option<Timestamp>,
    /// When this process's part of it ended.
    pub ended_at: Timestamp,
    /// `finished`, `stopped`, `failed`.
    pub end: String,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<String>,
    /// What to do about that.
    #[serde(default)]
    pub hint: Option<String>,
    /// Titles of the whole run.
    pub titles: Counters,
    /// Where they went.
    pub target: String,
    /// What each service cost this process.
    pub services: Vec<ServiceHealth>,
}

/// One service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceHealth {
    /// Its name.
    pub service: String,
    /// Attempts, retries included.
    pub requests: u64,
    /// Of them, retries.
    pub retries: u64,
    /// Of them, those that brought no usable answer.
    pub failed: u64,
    /// 429 answers.
    pub throttled: u64,
    /// Times the circuit breaker opened.
    pub breaker_opened: u64,
    /// Waiting for its limits, summed over requests.
    pub waited_seconds: f64,
    /// Waiting for its answers, summed over attempts.
    pub on_wire_seconds: f64,
}

impl Health {
    /// Replaces what an earlier run has left.
    pub fn write(&self, paths: &StatePaths) -> Result<(), StateError> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| StateError::json(&paths.health, &error))?;
        bytes.push(b'\n');
        atomic_file::replace(&paths.health, &bytes)
    }

    /// What the newest run has left; `None` if there was none.
    pub fn read(path: &Path) -> Result<Option<Self>, StateError> {
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StateError::io("read", path, error)),
        };
        let mut bytes = Vec::new();
        file.take(LONGEST).read_to_end(&mut bytes).map_err(|error| StateError::io("read", path, error))?;
        serde_json::from_slice(&bytes).map(Some).map_err(|error| StateError::json(path, &error))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Counters, Health, ServiceHealth, StatePaths};

    #[test]
    fn what_is_written_is_read_and_nothing_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let paths = StatePaths::resolve(Path::new("state.json"), folder.path());
        assert_eq!(Health::read(&paths.health).unwrap(), None);
        let health = Health {
            run: Some("r".to_owned()),
            mode: None,
            started_at: None,
            ended_at: jiff::Timestamp::UNIX_EPOCH,
            end: "finished".to_owned(),
            error: None,
            hint: None,
            titles: Counters::default(),
            target: "t".to_owned(),
            services: vec![ServiceHealth { service: "kodik".to_owned(), requests: 7, ..ServiceHealth::default() }],
        };
        health.write(&paths).unwrap();
        assert_eq!(Health::read(&paths.health).unwrap(), Some(health));
        std::fs::write(&paths.health, "{").unwrap();
        assert!(Health::read(&paths.health).is_err());
    }
}
