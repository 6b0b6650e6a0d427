//! A dry run says what would change and changes nothing: every byte, name and time stays as it is.

use crate::backend::Backend;
use crate::world::{World, snapshot};

const DRY: &[&str] = &["run", "--mode", "full", "--dry-run"];

#[test]
fn an_empty_folder_stays_empty() {
    let world = World::new();
    let before = snapshot(world.root());
    let ran = world.run(DRY).expect(0).says(&["dry run: nothing was written"]);
    assert_eq!(snapshot(world.root()), before, "nothing is created");
    assert_eq!(ran.stdout.lines().filter(|line| line.starts_with("create ")).count(), 63, "{ran}");
    let row = ran.stdout.lines().find(|line| line.contains("would be created"));
    assert!(row.is_some_and(|row| row.split_whitespace().any(|word| word == "63")), "{ran}");
}

#[test]
fn a_loaded_state_stays_as_it_is_and_is_unchanged() {
    let world = World::new();
    world.full(0);
    let before = snapshot(world.root());
    let ran = world.run(DRY).expect(0);
    assert_eq!(snapshot(world.root()), before);
    assert_eq!(ran.stdout.lines().filter(|line| line.starts_with("unchanged ")).count(), 63, "{ran}");
    assert!(!ran.stdout.lines().any(|line| line.starts_with("create ") || line.starts_with("update ")), "{ran}");
}

#[test]
fn a_change_is_shown_field_by_field() {
    let mut world = World::new();
    world.full(0);
    assert!(world.sandbox.touch(9302));
    world.set("TITLE_LANGUAGES", "english,romaji");
    let before = snapshot(world.root());
    let ran = world.run(DRY).expect(0);
    assert_eq!(snapshot(world.root()), before);
    let at = ran.stdout.find("update    9302 The Twice-Uploaded Story").unwrap_or_else(|| panic!("{ran}"));
    let block: Vec<_> = ran.stdout[at..]
        .lines()
        .take_while(|line| line.starts_with("update    9302") || line.starts_with(' '))
        .collect();
    assert!(block[0].contains("episodes +1") && block[0].contains("videos +"), "{block:?}");
    let title = "title: Nido Agerareta Monogatari → The Twice-Uploaded Story";
    assert!(block.iter().any(|line| line.trim() == title), "{block:?}");
}

#[test]
fn the_write_ahead_log_of_a_killed_run_stays_as_it_is() {
    let world = World::new();
    let mut running = world.spawn(&["run", "--mode", "full"]);
    world.wait_for("titles", &mut running, |world| {
        std::fs::metadata(world.state().join("ledger.jsonl")).is_ok_and(|file| file.len() > 2000)
    });
    running.kill();
    let log = world.state().join("catalog.db-wal");
    assert!(log.exists(), "the killed run left its write-ahead log");
    let before = snapshot(world.root());
    let ran = world.run(DRY).expect(0);
    assert_eq!(snapshot(world.root()), before);
    assert!(ran.stdout.lines().any(|line| line.starts_with("unchanged ")), "what is in the log counts: {ran}");
    assert!(ran.stdout.lines().any(|line| line.starts_with("create ")), "{ran}");
    world.resume(0);
}

#[test]
fn a_dry_run_of_what_is_landed_asks_nobody() {
    let world = World::new();
    world.full(0);
    let before = snapshot(world.root());
    let asked = world.sandbox.log().entries().len();
    world.run(&["run", "--mode", "full", "--from-landing", "--dry-run"]).expect(0).prints(&["unchanged 9302"]);
    assert_eq!(snapshot(world.root()), before);
    assert_eq!(world.sandbox.log().entries().len(), asked);
    World::new().run(&["run", "--mode", "full", "--from-landing", "--dry-run"]).expect(2).hints(&["parser run"]);
}

#[test]
fn a_backend_is_not_asked_and_its_record_stays() {
    let mut world = World::new();
    let backend = Backend::start("internal");
    world.set("BACKEND_BASE_URL", backend.url());
    world.set("INTERNAL_TOKEN", "internal");

    world.run(DRY).expect(0).prints(&["create    9302"]);
    assert!(!world.state().exists() && backend.calls().is_empty());

    world.full(0);
    assert!(world.sandbox.touch(9302));
    let (before, content) = (snapshot(world.root()), backend.content());
    backend.forget_calls();
    let ran = world.run(DRY).expect(0).prints(&["update    9302 Nido Agerareta Monogatari  episodes +1"]);
    assert_eq!(ran.stdout.lines().filter(|line| line.starts_with("unchanged ")).count(), 62, "{ran}");
    assert_eq!(snapshot(world.root()), before);
    assert_eq!((backend.calls().len(), backend.content()), (0, content));
}

#[test]
fn json_is_one_object_for_each_title_and_the_summary() {
    let world = World::new();
    let ran = world.run(&[DRY, &["--json"]].concat()).expect(0);
    let lines: Vec<serde_json::Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let (summary, previews) = lines.split_last().unwrap();
    assert_eq!(previews.len(), 63);
    assert!(previews.iter().all(|preview| preview["action"] == "create"));
    assert_eq!(summary["titles"]["created"], 63);
}

#[test]
fn what_would_fail_is_one() {
    let world = World::new();
    world.full(0);
    // What the source sends is cleaned of all that a backend refuses, so a title fails for what nobody can read.
    let landing = rusqlite::Connection::open(world.state().join("landing.db")).unwrap();
    let broken = "UPDATE material SET raw = CAST('{\"id\": [1]}' AS BLOB) WHERE series_id = 9302";
    assert!(landing.execute(broken, []).unwrap() > 0);
    drop(landing);
    let before = snapshot(world.root());
    let ran = world.run(&["run", "--mode", "full", "--from-landing", "--dry-run"]).expect(1);
    assert_eq!(snapshot(world.root()), before);
    ran.says(&["failed: 9302", "bad_material"]);
}
