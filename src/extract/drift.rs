//! The count of what parsing tolerated: fields nobody knows, fields of a wrong type, each by its path.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::text::printable;

/// Distinct paths that are kept; what comes after is only counted.
const MAX_PATHS: usize = 1_000;
/// Characters of one path segment or example id.
pub(super) const MAX_SEGMENT: usize = 64;

/// What a path is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Root {
    /// `kodik`, `shikimori`.
    pub source: &'static str,
    /// First part of the path: `material`, `graphql.anime`, `rest.anime`, `rest.role`.
    pub name: &'static str,
}

/// What is odd about a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftKind {
    /// A field that the models do not have.
    Unknown,
    /// A value of a type that the models do not accept; it was dropped.
    WrongType,
}

/// One line of the drift report.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DriftEntry {
    /// `kodik`, `shikimori`.
    pub source: &'static str,
    /// `material.seasons.*.poster`, `material_data.new_field`, `graphql.anime.foo`.
    pub path: String,
    /// Unknown or wrong type.
    pub kind: DriftKind,
    /// How often.
    pub count: u64,
    /// The first record it was seen in.
    pub example_id: String,
}

impl std::fmt::Display for DriftEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.kind {
            DriftKind::Unknown => "unknown field",
            DriftKind::WrongType => "wrong type",
        };
        write!(f, "{}: {what} ({} times, first in {})", self.path, self.count, self.example_id)
    }
}

/// Counts by path; clones share the counters.
#[derive(Debug, Clone, Default)]
pub struct Drift {
    counters: Arc<Mutex<Counters>>,
}

#[derive(Debug, Default)]
struct Counters {
    seen: BTreeMap<(&'static str, String, DriftKind), Seen>,
    overflow: u64,
}

#[derive(Debug)]
struct Seen {
    count: u64,
    example_id: String,
}

impl Drift {
    /// Everything counted so far, most frequent first.
    pub fn summary(&self) -> Vec<DriftEntry> {
        let counters = self.lock();
        let mut entries: Vec<_> = counters
            .seen
            .iter()
            .map(|((source, path, kind), seen)| DriftEntry {
                source,
                path: path.clone(),
                kind: *kind,
                count: seen.count,
                example_id: seen.example_id.clone(),
            })
            .collect();
        entries.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.path.cmp(&b.path)));
        entries
    }

    /// Occurrences at paths that no longer fitted into the summary.
    pub fn overflow(&self) -> u64 {
        self.lock().overflow
    }

    /// Counts `count` occurrences at a path.
    pub(super) fn add(&self, root: Root, kind: DriftKind, path: String, count: u64, example_id: &str) {
        let mut counters = self.lock();
        let full = counters.seen.len() >= MAX_PATHS;
        let key = (root.source, path, kind);
        if let Some(seen) = counters.seen.get_mut(&key) {
            seen.count += count;
        } else if full {
            counters.overflow += count;
        } else {
            counters.seen.insert(key, Seen { count, example_id: printable(example_id, MAX_SEGMENT) });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Drift, DriftKind, MAX_PATHS, Root};

    #[test]
    fn the_counters_are_bounded_and_shared_by_clones() {
        let drift = Drift::default();
        let root = Root { source: "kodik", name: "material" };
        for n in 0..MAX_PATHS + 5 {
            drift.clone().add(root, DriftKind::Unknown, format!("material.f{n}"), 1, "serial-1");
        }
        drift.add(root, DriftKind::Unknown, "material.f0".to_owned(), 1, "serial-2");
        assert_eq!(drift.summary().len(), MAX_PATHS);
        assert_eq!(drift.overflow(), 5);
        let first = &drift.summary()[0];
        assert_eq!((first.path.as_str(), first.count, first.example_id.as_str()), ("material.f0", 2, "serial-1"));
        assert_eq!(first.to_string(), "material.f0: unknown field (2 times, first in serial-1)");
    }
}
