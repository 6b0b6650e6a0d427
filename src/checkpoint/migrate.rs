//! The predecessor's state, a JSON file that Python wrote without a version, becomes version 2 and a ledger.
//!
//! `{"last_run": iso|null, "last_page": int, "processed_anime": {"<id>": {"title", "episodes_count", "timestamp"}}}`;
//! one of its branches kept payloads, episodes and videos in each title as well. Times are UTC without a zone.
//! `last_page` is dropped: the page numbers of the predecessor meant nothing to the source.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::model::SeriesId;

use super::atomic_file;
use super::entry::{LedgerEntry, Status};
use super::error::StateError;
use super::ledger;
use super::paths::StatePaths;
use super::run::Counters;
use super::state::{Document, LastRun};

/// The predecessor's state, as far as anything can be made of it.
#[derive(Debug, Default)]
pub struct V1State {
    /// When its last run ended.
    pub last_run: Option<Timestamp>,
    /// Its titles, by id.
    pub titles: BTreeMap<u64, V1Title>,
    /// What could not be used, one line each; the backup has it.
    pub rejected: Vec<String>,
}

/// One title of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct V1Title {
    /// Its name.
    pub title: String,
    /// Its episodes.
    pub episodes: u32,
    /// When it was loaded; `None` when unreadable.
    pub at: Option<Timestamp>,
}

/// What a migration makes.
#[derive(Debug)]
pub struct Migrated {
    /// The new checkpoint.
    pub document: Document,
    /// The new ledger's entries.
    pub entries: Vec<LedgerEntry>,
    /// What could not be used.
    pub rejected: Vec<String>,
}

/// The fields at the top, whatever they hold.
struct Keys(HashSet<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = HashSet::new();
                while let Some((key, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                    keys.insert(key);
                }
                Ok(Keys(keys))
            }
        }
        input.deserialize_map(Names)
    }
}

#[derive(Deserialize)]
struct RawV1 {
    #[serde(default)]
    last_run: Value,
    #[serde(default)]
    processed_anime: Option<RawTitles>,
}

/// Read title by title, so that payloads of a large state are never in memory together.
#[derive(Default)]
struct RawTitles {
    titles: BTreeMap<u64, V1Title>,
    rejected: Vec<String>,
}

impl<'de> Deserialize<'de> for RawTitles {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Titles;
        impl<'de> Visitor<'de> for Titles {
            type Value = RawTitles;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("titles by id")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawTitles, A::Error> {
                let mut all = RawTitles::default();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    all.take(&key, &value);
                }
                Ok(all)
            }
        }
        input.deserialize_map(Titles)
    }
}

impl RawTitles {
    fn take(&mut self, key: &str, value: &Value) {
        let Ok(SeriesId(id)) = key.parse::<SeriesId>() else {
            self.rejected.push(format!("`{}` is no series id", shown(key)));
            return;
        };
        if !value.is_object() {
            self.rejected.push(format!("title {id} is not an object"));
            return;
        }
        let title = V1Title {
            title: value["title"].as_str().unwrap_or_default().to_owned(),
            episodes: episodes_of(value),
            at: value["timestamp"].as_str().and_then(utc),
        };
        match self.titles.get(&id) {
            // `5114` and `z5114` are one title: the later one counts.
            Some(known) if known.at > title.at => {}
            _ => {
                self.titles.insert(id, title);
            }
        }
    }
}

fn episodes_of(value: &Value) -> u32 {
    let count = &value["episodes_count"];
    count
        .as_u64()
        .or_else(|| count.as_str().and_then(|text| text.trim().parse().ok()))
        .or_else(|| value["episodes"].as_object().map(|episodes| episodes.len() as u64))
        .map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX))
}

/// Keys are foreign text; a message shows a bounded piece of them.
fn shown(key: &str) -> String {
    key.chars().take(60).collect()
}

/// A time with a zone, or one without, which is UTC.
fn utc(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    text.parse::<Timestamp>()
        .ok()
        .or_else(|| text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp()))
}

impl V1State {
    /// Reads it in any of its variants.
    pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Self, StateError> {
        const KEYS: [&str; 3] = ["last_run", "last_page", "processed_anime"];
        let Keys(keys) = serde_json::from_slice(bytes).map_err(|error| StateError::json(path, &error))?;
        if !keys.is_empty() && !KEYS.iter().any(|key| keys.contains(*key)) {
            return Err(StateError::Corrupt {
                path: path.to_path_buf(),
                place: "the beginning".to_owned(),
                reason: "JSON, but not a state of this program or of the former crawler".to_owned(),
            });
        }
        let raw: RawV1 = serde_json::from_slice(bytes).map_err(|error| StateError::json(path, &error))?;
        let RawTitles { titles, mut rejected } = raw.processed_anime.unwrap_or_default();
        let last_run = match &raw.last_run {
            Value::Null => None,
            value => {
                let at = value.as_str().and_then(utc);
                if at.is_none() {
                    rejected.push(format!("`last_run` is no time: {}", shown(&value.to_string())));
                }
                at
            }
        };
        Ok(Self { last_run, titles, rejected })
    }

