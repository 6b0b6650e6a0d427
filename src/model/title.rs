//! One title, transformed: what every loader receives. Optional data that the sources do not have is `None`, never a placeholder.

use serde::{Deserialize, Serialize};

use super::ids::{EpisodeId, MaterialId, SeriesId, TranslationId};

/// A whole title: the unit of loading, of checkpointing and of the fingerprint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TitleRecord {
    /// The series itself.
    pub series: Series,
    /// Episodes, sorted by (season, number, id); ids are unique inside the record.
    pub episodes: Vec<Episode>,
    /// One release for each translation, sorted by priority (highest first), then translation id.
    pub releases: Vec<Release>,
    /// One video for each (translation, episode), sorted by (episode id, priority descending, translation id).
    pub videos: Vec<Video>,
    /// Characters, when they were asked for; `None` = not asked for, so nothing may be removed.
    pub characters: Option<Vec<Character>>,
    /// What the rules kept back.
    pub withheld: Withheld,
    /// Where the metadata came from; decides whether it may overwrite better data.
    pub origin: MetadataOrigin,
}

impl TitleRecord {
    /// 128 bits over everything in the record, as 32 hex digits. Equal fingerprint = nothing to write.
    pub fn fingerprint(&self) -> String {
        // Hashed in one go: the serialiser's pieces are a few bytes each, and a hash works on kilobytes at a time.
        // Serialising into memory cannot fail: there is no map with keys that are no text.
        let mut text = Vec::with_capacity(8 * 1024);
        if serde_json::to_writer(&mut text, self).is_err() {
            return String::new();
        }
        blake3::hash(&text).to_hex()[..32].to_owned()
    }
}

/// Where a record's metadata came from, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetadataOrigin {
    /// Shikimori GraphQL (complete, real poster).
    ShikimoriGraphql,
    /// Shikimori REST (posters of newer titles are placeholders there and are dropped).
    ShikimoriRest,
    /// Kodik `material_data` only: poorer, must not overwrite data of a better origin.
    MaterialData,
}

/// Metadata of one anime title.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Shikimori id.
    pub id: SeriesId,
    /// Display title by the configured preference (romaji by default, because the backend's slug is ASCII). Never empty.
    pub title: String,
    /// Every other known name, without duplicates, in a stable order.
    pub alternative_titles: Vec<String>,
    /// Plain text, sanitised; `None` when there is none.
    pub description: Option<String>,
    /// 1900..=2100; Shikimori's 1901 sentinel is `None`.
    pub year: Option<u16>,
    /// Contract status.
    pub status: Option<SeriesStatus>,
    /// Absolute https URL of a real poster; placeholders are `None`.
    pub poster: Option<String>,
    /// Genre names in the configured language, no duplicates.
    pub genres: Vec<String>,
    /// Data the existing backend does not take; sent only to backends that do.
    pub signals: Signals,
}

/// Optional signals beyond the contract.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Signals {
    /// `tv`, `movie`, `ova`, … as the source says, lower case; open set.
    pub kind: Option<String>,
    /// 0 < score <= 10.
    pub score: Option<f64>,
    /// `g`, `pg`, `pg_13`, `r`, `r_plus`, `rx`; `none` is `None`; open set.
    pub rating: Option<String>,
    /// Minutes of one episode.
    pub duration_minutes: Option<u32>,
    /// Planned number of episodes; `None` = unknown (the source's 0).
    pub episodes_total: Option<u32>,
    /// Aired so far; for released titles the total.
    pub episodes_aired: Option<u32>,
    /// When the next episode airs, as RFC 3339 in UTC.
    pub next_episode_at: Option<jiff::Timestamp>,
    /// First air date.
    pub aired_on: Option<Date>,
    /// Last air date.
    pub released_on: Option<Date>,
    /// Studio names.
    pub studios: Vec<String>,
    /// Franchise key (`overlord`).
    pub franchise: Option<String>,
    /// Season key (`winter_2023`).
    pub season: Option<String>,
    /// IMDb id, from Kodik (`tt0409591`).
    pub imdb_id: Option<String>,
    /// Kinopoisk id, from Kodik.
    pub kinopoisk_id: Option<String>,
}

