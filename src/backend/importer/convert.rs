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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::title_record;
    use crate::backend::importer::payload::SeriesPayload;
    use crate::backend::importer::title::{key_of, parts};
    use crate::backend::importer::{Payload, Record, Title};
    use crate::model::{
        Character, CharacterRole, Date, Episode, EpisodeClass, EpisodeId, MaterialId, MetadataOrigin, Release, Series,
        SeriesId, SeriesStatus, Signals, TitleRecord, Translation, TranslationId, TranslationKind, Video, Withheld,
    };

    fn text() -> impl Strategy<Value = String> {
        "[ -~А-Яа-я風]{1,12}".prop_map(|text| text.trim().to_owned()).prop_filter("a name", |text| !text.is_empty())
    }

    fn date() -> impl Strategy<Value = Option<Date>> {
        let parts = (1_i16..3000, prop::option::of(1_i8..=12), prop::option::of(1_i8..=31));
        prop::option::of(parts.prop_map(|(year, month, day)| Date { year, month, day }))
    }

    fn time() -> impl Strategy<Value = Option<jiff::Timestamp>> {
        prop::option::of((0_i64..4_000_000_000).prop_map(|second| jiff::Timestamp::from_second(second).unwrap()))
    }

    fn signals() -> impl Strategy<Value = Signals> {
        let first = (prop::option::of(text()), prop::option::of(1_u32..=1000), prop::option::of(any::<u32>()), date());
        let second = (prop::collection::vec(text(), 0..3), prop::option::of(text()), time(), date());
        (first, second).prop_map(|((kind, score, number, aired_on), (studios, key, next_episode_at, released_on))| {
            Signals {
                kind: kind.clone(),
                score: score.map(|score| f64::from(score) / 100.0),
                rating: kind,
                duration_minutes: number.map(|number| number % 600),
                episodes_total: number.map(|number| number % 2_000),
                episodes_aired: None,
                next_episode_at,
                aired_on,
                released_on,
                studios,
                franchise: key.clone(),
                season: None,
                imdb_id: key,
                kinopoisk_id: None,
            }
        })
    }

    fn series() -> impl Strategy<Value = Series> {
        let status = prop_oneof![Just(SeriesStatus::Ongoing), Just(SeriesStatus::Completed)];
        let names = (text(), prop::collection::vec(text(), 0..4), prop::option::of(text()));
        (1_u64..1_000_000, names, prop::option::of(1900_u16..=2100), prop::option::of(status), signals()).prop_map(
            |(id, (title, alternative_titles, description), year, status, signals)| Series {
                id: SeriesId(id),
                title,
                genres: alternative_titles.clone(),
                alternative_titles,
                poster: description.as_ref().map(|_| "https://img.example/1.jpg".to_owned()),
                description,
                year,
                status,
                signals,
            },
        )
    }

    type Keyed = BTreeMap<String, (u32, String, Option<String>)>;

    /// Episodes, releases, and which release has which episode; in the order that records have.
    fn below(id: u64) -> impl Strategy<Value = (Vec<Episode>, Vec<Release>, Vec<Video>)> {
        let key = prop_oneof!["[1-9][0-9]{0,2}", "[1-4]-[5-9]", "SP[0-9]"];
        let episodes = prop::collection::btree_map("[a-z0-9:%]{1,6}", (0_u32..4, key, prop::option::of(text())), 0..6);
        let releases = prop::collection::btree_map(0_i64..9_999, (any::<i8>(), text(), any::<u8>(), time()), 0..4);
        let links =
            prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>()), 0..12);
        (episodes, releases, links).prop_map(move |(keyed, releases, links)| {
            let keyed: Keyed = keyed;
            let mut episodes: Vec<Episode> = keyed
                .into_iter()
                .map(|(tail, (season, key, title))| {
                    let key = key_of(&key);
                    let number = super::super::title::number_of(&key);
                    let class = match season {
                        0 => EpisodeClass::Special,
                        1 => EpisodeClass::Regular,
                        _ => EpisodeClass::Joined,
                    };
                    Episode { id: EpisodeId(format!("{id}:{tail}")), season, key, number, title, class }
                })
                .collect();
            let mut releases: Vec<Release> = releases
                .into_iter()
                .map(|(id, (priority, title, flags, updated_at))| Release {
                    material_id: MaterialId(format!("serial-{id}")),
                    translation: Translation {
                        id: TranslationId(id),
                        title: title.clone(),
                        kind: match flags % 3 {
                            0 => TranslationKind::Voice,
                            1 => TranslationKind::Subtitles,
                            _ => TranslationKind::Unknown,
                        },
                    },
                    priority: i32::from(priority),
                    quality: (flags & 4 > 0).then(|| title.clone()),
                    camrip: flags & 8 > 0,
                    episodes: u32::from(flags >> 5),
                    blocked_countries: if flags & 16 > 0 { vec!["RU".to_owned()] } else { Vec::new() },
                    blocked_seasons: Vec::new(),
                    updated_at,
                })
                .collect();
            let mut videos: BTreeMap<(EpisodeId, TranslationId), Video> = BTreeMap::new();
            for (episode, release, own) in links {
                if episodes.is_empty() || releases.is_empty() {
                    break;
                }
                let (episode, release) = (episode.get(&episodes), release.get(&releases));
                let translation_id = release.translation.id;
                let priority = if own { release.priority.saturating_add(1) } else { release.priority };
                let url = format!("https://player.example/{}/{translation_id}", episode.id);
                let video = Video { episode_id: episode.id.clone(), translation_id, url, priority };
                videos.insert((episode.id.clone(), translation_id), video);
            }
            episodes.sort_by(|a, b| (a.season, a.number, &a.id).cmp(&(b.season, b.number, &b.id)));
            releases.sort_by_key(|release| (std::cmp::Reverse(release.priority), release.translation.id));
            let mut videos: Vec<Video> = videos.into_values().collect();
            videos.sort_by(|a, b| {
                (&a.episode_id, std::cmp::Reverse(a.priority), a.translation_id).cmp(&(
                    &b.episode_id,
                    std::cmp::Reverse(b.priority),
                    b.translation_id,
                ))
            });
            (episodes, releases, videos)
        })
    }

    fn record() -> impl Strategy<Value = TitleRecord> {
        series().prop_flat_map(|series| {
            let characters =
                prop::collection::btree_map(1_u64..500, (text(), prop::option::of(text()), any::<bool>()), 0..4);
            (Just(series.clone()), below(series.id.0), prop::option::of(characters), any::<u8>()).prop_map(
                |(series, (episodes, releases, videos), characters, number)| TitleRecord {
                    series,
                    episodes,
                    releases,
                    videos,
                    characters: characters.map(|characters| {
                        let character = |(id, (name, russian, main))| Character {
                            id,
                            name,
                            russian,
                            role: if main { CharacterRole::Main } else { CharacterRole::Supporting },
                            image: None,
                        };
                        characters.into_iter().map(character).collect()
                    }),
                    withheld: Withheld { specials: u32::from(number), ..Withheld::default() },
                    origin: match number % 3 {
                        0 => MetadataOrigin::ShikimoriGraphql,
                        1 => MetadataOrigin::ShikimoriRest,
                        _ => MetadataOrigin::MaterialData,
                    },
                },
            )
        })
    }

    fn back(json: &str, id: &str) -> Option<TitleRecord> {
        let payload: SeriesPayload = serde_json::from_str(json).unwrap();
        let releases = payload.releases.clone().unwrap();
        let parts = parts(id, &releases, &payload.episodes, &|_| String::new()).unwrap();
        title_record(id, &payload, &parts)
    }

    proptest! {
        #[test]
        fn a_title_survives_its_way_as_a_record(title in record()) {
            let sent = Record::of_title("s", title.clone()).to_json();
            let received = Record::parse(sent.as_bytes()).unwrap();
            let Payload::Json(raw) = &received.payload else { panic!("not as it came") };
            let again = back(raw.get(), &received.external_id).unwrap();
            prop_assert_eq!(&again, &title);
            prop_assert_eq!(again.fingerprint(), title.fingerprint());
        }

        #[test]
        fn what_is_written_is_the_same_either_way(title in record()) {
            let payload = SeriesPayload::from(&title);
            let releases = payload.releases.clone().unwrap();
            let id = title.series.id.to_string();
            let parts = parts(&id, &releases, &payload.episodes, &|_| String::new()).unwrap();
            let read = Title::of_payload(&id, &payload, Some(parts)).unwrap();
            let own = Title::of_record(&title);
            prop_assert_eq!(read.parts, own.parts);
            prop_assert_eq!(read.origin, own.origin);
            prop_assert_eq!(read.series.title, title.series.title.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
}
