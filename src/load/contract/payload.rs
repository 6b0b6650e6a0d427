//! The three payloads of the import contract, key for key, and the limits it puts on them.
//!
//! All nine keys of a series are always there; what is not known (an empty list included) is `null`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::backend::plan::{PLAYER_SOURCE, PLAYER_TYPE};
use crate::model::{Episode, Series, TitleRecord, Video};

/// `POST …/import/anime`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnimePayload<'a> {
    /// Source.
    pub source_name: Cow<'a, str>,
    /// Series id.
    pub source_id: Cow<'a, str>,
    /// Never empty.
    pub title: Cow<'a, str>,
    /// Other names.
    pub alternative_titles: Option<Cow<'a, [String]>>,
    /// Plain text.
    pub description: Option<Cow<'a, str>>,
    /// 1900..=2100.
    pub year: Option<u16>,
    /// `ongoing`, `completed`, `upcoming`.
    pub status: Option<Cow<'a, str>>,
    /// Absolute URL.
    pub poster: Option<Cow<'a, str>>,
    /// Names.
    pub genres: Option<Cow<'a, [String]>>,
}

impl<'a> AnimePayload<'a> {
    /// The payload of a series.
    pub fn new(source_name: &'a str, series: &'a Series) -> Self {
        let list = |items: &'a Vec<String>| (!items.is_empty()).then_some(Cow::Borrowed(items.as_slice()));
        let text = |text: &'a Option<String>| text.as_deref().map(Cow::Borrowed);
        Self {
            source_name: Cow::Borrowed(source_name),
            source_id: Cow::Owned(series.id.to_string()),
            title: Cow::Borrowed(&series.title),
            alternative_titles: list(&series.alternative_titles),
            description: text(&series.description),
            year: series.year,
            status: series.status.map(|status| Cow::Borrowed(status.as_str())),
            poster: text(&series.poster),
            genres: list(&series.genres),
        }
    }

    /// Puts what was sent before where this payload would send `null`: the contract overwrites with nulls.
    #[must_use]
    pub fn keeping(mut self, before: AnimePayload<'a>) -> Self {
        self.alternative_titles = self.alternative_titles.or(before.alternative_titles);
        self.description = self.description.or(before.description);
        self.year = self.year.or(before.year);
        self.status = self.status.or(before.status);
        self.poster = self.poster.or(before.poster);
        self.genres = self.genres.or(before.genres);
        self
    }

    /// The fields in which it differs from what was sent before: name, before, now.
    pub fn changes(&self, before: &AnimePayload<'_>) -> Vec<(&'static str, Option<String>, Option<String>)> {
        let text = |text: &Option<Cow<'_, str>>| text.as_deref().map(str::to_owned);
        let list = |list: &Option<Cow<'_, [String]>>| list.as_deref().map(|items| items.join(", "));
        let mut fields = vec![
            ("title", Some(before.title.to_string()), Some(self.title.to_string())),
            ("alternative_titles", list(&before.alternative_titles), list(&self.alternative_titles)),
            ("description", text(&before.description), text(&self.description)),
            ("year", before.year.map(|year| year.to_string()), self.year.map(|year| year.to_string())),
            ("status", text(&before.status), text(&self.status)),
            ("poster", text(&before.poster), text(&self.poster)),
            ("genres", list(&before.genres), list(&self.genres)),
        ];
        fields.retain(|(_, before, now)| before != now);
        fields
    }
}

/// `POST …/import/episodes`.
#[derive(Debug, Serialize)]
pub struct EpisodesPayload<'a> {
    /// Source.
    pub source_name: &'a str,
    /// Series id.
    pub anime_source_id: &'a str,
    /// At least one.
    pub episodes: &'a [EpisodePayload<'a>],
}

/// One episode of it.
#[derive(Debug, Clone, Serialize)]
pub struct EpisodePayload<'a> {
    /// Unique in the source.
    pub source_episode_id: &'a str,
    /// Whole number.
    pub number: u32,
    /// Title.
    pub title: Option<&'a str>,
    /// Always true: what is gone is not sent.
    pub is_available: bool,
}

impl<'a> EpisodePayload<'a> {
    /// The payload of an episode; `before` is the title that was sent last, kept when there is none now.
    pub fn new(episode: &'a Episode, before: Option<&'a String>) -> Self {
        Self {
            source_episode_id: &episode.id.0,
            number: episode.number,
            title: episode.title.as_ref().or(before).map(String::as_str),
            is_available: true,
        }
    }
}

/// `POST …/import/video`.
#[derive(Debug, Serialize)]
pub struct VideoPayload<'a> {
    /// Source.
    pub source_name: &'a str,
    /// Whose video.
    pub source_episode_id: &'a str,
    /// The player.
    pub player: PlayerPayload<'a>,
}

/// The player of it.
#[derive(Debug, Serialize)]
pub struct PlayerPayload<'a> {
    /// `iframe`: the link is a player page.
    pub r#type: &'static str,
    /// Link.
    pub url: &'a str,
    /// `kodik`.
    pub source_name: &'static str,
    /// Higher = preferred.
    pub priority: i32,
}

impl<'a> VideoPayload<'a> {
    /// The payload of a video.
    pub fn new(source_name: &'a str, video: &'a Video) -> Self {
        Self {
            source_name,
            source_episode_id: &video.episode_id.0,
            player: PlayerPayload {
                r#type: PLAYER_TYPE,
                url: &video.url,
                source_name: PLAYER_SOURCE,
                priority: video.priority,
            },
        }
    }
}

/// What a backend of this contract would refuse in the record, one line each; empty = it is acceptable.
pub fn validate(record: &TitleRecord) -> Vec<String> {
    let mut problems = Vec::new();
    let series = &record.series;
    if series.title.trim().is_empty() {
        problems.push("title: is empty".to_owned());
    }
    if let Some(year) = series.year.filter(|year| !(1900..=2100).contains(year)) {
        problems.push(format!("year: {year} is not between 1900 and 2100"));
    }
    if let Some(poster) = series.poster.as_ref().filter(|poster| !is_web(poster)) {
        problems.push(format!("poster: `{}` is no absolute http(s) address", cut(poster)));
    }
    let mut ids = std::collections::HashSet::with_capacity(record.episodes.len());
    for episode in &record.episodes {
        let id = episode.id.0.as_str();
        if id.is_empty() {
            problems.push(format!("episode number {}: has no id", episode.number));
        } else if !ids.insert(id) {
            problems.push(format!("episode {id}: its id appears twice"));
        }
        if i32::try_from(episode.number).is_err() {
            problems.push(format!("episode {id}: number {} is too large", episode.number));
        }
    }
    for video in &record.videos {
        let id = video.episode_id.0.as_str();
        if !ids.contains(id) {
            problems.push(format!("video {id} (translation {}): there is no such episode", video.translation_id));
        } else if !is_web(&video.url) {
            problems.push(format!(
                "video {id} (translation {}): `{}` is no absolute http(s) address",
                video.translation_id,
                cut(&video.url)
            ));
        }
    }
    problems
}

fn is_web(url: &str) -> bool {
    url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).is_some_and(|rest| !rest.is_empty())
}

/// Enough of a faulty address to recognise it, without its query.
fn cut(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or_default().chars().take(80).collect()
}
