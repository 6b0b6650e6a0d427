//! The canonical tables: series, episodes, releases, videos, characters.
//!
//! A store knows how to read what it has of one title and how to apply [`Changes`]; which changes those are is decided
//! above it, by a pure function that the store calls between the two inside one transaction. So two imports of one
//! title can never interleave, on any engine.

mod browse;
mod changes;
mod codec;
mod dump;
mod parts;
mod read;
mod sqlite;
mod write;

use std::future::Future;

use super::StoreError;

pub use browse::{BrowseStore, Page, Query, ShownEpisode, ShownPlayer, ShownSeries, Sort};
pub use changes::{Changes, EpisodeRow, Put, ReleaseRow, RowRef, SeriesPut, Switch, VideoRow};
pub(crate) use codec::parse_origin;
pub use codec::{episode_class, episode_key, origin as origin_word, translation_kind};
pub use parts::{Card, CardPut, KnownEpisode, PartsStore, StoredCard, VideoKey};
pub use read::{StoredCharacter, StoredEpisode, StoredRelease, StoredSeries, StoredTitle, StoredVideo};
pub use sqlite::SqliteCatalogue;

/// Which title: the natural key of a series.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TitleKey {
    /// `kodik-shikimori`.
    pub source_name: String,
    /// The source's id of the series.
    pub source_id: String,
}

/// Rows of each canonical table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Series.
    pub series: u64,
    /// Episodes, switched-off ones included.
    pub episodes: u64,
    /// Releases.
    pub releases: u64,
    /// Videos that can be played.
    pub videos: u64,
    /// Videos that are switched off: stale links and those a person disabled.
    pub inactive_videos: u64,
    /// Characters.
    pub characters: u64,
}

/// The result of [`CatalogueStore::update`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Updated<T> {
    /// The stored fingerprint is the record's: nothing was read any further.
    SameFingerprint,
    /// Decided on what is stored; the changes (if any) are committed.
    Decided(T),
}

/// An engine that keeps the canonical tables.
pub trait CatalogueStore: Send + Sync {
    /// The identity of this catalogue, made when it was created.
    fn store_id(&self) -> &str;

    /// Reads the title, lets `decide` say what has to change, applies that, all in one transaction. `decide` is pure
    /// and may be called again when an engine has to try again.
    fn update<T, F>(
        &self,
        key: TitleKey,
        fingerprint: String,
        decide: F,
    ) -> impl Future<Output = Result<Updated<T>, StoreError>> + Send
    where
        T: Send + 'static,
        F: Fn(Option<&StoredTitle>) -> (Option<Changes>, T) + Send + 'static;

    /// What is stored of a title.
    fn title(&self, key: TitleKey) -> impl Future<Output = Result<Option<StoredTitle>, StoreError>> + Send;

    /// Rows of each table.
    fn counts(&self) -> impl Future<Output = Result<Counts, StoreError>> + Send;

    /// The whole catalogue as JSON lines in a fixed order, without row ids and times: equal text = equal catalogue.
    fn dump(&self) -> impl Future<Output = Result<String, StoreError>> + Send;
}
