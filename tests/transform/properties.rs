//! What holds for every title, however odd the sources' answers: generated from texts that have broken parsers.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use parser::model::raw::kodik::{
    BlockedSeasons, EpisodeData, EpisodeValue, Material, MaterialData, RawTranslation, Season,
};
use parser::model::raw::shikimori::{GraphAnime, GraphDate, RestAnime, RestImage};
use parser::model::raw::{RawMetadata, RawTitle};
use parser::model::{EpisodeClass, SeriesId, TitleRecord};
use parser::transform::{self, Rules};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// Pieces of markup that nest, cross, stay open or hide in each other.
fn markup() -> impl Strategy<Value = String> {
    let pieces = select(vec![
        "[character=1]",
        "[/character]",
        "[character=40",
        "[anime=1 fallback=x Name]",
        "[anime]1[/anime]",
        "[[a|b]]",
        "[[",
        "]]",
        "[",
        "]",
        "[b]",
        "[/b]",
        "[spoiler]",
        "[spoiler=x]",
        "[/spoiler]",
        "||",
        "|",
        "[img]",
        "[/img]",
        "[*]",
        "[poster=1]",
        "<script>",
        "</script>",
        "<scr",
        "ipt>",
        "<",
        "<<",
        "<br>",
        "<div class=\"b-spoiler\">",
        "</div>",
        "<span class='name-en'>",
        "</span>",
        "<!--",
        "-->",
        "&lt;script&gt;",
        "&#91;",
        "&#93;",
        "&#60;",
        "&amp;",
        "&",
        "anime_",
        "poster=5]",
        "script>",
        "character=",
        "=",
        "/",
        "b]",
        "текст",
        " ",
        "\r\n",
        "\n",
        "\u{A0}",
        "\u{200B}",
        "\u{0}",
        "\u{202E}",
        "> ",
        "# ",
        "- ",
        "\"",
        "'",
    ]);
    vec(prop_oneof![8 => pieces.prop_map(str::to_owned), 1 => ".{0,3}"], 0..40).prop_map(|pieces| pieces.concat())
}

fn nasty() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just(" \u{A0}\t".to_owned()),
        Just("null".to_owned()),
        "[a-zA-Zа-яё \\[\\]-]{1,12}",
        ".{0,12}",
        markup(),
    ]
}

fn link() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "//player\\.example/seria/[0-9](\\?x=[0-9])?",
        2 => "https?://Player\\.example/seria/[0-9]",
        1 => nasty(),
    ]
}

fn episode() -> impl Strategy<Value = EpisodeValue> {
    prop_oneof![
        4 => link().prop_map(EpisodeValue::Link),
        2 => (option::of(link()), option::of(nasty()))
            .prop_map(|(link, title)| EpisodeValue::Data(EpisodeData { link, title, screenshots: None })),
        1 => Just(EpisodeValue::Missing(())),
    ]
}

fn season() -> impl Strategy<Value = Season> {
    let key = prop_oneof!["[0-9]{1,2}", "0?[0-3]-0?[0-4]", "[0-9]\\.5|SP[0-9]|x:[0-9]", nasty()];
    (option::of(link()), option::of(btree_map(key, episode(), 0..6))).prop_map(|(link, episodes)| Season {
        link,
        title: None,
        episodes,
    })
}

fn material() -> impl Strategy<Value = Material> {
    let seasons = option::of(btree_map(prop_oneof!["[0-3]", "0[0-3]", "OVA|x|s[0-2]", nasty()], season(), 0..4));
    let time = option::of(prop_oneof!["202[0-6]-0[1-9]-1[0-9]T00:00:00Z", nasty()]);
    let translation =
        option::of((option::of(0_i64..4), option::of(nasty()), option::of(select(vec!["voice", "subtitles", "?"]))));
    let names = (option::of(nasty()), option::of(nasty()), option::of(nasty()), option::of(nasty()));
    let data = option::of((option::of(nasty()), option::of(nasty()), option::of(markup()), option::of(2019_i64..2022)));
    (
        select(vec!["serial", "movie", "odd"]),
        option::of(link()),
        seasons,
        translation,
        time,
        names,
        option::of(-5_i64..3000),
        data,
    )
        .prop_map(|(id, link, seasons, translation, updated_at, names, year, data)| Material {
            id: id.to_owned(),
            link,
            seasons,
            translation: translation.map(|(id, title, kind)| RawTranslation {
                id,
                title,
                kind: kind.map(str::to_owned),
            }),
            updated_at,
            title: names.0,
            title_orig: names.1,
            other_title: names.2,
            quality: names.3,
            year,
            blocked_seasons: Some(BlockedSeasons::Seasons(BTreeMap::new())),
            material_data: data.map(|(title_en, poster, description, year)| {
                Box::new(MaterialData {
                    title_en,
                    anime_poster_url: poster,
                    anime_description: description,
                    year,
                    ..MaterialData::default()
                })
            }),
            ..Material::default()
        })
}

