//! Payloads of series and releases.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::text::{date, nullable};
use crate::backend::importer::IdText;
use crate::model::{Date, MetadataOrigin, SeriesStatus, Withheld};

/// The payload of a `series` record. With `releases` it is a complete view of the title: episodes, releases and links
/// that it does not carry are switched off. Without, it speaks of the series alone.
///
/// ```json
/// {"title": "Shizuka na Ie", "alternative_titles": ["Тихий дом"], "year": 2023, "status": "ongoing", "kind": "tv",
///  "genres": ["Drama"], "parent": "5113",
///  "characters": [{"id": "73", "name": "Aoi Mori", "role": "main"}],
///  "releases": [{"material_id": "serial-6646", "translation": {"id": 610, "title": "AniLibria.TV", "kind": "voice"},
///                "episodes": [{"id": "5114:1", "number": 1, "url": "https://kodikplayer.example/seria/1/a/720p"}]}]}
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"title": "Shizuka na Ie", "alternative_titles": ["Тихий дом"], "year": 2023,
    "status": "ongoing", "kind": "tv", "genres": ["Drama"], "parent": "5113",
    "characters": [{"id": "73", "name": "Aoi Mori", "role": "main"}],
    "releases": [{"material_id": "serial-6646", "translation": {"id": 610, "title": "AniLibria.TV", "kind": "voice"},
        "episodes": [{"id": "5114:1", "number": 1, "url": "https://kodikplayer.example/seria/1/a/720p"}]}]}))]
#[serde(default)]
pub struct SeriesPayload {
    /// Display title.
    #[schema(required)]
    pub title: String,
    /// Other names.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub alternative_titles: Vec<String>,
    /// Plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// 1900 to 2100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub year: Option<u16>,
    /// Airing, finished, announced.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub status: Option<SeriesStatus>,
    /// Address of the poster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poster: Option<String>,
    /// Addresses of all posters, best first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<Vec<String>>,
    /// Names of genres.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub genres: Vec<String>,
    /// `tv`, `movie`, `ova`, …; open set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Above 0, up to 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// `pg_13`, …; open set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rating: Option<String>,
    /// Minutes of one episode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_minutes: Option<u32>,
    /// Planned number of episodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub episodes_total: Option<u32>,
    /// Aired so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub episodes_aired: Option<u32>,
    /// When the next episode airs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    pub next_episode_at: Option<Timestamp>,
    /// First air date: `2023`, `2023-04` or `2023-04-07`.
    #[serde(with = "date", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub aired_on: Option<Date>,
    /// Last air date.
    #[serde(with = "date", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub released_on: Option<Date>,
    /// Names of studios.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub studios: Vec<String>,
    /// Key of the franchise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub franchise: Option<String>,
    /// `winter_2023`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub season: Option<String>,
    /// `tt0409591`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imdb_id: Option<String>,
    /// Kinopoisk's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kinopoisk_id: Option<String>,
    /// Where the metadata came from. `material_data` never replaces better ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub origin: Option<MetadataOrigin>,
    /// The source's id of the series that this one belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<IdText>,
    /// All that it is related to beside its parent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relations: Option<Vec<RelationPayload>>,
    /// Its characters, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub characters: Option<Vec<CastPayload>>,
    /// Its releases, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub releases: Option<Vec<ReleasePayload>>,
    /// Episodes that no release carries; counts only beside `releases`.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub episodes: Vec<EpisodePayload>,
    /// What the sender's rules kept back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub withheld: Option<Withheld>,
}

/// The payload of a `release` record, and a release of a series.
///
/// ```json
/// {"series": "5114", "translation": {"id": 610, "title": "AniLibria.TV", "kind": "voice"}, "priority": 10,
///  "episodes": [{"id": "5114:1", "number": 1, "url": "https://kodikplayer.example/seria/1/a/720p"}]}
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"series": "5114", "translation": {"id": 610, "title": "AniLibria.TV", "kind": "voice"},
    "priority": 10,
    "episodes": [{"id": "5114:1", "number": 1, "url": "https://kodikplayer.example/seria/1/a/720p"}]}))]
pub struct ReleasePayload {
    /// The source's id of its series; required in a record of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<IdText>,
    /// The source's id of the material it was made from; of a record of its own: the record's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub material_id: Option<IdText>,
    /// Who translated it. A series has one release of each.
    pub translation: TranslationPayload,
    /// Higher = preferred.
    #[serde(default)]
    pub priority: i32,
    /// `WEB-DLRip 720p`, …; open set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<String>,
    /// Filmed in a cinema.
    #[serde(default, deserialize_with = "nullable")]
    pub camrip: bool,
    /// ISO-3166 codes.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub blocked_countries: Vec<String>,
    /// `all`, or seasons.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub blocked_seasons: Vec<String>,
    /// When the source last changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    pub updated_at: Option<Timestamp>,
    /// How many episodes it has, if that is not how many are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub episode_count: Option<u32>,
    /// Its episodes, each with its link.
    #[serde(default, deserialize_with = "nullable")]
    pub episodes: Vec<EpisodePayload>,
}

/// Who translated a release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TranslationPayload {
    /// The source's number.
    pub id: i64,
    /// `AniLibria.TV`.
    #[serde(default, deserialize_with = "nullable")]
    pub title: String,
    /// `voice`, `subtitles`; whatever else is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// An episode, and its link in a release. What is said in one release need not be repeated in the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EpisodePayload {
    /// Unique inside the source; usually `SERIES:NUMBER`.
    pub id: IdText,
    /// 0 = specials. By default what the id says (`SERIES:s2:NUMBER`), else 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub season: Option<u32>,
    /// As the source writes it (`12`, `1-2`, `6.5`). By default the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<IdText>,
    /// Whole number. By default what the key says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// Title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// `regular`, `special`, `joined`. By default what season and key say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The page of the player. Without it the release has the episode, but no link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// If it is not that of the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
}

/// A character of a series. Without a name it is linked when it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CastPayload {
    /// The source's id.
    pub id: IdText,
    /// Romanised name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Russian name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub russian: Option<String>,
    /// `main` or `supporting`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Address of an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// Another series that a series is related to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RelationPayload {
    /// `sequel`, `prequel`, `side_story`, …; what the other one is to this one.
    pub kind: String,
    /// The source's id of the other one.
    pub series: IdText,
}
