//! `parser diagnose` finds the mistakes of a new user, says how to mend each, and ends with the code of what is broken.

use std::time::Duration;

use parser::sandbox::{FaultProfile, SandboxOptions};
use serde_json::Value;

use crate::backend::Backend;
use crate::world::World;

fn json(world: &World, args: &[&str], code: i32) -> Value {
    let diagnosis = world.run(&[&["diagnose", "--json"], args].concat()).expect(code).json();
    assert_eq!(diagnosis["exit"], code);
    diagnosis
}

/// The check whose name begins like this.
fn check<'a>(diagnosis: &'a Value, name: &str) -> &'a Value {
    let checks = diagnosis["checks"].as_array().unwrap();
    checks
        .iter()
        .find(|check| check["name"].as_str().unwrap().starts_with(name))
        .unwrap_or_else(|| panic!("no check of {name}: {diagnosis:#}"))
}

#[track_caller]
fn assert_bad(check: &Value, finding: &str, hint: &str) {
    assert_eq!(check["ok"], false, "{check}");
    assert!(check["finding"].as_str().unwrap().contains(finding), "{check}");
    assert!(check["hint"].as_str().unwrap().contains(hint), "{check}");
}

#[test]
fn all_fine() {
    let world = World::new();
    let ran = world.run(&["diagnose"]).expect(0);
    assert!(!ran.stdout.contains("BAD"), "{ran}");
    let ran = ran.prints(&["ok   kodik at http://", "answers /list with this token", "ok   shikimori at http://"]);
    let ran = ran.prints(&["GraphQL", "embedded (BACKEND_BASE_URL is not set)", " ms)"]);
    assert_eq!(ran.stderr, "", "everything is on standard output: {ran}");
    assert!(!world.state().exists(), "a look changes nothing");

    let diagnosis = json(&world, &[], 0);
    assert!(diagnosis["checks"].as_array().unwrap().iter().all(|check| check["ok"] == true));
    assert!(check(&diagnosis, "kodik")["milliseconds"].is_u64());
}

#[test]
fn a_missing_token_hides_nothing_else() {
    let mut world = World::new();
    world.unset("KODIK_API_TOKEN");
    let diagnosis = json(&world, &[], 2);
    assert_bad(check(&diagnosis, "KODIK_API_TOKEN"), "is not set", "--sandbox");
    assert_eq!(check(&diagnosis, "shikimori")["ok"], true);
    assert_eq!(check(&diagnosis, "state folder")["ok"], true);
}

#[test]
fn a_refused_token() {
    let mut world = World::new();
    world.set("KODIK_API_TOKEN", "bad");
    let diagnosis = json(&world, &[], 3);
    assert_bad(check(&diagnosis, "kodik"), "token is refused", "KODIK_API_TOKEN");
}

#[test]
fn a_wrong_host() {
    let mut world = World::new();
    world.set("KODIK_BASE_URL", "http://127.0.0.1:1");
    let diagnosis = json(&world, &[], 3);
    assert_bad(check(&diagnosis, "kodik at http://127.0.0.1:1"), "refused", "KODIK_BASE_URL");
    assert_eq!(check(&diagnosis, "shikimori")["ok"], true);
}

#[test]
fn a_service_that_has_moved() {
    let world = World::new();
    world.sandbox.set_faults(FaultProfile::Moved);
    let diagnosis = json(&world, &[], 3);
    assert_bad(check(&diagnosis, "kodik"), "another host", "http://kodik.moved.invalid");
    assert_bad(check(&diagnosis, "shikimori"), "another host", "http://shikimori.moved.invalid");
}

#[test]
fn graphql_down_is_no_fault_but_said() {
    let world = World::new();
    world.sandbox.set_faults(FaultProfile::GraphqlDown);
    let diagnosis = json(&world, &[], 0);
    assert!(check(&diagnosis, "shikimori")["finding"].as_str().unwrap().contains("not by GraphQL"), "{diagnosis:#}");
}

