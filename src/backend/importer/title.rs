//! What a series record says, read out of its payload and brought into form by the domain's services.

use std::collections::{BTreeMap, BTreeSet};

use super::convert;
use super::payload::{EpisodePayload, ReleasePayload, SeriesPayload};
use super::record::RecordRefused;
use crate::backend::services::images::{self, Images};
use crate::backend::services::{names, relations, types};
use crate::model::{
    CharacterRole, Episode, EpisodeId, EpisodeKey, MaterialId, MetadataOrigin, Release, TitleRecord, Translation,
    TranslationId, Video,
};
use crate::store::catalogue::SeriesRow;
use crate::store::catalogue::relations::Stated;

/// Numbers that every engine and every client can hold.
const LARGEST: u32 = i32::MAX as u32;

/// A series as its record tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Title {
    /// The source's id.
    pub source_id: String,
    /// The series' own fields.
    pub series: SeriesRow,
    /// Where they came from.
    pub origin: MetadataOrigin,
    /// Everything below the series; `None` = the record speaks of the series alone.
    pub parts: Option<Parts>,
    /// Its characters; `None` = nothing is said of them.
    pub cast: Option<Vec<CastMember>>,
    /// What it states of other series; `None` = nothing is said of them.
    pub relations: Option<BTreeSet<Stated>>,
    /// All candidates for its poster; `None` = they are not listed.
    pub images: Option<Vec<(String, bool)>>,
}

/// Episodes, releases and links.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parts {
    /// By (season, number, id).
    pub episodes: Vec<Episode>,
    /// As sent.
    pub releases: Vec<Release>,
    /// By (episode, priority descending, translation).
    pub videos: Vec<Video>,
}

/// A character of the series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CastMember {
    /// The source's id.
    pub id: String,
    /// `None` = only linked.
    pub name: Option<String>,
    /// Russian name.
    pub russian: Option<String>,
    /// Importance.
    pub role: CharacterRole,
    /// Address of an image.
    pub image: Option<String>,
}

impl Title {
    /// What a title of this program's own crawler says.
    pub fn of_record(record: &TitleRecord) -> Self {
        let cast = record.characters.as_ref().map(|characters| {
            let member = |character: &crate::model::Character| CastMember {
                id: character.id.to_string(),
                name: Some(character.name.clone()),
                russian: character.russian.clone(),
                role: character.role,
                image: character.image.clone(),
            };
            characters.iter().map(member).collect()
        });
        Self {
            source_id: record.series.id.to_string(),
            series: SeriesRow::from(&record.series),
            origin: record.origin,
            parts: Some(Parts {
                episodes: record.episodes.clone(),
                releases: record.releases.clone(),
                videos: record.videos.clone(),
            }),
            cast,
            relations: None,
            images: None,
        }
    }

    /// What a payload says.
    ///
    /// # Errors
    /// The first field that cannot be taken.
    pub fn of_payload(source_id: &str, payload: &SeriesPayload, parts: Option<Parts>) -> Result<Self, RecordRefused> {
        let refused = |field: &str, problem: &str| RecordRefused::field(format!("payload.{field}"), problem);
        // Types.
        let mut signals = convert::signals(payload);
        signals.kind = payload.kind.as_deref().and_then(types::series);
        if signals.score.is_some_and(|score| !(score > 0.0 && score <= 10.0)) {
            return Err(refused("score", "is not above 0 and up to 10"));
        }
        if payload.year.is_some_and(|year| !(1900..=2100).contains(&year)) {
            return Err(refused("year", "is not between 1900 and 2100"));
        }
        let numbers = [payload.duration_minutes, payload.episodes_total, payload.episodes_aired];
        if numbers.into_iter().flatten().any(|number| number > LARGEST) {
            return Err(refused("episodes_total", "or a number beside it is too large"));
        }
        // Names.
        let title = names::normal(&payload.title).ok_or_else(|| refused("title", "is missing or empty"))?;
        signals.studios = names::distinct(&payload.studios);
        let alternative_titles = names::alternatives(&title, &payload.alternative_titles);
        // Images.
        let Images { shown: poster, all: images } =
            images::choose(payload.poster.as_deref(), payload.images.as_deref());
        // Relations.
        let others: Vec<(String, String)> = payload
            .relations
            .iter()
            .flatten()
            .map(|relation| (relation.kind.clone(), relation.series.0.clone()))
            .collect();
        let spoken = payload.parent.is_some() || payload.relations.is_some();
        let parent = payload.parent.as_ref().map(|id| id.0.as_str());
        let relations = spoken.then(|| relations::of_series(source_id, parent, &others));
        let cast = payload.characters.as_ref().map(|cast| {
            let member = |member: &super::payload::CastPayload| CastMember {
                id: member.id.0.clone(),
                name: member.name.as_deref().and_then(names::normal),
                russian: names::russian(member.russian.as_deref(), member.name.as_deref().unwrap_or_default()),
                role: member.role.as_deref().map_or(CharacterRole::Supporting, types::role),
                image: member.image.as_deref().and_then(images::address),
            };
            cast.iter().map(member).collect()
        });
        Ok(Self {
            source_id: source_id.to_owned(),
            series: SeriesRow {
                title,
                alternative_titles,
                description: payload.description.clone().filter(|text| !text.trim().is_empty()),
                year: payload.year,
                status: payload.status,
                poster,
                genres: names::distinct(&payload.genres),
                signals,
            },
            origin: convert::origin(payload),
            parts,
            cast,
            relations,
            images,
        })
    }
}

/// What is known of an episode after all its mentions; the first that says something stands.
#[derive(Default)]
struct Mentioned<'p> {
    at: String,
    season: Option<u32>,
    key: Option<&'p str>,
    number: Option<u32>,
    title: Option<&'p str>,
    class: Option<&'p str>,
}

