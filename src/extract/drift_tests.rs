//! What tolerant parsing keeps, drops and counts.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Drift, DriftKind, MAX_PATHS, Root, Step, join, normalise};
use crate::extract::kodik::parse_material;
use crate::extract::shikimori::{parse_graph, parse_rest, parse_roles};
use crate::model::raw::kodik::{BlockedEpisodes, BlockedSeasons, EpisodeValue, Material, Text};

fn material(value: &Value) -> (Material, Vec<(String, DriftKind, u64)>) {
    let drift = Drift::default();
    let material = parse_material(value.to_string().as_bytes(), &drift).expect("a material");
    (material, seen(&drift))
}

fn seen(drift: &Drift) -> Vec<(String, DriftKind, u64)> {
    drift.summary().into_iter().map(|entry| (entry.path, entry.kind, entry.count)).collect()
}

fn reason(bytes: &[u8]) -> String {
    parse_material(bytes, &Drift::default()).expect_err("malformed").reason
}

#[test]
fn a_clean_record_counts_nothing() {
    let (material, drift) = material(&json!({
        "id": "serial-1", "type": "anime-serial", "link": "//p.test/serial/1/aa/720p", "shikimori_id": "7",
        "seasons": {"1": {"link": "//p.test/season/1", "episodes": {"1": "//p.test/seria/1"}}},
        "material_data": {"anime_title": "A", "kinopoisk_rating": 9, "imdb_rating": 9.4}
    }));
    assert_eq!(drift, []);
    assert_eq!(material.id, "serial-1");
}

#[test]
fn unknown_fields_are_counted_by_normalised_path() {
    let (_, drift) = material(&json!({
        "id": "serial-1", "brand_new": {"deep": [1, 2]},
        "seasons": {"1": {"poster": "x", "episodes": {"1": {"link": "l", "views": 5}, "2": {"link": "m", "views": 6}}},
                    "2": {"poster": "y", "episodes": {"1": null}}},
        "material_data": {"new_field": 1}
    }));
    let unknown = DriftKind::Unknown;
    assert_eq!(
        drift,
        [
            ("material.seasons.*.episodes.*.views".to_owned(), unknown, 2),
            ("material.seasons.*.poster".to_owned(), unknown, 2),
            ("material.brand_new".to_owned(), unknown, 1),
            ("material_data.new_field".to_owned(), unknown, 1),
        ]
    );
}

#[test]
fn a_wrong_type_costs_the_field_and_nothing_else() {
    let (material, drift) = material(&json!({
        "id": "serial-1", "title": ["no"], "year": "2013", "camrip": 1, "extra": true,
        "translation": {"id": "610", "title": "Studio"},
        "screenshots": ["a", 5, null, "b"],
        "seasons": {"1": {"episodes": {"1": "one", "2": 17, "3": ["x"], "4": "four"}}, "2": "gone"}
    }));
    let wrong = |path: &str| (path.to_owned(), DriftKind::WrongType, 1);
    for path in ["title", "year", "camrip", "translation.id", "screenshots.*", "seasons.*"] {
        let path = format!("material.{path}");
        assert!(drift.contains(&wrong(&path)), "{path} is missing from {drift:?}");
    }
    assert!(drift.contains(&("material.extra".to_owned(), DriftKind::Unknown, 1)));
    assert!(drift.contains(&("material.seasons.*.episodes.*".to_owned(), DriftKind::WrongType, 2)), "{drift:?}");
    assert_eq!(material.translation.expect("kept").title.as_deref(), Some("Studio"));
    assert_eq!(material.screenshots.expect("kept").iter().flatten().count(), 2);
    let seasons = material.seasons.expect("kept");
    assert_eq!(seasons.keys().collect::<Vec<_>>(), ["1"]);
    let episodes = seasons["1"].episodes.as_ref().expect("kept");
    assert_eq!(episodes["1"], EpisodeValue::Link("one".into()));
    assert_eq!(episodes["4"], EpisodeValue::Link("four".into()));
    assert_eq!(episodes["2"], EpisodeValue::Missing(()));
}

