//! Sources that misbehave: every fault has a defined end, names what is wrong and what to do, stays small, and once it
//! is over the run goes on to the catalogue that a run without any trouble makes.

use parser::sandbox::FaultProfile;

use crate::world::{Ran, World, same};

/// What a debug build may use at most: itself (60 MiB), and the largest answer that is read once (32 MiB).
const MEMORY_KIB: u64 = 128 * 1024;

/// A run through the fault; then one without it, which must make the catalogue whole.
fn through(world: &World, profile: FaultProfile, code: i32) -> Ran {
    world.sandbox.set_faults(profile);
    let ran = world.full(code);
    assert!(ran.peak_kib > 0 && ran.peak_kib < MEMORY_KIB, "{profile}: {} KiB", ran.peak_kib);
    world.sandbox.set_faults(FaultProfile::None);
    world.resume(0);
    same(&world.catalogue(), &world.clean_catalogue());
    ran
}

fn refused(profile: FaultProfile) -> Ran {
    through(&World::new(), profile, 3)
}

#[test]
fn flaky_sources_are_survived() {
    let world = World::generated(400);
    through(&world, FaultProfile::Flaky, 0).says(&["retrying"]);
}

#[test]
fn storms_of_429_are_waited_for() {
    // Enough pages to reach the first storm, which says how long to wait.
    let world = World::generated(400);
    through(&world, FaultProfile::RateLimited, 0).says(&["rate-limited by the service, waiting"]);
}

#[test]
fn truncated_answers_are_asked_for_again() {
    let world = World::generated(400);
    through(&world, FaultProfile::Truncated, 0).says(&["retrying", "body cut off"]);
}

#[test]
fn slow_answers_are_cut_off_and_asked_for_again() {
    let mut world = World::generated(300);
    world.set("HTTP_TIMEOUT_SECONDS", "1");
    world.set("MAX_RETRIES", "5");
    through(&world, FaultProfile::Slow, 0).says(&["retrying", "in time"]);
}

#[test]
fn a_refused_token_ends_the_run() {
    refused(FaultProfile::BadToken).says(&["kodik /", "the token is refused"]).hints(&["KODIK_API_TOKEN"]);
}

#[test]
fn a_listing_that_goes_on_elsewhere_ends_the_run() {
    let ran = refused(FaultProfile::ForeignNext).says(&["kodik /list", "another host"]).hints(&["KODIK_BASE_URL"]);
    assert!(!ran.stderr.contains("next="), "the address of the next page is no text for logs: {ran}");
}

#[test]
fn a_listing_that_turns_in_circles_ends_the_run() {
    refused(FaultProfile::RepeatingCursor).says(&["kodik /list: the cursor repeats"]).hints(&["KODIK_BASE_URL"]);
}

#[test]
fn an_endless_answer_is_cut_off() {
    refused(FaultProfile::HugeBody).says(&["kodik /list", "larger than 32 MiB"]).hints(&["HTTP_MAX_BODY_MIB"]);
}

#[test]
fn an_exploding_answer_is_cut_off() {
    refused(FaultProfile::GzipBomb).says(&["kodik /list", "larger than 32 MiB"]).hints(&["HTTP_MAX_BODY_MIB"]);
}

#[test]
fn a_deeply_nested_answer_is_no_page() {
    refused(FaultProfile::DeepJson).says(&["kodik /list", "none of its 1 results"]).hints(&["KODIK_BASE_URL"]);
}

#[test]
fn a_challenge_page_is_no_answer() {
    refused(FaultProfile::Html).says(&["kodik /list", "not JSON", "Checking your browser"]).hints(&["KODIK_BASE_URL"]);
}

#[test]
fn a_moved_service_is_not_followed() {
    refused(FaultProfile::Moved)
        .says(&["kodik /", "redirected to another host"])
        .hints(&["http://kodik.moved.invalid", "KODIK_BASE_URL"]);
}

#[test]
fn all_hostilities_in_turn_have_a_defined_end() {
    refused(FaultProfile::Hostile).hints(&[]);
}

#[test]
fn rest_stands_in_for_graphql() {
    let world = World::new();
    world.sandbox.set_faults(FaultProfile::GraphqlDown);
    world.full(0).says(&["GraphQL failed, asking for each title by REST"]);
    world.sandbox.set_faults(FaultProfile::None);
    assert_eq!(world.query("SELECT count(*) FROM series WHERE origin = 'shikimori_rest'"), "63");
    // REST has only placeholders for posters; the next full run fills them in, and loses nothing by it.
    world.full(0);
    let clean = world.clean_catalogue();
    // The posters of REST stay as candidates that are not shown.
    let candidate = |line: &str| line.starts_with("{\"table\":\"image\"") && line.contains("\"is_primary\":false");
    let rest = |catalogue: &str| {
        let lines = catalogue.lines().filter(|line| !line.starts_with("{\"table\":\"series\"") && !candidate(line));
        lines.collect::<Vec<_>>().join("\n")
    };
    same(&rest(&world.catalogue()), &rest(&clean));
    let posters = |catalogue: &str| {
        let lines = catalogue.lines().filter_map(|line| Some(line.split_once("\"poster\":")?.1.split(',').next()));
        lines.collect::<Vec<_>>().into_iter().map(|poster| format!("{poster:?}")).collect::<Vec<_>>().join("\n")
    };
    same(&posters(&world.catalogue()), &posters(&clean));
}

#[test]
fn faults_of_the_second_source_are_named_as_its_own() {
    for (profile, words) in [
        (FaultProfile::Moved, &["shikimori.moved.invalid", "SHIKIMORI_BASE_URL"][..]),
        (FaultProfile::Html, &["shikimori"]),
        (FaultProfile::HugeBody, &["shikimori"]),
        (FaultProfile::GzipBomb, &["shikimori"]),
        (FaultProfile::DeepJson, &["shikimori"]),
    ] {
        let mut world = World::new();
        // The largest answer that is read counts for each request in flight.
        world.set("HTTP_MAX_BODY_MIB", "8");
        let other = World::new();
        other.sandbox.set_faults(profile);
        world.set("SHIKIMORI_BASE_URL", other.sandbox.shikimori_url());
        let ran = world.run(&["run", "--mode", "full"]);
        assert!(matches!(ran.code, Some(1 | 3)), "{profile}: {ran}");
        assert!(!ran.stderr.contains("panicked") && ran.peak_kib < MEMORY_KIB, "{profile}: {ran}");
        let ran = ran.says(words);
        assert!(ran.stderr.contains("hint: ") || ran.code == Some(1), "{profile}: {ran}");
        world.set("SHIKIMORI_BASE_URL", world.sandbox.shikimori_url());
        world.full(0);
        same(&world.catalogue(), &world.clean_catalogue());
    }
}

#[test]
fn every_profile_is_met_here() {
    let text = include_str!("faults.rs");
    for name in FaultProfile::names() {
        let profile: FaultProfile = name.parse().unwrap();
        let used = [format!("FaultProfile::{profile:?})"), format!("FaultProfile::{profile:?},")];
        assert!(used.iter().any(|used| text.contains(used.as_str())), "no test of `{name}`");
    }
}
