//! What an import does to what is stored already.

use std::io::Write as _;
use std::sync::Barrier;

use serde_json::{Value, json};

use super::world::{ANIME, EPISODES, Served, TOKEN, VIDEO, anime, connect, head, video};

fn full() -> Value {
    json!({ "source_name": "s", "source_id": "1", "title": "One", "alternative_titles": ["Раз"], "description": "Words",
        "year": 2020, "status": "ongoing", "poster": "https://img.test/1.jpg", "genres": ["Drama"] })
}

const SERIES: &str =
    "SELECT json_array(title, alternative_titles, description, year, status, poster, genres) FROM series";

#[test]
fn null_empty_and_missing_leave_what_is_stored() {
    let served = Served::new();
    served.import(ANIME, &full());
    let before = served.one(SERIES);
    let stamp = served.one("SELECT updated_at FROM series");
    served.import(ANIME, &anime("1", "One"));
    let mut nulls = full();
    for key in ["alternative_titles", "description", "year", "status", "poster", "genres"] {
        nulls[key] = Value::Null;
    }
    served.import(ANIME, &nulls);
    let mut empty = full();
    (empty["alternative_titles"], empty["genres"], empty["description"]) = (json!([]), json!([]), json!(""));
    served.import(ANIME, &empty);
    assert_eq!(served.one(SERIES), before);
    assert_eq!(served.one("SELECT updated_at FROM series"), stamp, "the same is not written");
    let mut other = nulls;
    (other["title"], other["year"], other["status"]) = (json!("Uno"), json!(2021), json!("completed"));
    served.import(ANIME, &other);
    let expected = before.replace("One", "Uno").replace("2020", "2021").replace("ongoing", "completed");
    assert_eq!(served.one(SERIES), expected);
    assert_eq!(served.one("SELECT slug FROM series"), "one", "addresses keep working");
}

#[test]
fn a_row_that_a_person_edited_stays() {
    let served = Served::new();
    served.import(ANIME, &full());
    served.execute("UPDATE series SET admin_modified = 1, title = 'By hand', is_active = 0");
    let before = served.one(SERIES);
    served.import(ANIME, &json!({ "source_name": "s", "source_id": "1", "title": "Two", "year": 1999 }));
    assert_eq!(served.one(SERIES), before);
    assert_eq!(served.one("SELECT is_active FROM series"), "0");
    served.import_episodes("1", &[1]);
    assert_eq!(served.one("SELECT count(*) FROM episode"), "1", "its episodes go on");
}

#[test]
fn what_a_person_switched_off_stays_off() {
    let served = Served::new();
    served.import_anime("1", "One");
    served.import_episodes("1", &[1, 2]);
    served.import_video("1:1", "https://v.test/1", 1);
    served.execute(
        "UPDATE episode SET is_active = 0, disabled_by = 'anna' WHERE number = 1; \
         UPDATE video SET is_active = 0, disabled_by = 'anna'",
    );
    let list = json!([{ "source_episode_id": "1:1", "number": 1, "title": "New title", "is_available": true }]);
    served.import(EPISODES, &json!({ "source_name": "s", "anime_source_id": "1", "episodes": list }));
    served.import_video("1:1", "https://v.test/1", 9);
    assert_eq!(served.one("SELECT is_active || disabled_by || title FROM episode WHERE number = 1"), "0annaNew title");
    assert_eq!(served.one("SELECT is_active || disabled_by || priority FROM video"), "0anna9");
    assert_eq!(served.get("/api/v1/anime/one/episodes").json().as_array().unwrap().len(), 1);
}

#[test]
fn episodes_go_and_come_back_with_their_availability() {
    let served = Served::new();
    served.import_anime("1", "One");
    let send = |available: bool, title: Value| {
        let list = json!([{ "source_episode_id": "1:1", "number": 1, "title": title, "is_available": available }]);
        served.import(EPISODES, &json!({ "source_name": "s", "anime_source_id": "1", "episodes": list }));
        served.one("SELECT is_active || coalesce(title, '-') FROM episode")
    };
    assert_eq!(send(false, json!("First")), "0First");
    assert_eq!(send(true, Value::Null), "1First", "null does not take the title away");
    assert_eq!(send(false, json!("Erste")), "0Erste");
    served.import_video("1:1", "https://v.test/1", 1);
    served.execute("UPDATE video SET is_active = 0");
    served.import_video("1:1", "https://v.test/1", 1);
    assert_eq!(served.one("SELECT is_active FROM video"), "1", "a link that is offered again");
}

#[test]
fn slugs_are_ascii_unique_and_never_empty() {
    let served = Served::new();
    for (id, title, slug) in [
        ("1", "Steel Tower: Part 2!", "steel-tower-part-2"),
        ("2", "Steel Tower -- part 2", "steel-tower-part-2-1"),
        ("3", "Steel tower, part 2?", "steel-tower-part-2-2"),
        ("4", "Щит и меч", "shchit-i-mech"),
        ("5", "風の谷", "series-5"),
        ("x/6", "!!!", "series-x-6"),
        ("風", "風", "series"),
        ("空", "空", "series-1"),
    ] {
        served.import_anime(id, title);
        let stored = served
            .sql()
            .query_row("SELECT slug FROM series WHERE source_id = ?1", [id], |row| row.get::<_, String>(0))
            .unwrap();
        assert_eq!(stored, slug, "{title}");
        assert_eq!(served.get(&format!("/api/v1/anime/{slug}")).json()["title"], title);
    }
}

