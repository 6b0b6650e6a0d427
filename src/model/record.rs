//! What a record is about, and what becomes of it when the catalogue already has one of its name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The four kinds of records. Each has its staging table and its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// One title; whole, when it carries its releases.
    Series,
    /// One translation of a series.
    Release,
    /// A person of a series.
    Character,
    /// A companion creature of a character.
    Pet,
}

impl RecordKind {
    /// All of them, in the order in which their jobs run by default.
    pub const ALL: [Self; 4] = [Self::Character, Self::Pet, Self::Series, Self::Release];

    /// The word in records, addresses and settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Series => "series",
            Self::Release => "release",
            Self::Character => "character",
            Self::Pet => "pet",
        }
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names none of the choices.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not one of {0}")]
pub struct UnknownWord(pub &'static str);

impl FromStr for RecordKind {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or(UnknownWord("`series`, `release`, `character`, `pet`"))
    }
}

/// What an import does with a record whose entity is in the catalogue already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Collision {
    /// Brings it up to date; what the record does not say stays.
    #[default]
    Upsert,
    /// Leaves it as it is.
    Skip,
    /// Refuses the record, unless it says what is stored already.
    Fail,
    /// Makes it what the record says; what the record does not say is emptied.
    Replace,
}

impl Collision {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Upsert, Self::Skip, Self::Fail, Self::Replace];

    /// The word in requests and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upsert => "upsert",
            Self::Skip => "skip",
            Self::Fail => "fail",
            Self::Replace => "replace",
        }
    }
}

impl fmt::Display for Collision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Collision {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.as_str() == word)
            .ok_or(UnknownWord("`upsert`, `skip`, `fail`, `replace`"))
    }
}

/// The id of an import, made by us (UUID version 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = "uuid")]
pub struct ImportId(pub Uuid);

impl ImportId {
    /// A new one.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for ImportId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for ImportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ImportId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::{Collision, RecordKind};

    #[test]
    fn words_are_read_as_they_are_written() {
        for kind in RecordKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        for policy in Collision::ALL {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        assert!("Series".parse::<RecordKind>().is_err() && "".parse::<Collision>().is_err());
    }
}
