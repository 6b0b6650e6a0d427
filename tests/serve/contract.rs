//! The import contract: who may, what is answered, every status.

use serde_json::{Value, json};

use super::world::{ANIME, EPISODES, Served, TOKEN, VIDEO, anime, ask, video};

fn episodes(id: &str, episodes: &Value) -> Value {
    json!({ "source_name": "s", "anime_source_id": id, "episodes": episodes })
}

#[test]
fn every_import_needs_the_token() {
    let served = Served::new();
    let bodies = [
        (ANIME, anime("1", "A")),
        (EPISODES, episodes("1", &json!([{ "source_episode_id": "1:1", "number": 1 }]))),
        (VIDEO, video("1:1", "https://v.test/1", 1)),
    ];
    for (path, body) in &bodies {
        let body = body.to_string();
        let with = |headers: &[(&str, &str)]| ask(served.address, "POST", path, headers, body.as_bytes());
        let missing = (422, "VALIDATION_ERROR".to_owned(), "Invalid request data".to_owned());
        assert_eq!(with(&[]).error(), missing);
        assert_eq!(with(&[("Authorization", &format!("Bearer {TOKEN}"))]).error(), missing);
        let wrong = (403, "HTTP_ERROR".to_owned(), "Invalid internal token".to_owned());
        for guess in ["", "x", &TOKEN[1..], &TOKEN.to_uppercase(), &format!("{TOKEN}x")] {
            assert_eq!(with(&[("X-Internal-Token", guess)]).error(), wrong, "{guess}");
        }
        // Who may not import does not learn what is wrong with the body, or that there is no such series.
        assert_eq!(ask(served.address, "POST", path, &[("X-Internal-Token", "x")], b"{").status, 403);
    }
    assert_eq!(served.one("SELECT count(*) FROM series"), "0");
    for (path, body) in &bodies {
        served.import(path, body);
    }
    assert_eq!(served.one("SELECT count(*) FROM video"), "1");
}