fn metadata() -> impl Strategy<Value = RawMetadata> {
    let texts = (option::of(nasty()), option::of(nasty()), option::of(nasty()), option::of(markup()));
    let numbers = (option::of(-3_i64..3000), option::of(-3_i64..40), option::of(-3_i64..40), option::of(any::<f64>()));
    (0_u8..3, texts, numbers).prop_map(|(shape, (name, russian, other, description), (year, month, count, score))| {
        match shape {
            0 => RawMetadata::GraphQl(Box::new(GraphAnime {
                name,
                russian,
                english: other.clone(),
                synonyms: Some(vec![None, other.clone()]),
                description,
                aired_on: Some(GraphDate { year, month, day: count, date: None }),
                episodes: count,
                episodes_aired: month,
                duration: year,
                score,
                next_episode_at: other.clone(),
                season: other.clone(),
                rating: other.clone(),
                status: other,
                ..GraphAnime::default()
            })),
            1 => RawMetadata::Rest(Box::new(RestAnime {
                name,
                russian,
                english: Some(vec![None]),
                japanese: Some(vec![other.clone()]),
                description_html: description,
                image: Some(RestImage { original: other.clone(), ..RestImage::default() }),
                aired_on: other.clone(),
                score: other,
                ..RestAnime::default()
            })),
            _ => RawMetadata::MaterialDataOnly,
        }
    })
}

fn title() -> impl Strategy<Value = RawTitle> {
    (vec(material(), 0..5), metadata()).prop_map(|(mut materials, metadata)| {
        for (index, material) in materials.iter_mut().enumerate() {
            material.id = format!("{}-{index}", material.id);
        }
        RawTitle { id: SeriesId(7), materials, metadata, roles: None }
    })
}

fn rules() -> impl Strategy<Value = Rules> {
    (any::<bool>(), any::<bool>(), vec(0_i64..4, 0..3), vec(0_i64..4, 0..2)).prop_map(
        |(specials, joined, first, never)| {
            let selectors = |ids: Vec<i64>| ids.iter().map(|id| id.to_string().parse().expect("an id")).collect();
            Rules {
                include_specials: specials,
                include_joined: joined,
                translation_priorities: selectors(first),
                excluded_translations: selectors(never),
                ..Rules::default()
            }
        },
    )
}

proptest! {
    #[test]
    fn every_record_keeps_its_promises(raw in title(), rules in rules()) {
        if let Ok(record) = transform::title(&raw, &rules) {
            check_names(&record)?;
            check_description(&record)?;
            check_episodes(&record, &rules)?;
            let accounted = record.releases.len() + (record.withheld.reuploads + record.withheld.excluded) as usize;
            prop_assert_eq!(accounted, raw.materials.len());
            prop_assert_eq!(record.fingerprint().len(), 32);
        }
    }

    #[test]
    fn the_order_of_the_materials_changes_nothing(raw in title(), rules in rules(), turn in 0_usize..5) {
        let mut turned = raw.clone();
        let by = turn.min(turned.materials.len());
        turned.materials.rotate_left(by);
        prop_assert_eq!(transform::title(&raw, &rules), transform::title(&turned, &rules));
        turned.materials.reverse();
        prop_assert_eq!(transform::title(&raw, &rules), transform::title(&turned, &rules));
    }

    #[test]
    fn settings_for_specials_and_joined_episodes_change_no_other_id(raw in title()) {
        let ids = |specials, joined| {
            let rules = Rules { include_specials: specials, include_joined: joined, ..Rules::default() };
            let record = transform::title(&raw, &rules).ok();
            record.map(|record| record.episodes.into_iter().map(|episode| episode.id).collect::<BTreeSet<_>>())
        };
        if let (Some(few), Some(all)) = (ids(false, false), ids(true, true)) {
            prop_assert!(few.is_subset(&all), "{few:?} ⊄ {all:?}");
        }
    }

    #[test]
    fn descriptions_hold_no_markup(text in markup(), html in any::<bool>()) {
        let mut anime = RestAnime { name: Some("Name".to_owned()), ..RestAnime::default() };
        if html { anime.description_html = Some(text) } else { anime.description = Some(text) }
        let material = Material { id: "movie-1".to_owned(), ..Material::default() };
        let raw = RawTitle { id: SeriesId(7), materials: vec![material], metadata: RawMetadata::Rest(Box::new(anime)), roles: None };
        check_description(&transform::title(&raw, &Rules::default()).expect("a record"))?;
    }
}

