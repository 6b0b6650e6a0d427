//! One test for each documented oddity of the two sources that parsing has to bear.

use std::collections::BTreeMap;

use serde_json::json;

use super::tests::{material, seen};
use super::{Drift, DriftKind};
use crate::extract::shikimori::{parse_graph, parse_rest, parse_roles};
use crate::model::raw::kodik::{BlockedEpisodes, BlockedSeasons, EpisodeValue, Text};

#[test]
fn quirk_06_season_and_episode_keys_are_free_texts() {
    let (material, drift) = material(&json!({
        "id": "serial-1", "seasons": {"1": {"episodes": {"0": "a", "1-2": "b", "10": "c", "6.5": "d", "x.y": "e"}}}
    }));
    assert_eq!(drift, []);
    assert_eq!(material.seasons.expect("kept")["1"].episodes.as_ref().expect("kept").len(), 5);
}

#[test]
fn quirk_05_special_seasons_keep_their_title() {
    let (material, drift) = material(&json!({"id": "serial-1", "seasons": {"0": {"title": "Спешлы", "episodes": {}}}}));
    assert_eq!(drift, []);
    assert_eq!(material.seasons.expect("kept")["0"].title.as_deref(), Some("Спешлы"));
}

#[test]
fn quirk_07_blocked_seasons_all() {
    let (material, drift) = material(&json!({"id": "serial-1", "blocked_seasons": "all"}));
    assert_eq!((material.blocked_seasons, drift.len()), (Some(BlockedSeasons::All("all".into())), 0));
}

#[test]
fn quirk_07_blocked_seasons_empty_in_both_spellings() {
    for (empty, expected) in
        [(json!({}), BlockedSeasons::Seasons(BTreeMap::default())), (json!([]), BlockedSeasons::Empty(vec![]))]
    {
        let (material, drift) = material(&json!({"id": "serial-1", "blocked_seasons": empty}));
        assert_eq!((material.blocked_seasons, drift.len()), (Some(expected), 0));
    }
}

#[test]
fn quirk_07_blocked_seasons_by_season() {
    let (material, drift) =
        material(&json!({"id": "serial-1", "blocked_seasons": {"5": "all", "7": ["1", 2], "9": 3}}));
    let Some(BlockedSeasons::Seasons(seasons)) = material.blocked_seasons else { panic!("not by season") };
    assert_eq!(seasons["5"], BlockedEpisodes::All("all".into()));
    assert_eq!(seasons["7"], BlockedEpisodes::Episodes(vec![Text::Text("1".into()), Text::Number(2)]));
    assert_eq!(drift, [("material.blocked_seasons.*".to_owned(), DriftKind::WrongType, 1)]);
}

#[test]
fn quirk_08_episodes_are_links_or_objects_or_absent() {
    let (material, drift) = material(&json!({"id": "serial-1", "seasons": {
        "1": {"link": "s", "episodes": {"1": "link", "2": {"link": "l", "title": "T", "screenshots": ["x"]}, "3": {}}},
        "2": {"link": "only the season"}, "3": {"episodes": []}, "4": []
    }}));
    assert_eq!(drift, []);
    let seasons = material.seasons.expect("kept");
    let episodes = seasons["1"].episodes.as_ref().expect("kept");
    let EpisodeValue::Data(data) = &episodes["2"] else { panic!("not an object") };
    assert_eq!(data.title.as_deref(), Some("T"));
    assert_eq!((seasons["2"].episodes.is_none(), seasons["3"].episodes.as_ref().map(BTreeMap::len)), (true, Some(0)));
}

#[test]
fn quirk_09_movies_have_no_seasons() {
    let (material, drift) = material(&json!({"id": "movie-1", "type": "anime", "link": "//p.test/video/1/h/720p"}));
    assert_eq!((material.seasons, drift.len()), (None, 0));
    assert_eq!(material.link.as_deref(), Some("//p.test/video/1/h/720p"));
}

#[test]
fn quirk_11_ids_are_texts_or_numbers_or_absent() {
    let (material, drift) = material(&json!({"id": 17, "shikimori_id": 20, "kinopoisk_id": "283290", "imdb_id": null}));
    assert_eq!(drift, []);
    assert_eq!(material.id, "17");
    assert_eq!(material.shikimori_id.and_then(|id| id.get()).as_deref(), Some("20"));
    assert_eq!((material.imdb_id, material.mdl_id), (None, None));
}

#[test]
fn quirk_14_ratings_are_whole_or_broken_numbers() {
    let data = json!({"kinopoisk_rating": 9, "imdb_rating": 9.4, "duration": 55});
    let (material, drift) = material(&json!({"id": "movie-1", "camrip": true, "material_data": data}));
    assert_eq!((material.camrip, drift.len()), (Some(true), 0));
    let data = material.material_data.expect("kept");
    assert_eq!((data.kinopoisk_rating, data.imdb_rating, data.duration), (Some(9.0), Some(9.4), Some(55.0)));
}

