//! Services that go away in the middle of a run, and come back.

use std::time::Duration;

use parser::sandbox::{SandboxOptions, Service, Titles};
use serde_json::json;

use crate::backend::Backend;
use crate::world::{World, same};

/// Slow enough to be caught in the middle.
fn slow_world(titles: u64) -> World {
    World::with(&SandboxOptions {
        titles: Titles::Generated { titles, seed: 7 },
        latency: Duration::from_millis(20),
        ..SandboxOptions::default()
    })
}

#[test]
fn a_backend_that_comes_back_gets_everything() {
    let mut world = World::new();
    world.set("BREAKER_GIVE_UP_SECONDS", "60");
    world.set("INTERNAL_TOKEN", "internal");

    let backend = Backend::start("internal");
    let mut seen = 0;
    backend.rule(move |_, _| {
        seen += 1;
        (500..512).contains(&seen).then(|| (503, json!({ "detail": "upstream is away" })))
    });
    world.set("BACKEND_BASE_URL", backend.url());
    world.full(0).says(&["circuit breaker", "half_open", "closed"]).prints(&["full, finished", "63"]);

    let clean = Backend::start("internal");
    world.set("BACKEND_BASE_URL", clean.url());
    world.set("STATE_PATH", "other");
    world.full(0);
    assert_eq!(backend.content(), clean.content(), "nothing is missing");
}

#[test]
fn a_backend_that_stays_away_stops_the_run_resumably() {
    let mut world = World::new();
    let backend = Backend::start("internal");
    let mut seen = 0;
    backend.rule(move |_, _| {
        seen += 1;
        (seen > 500).then(|| (503, json!({ "detail": "upstream is away" })))
    });
    world.set("BACKEND_BASE_URL", backend.url());
    world.set("INTERNAL_TOKEN", "internal");
    world.full(4).says(&["backend is down"]).hints(&["parser run --resume"]);
    let loaded = backend.counts().0;
    assert!((1..63).contains(&loaded), "{loaded} titles");
    let pages = world.asked(Service::Kodik);

    backend.no_rule();
    backend.forget_calls();
    world.resume(0);
    assert_eq!(backend.counts().0, 63);
    assert_eq!(world.asked(Service::Kodik), pages, "no page is asked for again");
    let again = backend.calls().iter().filter(|call| call.kind == "anime").count();
    // Only titles that were in flight (and their neighbours in the same instant) are sent again.
    assert!(again <= 63 - loaded + 8, "{again} series sent again after {loaded}");
}

#[test]
fn kodik_that_comes_back_is_listed_to_the_end() {
    let mut world = slow_world(300);
    world.set("BREAKER_GIVE_UP_SECONDS", "60");
    let mut running = world.spawn(&["run", "--mode", "full"]);
    world.wait_for("two pages", &mut running, |world| world.asked(Service::Kodik) >= 2);
    world.sandbox.set_down(Service::Kodik, true);
    let before = world.asked(Service::Kodik);
    world.wait_for("tries in vain", &mut running, |world| world.asked(Service::Kodik) >= before + 6);
    world.sandbox.set_down(Service::Kodik, false);
    running.wait().expect(0).says(&["circuit breaker"]);
    same(&world.catalogue(), &world.clean_catalogue());
}

#[test]
fn shikimori_that_comes_back_is_asked_to_the_end() {
    let mut world = slow_world(300);
    world.set("BREAKER_GIVE_UP_SECONDS", "60");
    let mut running = world.spawn(&["run", "--mode", "full"]);
    world.wait_for("metadata", &mut running, |world| world.asked(Service::Shikimori) >= 2);
    world.sandbox.set_down(Service::Shikimori, true);
    let before = world.asked(Service::Shikimori);
    world.wait_for("tries in vain", &mut running, |world| world.asked(Service::Shikimori) >= before + 6);
    world.sandbox.set_down(Service::Shikimori, false);
    running.wait().expect(0).says(&["circuit breaker"]);
    same(&world.catalogue(), &world.clean_catalogue());
}

#[test]
fn a_source_that_stays_away_stops_the_run_resumably() {
    let world = slow_world(300);
    let mut running = world.spawn(&["run", "--mode", "full"]);
    world.wait_for("two pages", &mut running, |world| world.asked(Service::Kodik) >= 2);
    world.sandbox.set_down(Service::Kodik, true);
    running.wait().expect(3).says(&["kodik is down"]).hints(&["KODIK_BASE_URL", "parser run --resume"]);
    world.sandbox.set_down(Service::Kodik, false);
    world.resume(0);
    same(&world.catalogue(), &world.clean_catalogue());
}

#[test]
fn a_token_revoked_in_the_middle_stops_the_run_and_keeps_what_is_done() {
    let world = slow_world(300);
    let mut running = world.spawn(&["run", "--mode", "full"]);
    world.wait_for("three pages", &mut running, |world| world.asked(Service::Kodik) >= 3);
    world.sandbox.revoke_token(true);
    running.wait().expect(3).says(&["the token is refused"]).hints(&["KODIK_API_TOKEN"]);
    let asked = world.asked(Service::Kodik);

    world.run(&["run", "--resume"]).expect(3).hints(&["KODIK_API_TOKEN"]);
    assert_eq!(world.asked(Service::Kodik), asked + 1, "one request tells that the token is still bad");

    world.sandbox.revoke_token(false);
    world.resume(0);
    let first_pages = world.sandbox.log().entries().iter().filter(|entry| is_first_page(entry)).count();
    assert_eq!(first_pages, 1, "finished pages are not asked for again");
    same(&world.catalogue(), &world.clean_catalogue());
}

fn is_first_page(entry: &parser::sandbox::LoggedRequest) -> bool {
    entry.service == Service::Kodik && entry.path == "/list" && entry.status == 200 && !entry.query.contains("next=")
}