fn check_names(record: &TitleRecord) -> Result<(), TestCaseError> {
    let series = &record.series;
    let mut seen = HashSet::from([series.title.to_lowercase()]);
    for name in std::iter::once(&series.title).chain(&series.alternative_titles) {
        prop_assert!(!name.is_empty() && name.trim() == name && !name.contains(['\n', '\u{0}']), "{name:?}");
    }
    for name in &series.alternative_titles {
        prop_assert!(seen.insert(name.to_lowercase()), "{name:?} twice");
    }
    prop_assert!(series.year.is_none_or(|year| (1900..=2100).contains(&year)));
    prop_assert!(series.poster.as_ref().is_none_or(|url| url.starts_with("https://")));
    let signals = &series.signals;
    prop_assert!(signals.score.is_none_or(|score| score > 0.0 && score <= 10.0));
    prop_assert!(signals.episodes_total != Some(0) && signals.duration_minutes != Some(0));
    Ok(())
}

fn check_description(record: &TitleRecord) -> Result<(), TestCaseError> {
    let Some(text) = &record.series.description else { return Ok(()) };
    let bytes = text.as_bytes();
    prop_assert!(!text.trim().is_empty() && text.trim() == text);
    let untidy = text.contains("\n\n\n") || text.contains(['\r', '\u{A0}', '\u{0}', '\u{202E}']);
    prop_assert!(!untidy, "{text:?}");
    for (at, _) in text.match_indices('<') {
        let next = bytes.get(at + 1).copied().unwrap_or(b' ');
        prop_assert!(!next.is_ascii_alphabetic() && !matches!(next, b'/' | b'!' | b'?'), "{text:?}");
    }
    for (at, _) in text.match_indices('[') {
        let content = text[at + 1..].split(['[', ']']).next().unwrap_or("");
        prop_assert!(!content.contains('='), "{text:?}");
        prop_assert!(!content.starts_with('/'), "{text:?}");
        for tag in ["b", "i", "img", "spoiler", "character", "*"] {
            prop_assert!(!content.eq_ignore_ascii_case(tag), "{text:?}");
        }
    }
    Ok(())
}

fn check_episodes(record: &TitleRecord, rules: &Rules) -> Result<(), TestCaseError> {
    let mut links: HashMap<_, HashSet<_>> = HashMap::new();
    let ids: HashSet<_> = record.episodes.iter().map(|episode| &episode.id).collect();
    prop_assert_eq!(ids.len(), record.episodes.len(), "an id occurs twice");
    prop_assert!(record.episodes.is_sorted_by_key(|episode| (episode.season, episode.number, episode.id.clone())));
    for episode in &record.episodes {
        prop_assert!(episode.id.0.starts_with("7:"));
        let allowed = match episode.class {
            EpisodeClass::Regular => true,
            EpisodeClass::Special => rules.include_specials,
            EpisodeClass::Joined => rules.include_joined,
        };
        prop_assert!(allowed, "{episode:?}");
    }

    let mut counts: HashMap<_, u32> = HashMap::new();
    for video in &record.videos {
        prop_assert!(ids.contains(&video.episode_id), "{video:?} plays no episode");
        prop_assert!(video.url.starts_with("https://"), "{video:?}");
        let address = video.url.split(['?', '#']).next().unwrap_or_default().to_owned();
        prop_assert!(links.entry(&video.episode_id).or_default().insert(address), "{video:?} is there twice");
        *counts.entry((&video.episode_id, video.translation_id)).or_default() += 1;
    }
    prop_assert!(counts.values().all(|count| *count == 1), "two videos of one translation");
    prop_assert_eq!(links.len(), ids.len(), "an episode without a video");
    for release in &record.releases {
        let videos = record.videos.iter().filter(|video| video.translation_id == release.translation.id);
        prop_assert!(videos.clone().all(|video| video.priority == release.priority));
        prop_assert_eq!(videos.count(), release.episodes as usize);
    }
    Ok(())
}