#[test]
fn quirk_15_types_are_an_open_set() {
    let (material, drift) = material(&json!({"id": "movie-1", "type": "hologram", "quality": "8K"}));
    assert_eq!((material.kind.as_deref(), drift.len()), (Some("hologram"), 0));
}

#[test]
fn quirk_18_lists_with_null() {
    let drift = Drift::default();
    let rest = parse_rest(br#"{"id":1,"english":[null],"japanese":[null],"synonyms":[]}"#, &drift).expect("parsed");
    assert_eq!((rest.english, rest.japanese), (Some(vec![None]), Some(vec![None])));
    assert_eq!(seen(&drift), []);
}

#[test]
fn quirk_19_20_zeros_and_text_scores_are_kept_as_they_are() {
    let drift = Drift::default();
    let rest = parse_rest(br#"{"id":"1","episodes":0,"episodes_aired":0,"score":"0.0"}"#, &drift).expect("parsed");
    assert_eq!((rest.id, rest.episodes, rest.score.as_deref()), (1, Some(0), Some("0.0")));
    let graph = parse_graph(br#"{"id":"1","score":7.66,"episodesAired":0}"#, &drift).expect("parsed");
    assert_eq!((graph.score, graph.episodes_aired), (Some(7.66), Some(0)));
    let graph = parse_graph(br#"{"id":1,"score":0}"#, &drift).expect("parsed");
    assert_eq!((graph.id.as_str(), graph.score), ("1", Some(0.0)));
    assert_eq!(seen(&drift), []);
}

#[test]
fn quirk_21_22_placeholders_and_partial_dates_pass_unjudged() {
    let drift = Drift::default();
    let raw =
        br#"{"id":"1","airedOn":{"year":2013,"month":null,"day":null,"date":null},"releasedOn":null,"poster":null}"#;
    let graph = parse_graph(raw, &drift).expect("parsed");
    assert_eq!(graph.aired_on.expect("kept").year, Some(2013));
    let raw = br#"{"id":1,"aired_on":"1901-01-01","image":{"original":"/assets/globals/missing_original.jpg"}}"#;
    assert_eq!(parse_rest(raw, &drift).expect("parsed").aired_on.as_deref(), Some("1901-01-01"));
    assert_eq!(seen(&drift), []);
}

#[test]
fn quirk_23_roles_of_any_number_lose_only_what_is_no_role() {
    let drift = Drift::default();
    let raw = br#"[{"roles":["Main"],"character":{"id":1,"name":"A"},"person":null},7,
        {"roles":["Director"],"character":null,"person":{"id":"2","name":"B","zodiac":"x"}}]"#;
    let roles = parse_roles(raw, &drift).expect("a list");
    assert_eq!(roles.len(), 2);
    assert_eq!(roles[1].person.as_ref().map(|person| person.id), Some(2));
    let mut paths = seen(&drift);
    paths.sort();
    assert_eq!(
        paths,
        [
            ("rest.roles.*".to_owned(), DriftKind::WrongType, 1),
            ("rest.roles.person.zodiac".to_owned(), DriftKind::Unknown, 1)
        ]
    );
    assert!(parse_roles(b"{}", &drift).is_err());
}

#[test]
fn quirk_27_28_29_prefixed_urls_localised_statistics_and_two_genre_lists() {
    let drift = Drift::default();
    let raw = r#"{"id":5114,"url":"/animes/z5114-x","rates_statuses_stats":[{"name":"Запланировано","value":1}],
        "genres":[{"id":1,"name":"Action","kind":"genre","entry_type":"Anime"}],"genres_v2":[{"id":"801"}]}"#;
    let rest = parse_rest(raw.as_bytes(), &drift).expect("parsed");
    assert_eq!(rest.genres.expect("kept")[0].id, Some(Text::Number(1)));
    assert_eq!(rest.genres_v2.expect("kept")[0].id, Some(Text::Text("801".into())));
    assert_eq!(seen(&drift), []);
}

#[test]
fn quirk_30_kinds_are_null_or_new() {
    let drift = Drift::default();
    assert_eq!(parse_graph(br#"{"id":"1","kind":null}"#, &drift).expect("parsed").kind, None);
    let graph = parse_graph(br#"{"id":"1","kind":"tv_special","foo":1}"#, &drift).expect("parsed");
    assert_eq!(graph.kind.as_deref(), Some("tv_special"));
    assert_eq!(seen(&drift), [("graphql.anime.foo".to_owned(), DriftKind::Unknown, 1)]);
    assert_eq!(drift.summary()[0].source, "shikimori");
}
