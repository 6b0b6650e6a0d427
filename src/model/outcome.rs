//! What became of one title. `extracted = loaded + unchanged + failed + skipped`, always.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The end of one title in one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The backend stored something new or different.
    Loaded {
        /// Was the title new to the backend?
        change: Change,
        /// What was written.
        writes: Writes,
    },
    /// The backend already had exactly this; nothing was written.
    Unchanged,
    /// At least a part could not be loaded; the next run tries again.
    Failed(Failure),
    /// Left out on purpose, with the reason.
    Skipped(SkipReason),
}

/// Created or updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Not in the backend before.
    Created,
    /// In the backend before, now different.
    Updated,
}

/// How many records of each kind were written for one title (or, added up, for a run).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Writes {
    /// Series records.
    pub series: u64,
    /// Episodes.
    pub episodes: u64,
    /// Videos (player links).
    pub videos: u64,
    /// Releases (embedded catalogue only; the contract has no such record).
    pub releases: u64,
    /// Characters (embedded catalogue only).
    pub characters: u64,
    /// Videos switched off because their link is gone (embedded catalogue only).
    pub deactivated: u64,
    /// Pets (only from records).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pets: u64,
    /// Relations between entities (only from records).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub relations: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Writes {
    /// All records together.
    pub fn total(&self) -> u64 {
        let own = self.series + self.episodes + self.videos + self.releases + self.characters + self.deactivated;
        own + self.pets + self.relations
    }

    /// Adds another title's writes.
    pub fn add(&mut self, other: &Self) {
        self.series += other.series;
        self.episodes += other.episodes;
        self.videos += other.videos;
        self.releases += other.releases;
        self.characters += other.characters;
        self.deactivated += other.deactivated;
        self.pets += other.pets;
        self.relations += other.relations;
    }
}

/// Why a title (or a part of it) was not loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Where it happened: `kodik`, `shikimori`, `transform`, `contract`, `embedded`.
    pub stage: String,
    /// A short code for grouping: `bad_material`, `http_500`, `validation`, `store`.
    pub code: String,
    /// What a person reads, complete in one line.
    pub reason: String,
    /// May it succeed on the next run without anybody changing anything?
    pub retryable: bool,
    /// One line for each refused part (`episode 12345:3: …`, `video 12345:3 …`), at most [`Failure::MAX_PARTS`].
    pub parts: Vec<String>,
}

impl Failure {
    /// More parts than this are counted in the last line instead of listed.
    pub const MAX_PARTS: usize = 50;
}

/// Why a title was left out on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// The Kodik material carries no usable `shikimori_id`.
    NoShikimoriId,
    /// Shikimori answers 404 for the title (removed, merged or hidden).
    NotFound,
    /// Shikimori answers 451 `age_restricted`.
    AgeRestricted,
    /// Shikimori answers 451 `rkn_banned` (or any other 451).
    Banned,
    /// Kodik has no material for the title any more.
    NoMaterials,
}

impl SkipReason {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::NoShikimoriId, Self::NotFound, Self::AgeRestricted, Self::Banned, Self::NoMaterials];

    /// The reason of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// The name in reports, metrics and state files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoShikimoriId => "no_shikimori_id",
            Self::NotFound => "not_found",
            Self::AgeRestricted => "age_restricted",
            Self::Banned => "banned",
            Self::NoMaterials => "no_materials",
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
