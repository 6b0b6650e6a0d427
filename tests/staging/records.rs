//! What records of the four kinds become.

use serde_json::json;

use crate::ground::{Ground, both, character, record, release, series};

both!(
    a_whole_title_is_one_record,
    a_release_waits_for_its_series,
    relations_wait_for_their_other_end,
    ids_may_be_any_text,
    images_have_one_that_is_shown,
    an_image_that_is_named_alone_is_one_of_all,
    the_contract_leaves_its_trace_in_staging,
);

fn a_whole_title_is_one_record(ground: &Ground) {
    let title = record(
        "series",
        "5114",
        &json!({
            "title": "Shizuka na Ie", "alternative_titles": ["Тихий дом", "shizuka na ie"], "kind": "TV Series",
            "characters": [{ "id": 73, "name": "Aoi", "role": "main" }],
            "releases": [
                { "translation": { "id": 610, "title": "A", "kind": "dub" }, "priority": 9, "episodes": [
                    { "id": "5114:1", "number": 1, "title": "Start", "url": "https://player.example/a/1" },
                    { "id": "5114:s0:1", "url": "https://player.example/a/s1" } ] },
                { "translation": { "id": 7 }, "episodes": [{ "id": "5114:1", "url": "https://player.example/b/1" }] },
            ],
        }),
    );
    let served = ground.serve(&[]);
    served.stage(std::slice::from_ref(&title));
    let job = served.process("series");
    assert_eq!((&job["state"], &job["counts"]["written"]), (&json!("finished"), &json!(1)), "{job}");
    assert_eq!(ground.one("SELECT kind FROM series"), "tv");
    assert_eq!(ground.one("SELECT alternative_titles FROM series").replace(' ', ""), "[\"Тихийдом\"]");
    let episodes = ground.sql("SELECT source_episode_id, season, number, class FROM episode ORDER BY 1");
    assert_eq!(episodes, [["5114:1", "1", "1", "regular"], ["5114:s0:1", "0", "1", "special"]]);
    let releases = ground.sql("SELECT translation_id, title, kind, episodes FROM release ORDER BY 1 DESC");
    assert_eq!(releases, [["610", "A", "voice", "2"], ["7", "", "unknown", "1"]]);
    assert_eq!(ground.one("SELECT count(*) FROM video"), "3");
    assert_eq!(ground.one("SELECT count(*) FROM series_character WHERE role = 'main'"), "1");
    let row =
        ground.sql("SELECT state, attempts, CASE WHEN payload IS NULL THEN 'gone' ELSE 'kept' END FROM parsed_series");
    assert_eq!(row, [["processed", "1", "gone"]], "the catalogue has it now");

    let before = ground.dump();
    served.stage(&[title]);
    assert_eq!(served.process("series")["counts"]["unchanged"], 1);
    assert_eq!(ground.dump(), before);
}

fn a_release_waits_for_its_series(ground: &Ground) {
    let served = ground.serve(&[]);
    served.stage(&[release("m1", "5", 610), release("m2", "6", 610)]);
    let job = served.process("release");
    assert_eq!(job["counts"]["waiting"], 2, "{job}");
    assert_eq!(job["staged"]["waiting"], 2);
    assert_eq!(served.process("release")["counts"]["waiting"], 0, "it is not picked up again and again");
    let rows = served.get("/api/v1/staging/release?state=init");
    assert_eq!(rows["rows"][0]["waits_for"], "series s/5");

    // It arrives through a job, or through the contract: each completes what waits.
    served.stage(&[series("5")]);
    served.process("series");
    let body = json!({ "source_name": "s", "source_id": "6", "title": "Six" });
    assert_eq!(served.post("/api/v1/internal/import/anime", &body).0, 200);
    assert_eq!(ground.one("SELECT count(*) FROM video v JOIN release r ON r.id = v.release_id"), "2");
    assert_eq!(ground.one("SELECT count(*) FROM parsed_release WHERE state = 'processed'"), "2");
    assert_eq!(ground.one("SELECT count(*) FROM pending_relation"), "0");
}

