//! The exit codes that cron trusts, and that every failure ends with the way to mend it. The two for signals are
//! tested where runs are stopped.

use serde_json::json;

use crate::backend::Backend;
use crate::world::World;

#[test]
fn zero_when_all_is_done() {
    let world = World::new();
    world.full(0).prints(&["full, finished", "created", "63"]).says(&["catalogue: "]);
    assert!(world.catalogue().lines().count() > 5000);
}

#[test]
fn one_when_some_titles_failed() {
    let mut world = World::new();
    let backend = Backend::start("internal");
    backend.rule(|kind, body| {
        (kind == "anime" && body["source_id"] == "9307")
            .then(|| (422, json!({ "detail": [{ "loc": ["body", "title"], "msg": "too odd" }] })))
    });
    world.set("BACKEND_BASE_URL", backend.url());
    world.set("INTERNAL_TOKEN", "internal");
    let ran = world.full(1).says(&["failed: 9307 Aozora Recipe", "body.title: too odd"]);
    assert!(ran.stdout.contains("full, finished"), "{ran}");
    assert_eq!(backend.counts().0, 62, "the others are loaded");
    assert!(world.run(&["state", "show"]).expect(0).stdout.contains("exit 1"));
}

#[test]
fn two_without_a_token() {
    let mut world = World::new();
    world.unset("KODIK_API_TOKEN");
    world.full(2).says(&["KODIK_API_TOKEN: is not set", "--sandbox"]).hints(&["parser diagnose"]);
    assert!(!world.state().exists(), "a run that may not begin leaves nothing");
}

#[test]
fn two_for_a_wrong_command_line() {
    let world = World::new();
    for (args, word) in [
        (&["run", "--mode", "sideways"][..], "full, incremental, ongoing, one"),
        (&["run"], "--mode"),
        (&["run", "--mode", "one"], "--source-id"),
        (&["run", "--mode", "full", "--source-id", "5"], "--mode one"),
        (&["run", "--mode", "one", "--source-id", "nonsense!"], "nonsense!"),
        (&["run", "--mode", "full", "--limit", "0"], "--limit"),
        (&["run", "--mode", "incremental", "--from-landing"], "--mode full"),
        (&["run", "--mode", "full", "--no-such-flag"], "--no-such-flag"),
        (&["fly"], "fly"),
    ] {
        let ran = world.run(args).expect(2).says(&[word]);
        assert_eq!(ran.stdout, "", "{ran}");
    }
    assert!(!world.state().exists());
}

#[test]
fn two_for_wrong_settings_all_at_once() {
    let mut world = World::new();
    world.set("CONCURRENCY", "many");
    world.set("KODIK_BASE_URL", "ftp://kodik");
    world.set("LOG_FORMAT", "xml");
    world.set("INCLUDE_SPECIALS", "perhaps");
    world.set("TITLE_LANGUAGES", "klingon");
    world.set("BACKEND_BASE_URL", "http://backend.test");
    world.full(2).says(&[
        "CONCURRENCY: `many` is not a whole number from 1 to 64",
        "KODIK_BASE_URL: not an http:// or https:// address",
        "LOG_FORMAT: `xml` is not one of `text`, `json`",
        "INCLUDE_SPECIALS: `perhaps` is not `true` or `false`",
        "TITLE_LANGUAGES: `klingon`",
        "INTERNAL_TOKEN: is not set, but BACKEND_BASE_URL is",
    ]);
}

#[test]
fn three_for_a_bad_token_at_once() {
    let mut world = World::new();
    world.set("KODIK_API_TOKEN", "bad");
    world.full(3).says(&["the token is refused"]).hints(&["KODIK_API_TOKEN"]);
    assert_eq!(world.sandbox.log().entries().len(), 1, "a refused token is not tried again");
}

#[test]
fn three_for_a_source_that_is_down() {
    let mut world = World::new();
    world.set("KODIK_BASE_URL", "http://127.0.0.1:1");
    world.full(3).says(&["kodik"]).hints(&["KODIK_BASE_URL", "parser diagnose"]);
}

