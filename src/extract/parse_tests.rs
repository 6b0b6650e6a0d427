//! What tolerant parsing keeps, drops and counts.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Drift, DriftKind, Step, join, normalise};
use crate::extract::kodik::parse_material;
use crate::extract::shikimori::{parse_graph, parse_rest, parse_roles};
use crate::model::raw::kodik::{EpisodeValue, Material};

pub(super) fn material(value: &Value) -> (Material, Vec<(String, DriftKind, u64)>) {
    let drift = Drift::default();
    let material = parse_material(value.to_string().as_bytes(), &drift).expect("a material");
    (material, seen(&drift))
}

pub(super) fn seen(drift: &Drift) -> Vec<(String, DriftKind, u64)> {
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
}

#[test]
fn broken_text_is_mended_and_counted() {
    let broken: [&[u8]; 3] = [
        b"{\"id\":\"serial-1\",\"title\":\"a\xffb\",\"year\":7}",
        br#"{"id":"serial-1","title":"a\ud800b","year":7}"#,
        br#"{"id":"serial-1","title":"a\udc00b","year":7}"#,
    ];
    for bytes in broken {
        let drift = Drift::default();
        let material = parse_material(bytes, &drift).expect("a material");
        assert_eq!((material.title.as_deref(), material.year), (Some("a\u{fffd}b"), Some(7)));
        assert_eq!(seen(&drift), [("material.(broken text)".to_owned(), DriftKind::WrongType, 1)]);
    }
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
fn field_names_of_an_attacker_stay_short_and_printable() {
    let (_, drift) = material(&json!({"id": "serial-1", ("x\u{1b}\n".repeat(500)): 1}));
    assert!(drift[0].0.len() <= 80 && !drift[0].0.contains(char::is_control), "{drift:?}");
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