#[test]
fn a_format_change_in_every_episode_does_not_cost_the_material() {
    let episodes: Map<String, Value> = (1..=2_000).map(|n| (n.to_string(), json!([n]))).collect();
    let (material, drift) =
        material(&json!({"id": "serial-1", "year": 2001, "seasons": {"1": {"episodes": episodes}}}));
    assert_eq!(drift, [("material.seasons.*.episodes.*".to_owned(), DriftKind::WrongType, 2_000)]);
    assert_eq!(material.year, Some(2001));
}

#[test]
fn an_array_is_never_read_by_position() {
    let (material, drift) = material(&json!({"id": "serial-1", "translation": [610, "Studio", "voice"]}));
    assert_eq!(material.translation, None);
    assert_eq!(drift, [("material.translation".to_owned(), DriftKind::WrongType, 1)]);
}

#[test]
fn a_repeated_key_is_counted_and_the_last_one_counts() {
    let drift = Drift::default();
    let material = parse_material(br#"{"id":"serial-1","year":1,"year":2}"#, &drift).expect("a material");
    assert_eq!(material.year, Some(2));
    assert_eq!(seen(&drift), [("material.(repeated key)".to_owned(), DriftKind::WrongType, 1)]);
}

#[test]
fn what_cannot_be_used_is_malformed_with_a_reason() {
    assert_eq!(reason(b"[1]"), "not a JSON object");
    assert_eq!(reason(b""), "not a JSON object");
    assert_eq!(reason(b"<html>"), "not a JSON object");
    assert_eq!(reason(b"{}"), "no id");
    assert_eq!(reason(br#"{"id":"  "}"#), "no id");
    assert_eq!(reason(br#"{"id":null}"#), "no id");
    assert_eq!(reason(br#"{"id":{"a":1}}"#), "no id");
    assert!(reason(br#"{"id":"serial-1""#).contains("EOF"), "{}", reason(br#"{"id":"serial-1""#));
    assert!(reason(br#"{"id":"serial-1"} x"#).contains("trailing"));
    assert!(reason(b"{\"id\":\"\xff\"}").contains("unicode"), "{}", reason(b"{\"id\":\"\xff\"}"));
}

#[test]
fn deep_nesting_is_an_error_or_skipped_never_an_overflow() {
    let nest = |key: &str| format!("{{\"id\":\"serial-1\",\"{key}\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(reason(nest("seasons").as_bytes()), "nested deeper than 128 levels");
    let drift = Drift::default();
    assert!(parse_material(nest("unknown").as_bytes(), &drift).is_ok());
    assert_eq!(seen(&drift), [("material.unknown".to_owned(), DriftKind::Unknown, 1)]);
    let objects = format!("{{\"id\":\"serial-1\",\"year\":{}1{}}}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
    assert_eq!(reason(objects.as_bytes()), "nested deeper than 128 levels");
}

#[test]
fn the_counters_are_bounded_and_shared_by_clones() {
    let drift = Drift::default();
    let root = Root { source: "kodik", name: "material" };
    for n in 0..MAX_PATHS + 5 {
        drift.clone().add(root, DriftKind::Unknown, format!("material.f{n}"), 1, "serial-1");
    }
    drift.add(root, DriftKind::Unknown, "material.f0".to_owned(), 1, "serial-2");
    assert_eq!(drift.summary().len(), MAX_PATHS);
    assert_eq!(drift.overflow(), 5);
    let first = &drift.summary()[0];
    assert_eq!((first.path.as_str(), first.count, first.example_id.as_str()), ("material.f0", 2, "serial-1"));
    assert_eq!(first.to_string(), "material.f0: unknown field (2 times, first in serial-1)");
}

#[test]
fn field_names_of_an_attacker_stay_short_and_printable() {
    let (_, drift) = material(&json!({"id": "serial-1", ("x\u{1b}\n".repeat(500)): 1}));
    assert!(drift[0].0.len() <= 80 && !drift[0].0.contains(char::is_control), "{drift:?}");
}

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
        [(json!({}), BlockedSeasons::Seasons(Default::default())), (json!([]), BlockedSeasons::Empty(vec![]))]
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
    assert_eq!((seasons["2"].episodes.is_none(), seasons["3"].episodes.as_ref().map(|e| e.len())), (true, Some(0)));
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

/// Any JSON value, not too large.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e6..1e6_f64).prop_map(Value::from),
        "[a-z0-9 ]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((key(), inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// A key that a material really has, somewhere, or one that it does not.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(vec![
            "type",
            "title",
            "link",
            "year",
            "translation",
            "seasons",
            "episodes",
            "blocked_seasons",
            "material_data",
            "camrip",
            "shikimori_id",
            "screenshots",
            "kinopoisk_rating",
            "anime_genres",
            "1",
            "2",
            "1-2",
            "all",
        ])
        .prop_map(str::to_owned),
        "[a-z]{1,3}",
    ]
}

/// Every leaf with its path.
fn leaves(value: &Value, at: &mut Vec<Step>, found: &mut Vec<(Vec<Step>, Value)>) {
    match value {
        Value::Null => {}
        Value::Object(map) => {
            for (key, child) in map {
                at.push(Step::Key(key.clone()));
                leaves(child, at, found);
                at.pop();
            }
        }
        Value::Array(list) => {
            for (index, child) in list.iter().enumerate() {
                at.push(Step::Index(index));
                leaves(child, at, found);
                at.pop();
            }
        }
        leaf => found.push((at.clone(), leaf.clone())),
    }
}

/// Is a leaf of that path and value still there? Indices may have moved, so `*` matches any place.
fn holds(value: &Value, pattern: &[Step], leaf: &Value) -> bool {
    let Some((step, rest)) = pattern.split_first() else {
        return value == leaf || value.as_f64().is_some_and(|number| leaf.as_f64() == Some(number));
    };
    match (value, step) {
        (Value::Object(map), Step::Key(key)) => map.get(key).is_some_and(|child| holds(child, rest, leaf)),
        (Value::Object(map), _) => map.values().any(|child| holds(child, rest, leaf)),
        (Value::Array(list), Step::Any) => list.iter().any(|child| holds(child, rest, leaf)),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_end_in_a_material_or_a_reason(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_material(&bytes, &Drift::default());
    }

    #[test]
    fn any_value_ends_in_a_material_or_a_reason(value in any_json()) {
        let drift = Drift::default();
        let _ = parse_material(value.to_string().as_bytes(), &drift);
        let _ = parse_graph(value.to_string().as_bytes(), &drift);
        let _ = parse_rest(value.to_string().as_bytes(), &drift);
        let _ = parse_roles(value.to_string().as_bytes(), &drift);
    }

    #[test]
    fn no_leaf_is_lost_silently(fields in proptest::collection::vec((key(), any_json()), 0..8)) {
        let mut object: Map<String, Value> = fields.into_iter().collect();
        object.insert("id".to_owned(), json!("serial-1"));
        let original = Value::Object(object);
        let drift = Drift::default();
        let parsed = parse_material(original.to_string().as_bytes(), &drift).expect("one odd field never costs a material");
        let kept = serde_json::to_value(&parsed).expect("a value");
        let paths: Vec<String> = drift.summary().into_iter().map(|entry| entry.path).collect();
        let mut found = Vec::new();
        leaves(&original, &mut Vec::new(), &mut found);
        for (steps, leaf) in found {
            let pattern = normalise(steps);
            let root = <Material as super::RawRecord>::ROOT;
            let counted = (1..=pattern.len()).any(|end| paths.contains(&join(root, &pattern[..end])));
            prop_assert!(counted || holds(&kept, &pattern, &leaf), "{} lost {leaf}: {paths:?}", join(root, &pattern));
        }
    }
}
