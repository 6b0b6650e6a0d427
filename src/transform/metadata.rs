//! One borrowed view over the three shapes in which metadata arrives (GraphQL, REST, `material_data` alone), so that
//! every rule is written once.

use crate::model::raw::RawMetadata;
use crate::model::raw::kodik::{Material, MaterialData};
use crate::model::raw::shikimori::{Genre, GraphAnime, RestAnime};
use crate::model::{Date, MetadataOrigin};

use super::dates;
use super::text::{all_present, present};

/// What is known about a title, not yet interpreted.
#[derive(Debug)]
pub(super) struct Metadata<'a> {
    pub(super) origin: MetadataOrigin,
    pub(super) romaji: Option<&'a str>,
    pub(super) english: Vec<&'a str>,
    pub(super) russian: Option<&'a str>,
    pub(super) japanese: Vec<&'a str>,
    pub(super) synonyms: Vec<&'a str>,
    pub(super) licensed: Option<&'a str>,
    pub(super) description: Option<Description<'a>>,
    pub(super) kind: Option<&'a str>,
    pub(super) score: Option<f64>,
    pub(super) rating: Option<&'a str>,
    pub(super) status: Option<&'a str>,
    pub(super) episodes: Option<i64>,
    pub(super) episodes_aired: Option<i64>,
    pub(super) duration: Option<i64>,
    pub(super) aired_on: Option<Date>,
    pub(super) released_on: Option<Date>,
    /// Used only when nothing better tells the year.
    pub(super) last_resort_year: Option<i64>,
    pub(super) season: Option<&'a str>,
    pub(super) next_episode_at: Option<&'a str>,
    /// Candidates, best first; may be placeholders or relative.
    pub(super) posters: Vec<&'a str>,
    pub(super) genres: Vec<GenreName<'a>>,
    pub(super) studios: Vec<&'a str>,
    pub(super) franchise: Option<&'a str>,
}

/// A description in the language it is written in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Description<'a> {
    /// Shikimori's BB-code, or plain text.
    BbCode(&'a str),
    /// Shikimori's rendered HTML.
    Html(&'a str),
}

/// A genre; either name may be missing.
#[derive(Debug, Clone, Copy)]
pub(super) struct GenreName<'a> {
    pub(super) english: Option<&'a str>,
    pub(super) russian: Option<&'a str>,
}

