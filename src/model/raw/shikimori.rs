//! Shikimori's answers, as received: GraphQL `animes`, REST `/api/animes/:id`, REST `/api/animes/:id/roles`.
#![allow(missing_docs, reason = "the fields are the source's, one to one")]

use serde::{Deserialize, Serialize};

use super::shape::{number_id, object_only, text_id};

object_only!(GraphAnime, GraphDate, GraphPoster, Genre, Studio, RestAnime, RestImage, Role, RoleSubject);

/// One element of GraphQL `animes(ids: …)`, with the fields that `extract::shikimori` asks for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", remote = "Self")]
pub struct GraphAnime {
    /// A decimal string.
    #[serde(deserialize_with = "text_id")]
    pub id: String,
    pub mal_id: Option<String>,
    /// Romaji.
    pub name: Option<String>,
    pub russian: Option<String>,
    pub license_name_ru: Option<String>,
    pub english: Option<String>,
    pub japanese: Option<String>,
    pub synonyms: Option<Vec<Option<String>>>,
    pub kind: Option<String>,
    pub rating: Option<String>,
    /// A number here, a string in REST; 0 = none.
    pub score: Option<f64>,
    pub status: Option<String>,
    /// 0 = unknown.
    pub episodes: Option<i64>,
    /// 0 for released titles.
    pub episodes_aired: Option<i64>,
    pub duration: Option<i64>,
    pub aired_on: Option<GraphDate>,
    pub released_on: Option<GraphDate>,
    /// `winter_2023`.
    pub season: Option<String>,
    pub poster: Option<GraphPoster>,
    pub created_at: Option<String>,
    pub updated_at: Option<String>,
    pub next_episode_at: Option<String>,
    pub is_censored: Option<bool>,
    pub franchise: Option<String>,
    pub genres: Option<Vec<Genre>>,
    pub studios: Option<Vec<Studio>>,
    /// BB-code.
    pub description: Option<String>,
}

/// A date with unknown parts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, remote = "Self")]
pub struct GraphDate {
    pub year: Option<i64>,
    pub month: Option<i64>,
    pub day: Option<i64>,
    /// `YYYY-MM-DD`, only when complete.
    pub date: Option<String>,
}

/// Absolute URLs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", remote = "Self")]
pub struct GraphPoster {
    pub id: Option<String>,
    pub original_url: Option<String>,
    pub main_url: Option<String>,
}

/// A genre in either API.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, remote = "Self")]
pub struct Genre {
    /// A number in REST, a string in GraphQL.
    pub id: Option<super::kodik::Text>,
    pub name: Option<String>,
    pub russian: Option<String>,
    pub kind: Option<String>,
    pub entry_type: Option<String>,
}

/// A studio in either API.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, remote = "Self")]
pub struct Studio {
    /// A number in REST, a string in GraphQL.
    pub id: Option<super::kodik::Text>,
    pub name: Option<String>,
    pub filtered_name: Option<String>,
    pub real: Option<bool>,
    pub image: Option<String>,
    #[serde(rename = "imageUrl")]
    pub image_url: Option<String>,
}

/// REST `/api/animes/:id`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, remote = "Self")]
pub struct RestAnime {
    #[serde(deserialize_with = "number_id")]
    pub id: i64,
    pub name: Option<String>,
    pub russian: Option<String>,
    pub image: Option<RestImage>,
    /// `/animes/21-one-piece`; may carry a letter prefix.
    pub url: Option<String>,
    pub kind: Option<String>,
    /// `"8.72"`, `"0.0"` if none.
    pub score: Option<String>,
    pub status: Option<String>,
    pub episodes: Option<i64>,
    pub episodes_aired: Option<i64>,
    pub aired_on: Option<String>,
    pub released_on: Option<String>,
    pub rating: Option<String>,
    /// `[null]` is usual.
    pub english: Option<Vec<Option<String>>>,
    /// `[null]` is usual.
    pub japanese: Option<Vec<Option<String>>>,
    pub synonyms: Option<Vec<Option<String>>>,
    pub license_name_ru: Option<String>,
    pub duration: Option<i64>,
    pub description: Option<String>,
    pub description_html: Option<String>,
    pub description_source: Option<String>,
    pub franchise: Option<String>,
    pub favoured: Option<bool>,
    pub anons: Option<bool>,
    pub ongoing: Option<bool>,
    pub thread_id: Option<i64>,
    pub topic_id: Option<i64>,
    pub myanimelist_id: Option<i64>,
    pub rates_scores_stats: Option<Vec<serde_json::Value>>,
    pub rates_statuses_stats: Option<Vec<serde_json::Value>>,
    pub updated_at: Option<String>,
    pub next_episode_at: Option<String>,
    pub fansubbers: Option<Vec<Option<String>>>,
    pub fandubbers: Option<Vec<Option<String>>>,
    pub licensors: Option<Vec<Option<String>>>,
    pub genres: Option<Vec<Genre>>,
    pub genres_v2: Option<Vec<Genre>>,
    pub studios: Option<Vec<Studio>>,
    pub videos: Option<Vec<serde_json::Value>>,
    pub screenshots: Option<Vec<serde_json::Value>>,
    pub user_rate: Option<serde_json::Value>,
}

/// Relative paths; `/assets/globals/missing_*.jpg` is a placeholder.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, remote = "Self")]
pub struct RestImage {
    pub original: Option<String>,
    pub preview: Option<String>,
    pub x96: Option<String>,
    pub x48: Option<String>,
}

/// One element of `/api/animes/:id/roles`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, remote = "Self")]
pub struct Role {
    pub roles: Option<Vec<Option<String>>>,
    pub roles_russian: Option<Vec<Option<String>>>,
    pub character: Option<RoleSubject>,
    pub person: Option<RoleSubject>,
}

/// A character or a person in brief.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, remote = "Self")]
pub struct RoleSubject {
    #[serde(deserialize_with = "number_id")]
    pub id: i64,
    pub name: Option<String>,
    pub russian: Option<String>,
    pub image: Option<RestImage>,
    pub url: Option<String>,
}
