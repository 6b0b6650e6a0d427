//! What the pages say.

use std::collections::BTreeSet;

use serde_json::json;

use crate::visitor::{Visitor, addresses};
use crate::world::{ANIME, EPISODES, Served, VIDEO, command};

/// A name that would be markup, a script and a broken attribute at once.
const HOSTILE: &str = r#""><script>alert(1)</script><img src=x onerror=alert(2)> & 'q' {{ 7*7 }}"#;

/// A server with the bundled catalogue in it.
pub(crate) fn crawled() -> Served {
    let served = Served::new();
    let output = command(served.root(), &["run", "--mode", "full", "--sandbox"], &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    served
}

#[test]
fn every_link_of_every_page_leads_somewhere() {
    let served = crawled();
    let visitor = Visitor::new(&served);
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut next = vec!["/".to_owned()];
    while let Some(path) = next.pop() {
        let bare = path.split('#').next().unwrap().to_owned();
        if !bare.starts_with('/') || bare.starts_with("//") || !seen.insert(bare.clone()) {
            continue;
        }
        let answer = visitor.get(&bare);
        assert_eq!(answer.status, 200, "{bare}: {}", answer.text);
        if answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
            valid(&bare, &answer.text);
            for attribute in ["href", "src"] {
                next.extend(addresses(&answer.text, attribute));
            }
        }
    }
    assert!(seen.len() > 66, "only {} pages: {seen:?}", seen.len());
    assert!(seen.contains("/catalogue?page=2") && seen.contains("/sources"), "{seen:?}");
    assert!(seen.contains("/staging/series?state=with_errors") && seen.contains("/jobs"), "{seen:?}");
}

/// What holds for every page.
pub(crate) fn valid(path: &str, page: &str) {
    assert!(page.starts_with("<!doctype html>"), "{path}");
    for once in ["<title>", "<main id=\"main\"", "<h1", "class=\"skip\"", "<html lang=\"en\">", "name=\"viewport\""] {
        assert_eq!(page.matches(once).count(), 1, "{once} in {path}");
    }
    assert_eq!(
        page.matches("<th").count() - page.matches("<thead").count(),
        page.matches("<th scope=").count(),
        "{path}"
    );
    assert_eq!(page.matches("<table").count(), page.matches("<caption").count(), "{path}");
    let fields =
        page.matches("<input").count() - page.matches("type=\"hidden\"").count() + page.matches("<select").count();
    assert_eq!(fields, page.matches("<label for=").count(), "a label for every field: {path}");
    let forms = page.matches("method=\"post\"").count();
    assert_eq!(forms, page.matches("name=\"form_token\"").count(), "every form can be sent: {path}");
    let ids = addresses(page, " id").len();
    assert_eq!(ids, page.matches(" id=\"").count(), "an id twice: {path}");
    for label in addresses(page, "aria-labelledby") {
        assert!(page.contains(&format!("id=\"{label}\"")), "{label} in {path}");
    }
    assert!(!page.contains("tabindex=\"1"), "{path}");
}

#[test]
fn a_new_server_says_what_to_do_next() {
    let served = Served::new();
    let visitor = Visitor::new(&served);
    for path in ["/jobs", "/staging", "/imports"] {
        valid(path, &visitor.page(path));
    }
    assert!(visitor.page("/imports").contains("curl -H") && visitor.page("/jobs").contains("parser process series"));
    for path in ["/", "/catalogue", "/sources", "/staging/pet"] {
        let page = visitor.page(path);
        valid(path, &page);
        assert!(page.contains("parser run --mode full --sandbox"), "{path}: {page}");
    }
    let page = visitor.page("/catalogue?q=nothing");
    assert!(page.contains("Nothing is called “nothing”") && page.contains("Show everything"));
    let beyond = visitor.page("/catalogue?page=77");
    assert!(beyond.contains("no such page") && beyond.contains("href=\"/catalogue\""), "{beyond}");
}