impl<'a> Metadata<'a> {
    /// The view over whatever shape there is.
    pub(super) fn of(raw: &'a RawMetadata, materials: &[&'a Material]) -> Self {
        match raw {
            RawMetadata::GraphQl(anime) => Self::from_graphql(anime),
            RawMetadata::Rest(anime) => Self::from_rest(anime),
            RawMetadata::MaterialDataOnly => Self::from_material_data(materials),
        }
    }

    fn from_graphql(anime: &'a GraphAnime) -> Self {
        let poster = anime.poster.as_ref();
        Self {
            origin: MetadataOrigin::ShikimoriGraphql,
            romaji: present(anime.name.as_ref()),
            english: present(anime.english.as_ref()).into_iter().collect(),
            russian: present(anime.russian.as_ref()),
            japanese: present(anime.japanese.as_ref()).into_iter().collect(),
            synonyms: all_present(anime.synonyms.as_ref()).collect(),
            licensed: present(anime.license_name_ru.as_ref()),
            description: present(anime.description.as_ref()).map(Description::BbCode),
            kind: present(anime.kind.as_ref()),
            score: anime.score,
            rating: present(anime.rating.as_ref()),
            status: present(anime.status.as_ref()),
            episodes: anime.episodes,
            episodes_aired: anime.episodes_aired,
            duration: anime.duration,
            aired_on: anime.aired_on.as_ref().and_then(dates::from_graph),
            released_on: anime.released_on.as_ref().and_then(dates::from_graph),
            last_resort_year: None,
            season: present(anime.season.as_ref()),
            next_episode_at: present(anime.next_episode_at.as_ref()),
            posters: poster
                .into_iter()
                .flat_map(|poster| [poster.original_url.as_ref(), poster.main_url.as_ref()])
                .filter_map(present)
                .collect(),
            genres: anime.genres.iter().flatten().map(GenreName::of).collect(),
            studios: anime.studios.iter().flatten().filter_map(|studio| present(studio.name.as_ref())).collect(),
            franchise: present(anime.franchise.as_ref()),
        }
    }

    fn from_rest(anime: &'a RestAnime) -> Self {
        let image = anime.image.as_ref();
        let bbcode = present(anime.description.as_ref()).map(Description::BbCode);
        Self {
            origin: MetadataOrigin::ShikimoriRest,
            romaji: present(anime.name.as_ref()),
            english: all_present(anime.english.as_ref()).collect(),
            russian: present(anime.russian.as_ref()),
            japanese: all_present(anime.japanese.as_ref()).collect(),
            synonyms: all_present(anime.synonyms.as_ref()).collect(),
            licensed: present(anime.license_name_ru.as_ref()),
            description: bbcode.or_else(|| present(anime.description_html.as_ref()).map(Description::Html)),
            kind: present(anime.kind.as_ref()),
            score: present(anime.score.as_ref()).and_then(|score| score.parse().ok()),
            rating: present(anime.rating.as_ref()),
            status: present(anime.status.as_ref()),
            episodes: anime.episodes,
            episodes_aired: anime.episodes_aired,
            duration: anime.duration,
            aired_on: present(anime.aired_on.as_ref()).and_then(dates::from_text),
            released_on: present(anime.released_on.as_ref()).and_then(dates::from_text),
            last_resort_year: None,
            season: None,
            next_episode_at: present(anime.next_episode_at.as_ref()),
            posters: image
                .into_iter()
                .flat_map(|image| [image.original.as_ref(), image.preview.as_ref()])
                .filter_map(present)
                .collect(),
            // Both lists are asked for nothing but names; their ids do not agree with each other.
            genres: anime.genres.iter().chain(&anime.genres_v2).flatten().map(GenreName::of).collect(),
            studios: anime.studios.iter().flatten().filter_map(|studio| present(studio.name.as_ref())).collect(),
            franchise: present(anime.franchise.as_ref()),
        }
    }

    /// Only the `anime_*` fields are certain to speak of this title; the others may speak of another entry of the
    /// franchise and count only when the year agrees.
    fn from_material_data(materials: &[&'a Material]) -> Self {
        let all: Vec<&'a MaterialData> = materials.iter().filter_map(|item| item.material_data.as_deref()).collect();
        let own: Vec<&'a MaterialData> = materials
            .iter()
            .filter_map(|item| item.material_data.as_deref().filter(|data| describes(data, item, None)))
            .collect();
        let near = |date: &Date| {
            dates::item_year(materials).is_none_or(|year| (i32::from(year) - i32::from(date.year)).abs() <= 1)
        };
        let date = |pick: fn(&'a MaterialData) -> Option<&'a String>| {
            first(&all, |data| present(pick(data)).and_then(dates::from_text).filter(near))
        };
        let anime_genres = first(&all, |data| non_empty(data.anime_genres.as_ref()));
        let genres = anime_genres.or_else(|| first(&own, |data| non_empty(data.genres.as_ref())));

        Self {
            origin: MetadataOrigin::MaterialData,
            romaji: materials.iter().find_map(|item| present(item.title_orig.as_ref())),
            english: first(&own, |data| present(data.title_en.as_ref())).into_iter().collect(),
            russian: first(&all, |data| present(data.anime_title.as_ref()))
                .or_else(|| materials.iter().find_map(|item| present(item.title.as_ref()))),
            japanese: first(&own, |data| non_empty(data.other_titles_jp.as_ref())).unwrap_or_default(),
            synonyms: Vec::new(),
            licensed: first(&all, |data| present(data.anime_license_name.as_ref())),
            description: first(&all, |data| present(data.anime_description.as_ref()))
                .or_else(|| first(&own, |data| present(data.description.as_ref())))
                .map(Description::BbCode),
            kind: first(&all, |data| present(data.anime_kind.as_ref())),
            score: first(&all, |data| data.shikimori_rating),
            rating: first(&all, |data| present(data.rating_mpaa.as_ref())),
            status: first(&all, |data| present(data.anime_status.as_ref()))
                .or_else(|| first(&all, |data| present(data.all_status.as_ref()))),
            episodes: first(&all, |data| data.episodes_total),
            episodes_aired: first(&all, |data| data.episodes_aired),
            duration: first(&all, |data| data.duration.and_then(whole)),
            aired_on: date(|data| data.aired_at.as_ref()),
            released_on: date(|data| data.released_at.as_ref()),
            last_resort_year: first(&all, |data| data.year),
            season: None,
            next_episode_at: first(&all, |data| present(data.next_episode_at.as_ref())),
            posters: first(&all, |data| present(data.anime_poster_url.as_ref()))
                .into_iter()
                .chain(first(&own, |data| present(data.poster_url.as_ref())))
                .collect(),
            // Kodik names genres in Russian only.
            genres: genres.into_iter().flatten().map(|name| GenreName { english: None, russian: Some(name) }).collect(),
            studios: first(&all, |data| non_empty(data.anime_studios.as_ref())).unwrap_or_default(),
            franchise: None,
        }
    }
}

impl<'a> GenreName<'a> {
    fn of(genre: &'a Genre) -> Self {
        Self { english: present(genre.name.as_ref()), russian: present(genre.russian.as_ref()) }
    }
}

/// Does the joined metadata speak of this title, not of another entry of its franchise? Only the year can tell: it must
/// agree with the material's own or with the title's.
pub(super) fn describes(data: &MaterialData, material: &Material, title_year: Option<u16>) -> bool {
    data.year.is_some() && (data.year == material.year || data.year == title_year.map(i64::from))
}

fn first<'a, T>(data: &[&'a MaterialData], pick: impl Fn(&'a MaterialData) -> Option<T>) -> Option<T> {
    data.iter().copied().find_map(pick)
}

fn non_empty(list: Option<&Vec<Option<String>>>) -> Option<Vec<&str>> {
    let present: Vec<&str> = all_present(list).collect();
    (!present.is_empty()).then_some(present)
}

/// Minutes as a whole number; nonsense is `None`.
fn whole(minutes: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    (0.5..100_000.0).contains(&minutes).then(|| minutes.round() as i64)
}
