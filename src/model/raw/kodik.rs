//! Kodik's `/list` and `/search` items, as received. Absent and `null` both read as `None`.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::shape::{map_or_empty, object_only, text_id};

object_only!(Material, RawTranslation, Season, EpisodeData, MaterialData);

/// One list item: one title in one translation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, remote = "Self")]
pub struct Material {
    /// `serial-6646` or `movie-82050`.
    #[serde(deserialize_with = "text_id")]
    pub id: String,
    /// `anime`, `anime-serial`; open set.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Player page of the whole material, usually protocol-relative.
    pub link: Option<String>,
    /// Russian title, sometimes with `[ТВ-1]`.
    pub title: Option<String>,
    /// Original (romaji or English) title.
    pub title_orig: Option<String>,
    /// More names joined by ` / `.
    pub other_title: Option<String>,
    /// Translation; absent in rare records.
    pub translation: Option<RawTranslation>,
    /// Release year.
    pub year: Option<i64>,
    /// Seasons reach up to this franchise season.
    pub last_season: Option<i64>,
    /// Last episode of the last season.
    pub last_episode: Option<i64>,
    /// Episodes in all seasons.
    pub episodes_count: Option<i64>,
    /// Kinopoisk id.
    pub kinopoisk_id: Option<Text>,
    /// `IMDb` id.
    pub imdb_id: Option<Text>,
    /// `MyDramaList` id.
    pub mdl_id: Option<Text>,
    /// World Art URL.
    pub worldart_link: Option<String>,
    /// Shikimori id; a string in all recordings.
    pub shikimori_id: Option<Text>,
    /// `BDRip 720p` and about 27 others; open set.
    pub quality: Option<String>,
    /// Filmed in a cinema.
    pub camrip: Option<bool>,
    /// Absent before 2022.
    pub lgbt: Option<bool>,
    /// ISO2 codes.
    pub blocked_countries: Option<Vec<Option<String>>>,
    /// Three shapes.
    pub blocked_seasons: Option<BlockedSeasons>,
    /// Season number (as text) → season; absent for movies.
    #[serde(deserialize_with = "map_or_empty")]
    pub seasons: Option<BTreeMap<String, Season>>,
    /// RFC 3339.
    pub created_at: Option<String>,
    /// RFC 3339.
    pub updated_at: Option<String>,
    /// Frames, not posters.
    pub screenshots: Option<Vec<Option<String>>>,
    /// Joined metadata of other sites.
    pub material_data: Option<Box<MaterialData>>,
}

/// A text that some answers write as a number.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Text {
    /// The usual form.
    Text(String),
    /// The other one.
    Number(i64),
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyText;

        impl Visitor<'_> for AnyText {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a whole number")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text::Text(text.to_owned()))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<Text, E> {
                Ok(Text::Text(text))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Text, E> {
                Ok(Text::Number(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Text, E> {
                let fits = i64::try_from(number);
                fits.map(Text::Number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
            }
        }

        deserializer.deserialize_any(AnyText)
    }
}

impl Text {
    /// The text, whichever form it had; blank is `None`.
    pub fn get(&self) -> Option<String> {
        match self {
            Self::Text(text) if text.trim().is_empty() => None,
            Self::Text(text) => Some(text.trim().to_owned()),
            Self::Number(number) => Some(number.to_string()),
        }
    }
}

/// `{"id":610,"title":"AniLibria.TV","type":"voice"}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, remote = "Self")]
pub struct RawTranslation {
    /// Translation id.
    pub id: Option<i64>,
    /// Studio.
    pub title: Option<String>,
    /// `voice` or `subtitles`; open set.
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

/// `{}` | `"all"` | `{"5":"all","7":["1","2"]}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum BlockedSeasons {
    /// `"all"`.
    All(String),
    /// By season.
    Seasons(BTreeMap<String, BlockedEpisodes>),
    /// PHP's empty map.
    Empty(Vec<Option<String>>),
}

impl<'de> Deserialize<'de> for BlockedSeasons {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyBlock;

        impl<'de> Visitor<'de> for AnyBlock {
            type Value = BlockedSeasons;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`all` or an object of seasons")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(BlockedSeasons::All(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                BTreeMap::deserialize(MapAccessDeserializer::new(map)).map(BlockedSeasons::Seasons)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(BlockedSeasons::Empty)
            }
        }

        deserializer.deserialize_any(AnyBlock)
    }
}

/// `"all"` or a list of episode numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum BlockedEpisodes {
    /// `"all"`.
    All(String),
    /// Numbers, as text or number.
    Episodes(Vec<Text>),
}

