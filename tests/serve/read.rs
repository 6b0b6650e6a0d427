//! What sites read.

use serde_json::{Value, json};

use super::world::{ANIME, Answer, Served, ask};

/// Five series, one of them switched off.
fn library() -> Served {
    let served = Served::new();
    for (id, title, year, status, genres) in [
        ("1", "Delta", json!(2001), json!("completed"), json!(["Drama", "Music"])),
        ("2", "Alpha", json!(2003), json!("ongoing"), json!(["Drama"])),
        ("3", "Charlie", json!(2002), json!("ongoing"), json!(["Комедия"])),
        ("4", "Bravo", json!(null), json!(null), json!(["Dramatic"])),
        ("5", "Hidden", json!(2001), json!("ongoing"), json!(["Drama"])),
    ] {
        let body = json!({ "source_name": "secret-source", "source_id": id, "title": title, "year": year,
            "status": status, "genres": genres, "description": "Words", "alternative_titles": [format!("{title} 2")] });
        served.import(ANIME, &body);
    }
    served.execute("UPDATE series SET is_active = 0 WHERE title = 'Hidden'");
    served
}

fn titles(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json().as_array().unwrap().iter().map(|item| item["title"].as_str().unwrap().to_owned()).collect()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn lists_are_sorted_paged_and_filtered() {
    let served = library();
    let list = |query: &str| titles(&served.get(&format!("/api/v1/anime{query}")));
    assert_eq!(list(""), ["Alpha", "Bravo", "Charlie", "Delta"]);
    assert_eq!(list("?skip=1&limit=2"), ["Bravo", "Charlie"]);
    assert_eq!(list("?skip=9"), [""; 0]);
    assert_eq!(list("?year=2001"), ["Delta"]);
    assert_eq!(list("?year=0&status=&genre=&unknown=1"), ["Alpha", "Bravo", "Charlie", "Delta"]);
    assert_eq!(list("?status=ongoing"), ["Alpha", "Charlie"]);
    assert_eq!(list("?genre=drama"), ["Alpha", "Delta"], "the whole name, in any case");
    assert_eq!(list("?genre=%D0%9A%D0%BE%D0%BC%D0%B5%D0%B4%D0%B8%D1%8F"), ["Charlie"]);
    assert_eq!(list("?genre=Drama&status=completed&year=2001"), ["Delta"]);
    assert_eq!(list("?genre=%27%20OR%201=1--"), [""; 0]);
    assert_eq!(list("?order=desc"), ["Delta", "Charlie", "Bravo", "Alpha"]);
    assert_eq!(list("?sort=year"), ["Delta", "Charlie", "Alpha", "Bravo"]);
    assert_eq!(list("?sort=year&order=desc"), ["Alpha", "Charlie", "Delta", "Bravo"], "without a year: always last");
    served.execute("UPDATE series SET created_at = source_id * 1000, updated_at = (9 - source_id) * 1000");
    assert_eq!(list("?sort=created_at"), ["Delta", "Alpha", "Charlie", "Bravo"]);
    assert_eq!(list("?sort=updated_at"), ["Bravo", "Charlie", "Alpha", "Delta"]);
    assert_eq!(list("?sort=updated_at&order=desc&limit=1"), ["Delta"]);
    let page = served.get("/api/v1/anime?status=ongoing&limit=1");
    assert_eq!(page.header("x-total-count"), Some("2"));
}

#[test]
fn questions_that_make_no_sense_are_invalid() {
    let served = library();
    for query in [
        "skip=-1",
        "skip=x",
        "limit=0",
        "limit=101",
        "limit=",
        "year=x",
        "status=Ongoing",
        "status=%00",
        "sort=id",
        "order=up",
        "sort=title;DROP%20TABLE%20series",
        "genre=%ff",
    ] {
        let refused = (422, "VALIDATION_ERROR".to_owned(), "Invalid request data".to_owned());
        let answer = served.get(&format!("/api/v1/anime?{query}"));
        if query == "genre=%ff" {
            // Not UTF-8: read as the replacement character, which is nobody's genre.
            assert_eq!(titles(&answer), [""; 0]);
        } else {
            assert_eq!(answer.error(), refused, "{query}");
        }
    }
    assert_eq!(titles(&served.get("/api/v1/anime?limit=100")).len(), 4);
}

#[test]
fn one_series_shows_its_public_fields_and_no_others() {
    let served = library();
    let item = &served.get("/api/v1/anime?limit=1").json()[0];
    let short = ["id", "title", "slug", "description", "year", "status", "poster", "genres", "created_at"];
    let mut sorted = short;
    sorted.sort_unstable();
    assert_eq!(keys(item), sorted);
    let answer = served.get("/api/v1/anime/alpha");
    let detail = answer.json();
    let mut all = [&short[..], &["alternative_titles", "updated_at"]].concat();
    all.sort_unstable();
    assert_eq!(keys(&detail), all);
    assert_eq!(detail["id"], item["id"]);
    assert!(uuid::Uuid::parse_str(detail["id"].as_str().unwrap()).is_ok());
    assert!(detail["created_at"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    assert_eq!(detail["alternative_titles"], json!(["Alpha 2"]));
    assert_eq!((&detail["poster"], &detail["year"]), (&Value::Null, &json!(2003)));
    assert!(!answer.text.contains("secret-source"), "{}", answer.text);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let import = served.post(ANIME, &json!({}));
    assert_eq!(import.header("access-control-allow-origin"), None, "imports are not for pages");
}

#[test]
fn what_is_not_there_or_switched_off_is_not_found() {
    let served = library();
    for slug in ["nothing", "hidden", "%F0%9F%92%A9", "%ff", "alpha%00", &"x".repeat(5000)] {
        for path in [format!("/api/v1/anime/{slug}"), format!("/api/v1/anime/{slug}/episodes")] {
            let (status, code, message) = served.get(&path).error();
            assert_eq!((status, code.as_str()), (404, "HTTP_ERROR"), "{path}");
            assert!(message.starts_with("Anime not found: ") || slug == "%ff", "{message}");
        }
    }
    let head = ask(served.address, "HEAD", "/api/v1/anime/alpha", &[], b"");
    assert_eq!((head.status, head.text.as_str()), (200, ""));
}

#[test]
fn episodes_come_in_order_with_the_preferred_player_first() {
    let served = Served::new();
    served.import_anime("1", "One");
    served.import_episodes("1", &[10, 2, 1, 3]);
    let list = json!([
        { "source_episode_id": "1:s2:1", "number": 1, "title": "Second season" },
        { "source_episode_id": "1:s0:1", "number": 1, "title": "Special" },
    ]);
    let body = json!({ "source_name": "s", "anime_source_id": "1", "episodes": list });
    served.import(super::world::EPISODES, &body);
    for (url, priority) in [("https://v.test/low", -1), ("https://v.test/high", 10), ("https://v.test/off", 99)] {
        served.import_video("1:2", url, priority);
    }
    served.import_video("1:3", "https://v.test/3", 0);
    served.execute(
        "UPDATE video SET is_active = 0 WHERE url LIKE '%/off'; UPDATE episode SET is_active = 0 WHERE number = 3",
    );
    let answer = served.get("/api/v1/anime/one/episodes");
    let episodes = answer.json();
    let shown: Vec<_> = episodes
        .as_array()
        .unwrap()
        .iter()
        .map(|episode| (episode["season"].as_u64().unwrap(), episode["number"].as_u64().unwrap()))
        .collect();
    assert_eq!(shown, [(1, 1), (1, 2), (1, 10), (2, 1), (0, 1)]);
    assert_eq!(keys(&episodes[1]), ["id", "number", "season", "title", "video_sources"]);
    let videos = &episodes[1]["video_sources"];
    let urls: Vec<_> = videos.as_array().unwrap().iter().map(|video| video["url"].as_str().unwrap()).collect();
    assert_eq!(urls, ["https://v.test/high", "https://v.test/low"]);
    assert_eq!(keys(&videos[0]), ["id", "priority", "source_name", "type", "url"]);
    assert_eq!((&videos[0]["type"], &videos[0]["source_name"]), (&json!("iframe"), &json!("kodik")));
    assert_eq!(episodes[0]["video_sources"], json!([]));
    assert!(!answer.text.contains("1:2"), "the source's ids are internal");
    let mut ids: Vec<_> =
        answer.text.match_indices("\"id\":\"").map(|(at, key)| &answer.text[at + key.len()..][..36]).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((count, ids.len()), (7, 7), "every id is another");
}