#[test]
fn a_wrong_backend_token() {
    let mut world = World::new();
    let backend = Backend::start("the right one");
    world.set("BACKEND_BASE_URL", backend.url());
    world.set("INTERNAL_TOKEN", "the wrong one");
    let diagnosis = json(&world, &[], 4);
    assert_bad(check(&diagnosis, "backend"), "refuses the token", "INTERNAL_TOKEN");

    world.set("INTERNAL_TOKEN", "the right one");
    let diagnosis = json(&world, &[], 0);
    assert_eq!(check(&diagnosis, "backend")["ok"], true);
    assert_eq!(backend.counts(), (0, 0, 0), "a look imports nothing");

    world.set("BACKEND_BASE_URL", format!("{}/elsewhere", backend.url()));
    let diagnosis = json(&world, &[], 4);
    assert_bad(check(&diagnosis, "backend"), "no import API", "BACKEND_BASE_URL");

    world.set("BACKEND_BASE_URL", "http://127.0.0.1:1");
    let diagnosis = json(&world, &[], 4);
    assert_bad(check(&diagnosis, "backend"), "refused", "BACKEND_BASE_URL");
}

#[test]
fn a_file_where_a_folder_should_be() {
    let mut world = World::new();
    std::fs::write(world.root().join("file"), "").unwrap();
    world.set("STATE_PATH", "file/state");
    let diagnosis = json(&world, &["--offline"], 5);
    assert_bad(check(&diagnosis, "state folder"), "file", "STATE_PATH");
}

#[test]
fn a_corrupt_state() {
    let world = World::new();
    std::fs::create_dir(world.state()).unwrap();
    std::fs::write(world.state().join("checkpoint.json"), "{").unwrap();
    let diagnosis = json(&world, &["--offline"], 5);
    assert_bad(check(&diagnosis, "state"), "corrupt", "parser state repair");
}

#[test]
fn whoever_holds_the_state_is_named() {
    let world = World::with(&SandboxOptions { latency: Duration::from_millis(200), ..SandboxOptions::default() });
    let mut running = world.spawn(&["run", "--mode", "full"]);
    world.wait_for("a request", &mut running, |world| !world.sandbox.log().entries().is_empty());
    let ran = world.run(&["diagnose", "--offline"]).expect(0);
    let holder = format!("process {}", running.id());
    assert!(ran.stdout.contains(&holder) && ran.stdout.contains("parser run (full)"), "{ran}");
    running.wait().expect(0);
}

#[test]
fn offline_asks_nobody() {
    let world = World::new();
    world.run(&["diagnose", "--offline"]).expect(0).prints(&["services were not asked"]);
    assert!(world.sandbox.log().entries().is_empty());
}

#[test]
fn settings_are_shown_with_their_origin_and_secrets_masked() {
    let mut world = World::new();
    world.unset("STATE_PATH");
    std::fs::write(world.root().join(".env"), "CONCURRENCY=7\nMAX_RETRIES=1\n").unwrap();
    world.set("MAX_RETRIES", "2");
    let diagnosis = json(&world, &["--offline", "--state", "elsewhere"], 0);
    let setting = |name: &str| {
        let all = diagnosis["settings"].as_array().unwrap();
        let found = all.iter().find(|setting| setting["name"] == name).unwrap_or_else(|| panic!("{name}"));
        (found["value"].as_str().unwrap().to_owned(), found["origin"].as_str().unwrap().to_owned())
    };
    assert_eq!(setting("STATE_PATH"), ("elsewhere".to_owned(), "flag".to_owned()));
    assert_eq!(setting("MAX_RETRIES"), ("2".to_owned(), "environment".to_owned()));
    assert_eq!(setting("CONCURRENCY"), ("7".to_owned(), ".env".to_owned()));
    assert_eq!(setting("HTTP_MAX_BODY_MIB"), ("32".to_owned(), "default".to_owned()));
    assert_eq!(setting("KODIK_API_TOKEN"), ("set (hidden)".to_owned(), "environment".to_owned()));
    let checkpoint = world.root().canonicalize().unwrap().join("elsewhere/checkpoint.json");
    assert_eq!(diagnosis["state"]["checkpoint"], checkpoint.to_str().unwrap(), "paths are absolute");
}

#[test]
fn the_state_is_summed_up() {
    let world = World::new();
    world.full(0);
    let diagnosis = json(&world, &["--offline"], 0);
    assert_eq!(diagnosis["state"]["titles"]["done"], 63);
    world.run(&["diagnose", "--offline"]).expect(0).prints(&["full finished", "63 loaded", "catalog.db ("]);
}