impl<'de> Deserialize<'de> for BlockedEpisodes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyBlock;

        impl<'de> Visitor<'de> for AnyBlock {
            type Value = BlockedEpisodes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`all` or a list of episodes")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(BlockedEpisodes::All(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(BlockedEpisodes::Episodes)
            }
        }

        deserializer.deserialize_any(AnyBlock)
    }
}

/// One season of a material.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, remote = "Self")]
pub struct Season {
    /// Player page of the season.
    pub link: Option<String>,
    /// Sometimes present for season 0.
    pub title: Option<String>,
    /// Episode key (as text) → link or object; absent with `with_seasons` only.
    #[serde(deserialize_with = "map_or_empty")]
    pub episodes: Option<BTreeMap<String, EpisodeValue>>,
}

/// A link with `with_episodes`, an object with `with_episodes_data`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum EpisodeValue {
    /// Just the link.
    Link(String),
    /// Link, title, frames.
    Data(EpisodeData),
    /// `null`: the episode is named but has no link.
    Missing(()),
}

impl<'de> Deserialize<'de> for EpisodeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyEpisode;

        impl<'de> Visitor<'de> for AnyEpisode {
            type Value = EpisodeValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a link or an object")
            }

            fn visit_str<E: Error>(self, link: &str) -> Result<Self::Value, E> {
                Ok(EpisodeValue::Link(link.to_owned()))
            }

            fn visit_string<E: Error>(self, link: String) -> Result<Self::Value, E> {
                Ok(EpisodeValue::Link(link))
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(EpisodeValue::Missing(()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                EpisodeData::deserialize(MapAccessDeserializer::new(map)).map(EpisodeValue::Data)
            }
        }

        deserializer.deserialize_any(AnyEpisode)
    }
}

/// The object form of an episode.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, remote = "Self")]
pub struct EpisodeData {
    /// The episode's own player page.
    pub link: Option<String>,
    /// Title.
    pub title: Option<String>,
    /// Frames.
    pub screenshots: Option<Vec<Option<String>>>,
}

/// Metadata that Kodik joins from other sites. May describe another entry of the franchise; prefer `anime_*`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, remote = "Self")]
#[allow(missing_docs, reason = "the fields are the source's, one to one")]
pub struct MaterialData {
    pub title: Option<String>,
    pub anime_title: Option<String>,
    pub title_en: Option<String>,
    pub other_titles: Option<Vec<Option<String>>>,
    pub other_titles_en: Option<Vec<Option<String>>>,
    pub other_titles_jp: Option<Vec<Option<String>>>,
    pub anime_license_name: Option<String>,
    pub anime_licensed_by: Option<Vec<Option<String>>>,
    pub anime_kind: Option<String>,
    pub all_status: Option<String>,
    pub anime_status: Option<String>,
    pub drama_status: Option<String>,
    pub year: Option<i64>,
    pub tagline: Option<String>,
    pub description: Option<String>,
    pub anime_description: Option<String>,
    pub poster_url: Option<String>,
    pub anime_poster_url: Option<String>,
    pub drama_poster_url: Option<String>,
    pub screenshots: Option<Vec<Option<String>>>,
    pub duration: Option<f64>,
    pub countries: Option<Vec<Option<String>>>,
    pub all_genres: Option<Vec<Option<String>>>,
    pub genres: Option<Vec<Option<String>>>,
    pub anime_genres: Option<Vec<Option<String>>>,
    pub drama_genres: Option<Vec<Option<String>>>,
    pub anime_studios: Option<Vec<Option<String>>>,
    pub mydramalist_tags: Option<Vec<Option<String>>>,
    pub kinopoisk_rating: Option<f64>,
    pub kinopoisk_votes: Option<i64>,
    pub imdb_rating: Option<f64>,
    pub imdb_votes: Option<i64>,
    pub shikimori_rating: Option<f64>,
    pub shikimori_votes: Option<i64>,
    pub mydramalist_rating: Option<f64>,
    pub mydramalist_votes: Option<i64>,
    pub premiere_ru: Option<String>,
    pub premiere_world: Option<String>,
    pub aired_at: Option<String>,
    pub released_at: Option<String>,
    pub next_episode_at: Option<String>,
    pub rating_mpaa: Option<String>,
    pub minimal_age: Option<i64>,
    pub episodes_total: Option<i64>,
    pub episodes_aired: Option<i64>,
    pub actors: Option<Vec<Option<String>>>,
    pub directors: Option<Vec<Option<String>>>,
    pub producers: Option<Vec<Option<String>>>,
    pub writers: Option<Vec<Option<String>>>,
    pub composers: Option<Vec<Option<String>>>,
    pub editors: Option<Vec<Option<String>>>,
    pub designers: Option<Vec<Option<String>>>,
    pub operators: Option<Vec<Option<String>>>,
}
