//! The order in which records arrive does not matter: any permutation of a set gives the same catalogue.

use parser::backend::importer::{Context, Processed, Record, import_record};
use parser::model::Collision;
use parser::store::catalogue;
use parser::store::sqlite::CrashPoints;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::ground::{Ground, record, release, series};

const POINTS: CrashPoints = CrashPoints { before: "test.before", after: "test.after" };

/// Everything that can wait for anything, and whole titles among them.
fn records() -> Vec<Value> {
    let cast = json!([{ "id": "1", "name": "Person 1", "role": "main" }, { "id": "3", "role": "supporting" }]);
    vec![
        series("4"),
        record(
            "series",
            "5",
            &json!({ "title": "Five", "parent": "4", "characters": cast,
            "relations": [{ "kind": "sequel", "series": "6" }] }),
        ),
        record(
            "series",
            "6",
            &json!({ "title": "Six", "images": ["https://img.example/6.jpg"], "releases": [
            { "translation": { "id": 1, "title": "A" }, "episodes": [{ "id": "6:1", "number": 1, "url": "https://p/6" }] }] }),
        ),
        release("m1", "5", 610),
        release("m2", "5", 7),
        record(
            "release",
            "m3",
            &json!({ "series": "4", "translation": { "id": 2, "title": "B" }, "priority": 1,
            "episodes": [{ "id": "4:1", "number": 1, "url": "https://p/shared" }] }),
        ),
        record(
            "release",
            "m4",
            &json!({ "series": "4", "translation": { "id": 3, "title": "C" }, "priority": 8,
            "episodes": [{ "id": "4:1", "number": 1, "url": "https://p/shared" }] }),
        ),
        record("character", "1", &json!({ "name": "Aoi Mori", "series": ["5", { "id": "6", "role": "main" }] })),
        record("character", "3", &json!({ "name": "Ren", "image": "https://img.example/3.jpg", "series": ["5"] })),
        record("pet", "9", &json!({ "name": "Kuro", "owners": ["1", "3"] })),
    ]
}

fn imported(ground: &Ground, order: &[usize]) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = ground.store().await;
        let all = records();
        for (now, index) in (1_700_000_000_000..).zip(order) {
            let record = Record::parse(all[*index].to_string().as_bytes()).unwrap();
            let context = Context { collision: Collision::Upsert, import: None, now };
            let done = store.write(POINTS, move |session| import_record(session, &record, &context)).await.unwrap();
            assert!(!matches!(done, Processed::Refused { .. } | Processed::Unchanged), "{index}: {done:?}");
        }
        store.read(catalogue::dump).await.unwrap()
    })
}

fn in_order() -> Vec<usize> {
    (0..records().len()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn any_order_gives_the_same_catalogue(order in Just(in_order()).prop_shuffle()) {
        let expected = imported(&Ground::embedded(), &in_order());
        prop_assert!(expected.contains("\"pet_owner\"") && !expected.contains("\"pending_relation\""));
        prop_assert_eq!(imported(&Ground::embedded(), &order), expected);
    }
}

#[test]
fn any_order_gives_the_same_catalogue_on_a_server() {
    let expected = imported(&Ground::embedded(), &in_order());
    let mut order = in_order();
    for turn in 0..6 {
        let Some(ground) = Ground::server() else { return };
        order.rotate_left(turn);
        order.reverse();
        assert_eq!(imported(&ground, &order), expected, "{order:?}");
    }
}