#[test]
fn the_same_at_once_is_one_row() {
    const CLIENTS: usize = 50;
    let served = Served::new();
    let at_once = |path: &str, body: &Value| {
        let barrier = Barrier::new(CLIENTS);
        std::thread::scope(|scope| {
            let posts: Vec<_> = (0..CLIENTS)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        served.post(path, body).status
                    })
                })
                .collect();
            posts.into_iter().map(|post| post.join().unwrap()).collect::<Vec<_>>()
        })
    };
    assert_eq!(at_once(ANIME, &anime("1", "One")), [200; CLIENTS]);
    assert_eq!(served.one("SELECT count(*) || group_concat(slug) FROM series"), "1one");
    let list = json!([{ "source_episode_id": "1:1", "number": 1 }, { "source_episode_id": "1:2", "number": 2 }]);
    let body = json!({ "source_name": "s", "anime_source_id": "1", "episodes": list });
    assert_eq!(at_once(EPISODES, &body), [200; CLIENTS]);
    assert_eq!(served.one("SELECT count(*) FROM episode"), "2");
    assert_eq!(at_once(VIDEO, &video("1:1", "https://v.test/1", 3)), [200; CLIENTS]);
    assert_eq!(served.one("SELECT count(*) FROM video"), "1");
    served.import_video("1:1", "https://v.test/1", 4);
    assert_eq!(served.one("SELECT group_concat(priority) FROM video"), "4", "and it can still be changed");
}

#[test]
fn a_video_is_its_link_and_its_players_source() {
    let served = Served::new();
    served.import_anime("1", "One");
    served.import_episodes("1", &[1, 2]);
    served.import_video("1:1", "https://v.test/1", 1);
    served.import_video("1:1", "https://v.test/2", 1);
    served.import_video("1:2", "https://v.test/1", 1);
    let mut other = video("1:1", "https://v.test/1", 7);
    (other["player"]["source_name"], other["player"]["type"]) = (json!("mirror"), json!("hls"));
    served.import(VIDEO, &other);
    other["player"]["type"] = json!("direct");
    served.import(VIDEO, &other);
    let rows = served.one(
        "SELECT group_concat(line, ' ') FROM (SELECT e.number || v.url || v.player_source || v.player_type AS line \
         FROM video v JOIN episode e ON e.id = v.episode_id ORDER BY 1)",
    );
    let expected = "1https://v.test/1kodikiframe 1https://v.test/1mirrordirect 1https://v.test/2kodikiframe \
                    2https://v.test/1kodikiframe";
    assert_eq!(rows, expected);
}

#[test]
fn every_written_part_resets_the_fingerprint_and_an_unchanged_one_does_not() {
    let served = Served::new();
    served.import_anime("1", "One");
    served.import_episodes("1", &[1]);
    served.import_video("1:1", "https://v.test/1", 1);
    let after = |import: &dyn Fn()| {
        served.execute("UPDATE series SET fingerprint = 'whole'");
        import();
        served.one("SELECT fingerprint FROM series")
    };
    assert_eq!(after(&|| served.import_anime("1", "One")), "whole");
    assert_eq!(after(&|| served.import_episodes("1", &[1])), "whole");
    assert_eq!(after(&|| served.import_video("1:1", "https://v.test/1", 1)), "whole");
    assert_eq!(after(&|| served.import_anime("1", "Uno")), "");
    assert_eq!(after(&|| served.import_episodes("1", &[1, 2])), "");
    assert_eq!(after(&|| served.import_video("1:1", "https://v.test/1", 2)), "");
}

#[test]
fn a_part_whose_server_is_killed_is_posted_again_and_counts_once() {
    for point in ["catalogue.part.before_commit", "catalogue.part.after_commit"] {
        let folder = tempfile::tempdir().unwrap();
        let token = ("INTERNAL_TOKEN", TOKEN);
        let mut killed = Served::start(folder.path(), &[token, ("PARSER_CRASH_AT", &format!("{point}=1"))]);
        let mut stream = connect(killed.address);
        let body = full().to_string();
        let headers = [("X-Internal-Token", TOKEN), ("Content-Type", "application/json")];
        stream.write_all(&head("POST", ANIME, &headers, body.len())).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        assert_eq!(killed.wait().code(), None, "{point}");
        let served = Served::start(folder.path(), &[token]);
        let stood = served.one("SELECT count(*) FROM series");
        assert_eq!(stood == "1", point.ends_with("after_commit"), "{point}");
        served.import(ANIME, &full());
        assert_eq!(served.one("SELECT count(*) FROM series"), "1", "{point}");
        assert_eq!(served.one("SELECT count(*) FROM parsed_series"), "1", "{point}");
    }
}