    /// The same as a version 2 state. `now` stands in for times that are missing altogether.
    pub fn migrate(self, now: Timestamp) -> Migrated {
        let fallback = self.last_run.unwrap_or(now);
        let entries: Vec<LedgerEntry> = self
            .titles
            .into_iter()
            .map(|(id, title)| {
                let mut entry = LedgerEntry::new(SeriesId(id), title.title, Status::Done, title.at.unwrap_or(fallback));
                entry.episodes = title.episodes;
                entry.bounded()
            })
            .collect();
        let mut document = Document::fresh();
        document.watermark = self.last_run.map(|at| at.to_string());
        document.last_run = self.last_run.map(|finished_at| LastRun {
            id: None,
            mode: None,
            started_at: None,
            finished_at,
            exit: 0,
            counters: Counters::default(),
            extra: Map::new(),
        });
        document.ledger.entries = entries.len() as u64;
        Migrated { document, entries, rejected: self.rejected }
    }
}

/// Puts a migrated state in the place of the old one. Killed at any point, the next start finds the old state and
/// migrates again, or the new one.
pub(super) fn apply(
    paths: &StatePaths,
    old: &[u8],
    migrated: &mut Migrated,
    now: Timestamp,
) -> Result<PathBuf, StateError> {
    fail::fail_point!("checkpoint.migrate.before_backup");
    let backup = if let Some(known) = find_backup(&paths.checkpoint, old) {
        known
    } else {
        let backup = StatePaths::backup(&paths.checkpoint, "v1", now);
        atomic_file::replace(&backup, old)?;
        backup
    };
    fail::fail_point!("checkpoint.migrate.after_backup");
    merge_into_ledger(&paths.ledger, &migrated.entries)?;
    fail::fail_point!("checkpoint.migrate.after_ledger");
    migrated.document.ledger.file = file_name(&paths.ledger);
    atomic_file::replace(&paths.checkpoint, &migrated.document.to_bytes(&paths.checkpoint)?)?;
    fail::fail_point!("checkpoint.migrate.after_checkpoint");
    Ok(backup)
}

/// A backup with these bytes, from a migration that was killed.
fn find_backup(checkpoint: &Path, old: &[u8]) -> Option<PathBuf> {
    let prefix = format!("{}.v1.", file_name(checkpoint));
    std::fs::read_dir(checkpoint.parent()?).ok()?.flatten().map(|entry| entry.path()).find(|path| {
        let name = file_name(path);
        name.starts_with(&prefix)
            && path.extension().is_some_and(|ext| ext == "bak")
            && std::fs::read(path).is_ok_and(|bytes| bytes == old)
    })
}

/// Writes the ledger anew: the lines it has (from a killed migration, or later than the old state), then what it lacks.
fn merge_into_ledger(path: &Path, entries: &[LedgerEntry]) -> Result<(), StateError> {
    let known: HashSet<u64> = ledger::load(path)?.entries.into_keys().collect();
    atomic_file::replace_with(path, |out| {
        let fault = |error| StateError::io("write", path, error);
        ledger::scan(path, |line| ledger::write_line(out, line.bytes).map_err(fault))?;
        for entry in entries.iter().filter(|entry| !known.contains(&entry.id.0)) {
            serde_json::to_writer(&mut *out, entry).map_err(|error| fault(error.into()))?;
            out.write_all(b"\n").map_err(fault)?;
        }
        Ok(())
    })
}

pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use jiff::Timestamp;

    use super::{V1State, utc};

    #[test]
    fn times_without_a_zone_are_utc() {
        for text in
            ["2026-01-09T12:00:00", "2026-01-09T12:00:00.000000", "2026-01-09 12:00:00", "2026-01-09T15:00:00+03:00"]
        {
            assert_eq!(utc(text).map(|at| at.to_string()).as_deref(), Some("2026-01-09T12:00:00Z"), "{text}");
        }
        assert_eq!(utc("soon"), None);
    }

    #[test]
    fn nulls_odd_types_and_double_ids_are_tolerated() -> Result<(), Box<dyn std::error::Error>> {
        let text = r#"{"last_run": 5, "last_page": null, "processed_anime": {
            "5": {"title": null, "episodes_count": "12", "timestamp": "2026-01-02T00:00:00"},
            "z5": {"title": "older", "episodes_count": 1, "timestamp": "2026-01-01T00:00:00"},
            "6": null, "abc-def": {}, "7": {"episodes": {"7:1": {}, "7:2": {}}}}, "more": [1]}"#;
        let state = V1State::parse(text.as_bytes(), Path::new("s.json"))?;
        assert_eq!(state.rejected.len(), 3, "{:?}", state.rejected);
        let migrated = state.migrate(Timestamp::UNIX_EPOCH);
        let ids: Vec<_> = migrated.entries.iter().map(|entry| (entry.id.0, entry.episodes)).collect();
        assert_eq!(ids, [(5, 12), (7, 2)]);
        assert_eq!(migrated.document.watermark, None);
        Ok(())
    }
}