fn relations_wait_for_their_other_end(ground: &Ground) {
    let served = ground.serve(&[]);
    let pet = record("pet", "9", &json!({ "name": "Kuro", "species": "Cat", "owners": ["1", "2"] }));
    let person = record("character", "1", &json!({ "name": "Aoi", "series": ["5", { "id": "6", "role": "main" }] }));
    let child = record(
        "series",
        "5",
        &json!({ "title": "Five", "parent": "4",
        "relations": [{ "kind": "Sequel", "series": "6" }, { "kind": "sequel", "series": "5" }],
        "characters": [{ "id": "2", "role": "main" }] }),
    );
    served.stage(&[pet, person, child]);
    for job in ["pet", "character", "series"] {
        assert_eq!(served.process(job)["counts"]["written"], 1, "{job}");
    }
    assert_eq!(ground.sql("SELECT c.source_id FROM pet_owner o JOIN character c ON c.id = o.character_id"), [["1"]]);
    assert_eq!(ground.one("SELECT count(*) FROM pending_relation"), "5");
    served.stage(&[series("4"), series("6"), character("2")]);
    served.process("series");
    served.process("character");
    assert_eq!(ground.one("SELECT count(*) FROM pending_relation"), "0");
    let relations = "SELECT x.kind, t.source_id FROM series_relation x JOIN series t ON t.id = x.related_id ORDER BY 1";
    assert_eq!(ground.sql(relations), [["parent", "4"], ["sequel", "6"]]);
    assert_eq!(ground.one("SELECT count(*) FROM pet_owner"), "2");
    let cast = "SELECT r.source_id, c.source_id, x.role FROM series_character x JOIN series r ON r.id = x.series_id \
                JOIN character c ON c.id = x.character_id ORDER BY 1, 2";
    assert_eq!(ground.sql(cast), [["5", "1", "supporting"], ["5", "2", "main"], ["6", "1", "main"]]);

    // What is not stated any more is taken back; what somebody else states stays.
    let person = record("character", "1", &json!({ "name": "Aoi", "series": ["6"] }));
    let child = record("series", "5", &json!({ "title": "Five", "relations": [], "characters": [] }));
    served.stage(&[person, child]);
    served.process("character");
    served.process("series");
    assert_eq!(ground.sql(cast), [["6", "1", "supporting"]]);
    assert_eq!(ground.one("SELECT count(*) FROM series_relation"), "0");
}

fn ids_may_be_any_text(ground: &Ground) {
    let served = ground.serve(&[]);
    served.stage(&[series("tt/0042 ж"), release("m", "tt/0042 ж", 1), character("p:7")]);
    for job in ["release", "series", "character"] {
        assert_eq!(served.process(job)["counts"]["failed"], 0, "{job}");
    }
    assert_eq!(ground.one("SELECT count(*) FROM release"), "1");
    served.stage(&[series("tt/0042 ж")]);
    assert_eq!(served.process("series")["counts"]["failed"], 0, "what is stored is read again");
    assert_eq!(ground.one("SELECT source_id FROM character"), "p:7");
}

fn images_have_one_that_is_shown(ground: &Ground) {
    let served = ground.serve(&[]);
    let listed = json!({ "title": "One", "images": ["/relative.jpg", "https://img.example/missing_x.png",
        "//img.example/2.jpg", "https://img.example/1.jpg", "http://img.example/1.jpg"] });
    served.stage(&[record("series", "1", &listed)]);
    served.process("series");
    assert_eq!(ground.one("SELECT poster FROM series"), "https://img.example/2.jpg");
    let images = "SELECT url, CASE WHEN is_primary THEN 1 ELSE 0 END, position FROM image ORDER BY position";
    let all = [["https://img.example/2.jpg", "1", "0"], ["https://img.example/1.jpg", "0", "1"]];
    assert_eq!(ground.sql(images), all);
    served.stage(&[record("series", "1", &listed)]);
    assert_eq!(served.process("series")["counts"]["unchanged"], 1);
}