/// Episodes, releases and links out of the releases of a payload; `loose` are episodes that no release carries.
///
/// # Errors
/// The first field that cannot be taken.
pub(super) fn parts(
    series: &str,
    releases: &[ReleasePayload],
    loose: &[EpisodePayload],
    path: &dyn Fn(usize) -> String,
) -> Result<Parts, RecordRefused> {
    let mut mentioned: BTreeMap<&str, Mentioned<'_>> = BTreeMap::new();
    let mut parts = Parts::default();
    for (index, release) in releases.iter().enumerate() {
        let at = path(index);
        let translation_id = TranslationId(release.translation.id);
        for (nth, episode) in release.episodes.iter().enumerate() {
            let here = || format!("{at}episodes[{nth}]");
            mention(&mut mentioned, episode, &here);
            let Some(url) = &episode.url else { continue };
            if url.trim().is_empty() || url.contains('\0') {
                return Err(RecordRefused::field(format!("{}.url", here()), "is empty"));
            }
            parts.videos.push(Video {
                episode_id: EpisodeId(episode.id.0.clone()),
                translation_id,
                url: url.clone(),
                priority: episode.priority.unwrap_or(release.priority),
            });
        }
        let linked = release.episodes.iter().filter(|episode| episode.url.is_some()).count();
        parts.releases.push(Release {
            material_id: MaterialId(release.material_id.as_ref().map(|id| id.0.clone()).unwrap_or_default()),
            translation: Translation {
                id: translation_id,
                title: release.translation.title.clone(),
                kind: types::release(release.translation.kind.as_deref().unwrap_or_default()),
            },
            priority: release.priority,
            quality: release.quality.clone(),
            camrip: release.camrip,
            episodes: release.episode_count.unwrap_or_else(|| u32::try_from(linked).unwrap_or(LARGEST)).min(LARGEST),
            blocked_countries: release.blocked_countries.clone(),
            blocked_seasons: release.blocked_seasons.clone(),
            updated_at: release.updated_at,
        });
    }
    for (nth, episode) in loose.iter().enumerate() {
        mention(&mut mentioned, episode, &|| format!("payload.episodes[{nth}]"));
    }
    for (id, mentioned) in mentioned {
        parts.episodes.push(episode(series, id, &mentioned)?);
    }
    parts.episodes.sort_by(|a, b| (a.season, a.number, &a.id).cmp(&(b.season, b.number, &b.id)));
    parts.videos.sort_by(|a, b| {
        (&a.episode_id, -i64::from(a.priority), a.translation_id).cmp(&(
            &b.episode_id,
            -i64::from(b.priority),
            b.translation_id,
        ))
    });
    Ok(parts)
}

fn mention<'p>(known: &mut BTreeMap<&'p str, Mentioned<'p>>, said: &'p EpisodePayload, at: &dyn Fn() -> String) {
    let known = known.entry(&said.id.0).or_insert_with(|| Mentioned { at: at(), ..Mentioned::default() });
    known.season = known.season.or(said.season);
    known.key = known.key.or(said.key.as_ref().map(|key| key.0.as_str()));
    known.number = known.number.or(said.number);
    known.title = known.title.or(said.title.as_deref());
    known.class = known.class.or(said.class.as_deref());
}

fn episode(series: &str, id: &str, known: &Mentioned<'_>) -> Result<Episode, RecordRefused> {
    let refused = |field: &str, problem: &str| RecordRefused::field(format!("{}.{field}", known.at), problem);
    let season = known.season.unwrap_or_else(|| season_of(series, id));
    let key = match (known.key, known.number) {
        (Some(key), _) => key_of(key),
        (None, Some(number)) => EpisodeKey::Whole(number),
        (None, None) => match id.rsplit(':').next().map(key_of) {
            Some(key @ EpisodeKey::Whole(_)) if id.contains(':') => key,
            _ => return Err(refused("number", "is missing")),
        },
    };
    let number = known.number.unwrap_or_else(|| number_of(&key));
    if season > LARGEST || number > LARGEST {
        return Err(refused("number", "or season is too large"));
    }
    let class = convert::class(known.class, season, matches!(key, EpisodeKey::Whole(_)));
    let title = known.title.map(str::to_owned);
    Ok(Episode { id: EpisodeId(id.to_owned()), season, key, number, title, class })
}

/// The key that a text is.
pub(super) fn key_of(text: &str) -> EpisodeKey {
    let text = text.trim();
    let number = |digits: &str| {
        let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        all.then(|| digits.parse().ok()).flatten().filter(|number| *number <= LARGEST)
    };
    if let Some(whole) = number(text) {
        return EpisodeKey::Whole(whole);
    }
    match text.split_once('-').and_then(|(first, last)| Some((number(first)?, number(last)?))) {
        Some((first, last)) if first < last => EpisodeKey::Joined(first, last),
        _ => EpisodeKey::Other(text.to_owned()),
    }
}

pub(super) fn number_of(key: &EpisodeKey) -> u32 {
    match key {
        EpisodeKey::Whole(number) | EpisodeKey::Joined(number, _) => *number,
        EpisodeKey::Other(text) => {
            let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok().filter(|number| *number <= LARGEST).unwrap_or(0)
        }
    }
}

/// The season in ids of the form `{series}:s{season}:{number}`; all others are of the first.
pub fn season_of(series: &str, id: &str) -> u32 {
    id.strip_prefix(series)
        .and_then(|rest| rest.strip_prefix(":s"))
        .and_then(|rest| rest.split_once(':'))
        .filter(|(digits, _)| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|(digits, _)| digits.parse().ok())
        .filter(|season: &u32| *season <= 9_999)
        .unwrap_or(1)
}
