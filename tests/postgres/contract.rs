//! The contract's endpoints and what readers ask, through a server on each engine; and a crawl into each.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::harness::{assert_same, but_for_namesakes, fixture, generated};
use crate::place::{Place, crawl, dump};
use crate::world::{ANIME, EPISODES, Served, VIDEO, anime, video};

/// The answer without what is another one every time.
fn shown(text: &str) -> String {
    let Ok(mut body) = serde_json::from_str::<Value>(text) else { return text.to_owned() };
    strip(&mut body);
    body.to_string()
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for name in ["created_at", "updated_at", "trace_id", "instance"] {
                map.remove(name);
            }
            map.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

fn script(place: &Place) -> String {
    let served = Served::with(&[("DATABASE_URL", &place.url())]);
    let mut seen = String::new();
    let mut post = |path: &str, body: Value| {
        let answer = served.post(path, &body);
        writeln!(seen, "{path} {body}: {} {}", answer.status, shown(&answer.text)).unwrap();
    };
    let card = |id: &str, title: &str, year: Value, status: Value, genres: Value| {
        json!({ "source_name": "s", "source_id": id, "title": title, "year": year, "status": status, "genres": genres,
            "description": "Words", "alternative_titles": [format!("{title} 2")] })
    };
    post(ANIME, card("1", "Delta", json!(2001), json!("completed"), json!(["Drama", "Music"])));
    post(ANIME, card("2", "alpha", json!(2003), json!("ongoing"), json!(["DRAMA"])));
    post(ANIME, card("3", "Ёлка", json!(2002), json!("ongoing"), json!(["Комедия"])));
    post(ANIME, card("4", "Bravo", json!(null), json!(null), json!(["Dramatic"])));
    post(ANIME, card("5", "Bravo", json!(2001), json!("upcoming"), json!([])));
    post(ANIME, card("6", "_under", json!(2001), json!("upcoming"), json!(["drama"])));
    post(ANIME, card("1", "Delta", json!(2001), json!("completed"), json!(["Drama", "Music"])));
    post(ANIME, json!({ "source_name": "s", "source_id": "1", "title": "Delta Returns" }));
    post(ANIME, json!({ "source_name": "s", "source_id": "1" }));
    post(
        EPISODES,
        json!({ "source_name": "s", "anime_source_id": "1", "episodes": [
        { "source_episode_id": "1:1", "number": 1, "title": "One" }, { "source_episode_id": "1:2", "number": 2 },
        { "source_episode_id": "1:s0:1", "number": 1, "is_available": false },
        { "source_episode_id": "1:2", "number": 2, "title": "Two" }] }),
    );
    post(
        EPISODES,
        json!({ "source_name": "s", "anime_source_id": "2", "episodes": [
        { "source_episode_id": "2:1", "number": 1 }, { "source_episode_id": "1:1", "number": 7 }] }),
    );
    post(
        EPISODES,
        json!({ "source_name": "s", "anime_source_id": "none", "episodes": [
        { "source_episode_id": "9:1", "number": 1 }] }),
    );
    post(VIDEO, video("1:1", "https://p.test/a", 5));
    post(VIDEO, video("1:1", "https://p.test/b", 9));
    post(VIDEO, video("1:1", "https://p.test/a", 5));
    post(VIDEO, video("1:1", "https://p.test/a", 7));
    post(VIDEO, video("9:9", "https://p.test/a", 7));
    post(ANIME, anime("8", "a\0b"));
    post(ANIME, anime("7", &"Long ".repeat(30)));
    let mut queries = vec![String::new()];
    for sort in ["title", "year", "created_at", "updated_at"] {
        queries.extend(["asc", "desc"].map(|order| format!("?sort={sort}&order={order}")));
    }
    for more in [
        "skip=1&limit=2",
        "skip=90",
        "year=2001",
        "year=2001&status=upcoming",
        "status=ongoing",
        "genre=drama",
        "genre=%D0%9A%D0%BE%D0%BC%D0%B5%D0%B4%D0%B8%D1%8F",
        "genre=%D0%BA%D0%BE%D0%BC%D0%B5%D0%B4%D0%B8%D1%8F",
        "genre=Drama&year=2001&sort=year&order=desc",
        "genre=%27%20OR%201=1--",
        "genre=%00",
        "sort=nonsense",
        "limit=0",
        "year=x",
    ] {
        queries.push(format!("?{more}"));
    }
    let mut paths: Vec<_> = queries.into_iter().map(|query| format!("/api/v1/anime{query}")).collect();
    for slug in ["delta", "bravo", "bravo-1", "none", "elka", "a%00"] {
        paths.extend(["", "/episodes"].map(|rest| format!("/api/v1/anime/{slug}{rest}")));
    }
    paths.extend(["/healthz", "/readyz"].map(str::to_owned));
    for path in paths {
        let answer = served.get(&path);
        let total = answer.header("x-total-count").unwrap_or("-").to_owned();
        writeln!(seen, "{path}: {} {total} {}", answer.status, shown(&answer.text)).unwrap();
    }
    seen + &dump(&place.url())
}

#[test]
fn the_contract_and_its_readers_get_the_same_answers_on_both_engines() {
    let Some([sqlite, postgres]) = Place::both() else { return };
    let (expected, found) = (script(&sqlite), script(&postgres));
    assert!(expected.contains("bravo-1") && expected.contains(": 404") && expected.contains(": 422"), "{expected}");
    assert_same("contract", &expected, &found);
}

#[test]
fn a_crawl_makes_the_same_catalogue_on_both_engines() {
    let Some([sqlite, postgres]) = Place::both() else { return };
    let sandbox = generated(60);
    let into_sqlite = crawl(&sandbox, &sqlite, &[]);
    let into_postgres = crawl(&sandbox, &postgres, &[]);
    assert_eq!(into_sqlite["titles"], into_postgres["titles"]);
    let (expected, found) = (dump(&sqlite.url()), dump(&postgres.url()));
    assert!(expected.lines().count() > 1000);
    assert_same("crawl", &but_for_namesakes(&expected), &but_for_namesakes(&found));
    let again = crawl(&sandbox, &postgres, &[]);
    assert_eq!(again["titles"]["unchanged"], into_postgres["titles"]["created"]);
    assert_eq!(dump(&postgres.url()), found, "a second crawl changes nothing");
}

#[test]
fn a_dry_run_reads_the_server_and_changes_nothing() {
    let Some(database) = crate::cluster::database() else { return };
    let place = Place::Postgres(database);
    let sandbox = fixture();
    crawl(&sandbox, &place, &["--dry-run"]);
    let tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    assert_eq!(crate::cluster::sql(&place.url(), tables), [["0"]], "not even tables are made");
    crawl(&sandbox, &place, &["--limit", "5"]);
    let before = dump(&place.url());
    crawl(&sandbox, &place, &["--dry-run"]);
    assert_eq!(dump(&place.url()), before);
}
