//! Identifiers, each parsed once at the edge.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A Shikimori title id; the `source_id` of a series. Letter prefixes of copyrighted ids (`z5114`) are stripped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SeriesId(pub u64);

/// Why a text is not a [`SeriesId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a Shikimori id (digits, optionally after letters: `5114`, `z5114`)")]
pub struct NotASeriesId(pub String);

impl FromStr for SeriesId {
    type Err = NotASeriesId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        let digits = trimmed.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let prefix = trimmed.len() - digits.len();
        if prefix > 3 || digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NotASeriesId(text.to_owned()));
        }
        // Ids go into SQLite and PostgreSQL as signed 64-bit numbers; zero is not an id.
        match digits.parse::<u64>() {
            Ok(id) if id > 0 && i64::try_from(id).is_ok() => Ok(Self(id)),
            _ => Err(NotASeriesId(text.to_owned())),
        }
    }
}

impl fmt::Display for SeriesId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A Kodik material id, `serial-6646` or `movie-82050`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MaterialId(pub String);

impl fmt::Display for MaterialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A Kodik translation id, `610` = `AniLibria.TV`. Zero stands for "the source names none".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TranslationId(pub i64);

impl fmt::Display for TranslationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of an episode inside the source, globally unique: `{series}:{number}` (see `transform::episodes` for the rest).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EpisodeId(pub String);

impl fmt::Display for EpisodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::SeriesId;

    #[test]
    fn series_ids_parse_with_and_without_prefix() {
        assert_eq!("5114".parse(), Ok(SeriesId(5114)));
        assert_eq!(" z5114 ".parse(), Ok(SeriesId(5114)));
        assert_eq!("az21".parse(), Ok(SeriesId(21)));
        for bad in ["", "z", "0", "-1", "21-one-piece", "21.5", "abcd21", "99999999999999999999"] {
            assert!(bad.parse::<SeriesId>().is_err(), "{bad} was accepted");
        }
    }
}
