//! The canonical tables: series, episodes, releases, videos, characters, pets, their relations and images.
//!
//! Here is how to read what is stored of one title and how to apply [`Changes`]; which changes those are is decided
//! above, by pure functions, between the two and in the same transaction. Whoever changes a title takes [`lock_title`]
//! first, so two imports of one title can never interleave, on any engine.

mod browse;
mod changes;
mod codec;
mod dump;
mod images;
mod inspect;
mod parts;
mod persons;
mod read;
pub mod relations;
mod search;
mod write;

use super::sql::{Session, SqlError};

pub use browse::{Page, Query, ShownEpisode, ShownPlayer, ShownSeries, Sort, by_slug, episodes_by_slug, page};
pub use changes::{Changes, CharacterRow, EpisodeRow, Put, ReleaseRow, RowRef, SeriesPut, SeriesRow, Switch, VideoRow};
pub(crate) use codec::parse_origin;
pub use codec::{date, episode_class, episode_key, origin as origin_word, parse_date, role, translation_kind};
pub use dump::{dump, dump_lines};
pub use images::{ImageOwner, images, put_images};
pub use inspect::{
    Inspected, InspectedCharacter, InspectedEpisode, InspectedEpisodes, InspectedPlayer, InspectedRelation,
    InspectedRelease, inspect, inspect_episodes,
};
pub use parts::{
    Card, CardPut, KnownEpisode, KnownEpisodes, KnownVideo, StoredCard, VideoKey, card, foreign_episode,
    known_episodes, known_video, put_card, put_episodes, put_video,
};
pub use persons::{PetRow, StoredPerson, StoredPet, character, lock_character, pet, put_character, put_pet};
pub use read::{
    StoredCharacter, StoredEpisode, StoredRelease, StoredSeries, StoredTitle, StoredVideo, same_fingerprint, title,
};
pub use search::{Found, FoundPage, fill as fill_search, lacks as lacks_search, search};
pub use write::apply;

/// Which title: the natural key of a series.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TitleKey {
    /// `kodik-shikimori`.
    pub source_name: String,
    /// The source's id of the series.
    pub source_id: String,
}

/// Waits until nobody else changes the title of this key, and keeps others out until the transaction ends.
pub fn lock_title(session: &Session<'_>, key: &TitleKey) -> Result<(), SqlError> {
    session.lock(&format!("title {} {}", key.source_name, key.source_id))
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
    /// Pets.
    pub pets: u64,
}

/// Rows of each table.
pub fn counts(session: &Session<'_>) -> Result<Counts, SqlError> {
    session.one(
        "SELECT (SELECT count(*) FROM series), (SELECT count(*) FROM episode), (SELECT count(*) FROM release), \
         (SELECT count(*) FROM video WHERE is_active = TRUE), (SELECT count(*) FROM video WHERE is_active = FALSE), \
         (SELECT count(*) FROM character), (SELECT count(*) FROM pet)",
        &[],
        |row| {
            Ok(Counts {
                series: row.get(0)?,
                episodes: row.get(1)?,
                releases: row.get(2)?,
                videos: row.get(3)?,
                inactive_videos: row.get(4)?,
                characters: row.get(5)?,
                pets: row.get(6)?,
            })
        },
    )
}