#[test]
fn three_for_a_source_that_has_moved() {
    let world = World::new();
    world.sandbox.set_faults(parser::sandbox::FaultProfile::Moved);
    world.full(3).says(&["redirected to another host"]).hints(&["http://kodik.moved.invalid", "KODIK_BASE_URL"]);
    assert_eq!(world.sandbox.log().entries().len(), 1, "a permanent answer is not tried again");
}

#[test]
fn four_for_a_refused_backend_token() {
    let mut world = World::new();
    let backend = Backend::start("the right one");
    world.set("BACKEND_BASE_URL", backend.url());
    world.set("INTERNAL_TOKEN", "the wrong one");
    world.set("CONCURRENCY", "1");
    world.full(4).says(&["refuses the token", "Invalid internal token"]).hints(&["INTERNAL_TOKEN"]);
    let calls = backend.calls();
    assert!(calls.len() <= 4, "no more than was in flight: {calls:?}");
    let asked: std::collections::BTreeSet<_> = calls.iter().map(|call| call.body.to_string()).collect();
    assert_eq!(asked.len(), calls.len(), "nothing is sent twice");
}

#[test]
fn four_for_a_backend_that_is_down() {
    let mut world = World::new();
    world.set("BACKEND_BASE_URL", "http://127.0.0.1:1");
    world.set("INTERNAL_TOKEN", "internal");
    world.full(4).says(&["backend is down"]).hints(&["BACKEND_BASE_URL", "parser run --resume"]);
}

#[test]
fn four_for_a_catalogue_that_is_no_database() {
    let world = World::new();
    std::fs::create_dir(world.state()).unwrap();
    std::fs::write(world.catalogue_path(), "this is no database at all, only text ".repeat(200)).unwrap();
    let path = world.catalogue_path();
    world.full(4).says(&[path.to_str().unwrap(), "not a database"]).hints(&[]);
}

#[test]
fn five_for_a_corrupt_checkpoint_which_stays_as_it_is() {
    let world = World::new();
    world.full(0);
    let path = world.state().join("checkpoint.json");
    std::fs::write(&path, "{\"version\": 2, \"run_seq\"").unwrap();
    let path = path.to_str().unwrap();
    world.full(5).says(&[path, "corrupt", "line 1"]).hints(&["parser state repair"]);
    assert_eq!(std::fs::read_to_string(path).unwrap(), "{\"version\": 2, \"run_seq\"");
    world.run(&["state", "repair"]).expect(0);
    world.resume(0).prints(&["63"]);
}

#[test]
fn five_for_a_state_of_a_newer_version() {
    let world = World::new();
    world.full(0);
    let path = world.state().join("checkpoint.json");
    let newer = std::fs::read_to_string(&path).unwrap().replacen("\"version\": 2", "\"version\": 99", 1);
    std::fs::write(&path, &newer).unwrap();
    world.full(5).says(&["checkpoint.json", "version 99"]).hints(&[]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), newer, "left as it is");
}

#[test]
fn five_for_a_state_under_a_file() {
    let mut world = World::new();
    std::fs::write(world.root().join("file"), "").unwrap();
    world.set("STATE_PATH", "file/state");
    world.full(5).says(&["file/state"]).hints(&["STATE_PATH"]);
}

#[test]
fn five_for_a_state_that_may_not_be_written() {
    let mut world = World::new();
    // The proc file system takes no new folders, not even from root.
    world.set("STATE_PATH", "/proc/state");
    world.full(5).says(&["/proc/state"]).hints(&["/proc"]);
}

#[test]
fn state_and_diagnose_know_their_codes_too() {
    let world = World::new();
    world.run(&["state", "show"]).expect(0);
    world.run(&["state", "reset"]).expect(2).hints(&["--yes"]);
    std::fs::create_dir(world.state()).unwrap();
    std::fs::write(world.state().join("checkpoint.json"), "[]").unwrap();
    world.run(&["state", "show"]).expect(5).says(&["checkpoint.json"]).hints(&["parser state repair"]);
    world.run(&["diagnose", "--offline"]).expect(5);
}