fn the_contract_leaves_its_trace_in_staging(ground: &Ground) {
    let served = ground.serve(&[]);
    let anime = json!({ "source_name": "s", "source_id": "5", "title": "Five" });
    let episodes = json!({ "source_name": "s", "anime_source_id": "5",
        "episodes": [{ "source_episode_id": "5:1", "number": 1 }] });
    let video = json!({ "source_name": "s", "source_episode_id": "5:1",
        "player": { "type": "iframe", "url": "https://player.example/1", "source_name": "kodik" } });
    let post = |part: &str, body| served.post(&format!("/api/v1/internal/import/{part}"), body).0;
    assert_eq!(post("episodes", &episodes), 404);
    assert_eq!(post("video", &video), 404);
    assert_eq!(ground.one("SELECT count(*) FROM parsed_series"), "0", "nothing is left of what was not taken");
    assert_eq!((post("anime", &anime), post("episodes", &episodes), post("video", &video)), (200, 200, 200));
    let shapes = ground.sql("SELECT external_id, shape, state FROM parsed_series ORDER BY shape");
    assert_eq!(shapes, [["5", "card", "processed"], ["5", "episodes", "processed"]]);
    assert_eq!(ground.one("SELECT external_id FROM parsed_release WHERE shape LIKE 'video %'"), "5:1");
}

fn an_image_that_is_named_alone_is_one_of_all(ground: &Ground) {
    let served = ground.serve(&[]);
    let images = |owner: &str| {
        let sql = "SELECT url, CASE WHEN is_primary THEN 1 ELSE 0 END FROM image WHERE owner_kind";
        ground.sql(&format!("{sql} = '{owner}' ORDER BY position"))
    };
    let title = |poster: &str, face: &str| {
        let cast = json!([{ "id": 7, "name": "Aoi", "role": "main", "image": face }]);
        record("series", "1", &json!({ "title": "One", "poster": poster, "characters": cast }))
    };
    served.stage(&[title("//img.example/1.jpg", "https://img.example/a.jpg")]);
    served.process("series");
    assert_eq!(images("series"), [["https://img.example/1.jpg", "1"]]);
    assert_eq!(images("character"), [["https://img.example/a.jpg", "1"]]);
    served.stage(&[title("https://img.example/2.jpg", "https://img.example/b.jpg")]);
    served.process("series");
    assert_eq!(images("series"), [["https://img.example/2.jpg", "1"], ["https://img.example/1.jpg", "0"]]);
    assert_eq!(images("character"), [["https://img.example/b.jpg", "1"], ["https://img.example/a.jpg", "0"]]);
    // A placeholder says nothing, and nothing is lost.
    served.stage(&[title("https://img.example/missing_original.jpg", "https://img.example/b.jpg")]);
    served.process("series");
    assert_eq!(images("series")[0], ["https://img.example/2.jpg", "1"]);
    let owner = json!({ "name": "Pochi", "owners": ["7"], "image": "https://img.example/p.jpg" });
    served.stage(&[record("pet", "9", &owner)]);
    served.process("pet");
    assert_eq!(images("pet"), [["https://img.example/p.jpg", "1"]]);
    // The contract's posters are images as well.
    let anime =
        json!({ "source_name": "s", "source_id": "3", "title": "Three", "poster": "https://img.example/3.jpg" });
    assert_eq!(served.post("/api/v1/internal/import/anime", &anime).0, 200);
    let primary = "SELECT count(*) FROM image WHERE is_primary = TRUE AND owner_kind = 'series'";
    assert_eq!(ground.one(&primary.replace("TRUE", if ground.is_server() { "TRUE" } else { "1" })), "2");
}
