//! Whole titles as payloads and back: what goes out of a [`TitleRecord`] comes back into the very same one, so a title
//! that was sent has the fingerprint of one that was handed over in process.

use std::collections::{HashMap, HashSet};

use super::IdText;
use super::payload::{CastPayload, EpisodePayload, ReleasePayload, SeriesPayload, TranslationPayload};
use super::title::Parts;
use crate::backend::services::types;
use crate::model::{
    Character, CharacterRole, EpisodeClass, MetadataOrigin, Series, SeriesId, Signals, TitleRecord, TranslationKind,
    Video,
};
use crate::store::catalogue::{self, episode_key};

impl From<&TitleRecord> for SeriesPayload {
    fn from(record: &TitleRecord) -> Self {
        let TitleRecord { series, episodes, releases, videos, characters, withheld, origin } = record;
        let signals = &series.signals;
        let mut said = HashSet::with_capacity(episodes.len());
        let full: HashMap<&str, EpisodePayload> = episodes
            .iter()
            .map(|episode| {
                let payload = EpisodePayload {
                    id: IdText(episode.id.0.clone()),
                    season: Some(episode.season),
                    key: Some(IdText(episode_key(&episode.key))),
                    number: Some(episode.number),
                    title: episode.title.clone(),
                    class: Some(catalogue::episode_class(episode.class).to_owned()),
                    url: None,
                    priority: None,
                };
                (episode.id.0.as_str(), payload)
            })
            .collect();
        let mut links: HashMap<i64, Vec<&Video>> = HashMap::with_capacity(releases.len());
        for video in videos {
            links.entry(video.translation_id.0).or_default().push(video);
        }
        let releases = releases
            .iter()
            .map(|release| {
                let videos = links.remove(&release.translation.id.0).unwrap_or_default();
                let listed: Vec<EpisodePayload> = videos
                    .into_iter()
                    .map(|video| {
                        let id = video.episode_id.0.as_str();
                        let full = full.get(id).filter(|_| said.insert(id));
                        let mut payload = full.cloned().unwrap_or_default();
                        payload.id = IdText(id.to_owned());
                        payload.url = Some(video.url.clone());
                        payload.priority = (video.priority != release.priority).then_some(video.priority);
                        payload
                    })
                    .collect();
                ReleasePayload {
                    series: None,
                    material_id: Some(IdText(release.material_id.0.clone())),
                    translation: TranslationPayload {
                        id: release.translation.id.0,
                        title: release.translation.title.clone(),
                        kind: match release.translation.kind {
                            TranslationKind::Unknown => None,
                            kind => Some(catalogue::translation_kind(kind).to_owned()),
                        },
                    },
                    priority: release.priority,
                    quality: release.quality.clone(),
                    camrip: release.camrip,
                    blocked_countries: release.blocked_countries.clone(),
                    blocked_seasons: release.blocked_seasons.clone(),
                    updated_at: release.updated_at,
                    episode_count: (release.episodes as usize != listed.len()).then_some(release.episodes),
                    episodes: listed,
                }
            })
            .collect();
        let unsaid = episodes.iter().filter(|episode| !said.contains(episode.id.0.as_str()));
        Self {
            title: series.title.clone(),
            alternative_titles: series.alternative_titles.clone(),
            description: series.description.clone(),
            year: series.year,
            status: series.status,
            poster: series.poster.clone(),
            images: None,
            genres: series.genres.clone(),
            kind: signals.kind.clone(),
            score: signals.score,
            rating: signals.rating.clone(),
            duration_minutes: signals.duration_minutes,
            episodes_total: signals.episodes_total,
            episodes_aired: signals.episodes_aired,
            next_episode_at: signals.next_episode_at,
            aired_on: signals.aired_on,
            released_on: signals.released_on,
            studios: signals.studios.clone(),
            franchise: signals.franchise.clone(),
            season: signals.season.clone(),
            imdb_id: signals.imdb_id.clone(),
            kinopoisk_id: signals.kinopoisk_id.clone(),
            origin: Some(*origin),
            parent: None,
            relations: None,
            characters: characters.as_ref().map(|characters| characters.iter().map(cast).collect()),
            releases: Some(releases),
            episodes: unsaid.filter_map(|episode| full.get(episode.id.0.as_str()).cloned()).collect(),
            withheld: Some(*withheld),
        }
    }
}

fn cast(character: &Character) -> CastPayload {
    CastPayload {
        id: IdText(character.id.to_string()),
        name: Some(character.name.clone()),
        russian: character.russian.clone(),
        role: Some(catalogue::role(character.role).to_owned()),
        image: character.image.clone(),
    }
}

/// The title that a payload was made from; `None` when it says more or less than a title does.
pub(super) fn title_record(external_id: &str, payload: &SeriesPayload, parts: &Parts) -> Option<TitleRecord> {
    let id = SeriesId(external_id.parse().ok()?);
    let more = payload.parent.is_some() || payload.relations.is_some() || payload.images.is_some();
    if more || id.to_string() != external_id {
        return None;
    }
    let characters = match &payload.characters {
        None => None,
        Some(cast) => Some(cast.iter().map(character).collect::<Option<Vec<_>>>()?),
    };
    Some(TitleRecord {
        series: Series {
            id,
            title: payload.title.clone(),
            alternative_titles: payload.alternative_titles.clone(),
            description: payload.description.clone(),
            year: payload.year,
            status: payload.status,
            poster: payload.poster.clone(),
            genres: payload.genres.clone(),
            signals: signals(payload),
        },
        episodes: parts.episodes.clone(),
        releases: parts.releases.clone(),
        videos: parts.videos.clone(),
        characters,
        withheld: payload.withheld?,
        origin: payload.origin?,
    })
}

fn character(cast: &CastPayload) -> Option<Character> {
    let id: u64 = cast.id.0.parse().ok()?;
    let role = match cast.role.as_deref()? {
        "main" => CharacterRole::Main,
        "supporting" => CharacterRole::Supporting,
        _ => return None,
    };
    (id.to_string() == cast.id.0).then_some(())?;
    Some(Character { id, name: cast.name.clone()?, russian: cast.russian.clone(), role, image: cast.image.clone() })
}

pub(super) fn signals(payload: &SeriesPayload) -> Signals {
    Signals {
        kind: payload.kind.clone(),
        score: payload.score,
        rating: payload.rating.clone(),
        duration_minutes: payload.duration_minutes,
        episodes_total: payload.episodes_total,
        episodes_aired: payload.episodes_aired,
        next_episode_at: payload.next_episode_at,
        aired_on: payload.aired_on,
        released_on: payload.released_on,
        studios: payload.studios.clone(),
        franchise: payload.franchise.clone(),
        season: payload.season.clone(),
        imdb_id: payload.imdb_id.clone(),
        kinopoisk_id: payload.kinopoisk_id.clone(),
    }
}

/// Where metadata came from when the sender does not say: as good as the source's own.
pub(super) fn origin(payload: &SeriesPayload) -> MetadataOrigin {
    payload.origin.unwrap_or(MetadataOrigin::ShikimoriRest)
}

/// The class that a payload names, if it is one.
pub(super) fn class(text: Option<&str>, season: u32, whole: bool) -> EpisodeClass {
    types::episode(text, season, whole)
}
