//! What becomes of a record whose entity is there already.

use serde_json::{Value, json};

use crate::ground::{Ground, Served, both, record};

both!(
    nothing_never_replaces_something,
    the_policy_decides_about_what_is_there,
    what_a_person_did_stays,
    a_series_knows_less_of_a_character_than_its_own_record,
);

fn stage(served: &Served, collision: &str, record: &Value) {
    let path = format!("/api/v1/staging?collision={collision}");
    assert_eq!(served.post(&path, &json!([record])).0, 202);
}

fn good() -> Value {
    record(
        "series",
        "1",
        &json!({ "title": "One", "description": "Words", "year": 2020, "score": 8.25,
        "genres": ["Drama"], "poster": "https://img.example/1.jpg" }),
    )
}

fn nothing_never_replaces_something(ground: &Ground) {
    let served = ground.serve(&[]);
    served.stage(&[good()]);
    served.process("series");
    let before = ground.sql("SELECT description, year, poster FROM series");
    served.stage(&[record(
        "series",
        "1",
        &json!({ "title": "One", "description": null, "genres": null, "poster": "x" }),
    )]);
    assert_eq!(served.process("series")["counts"]["unchanged"], 1);
    assert_eq!(ground.sql("SELECT description, year, poster FROM series"), before);
}

fn the_policy_decides_about_what_is_there(ground: &Ground) {
    let served = ground.serve(&[]);
    stage(&served, "fail", &good());
    assert_eq!(served.process("series")["counts"]["written"], 1, "new ones are taken under any policy");
    stage(&served, "fail", &good());
    assert_eq!(served.process("series")["counts"]["unchanged"], 1, "the same again is no collision");
    let other = record("series", "1", &json!({ "title": "Uno" }));
    stage(&served, "fail", &other);
    assert_eq!(served.process("series")["counts"]["failed"], 1);
    assert_eq!(ground.sql("SELECT state, error_code FROM parsed_series"), [["with_errors", "exists"]]);
    stage(&served, "skip", &other);
    assert_eq!(served.process("series")["counts"]["unchanged"], 1);
    assert_eq!(ground.sql("SELECT title, description FROM series"), [["One", "Words"]]);
    stage(&served, "replace", &other);
    assert_eq!(served.process("series")["counts"]["written"], 1);
    let emptied = "SELECT title, coalesce(description, '-'), coalesce(CAST(year AS TEXT), '-') FROM series";
    assert_eq!(ground.sql(emptied), [["Uno", "-", "-"]]);
    assert_eq!(served.post("/api/v1/staging?collision=merge", &json!([other])).0, 422);
}

fn what_a_person_did_stays(ground: &Ground) {
    let served = ground.serve(&[]);
    let title = |name: &str| {
        record(
            "series",
            "1",
            &json!({ "title": name, "releases": [{ "translation": { "id": 1 }, "episodes": [
            { "id": "1:1", "number": 1, "url": "https://player.example/1" },
            { "id": "1:2", "number": 2, "url": "https://player.example/2" } ] }] }),
        )
    };
    served.stage(&[title("One"), record("pet", "9", &json!({ "name": "Kuro" }))]);
    served.process("series");
    served.process("pet");
    ground.sql("UPDATE series SET title = 'Mine', admin_modified = TRUE");
    ground.sql("UPDATE episode SET is_active = FALSE, disabled_by = 'me' WHERE source_episode_id = '1:1'");
    ground.sql("UPDATE pet SET name = 'Tama', admin_modified = TRUE");
    for policy in ["upsert", "replace"] {
        stage(&served, policy, &title("Two"));
        stage(&served, policy, &record("pet", "9", &json!({ "name": "Shiro" })));
        served.process("series");
        served.process("pet");
        assert_eq!(ground.one("SELECT title FROM series"), "Mine", "{policy}");
        assert_eq!(ground.one("SELECT name FROM pet"), "Tama", "{policy}");
        assert_eq!(ground.one("SELECT count(*) FROM episode WHERE is_active = TRUE"), "1", "{policy}");
    }
}

fn a_series_knows_less_of_a_character_than_its_own_record(ground: &Ground) {
    let served = ground.serve(&[]);
    let cast = json!({ "title": "One", "characters": [{ "id": "7", "name": "A.", "russian": "А." }] });
    served.stage(&[record("character", "7", &json!({ "name": "Aoi Mori" })), record("series", "1", &cast)]);
    served.process("character");
    served.process("series");
    assert_eq!(ground.sql("SELECT name, russian FROM character"), [["Aoi Mori", "А."]], "it fills the gap, no more");
}
