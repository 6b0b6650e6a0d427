//! Where settings come from: `.env` of the working directory, the environment, flags; the latter win.

use crate::world::World;

#[test]
fn dotenv_of_the_working_directory_is_read() {
    let mut world = World::new();
    let text = format!(
        "# comment\nKODIK_API_TOKEN=\"{}\"\nexport KODIK_BASE_URL={}\nSTATE_PATH='from dotenv'\n",
        world.sandbox.token(),
        world.sandbox.kodik_url()
    );
    std::fs::write(world.root().join(".env"), text).unwrap();
    for name in ["KODIK_API_TOKEN", "KODIK_BASE_URL", "STATE_PATH"] {
        world.unset(name);
    }
    world.run(&["run", "--mode", "one", "--source-id", "9302"]).expect(0);
    assert!(world.root().join("from dotenv/catalog.db").exists());
}

#[test]
fn flags_win_over_the_environment_and_that_over_dotenv() {
    let mut world = World::new();
    std::fs::write(world.root().join(".env"), "STATE_PATH=lowest\nREPORT_PATH=lowest.json\n").unwrap();
    world.set("STATE_PATH", "middle");
    let one = ["run", "--mode", "one", "--source-id", "9302"];
    world.run(&one).expect(0);
    world.run(&[&one[..], &["--state", "highest", "--report", "highest.json"]].concat()).expect(0);
    let root = world.root().to_owned();
    let there = |name: &str| root.join(name).exists();
    assert!(there("middle/catalog.db") && there("lowest.json") && there("highest/catalog.db") && there("highest.json"));
    assert!(!there("lowest"));

    world.set("STATE_PATH", "");
    world.run(&one).expect(0);
    assert!(there("lowest/catalog.db"), "an empty value is no value");
}

#[test]
fn a_broken_dotenv_is_said_with_its_place_and_without_its_content() {
    let world = World::new();
    std::fs::write(world.root().join(".env"), "INTERNAL_TOKEN=x\nsome S3CRET line\n").unwrap();
    let ran = world.full(2).says(&[".env", "NAME=value"]);
    assert!(!ran.stderr.contains("S3CRET"), "{ran}");
}

#[test]
fn relative_paths_are_shown_absolute() {
    let world = World::new();
    let root = world.root().canonicalize().unwrap();
    let ran = world.run(&["state", "show"]).expect(0);
    assert!(ran.stdout.contains(root.join("state/checkpoint.json").to_str().unwrap()), "{ran}");
    let ran = world.full(0);
    assert!(ran.stderr.contains(&format!("catalogue: {}", root.join("state/catalog.db").display())), "{ran}");
    std::fs::write(root.join("state/checkpoint.json"), "[").unwrap();
    world.full(5).says(&[root.join("state/checkpoint.json").to_str().unwrap()]);
}

#[test]
fn parts_of_the_state_may_be_apart() {
    let mut world = World::new();
    world.set("STATE_PATH", "data/crawl.json");
    world.set("LANDING_PATH", "raw.db");
    world.set("DATABASE_URL", "sqlite:out.db");
    world.run(&["run", "--mode", "one", "--source-id", "9302"]).expect(0);
    for name in ["data/crawl.json", "data/crawl.ledger.jsonl", "raw.db", "out.db"] {
        assert!(world.root().join(name).is_file(), "{name}");
    }
    assert!(!world.root().join("data/catalog.db").exists());
}

#[test]
fn the_sandbox_needs_no_setting_at_all() {
    let mut world = World::new();
    for name in ["KODIK_API_TOKEN", "KODIK_BASE_URL", "SHIKIMORI_BASE_URL", "STATE_PATH"] {
        world.unset(name);
    }
    let ran = world.run(&["run", "--mode", "full", "--limit", "3", "--sandbox"]).expect(0);
    let ran = ran.says(&["catalogue: ", "next: ", "KODIK_API_TOKEN", "parser diagnose"]);
    assert!(world.sandbox.log().entries().is_empty(), "it brings its own sources: {ran}");

    // Invented titles and real ones do not mix.
    world.set("KODIK_API_TOKEN", "any");
    world.set("KODIK_BASE_URL", world.sandbox.kodik_url());
    world.set("SHIKIMORI_BASE_URL", world.sandbox.shikimori_url());
    world.full(2).says(&["made with --sandbox"]).hints(&["STATE_PATH"]);
}