#[test]
fn a_title_shows_everything_that_is_stored_of_it() {
    let served = crawled();
    let visitor = Visitor::new(&served);
    let (slug, id) = (one_of(&served, "slug"), one_of(&served, "source_id"));
    let run = ["run", "--mode", "one", "--source-id", &id, "--sandbox"];
    let output = command(served.root(), &run, &[("FETCH_CHARACTERS", "true")]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let one = |sql: &str| served.one(&format!("{sql} WHERE slug = '{slug}'"));
    let page = visitor.page(&format!("/catalogue/{slug}"));
    valid(&slug, &page);
    assert!(page.contains(&one("SELECT poster FROM series")));
    assert!(page.contains("Shikimori (GraphQL)") && page.contains("one whole record"));
    let series = one("SELECT id FROM series");
    for sql in [
        "SELECT url FROM video v JOIN episode e ON e.id = v.episode_id",
        "SELECT source_episode_id FROM episode e",
        "SELECT material_id FROM release e",
    ] {
        assert!(
            page.contains(&served.one(&format!("{sql} WHERE e.series_id = {series} LIMIT 1")).replace('&', "&#38;")),
            "{sql}"
        );
    }
    let character = served.one(&format!(
        "SELECT c.name FROM character c JOIN series_character s ON s.character_id = c.id \
         WHERE s.series_id = {series} LIMIT 1"
    ));
    assert!(page.contains(&character.replace('\'', "&#39;")), "{character}");
    served.execute(&format!("UPDATE series SET is_active = 0, admin_modified = 1 WHERE id = {series}"));
    let page = visitor.page(&format!("/catalogue/{slug}"));
    assert!(page.contains("switched off") && page.contains("imports leave its fields alone"));
}

/// Of a title with everything but characters.
fn one_of(served: &Served, column: &str) -> String {
    served.one(&format!(
        "SELECT {column} FROM series WHERE poster IS NOT NULL AND EXISTS (SELECT 1 FROM video v JOIN episode e \
         ON e.id = v.episode_id WHERE e.series_id = series.id) ORDER BY id LIMIT 1"
    ))
}

#[test]
fn what_sources_send_never_becomes_markup() {
    let served = Served::new();
    let anime = json!({ "source_name": "s", "source_id": "1", "title": HOSTILE, "description": HOSTILE,
        "poster": "javascript:alert(1)", "genres": [HOSTILE], "alternative_titles": [HOSTILE.to_owned() + "2"] });
    served.import(ANIME, &anime);
    let list = json!([{ "source_episode_id": HOSTILE, "number": 1, "title": HOSTILE }]);
    served.import(EPISODES, &json!({ "source_name": "s", "anime_source_id": "1", "episodes": list }));
    for (url, name) in [("javascript:alert(1)", HOSTILE), ("//ok.test/\"onclick=\"x", "kodik")] {
        served.import(
            VIDEO,
            &json!({ "source_name": "s", "source_episode_id": HOSTILE,
            "player": { "type": HOSTILE, "url": url, "source_name": name } }),
        );
    }
    let slug = served.one("SELECT slug FROM series");
    let visitor = Visitor::new(&served);
    let question = url::form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect::<String>();
    let title = format!("/catalogue/{slug}");
    for path in ["/".to_owned(), "/catalogue".to_owned(), title.clone(), format!("/catalogue?q={question}&page=2")] {
        let page = visitor.page(&path);
        valid(&path, &page);
        for bad in ["<script>", "<img src=x", "=\"javascript:", " onclick=", "49 "] {
            assert!(!page.contains(bad), "{bad} in {path}: {page}");
        }
    }
    let page = visitor.page(&title);
    assert!(page.contains("&#60;script&#62;alert(1)"), "{page}");
    assert!(page.contains("No poster") && page.contains("<code>javascript:alert(1)</code>"));
    assert!(page.contains("href=\"https://ok.test/%22onclick=%22x\""), "{page}");
}

#[test]
fn what_is_not_there_is_a_page_that_says_so() {
    let served = Served::new();
    let visitor = Visitor::new(&served);
    for path in ["/catalogue/nothing", "/catalogue/%ff", "/catalogue/%3Cscript%3E", "/assets/none"] {
        let answer = visitor.get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(
            answer.text.contains("<h1>Not found</h1>") && answer.text.contains("To the overview"),
            "{}",
            answer.text
        );
        assert!(answer.text.contains(answer.header("x-trace-id").unwrap()));
        valid(path, &answer.text);
    }
    let json = visitor.get("/api/v1/anime/nothing");
    assert!(json.header("content-type").unwrap().contains("json"), "programs get what they got before");
}

#[test]
fn long_lists_have_pages() {
    let served = Served::new();
    for number in 0..120 {
        served.import_anime(&number.to_string(), &format!("Title {number:03}"));
    }
    let numbers: Vec<u32> = (1..=110).collect();
    served.import_episodes("7", &numbers);
    let visitor = Visitor::new(&served);
    let page = visitor.page("/catalogue?q=title&page=2");
    assert!(page.contains("51–100 of 120") && page.contains("Title 050") && !page.contains("Title 049"));
    assert!(
        page.contains("href=\"/catalogue?q=title\"") && page.contains("href=\"/catalogue?q=title&#38;page=3\""),
        "{page}"
    );
    let page = visitor.page("/catalogue/title-007?episodes=3");
    assert!(page.contains("101–110 of 110") && page.contains("7:110") && !page.contains("7:100<"), "{page}");
}

#[test]
fn the_sources_page_shows_the_newest_crawl() {
    let served = crawled();
    let visitor = Visitor::new(&served);
    let page = visitor.page("/sources");
    for text in ["kodik", "shikimori", "finished", "63 written", "embedded"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let health = std::fs::read_to_string(served.root().join("state/health.json")).unwrap();
    let health: serde_json::Value = serde_json::from_str(&health).unwrap();
    assert!(health["services"][0]["requests"].as_u64().unwrap() > 0, "{health}");
    // The next one fails: nobody listens there.
    let env = [
        ("KODIK_BASE_URL", "http://127.0.0.1:9/"),
        ("KODIK_API_TOKEN", "any"),
        ("MAX_RETRIES", "0"),
        ("STATE_PATH", "other"),
        ("BREAKER_GIVE_UP_SECONDS", "0.1"),
        ("BREAKER_COOLDOWN_SECONDS", "0.1"),
    ];
    let output = command(served.root(), &["run", "--mode", "full"], &env).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::rename(served.root().join("other/health.json"), served.root().join("state/health.json")).unwrap();
    let page = visitor.page("/sources");
    assert!(page.contains("It stopped: ") && page.contains(">failed<") && page.contains(">down<"), "{page}");
    std::fs::write(served.root().join("state/health.json"), "{\"x\":").unwrap();
    assert!(visitor.page("/sources").contains("cannot be read"));
    visitor.page("/");
}

#[test]
fn a_dry_run_leaves_the_health_as_it_was() {
    let served = Served::new();
    let output = command(served.root(), &["run", "--mode", "full", "--sandbox", "--dry-run"], &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!served.root().join("state/health.json").exists());
}
