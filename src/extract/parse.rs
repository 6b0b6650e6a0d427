//! Tolerant parsing. The hot path is one strict pass over the bytes. Only a record that fails it goes through the slow
//! path, which finds the offending field, counts it, drops its value and tries again: one odd field never costs a record.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::drift::{Drift, DriftKind, MAX_SEGMENT, Root};
use super::text::{MESSAGE_MAX, clean, is_object, printable, repaired};
use crate::error::{Fault, Party, Severity};

/// Unknown fields of one record that are looked at.
const MAX_UNKNOWN: usize = 1_000;
/// Distinct (path, JSON type) offences of one record. More is not an odd field, but another format.
const MAX_ROUNDS: usize = 256;
/// Keys below these are data, not field names.
const DYNAMIC: [&str; 3] = ["seasons", "episodes", "blocked_seasons"];

/// A raw model that can be parsed tolerantly.
pub trait RawRecord: DeserializeOwned {
    /// Where it comes from.
    const ROOT: Root;

    /// Its id; `None` makes the record malformed.
    fn record_id(&self) -> Option<Cow<'_, str>>;
}

/// A record that cannot be used at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed {what}: {reason}")]
pub struct Malformed {
    /// What was parsed: `material`, `graphql.anime`, …
    pub what: &'static str,
    /// Why it is not one.
    pub reason: String,
}

impl Malformed {
    fn new(root: Root, reason: impl Into<String>) -> Self {
        Self { what: root.name, reason: reason.into() }
    }

    fn from_json(root: Root, error: &serde_json::Error) -> Self {
        Self::new(root, json_reason(error))
    }
}

impl Fault for Malformed {
    fn severity(&self) -> Severity {
        Severity::Permanent
    }

    fn party(&self) -> Party {
        Party::Source
    }
}

/// A JSON error as it may be shown.
pub(super) fn json_reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("recursion limit exceeded") {
        return "nested deeper than 128 levels".to_owned();
    }
    clean(&text, MESSAGE_MAX)
}

/// Parses one record, counting whatever had to be tolerated.
pub fn parse<T: RawRecord>(bytes: &[u8], drift: &Drift) -> Result<T, Malformed> {
    if !is_object(bytes) {
        return Err(Malformed::new(T::ROOT, "not a JSON object"));
    }
    let mut found = Found::default();
    let record = match strict(bytes, &mut found) {
        Ok(record) => record,
        Err(error) => {
            found = Found::default();
            lenient::<T>(bytes, &error, &mut found)?
        }
    };
    let Some(id) = record.record_id() else {
        return Err(Malformed::new(T::ROOT, "no id"));
    };
    for path in found.unknown {
        drift.add(T::ROOT, DriftKind::Unknown, path, 1, &id);
    }
    for (path, count) in found.wrong {
        drift.add(T::ROOT, DriftKind::WrongType, path, count, &id);
    }
    drop(id);
    Ok(record)
}

/// What one record had that the models do not.
#[derive(Default)]
struct Found {
    unknown: Vec<String>,
    wrong: Vec<(String, u64)>,
}

fn strict<T: RawRecord>(bytes: &[u8], found: &mut Found) -> Result<T, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let record = known::<T, _>(&mut deserializer, found)?;
    deserializer.end()?;
    Ok(record)
}

/// Deserialises and notes every field that nobody asked for.
fn known<'de, T: RawRecord, D: serde::Deserializer<'de>>(deserializer: D, found: &mut Found) -> Result<T, D::Error> {
    serde_ignored::deserialize(deserializer, |path| {
        if found.unknown.len() < MAX_UNKNOWN {
            let mut steps = Vec::new();
            ignored_steps(&path, &mut steps);
            found.unknown.push(join(T::ROOT, &normalise(steps)));
        }
    })
}

fn lenient<T: RawRecord>(bytes: &[u8], strict: &serde_json::Error, found: &mut Found) -> Result<T, Malformed> {
    let mut value: Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(error) => {
            let text = repaired(bytes).ok_or_else(|| Malformed::from_json(T::ROOT, &error))?;
            found.wrong.push((format!("{}.(broken text)", T::ROOT.name), 1));
            serde_json::from_str(&text).map_err(|error| Malformed::from_json(T::ROOT, &error))?
        }
    };
    for _ in 0..MAX_ROUNDS {
        let Err(error) = serde_path_to_error::deserialize::<_, T>(&value) else {
            if found.wrong.is_empty() {
                // Well-typed once a map has each key only once: the bytes repeat a key, the last one counts.
                found.wrong.push((format!("{}.(repeated key)", T::ROOT.name), 1));
            }
            return known(&value, found).map_err(|error| Malformed::from_json(T::ROOT, &error));
        };
        let steps: Vec<Step> = error
            .path()
            .iter()
            .map_while(|segment| match segment {
                serde_path_to_error::Segment::Seq { index } => Some(Step::Index(*index)),
                serde_path_to_error::Segment::Map { key } => Some(Step::Key(key.clone())),
                _ => None,
            })
            .collect();
        let pattern = normalise(steps.clone());
        let Some(kind) = at(&value, &steps).map(Kind::of).filter(|_| !steps.is_empty()) else {
            return Err(Malformed::from_json(T::ROOT, strict));
        };
        let dropped = drop_all(&mut value, &pattern, kind);
        if dropped == 0 {
            return Err(Malformed::from_json(T::ROOT, strict));
        }
        if kind == Kind::Null && found.wrong.iter().any(|(path, _)| *path == join(T::ROOT, &pattern)) {
            // The value was dropped and counted in an earlier round; now its place goes too.
            continue;
        }
        found.wrong.push((join(T::ROOT, &pattern), dropped));
    }
    Err(Malformed::new(T::ROOT, format!("more than {MAX_ROUNDS} kinds of odd fields")))
}