#[test]
fn success_is_answered_as_the_contract_says() {
    let served = Served::new();
    let body = json!({
        "source_name": "s", "source_id": "7", "title": "Tower", "alternative_titles": ["Башня"], "description": "Words",
        "year": 2020, "status": "ongoing", "poster": "https://img.test/7.jpg", "genres": ["Drama"],
        "updated_at": "2026-01-01T00:00:00Z", "last_episode_number": 3, "extra": { "deep": [1, { "a": null }] },
    });
    let expected = json!({ "success": true, "message": "Anime imported successfully: Tower", "errors": null });
    assert_eq!(served.import(ANIME, &body), expected);
    assert_eq!(served.import(ANIME, &body), expected, "the second time");
    let list = json!([
        { "source_episode_id": "7:0", "number": 0, "title": "Prologue", "is_available": true, "extra": 1 },
        { "source_episode_id": "7:1", "number": 1, "title": null },
    ]);
    let expected = json!({ "success": true, "total": 2, "imported": 2, "errors": [] });
    assert_eq!(served.import(EPISODES, &episodes("7", &list)), expected);
    let expected = json!({ "success": true, "message": "Video source imported successfully", "errors": null });
    assert_eq!(served.import(VIDEO, &video("7:0", "https://v.test/1", -5)), expected);
    assert_eq!(served.import(VIDEO, &video("7:0", "https://v.test/1", -5)), expected);
    let row = served.one(
        "SELECT slug || '|' || title || '|' || alternative_titles || '|' || description || '|' || year || '|' || status \
         || '|' || poster || '|' || genres FROM series",
    );
    assert_eq!(row, r#"tower|Tower|["Башня"]|Words|2020|ongoing|https://img.test/7.jpg|["Drama"]"#);
    assert_eq!(served.one("SELECT group_concat(number || coalesce(title, '-')) FROM episode"), "0Prologue,1-");
    assert_eq!(served.one("SELECT player_type || player_source || priority FROM video"), "iframekodik-5");
}

#[test]
fn what_comes_in_the_wrong_order_is_not_found() {
    let served = Served::new();
    let orphan = episodes("9", &json!([{ "source_episode_id": "9:1", "number": 1 }]));
    let answer = served.post(EPISODES, &orphan).error();
    assert_eq!(answer, (404, "HTTP_ERROR".to_owned(), "Anime not found: s/9".to_owned()));
    let answer = served.post(VIDEO, &video("9:1", "https://v.test/1", 0)).error();
    assert_eq!(answer, (404, "HTTP_ERROR".to_owned(), "Episode not found: s/9:1".to_owned()));
    served.import_anime("9", "Nine");
    served.import_episodes("9", &[1]);
    let mut other = video("9:1", "https://v.test/1", 0);
    other["source_name"] = json!("another source");
    assert_eq!(served.post(VIDEO, &other).status, 404, "an episode of another source");
    let mut other = orphan;
    other["source_name"] = json!("another source");
    assert_eq!(served.post(EPISODES, &other).status, 404, "a series of another source");
}

#[test]
fn invalid_bodies_are_refused_without_detail_and_change_nothing() {
    let served = Served::new();
    served.import_anime("1", "One");
    served.import_episodes("1", &[1]);
    let with = |body: Value, key: &str, value: Value| {
        let mut body = body;
        body[key] = value;
        body
    };
    let without = |body: Value, key: &str| {
        let mut body = body;
        body.as_object_mut().unwrap().remove(key);
        body
    };
    let good = || anime("2", "Two");
    let mut bad: Vec<(&str, Value)> = vec![(ANIME, json!([])), (ANIME, json!("x")), (ANIME, json!(null))];
    for (key, value) in [
        ("title", json!("")),
        ("title", json!(null)),
        ("title", json!(5)),
        ("title", json!("a\0b")),
        ("source_name", json!("")),
        ("source_id", json!(12)),
        ("year", json!(1899)),
        ("year", json!(2101)),
        ("year", json!("soon")),
        ("year", json!(2000.5)),
        ("status", json!("Ongoing")),
        ("status", json!("")),
        ("genres", json!("Drama")),
        ("genres", json!([1])),
        ("alternative_titles", json!([null])),
        ("description", json!({})),
    ] {
        bad.push((ANIME, with(good(), key, value)));
    }
    bad.extend(["source_name", "source_id", "title"].map(|key| (ANIME, without(good(), key))));
    bad.push((EPISODES, episodes("1", &json!([]))));
    bad.push((EPISODES, episodes("1", &json!(null))));
    for episode in [
        json!({ "source_episode_id": "1:2" }),
        json!({ "number": 2 }),
        json!({ "source_episode_id": "1:2", "number": -1 }),
        json!({ "source_episode_id": "1:2", "number": 6.5 }),
        json!({ "source_episode_id": "1:2", "number": 4_000_000_000_u32 }),
        json!({ "source_episode_id": "1:2", "number": 2, "is_available": null }),
        json!({ "source_episode_id": "1:2", "number": 2, "is_available": "perhaps" }),
        json!({ "source_episode_id": "", "number": 2 }),
    ] {
        // One bad episode spoils the request: the good one must not get in.
        bad.push((EPISODES, episodes("1", &json!([{ "source_episode_id": "1:3", "number": 3 }, episode]))));
    }
    let player = |key: &str, value: Value| {
        let mut body = video("1:1", "https://v.test/1", 0);
        body["player"] = with(body["player"].clone(), key, value);
        body
    };
    for (key, value) in [
        ("url", json!("")),
        ("url", json!(null)),
        ("type", json!(1)),
        ("priority", json!("high")),
        ("source_name", json!(null)),
    ] {
        bad.push((VIDEO, player(key, value)));
    }
    bad.push((VIDEO, without(video("1:1", "https://v.test/1", 0), "player")));
    let before = served.one("SELECT group_concat(id || updated_at) FROM series");
    for (path, body) in bad {
        let refused = (422, "VALIDATION_ERROR".to_owned(), "Invalid request data".to_owned());
        assert_eq!(served.post(path, &body).error(), refused, "{path} {body}");
    }
    for text in [&b""[..], b"{", b"{}x", b"\xff\xfe", b"{\"title\":\"\\ud800\"}"] {
        assert_eq!(ask(served.address, "POST", ANIME, &[("X-Internal-Token", TOKEN)], text).status, 422);
    }
    assert_eq!(served.one("SELECT group_concat(id || updated_at) FROM series"), before);
    assert_eq!(served.one("SELECT count(*) FROM episode"), "1");
    assert_eq!(served.one("SELECT count(*) FROM video"), "0");
}

#[test]
fn the_edges_of_what_is_valid_are_taken() {
    let served = Served::new();
    for (id, year) in
        [("1", json!(1900)), ("2", json!(2100)), ("3", json!("2020")), ("4", json!(2020.0)), ("5", json!(null))]
    {
        let mut body = anime(id, " ");
        body["year"] = year;
        served.import(ANIME, &body);
    }
    let years =
        served.one("SELECT group_concat(coalesce(year, '-')) FROM (SELECT year FROM series ORDER BY source_id)");
    assert_eq!(years, "1900,2100,2020,2020,-");
    let list =
        json!([{ "source_episode_id": "x", "number": 0 }, { "source_episode_id": "y", "number": 2_147_483_647 }]);
    assert_eq!(served.import(EPISODES, &episodes("1", &list))["imported"], 2);
    let mut plain = video("x", "v", 0);
    plain["player"].as_object_mut().unwrap().remove("priority");
    served.import(VIDEO, &plain);
    assert_eq!(served.one("SELECT priority FROM video"), "0");
}

#[test]
fn episodes_that_cannot_be_taken_are_named_and_the_others_are() {
    let served = Served::new();
    served.import_anime("1", "One");
    served.import_anime("2", "Two");
    served.import_episodes("1", &[1]);
    let list = json!([
        { "source_episode_id": "1:1", "number": 5 },
        { "source_episode_id": "2:1", "number": 1 },
    ]);
    let answer = served.import(EPISODES, &episodes("2", &list));
    let line = "Episode 5 (ID: 1:1): the ID belongs to another anime";
    assert_eq!(answer, json!({ "success": false, "total": 2, "imported": 1, "errors": [line] }));
    let rows = served.one(
        "SELECT group_concat(r.source_id || '/' || e.source_episode_id || '/' || e.number, ' ') \
         FROM episode e JOIN series r ON r.id = e.series_id",
    );
    assert_eq!(rows, "1/1:1/1 2/2:1/1");
}

#[test]
fn a_failing_store_is_500_without_the_reason_which_the_log_has() {
    let served = Served::new();
    served.import_anime("1", "One");
    served.import_episodes("1", &[1]);
    served.execute("DROP TABLE video");
    let headers = [("X-Internal-Token", TOKEN), ("X-Trace-ID", "trace-42")];
    let body = video("1:1", "https://v.test/1", 0).to_string();
    let answer = ask(served.address, "POST", VIDEO, &headers, body.as_bytes());
    assert_eq!(answer.error(), (500, "HTTP_ERROR".to_owned(), "Failed to import video source".to_owned()));
    assert_eq!(answer.header("x-trace-id"), Some("trace-42"));
    let log = served.log();
    let line = log.lines().find(|line| line.contains("trace-42")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("no such table") && line.contains("ERROR"), "{line}");
    served.execute("DROP TABLE series_character; DROP TABLE release; DROP TABLE episode; DROP TABLE series");
    assert_eq!(served.post(ANIME, &anime("1", "One")).error().2, "Failed to import anime");
    let list = episodes("1", &json!([{ "source_episode_id": "1:1", "number": 1 }]));
    assert_eq!(served.post(EPISODES, &list).error().2, "Failed to import episodes");
    for (path, message) in [
        ("/api/v1/anime", "Failed to retrieve anime list"),
        ("/api/v1/anime/one", "Failed to retrieve anime"),
        ("/api/v1/anime/one/episodes", "Failed to retrieve episodes"),
    ] {
        let failed = (500, "HTTP_ERROR".to_owned(), message.to_owned());
        assert_eq!(served.get(path).error(), failed, "{path}");
    }
}

#[test]
fn unknown_routes_and_methods_have_the_same_envelope() {
    let served = Served::new();
    let nowhere = served.get("/api/v1/internal/import/nothing");
    assert_eq!(nowhere.error(), (404, "HTTP_ERROR".to_owned(), "Not Found".to_owned()));
    let wrong = served.get(ANIME);
    assert_eq!(wrong.error(), (405, "HTTP_ERROR".to_owned(), "Method Not Allowed".to_owned()));
    assert_eq!(wrong.header("allow"), Some("POST"));
    assert_eq!(served.post("/api/v1/anime", &json!({})).error().0, 405);
}

#[test]
fn a_callers_trace_id_is_adopted_if_it_is_harmless() {
    let served = Served::new();
    let traced = |id: &str| {
        let answer = ask(served.address, "GET", "/api/v1/anime", &[("X-Trace-ID", id)], b"");
        answer.header("x-trace-id").unwrap().to_owned()
    };
    assert_eq!(traced("0af7651916cd43dd8448eb211c80319c"), "0af7651916cd43dd8448eb211c80319c");
    for hostile in ["", "a b", "a\"}", &"x".repeat(129), "é"] {
        let own = traced(hostile);
        assert!(uuid::Uuid::parse_str(&own).is_ok(), "`{hostile}` became `{own}`");
    }
    assert_ne!(traced(""), traced(""));
}