/// A date that may be known only to the year or month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Date {
    /// Year.
    pub year: i16,
    /// Month 1..=12.
    pub month: Option<i8>,
    /// Day 1..=31.
    pub day: Option<i8>,
}

/// The contract's status values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeriesStatus {
    /// Airing.
    Ongoing,
    /// Finished.
    Completed,
    /// Announced.
    Upcoming,
}

impl SeriesStatus {
    /// The contract's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ongoing => "ongoing",
            Self::Completed => "completed",
            Self::Upcoming => "upcoming",
        }
    }
}

/// An episode of a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode {
    /// Globally unique inside the source.
    pub id: EpisodeId,
    /// The franchise's season number (Overlord IV has 4); 0 = specials; 1 for movies.
    pub season: u32,
    /// The key as parsed from the source.
    pub key: EpisodeKey,
    /// What the contract's `number` gets: the whole number, or the first of a joined pair.
    pub number: u32,
    /// Title, when a release names one.
    pub title: Option<String>,
    /// Regular, special or joined.
    pub class: EpisodeClass,
}

/// A parsed episode key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EpisodeKey {
    /// `"12"`.
    Whole(u32),
    /// `"1-2"`.
    Joined(u32, u32),
    /// Anything else (`"6.5"`, `"SP1"`), kept as it is.
    Other(String),
}

/// Which rule lets an episode through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EpisodeClass {
    /// A whole number in a regular season: always sent.
    Regular,
    /// Season 0: sent when the setting for specials asks for it.
    Special,
    /// A joined or otherwise odd key: sent when the setting for joined episodes asks for it.
    Joined,
}

/// Voice or subtitles by one studio.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Translation {
    /// Kodik's id.
    pub id: TranslationId,
    /// `AniLibria.TV`.
    pub title: String,
    /// Voice or subtitles.
    pub kind: TranslationKind,
}

/// The kind of a translation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TranslationKind {
    /// Dubbed.
    Voice,
    /// Subtitled.
    Subtitles,
    /// The source says something else or nothing.
    Unknown,
}

/// One translation of one series, made from the winning material of that translation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The material it was made from.
    pub material_id: MaterialId,
    /// The translation.
    pub translation: Translation,
    /// Higher = preferred, by the configured rules.
    pub priority: i32,
    /// Quality as the source says (`WEB-DLRip 720p`); open set.
    pub quality: Option<String>,
    /// Filmed in a cinema.
    pub camrip: bool,
    /// How many episodes the record carries for this translation.
    pub episodes: u32,
    /// ISO-3166 codes where the source blocks the title.
    pub blocked_countries: Vec<String>,
    /// Seasons the source blocks: `all`, or season → episodes (empty list = the whole season); normalised text.
    pub blocked_seasons: Vec<String>,
    /// When the source last changed the material.
    pub updated_at: Option<jiff::Timestamp>,
}

/// One player link of an episode in one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Video {
    /// The episode it plays.
    pub episode_id: EpisodeId,
    /// The release's translation.
    pub translation_id: TranslationId,
    /// Absolute https URL of the player page, the episode's own link.
    pub url: String,
    /// Same as the release's.
    pub priority: i32,
}

/// A character of a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Character {
    /// Shikimori's character id.
    pub id: u64,
    /// Romanised name.
    pub name: String,
    /// Russian name.
    pub russian: Option<String>,
    /// Main or supporting.
    pub role: CharacterRole,
    /// Absolute URL of a real image; placeholders are `None`.
    pub image: Option<String>,
}

/// How important a character is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CharacterRole {
    /// A main character.
    Main,
    /// Everybody else.
    Supporting,
}

/// What the rules kept back from a record, so that nothing vanishes silently.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    /// Episodes of season 0.
    pub specials: u32,
    /// Joined or odd episode keys.
    pub joined: u32,
    /// Materials that lost against a better upload of the same translation.
    pub reuploads: u32,
    /// Releases of translations the settings exclude.
    pub excluded: u32,
    /// Episodes without any link.
    pub unlinked: u32,
}