/// One step of a path into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
    Any,
}

/// The JSON type as far as models tell values apart: a value that offends offends at every place of the same pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    Bool,
    Whole,
    Huge,
    Float,
    Text,
    List,
    Object,
}

impl Kind {
    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Bool,
            Value::Number(number) if number.is_i64() => Self::Whole,
            Value::Number(number) if number.is_u64() => Self::Huge,
            Value::Number(_) => Self::Float,
            Value::String(_) => Self::Text,
            Value::Array(_) => Self::List,
            Value::Object(_) => Self::Object,
        }
    }
}

fn at<'v>(value: &'v Value, steps: &[Step]) -> Option<&'v Value> {
    steps.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
        Step::Any => None,
    })
}

/// Makes every value of that kind at that pattern null; where it already is null, takes its place away.
fn drop_all(value: &mut Value, pattern: &[Step], kind: Kind) -> u64 {
    let Some((step, rest)) = pattern.split_first() else { return 0 };
    if rest.is_empty() && kind == Kind::Null {
        return remove_nulls(value, step);
    }
    let mut dropped = 0;
    let mut visit = |child: &mut Value| {
        if !rest.is_empty() {
            dropped += drop_all(child, rest, kind);
        } else if Kind::of(child) == kind {
            *child = Value::Null;
            dropped += 1;
        }
    };
    match (value, step) {
        (Value::Object(map), Step::Key(key)) => map.get_mut(key).into_iter().for_each(&mut visit),
        (Value::Object(map), Step::Any) => map.values_mut().for_each(&mut visit),
        (Value::Array(list), Step::Any) => list.iter_mut().for_each(&mut visit),
        _ => {}
    }
    dropped
}

fn remove_nulls(value: &mut Value, step: &Step) -> u64 {
    let count = |before: usize, after: usize| u64::try_from(before - after).unwrap_or(u64::MAX);
    match (value, step) {
        (Value::Object(map), Step::Key(key)) if map.get(key).is_some_and(Value::is_null) => {
            map.remove(key);
            1
        }
        (Value::Object(map), Step::Any) => {
            let before = map.len();
            map.retain(|_, child| !child.is_null());
            count(before, map.len())
        }
        (Value::Array(list), Step::Any) => {
            let before = list.len();
            list.retain(|child| !child.is_null());
            count(before, list.len())
        }
        _ => 0,
    }
}

fn ignored_steps(path: &serde_ignored::Path<'_>, steps: &mut Vec<Step>) {
    use serde_ignored::Path;
    match path {
        Path::Root => {}
        Path::Seq { parent, index } => {
            ignored_steps(parent, steps);
            steps.push(Step::Index(*index));
        }
        Path::Map { parent, key } => {
            ignored_steps(parent, steps);
            steps.push(Step::Key(key.clone()));
        }
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            ignored_steps(parent, steps);
        }
    }
}

/// Indices, season numbers and episode numbers become `*`.
fn normalise(steps: Vec<Step>) -> Vec<Step> {
    let mut below_dynamic = false;
    steps
        .into_iter()
        .map(|step| match step {
            Step::Key(key) if !below_dynamic => {
                below_dynamic = DYNAMIC.contains(&key.as_str());
                Step::Key(key)
            }
            _ => {
                below_dynamic = false;
                Step::Any
            }
        })
        .collect()
}

fn join(root: Root, pattern: &[Step]) -> String {
    let mut path = match pattern {
        // The joined metadata is a thing of its own in reports.
        [Step::Key(first), _, ..] if first == "material_data" => String::new(),
        _ => root.name.to_owned(),
    };
    for step in pattern {
        if !path.is_empty() {
            path.push('.');
        }
        match step {
            Step::Key(key) => path.push_str(&printable(key, MAX_SEGMENT)),
            Step::Index(_) | Step::Any => path.push('*'),
        }
    }
    path
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "quirk_tests.rs"]
mod quirks;
