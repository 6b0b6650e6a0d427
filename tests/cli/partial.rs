//! A title of which the backend takes only a part: the part that failed is named, the rest is loaded, and the next run
//! sends only what is missing.

use serde_json::{Value, json};

use crate::backend::{Backend, Call, text};
use crate::world::World;

fn world_with(backend: &Backend) -> World {
    let mut world = World::new();
    world.set("BACKEND_BASE_URL", backend.url());
    world.set("INTERNAL_TOKEN", "internal");
    world
}

fn report(world: &World, args: &[&str], code: i32) -> Value {
    let path = world.output("report.json");
    let mut all = args.to_vec();
    all.extend(["--report", path.to_str().unwrap()]);
    world.run(&all).expect(code);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn failed_titles(report: &Value) -> Vec<&Value> {
    report["titles"].as_array().unwrap().iter().filter(|title| title["outcome"] == "failed").collect()
}

#[test]
fn one_refused_video() {
    let backend = Backend::start("internal");
    backend.rule(|kind, body| {
        (kind == "video" && body["source_episode_id"] == "9302:3")
            .then(|| (422, json!({ "detail": [{ "loc": ["body", "player", "url"], "msg": "not allowed here" }] })))
    });
    let world = world_with(&backend);
    let report = report(&world, &["run", "--mode", "full"], 1);
    let failed = failed_titles(&report);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0]["series"], 9302);
    let parts: Vec<_> = failed[0]["failure"]["parts"].as_array().unwrap().iter().map(text).collect();
    assert_eq!(parts.len(), 3, "one for each of the three translations: {parts:?}");
    assert!(parts.iter().all(|part| part.starts_with("video 9302:3 (translation ")), "{parts:?}");
    assert!(parts.iter().all(|part| part.contains("body.player.url: not allowed here")), "{parts:?}");
    assert!(text(&failed[0]["reason"]).contains("and 2 more parts"), "{}", failed[0]);
    assert_eq!(backend.counts().0, 63, "all series are there, the failed one, too");
    let stored = backend.content();
    assert!(!stored.contains("\"9302:3 http") && stored.contains("\"9302:4 http"));

    backend.no_rule();
    backend.forget_calls();
    world.full(0);
    let calls = backend.calls();
    assert_eq!(calls.len(), 3, "only what is missing is sent: {calls:?}");
    assert!(calls.iter().all(|call| call.kind == "video" && call.body["source_episode_id"] == "9302:3"), "{calls:?}");

    backend.forget_calls();
    world.full(0).prints(&["unchanged"]);
    assert_eq!(backend.calls().len(), 0, "an unchanged catalogue costs the backend nothing");
}

#[test]
fn one_episode_not_taken() {
    let backend = Backend::start("internal");
    backend.close("9302:3", true);
    let world = world_with(&backend);
    let report = report(&world, &["run", "--mode", "full"], 1);
    let failed = failed_titles(&report);
    assert_eq!(failed.len(), 1, "{failed:?}");
    let parts: Vec<_> = failed[0]["failure"]["parts"].as_array().unwrap().iter().map(text).collect();
    assert!(parts[0].contains("9302:3") && parts[0].contains("number is taken"), "{parts:?}");
    assert!(parts[1].contains("3 videos: not sent"), "its links have nowhere to go: {parts:?}");
    let stored = backend.content();
    assert!(stored.contains("\"9302:4 http"), "the other episodes have their videos");

    backend.close("9302:3", false);
    backend.forget_calls();
    world.full(0);
    let calls = backend.calls();
    assert_eq!(calls.len(), 4, "one episode and its three videos: {calls:?}");
    assert_eq!(calls[0].body["episodes"].as_array().map(Vec::len), Some(1));
    assert!(calls.iter().all(|call| call.body.to_string().contains("\"9302:3\"")), "{calls:?}");
}

#[test]
fn an_application_error_is_tried_again_and_then_told() {
    let backend = Backend::start("internal");
    let mut tries = 0;
    backend.rule(move |kind, body| {
        if kind != "anime" || body["source_id"] != "9302" {
            return None;
        }
        tries += 1;
        (tries <= 2).then(|| crate::backend::error(500, "deadlock detected"))
    });
    let world = world_with(&backend);
    let report = report(&world, &["run", "--mode", "full"], 0);
    let titles = report["titles"].as_array().unwrap();
    let title = titles.iter().find(|title| title["series"] == 9302).unwrap();
    assert_eq!(title["outcome"], "created");
    let ours = |call: &Call| {
        let body = &call.body;
        body["source_id"] == "9302"
            || body["anime_source_id"] == "9302"
            || text(&body["source_episode_id"]).starts_with("9302:")
    };
    let sent = backend.calls().iter().filter(|call| ours(call)).count();
    assert_eq!(title["attempts"].as_u64(), Some(sent as u64), "every attempt is counted, retries too");
}

#[test]
fn a_backend_that_lost_a_title_gets_it_again() {
    let backend = Backend::start("internal");
    let world = world_with(&backend);
    world.full(0);
    let before = backend.content();
    backend.lose("9302");
    assert_ne!(backend.content(), before);
    assert!(world.sandbox.touch(9302));
    world.full(0);
    let after: Value = serde_json::from_str(&backend.content()).unwrap();
    assert!(after["anime"]["9302"].is_object(), "the series is back");
    assert!(after["episodes"]["9302:1"].is_object() && after["episodes"]["9302:13"].is_object(), "old and new");
}
