//! `parser state …` through the binary, and the state of the former crawler.

use std::path::Path;

use crate::world::World;

#[test]
fn show_tells_where_the_crawl_stands() {
    let world = World::new();
    world.run(&["state", "show"]).expect(0).prints(&["nothing there yet", "no run"]);
    world.full(0);
    let ran = world.run(&["state", "show"]).expect(0);
    let ran = ran.prints(&["65 known: 63 loaded", "full finished", "exit 0", "in use       no"]);
    assert_eq!(ran.stderr, "");
    let state = world.run(&["state", "show", "--json"]).expect(0).json();
    assert_eq!((state["titles"]["done"].as_u64(), state["version"].as_u64()), (Some(63), Some(2)));
}

#[test]
fn export_and_import_carry_a_state_to_another_folder() {
    let mut world = World::new();
    world.full(0);
    let file = world.output("state.json");
    let file = file.to_str().unwrap();
    world.run(&["state", "export", file]).expect(0).prints(&["65 titles"]);
    let printed = world.run(&["state", "export"]).expect(0).json();
    assert!(printed.is_object());

    let known = world.run(&["state", "show", "--json"]).expect(0).json();
    world.set("STATE_PATH", "another");
    world.run(&["state", "import", file]).expect(0).prints(&["imported 65 titles"]);
    let other = world.run(&["state", "show", "--json"]).expect(0).json();
    assert_eq!(other["titles"], known["titles"]);
    assert_eq!(other["watermark"], known["watermark"]);

    world.run(&["state", "import", "no-such-file"]).expect(5).says(&["no-such-file"]).hints(&[]);
    std::fs::write(world.root().join("nonsense"), "{\"a\": 1}").unwrap();
    world.run(&["state", "import", "nonsense"]).expect(5).says(&["nonsense"]).hints(&["parser state export"]);
    let after = world.run(&["state", "show", "--json"]).expect(0).json();
    assert_eq!(after["titles"], known["titles"], "a refused import changes nothing");
}

#[test]
fn reset_starts_anew_and_keeps_a_backup() {
    let world = World::new();
    world.full(0);
    world.run(&["state", "reset"]).expect(2).hints(&["--yes"]);
    let ran = world.run(&["state", "reset", "--yes"]).expect(0);
    let kept: Vec<_> = ran.stdout.lines().filter_map(|line| line.strip_prefix("kept ")).collect();
    assert!(!kept.is_empty() && kept.iter().all(|path| Path::new(path).is_file()), "{ran}");
    world.run(&["state", "show"]).expect(0).prints(&["0 known"]);
    assert!(world.catalogue_path().exists(), "the catalogue is no part of it");
    world.full(0).prints(&["unchanged"]);
}

#[test]
fn repair_saves_what_is_readable() {
    let world = World::new();
    world.full(0);
    let ledger = world.state().join("ledger.jsonl");
    let mut lines: Vec<_> = std::fs::read_to_string(&ledger).unwrap().lines().map(str::to_owned).collect();
    "garbage".clone_into(&mut lines[10]);
    std::fs::write(&ledger, lines.join("\n") + "\n").unwrap();
    world.full(5).says(&["ledger.jsonl", "line 11"]).hints(&["parser state repair"]);
    world.run(&["state", "repair"]).expect(0).prints(&["took out 1 bad lines", "line 11"]);
    world.run(&["state", "show"]).expect(0).prints(&["64 known"]);
    world.full(0);
    world.run(&["state", "show"]).expect(0).prints(&["65 known"]);
}

#[test]
fn the_former_crawlers_state_is_taken_over() {
    let mut world = World::new();
    let old = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/state/v1-payloads.json")).unwrap();
    let path = world.root().join("parser_state.json");
    std::fs::write(&path, &old).unwrap();
    world.set("STATE_PATH", path.to_str().unwrap());

    let shown = world.run(&["state", "show", "--json"]).expect(0).json();
    let titles = shown["titles"]["titles"].as_u64().unwrap();
    assert!(titles > 0, "its titles are known: {shown:#}");
    assert_eq!(std::fs::read(&path).unwrap(), old, "a look changes nothing");

    let ran = world.run(&["run", "--mode", "one", "--source-id", "9302"]).expect(0);
    assert!(ran.stderr.contains("former crawler"), "{ran}");
    let names: Vec<_> = std::fs::read_dir(world.root()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let backup = names.iter().find(|path| path.extension().is_some_and(|extension| extension == "bak"));
    assert_eq!(std::fs::read(backup.unwrap_or_else(|| panic!("no backup: {names:?}"))).unwrap(), old);
    let shown = world.run(&["state", "show", "--json"]).expect(0).json();
    assert_eq!(shown["titles"]["titles"].as_u64(), Some(titles + 1));
    assert_eq!(shown["version"], 2);
    assert!(world.root().join("parser_state.catalog.db").exists());
}

#[test]
fn a_state_command_that_is_killed_is_run_again() {
    let mut world = World::new();
    world.full(0);
    let file = world.output("state.json");
    world.run(&["state", "export", file.to_str().unwrap()]).expect(0);
    let known = world.run(&["state", "show", "--json"]).expect(0).json();
    for point in ["checkpoint.import.before_ledger", "checkpoint.import.after_ledger"] {
        world.set("STATE_PATH", point);
        world.set("PARSER_CRASH_AT", format!("{point}=1"));
        let died = world.run(&["state", "import", file.to_str().unwrap()]);
        assert_eq!(died.code, None, "{point}: {died}");
        world.unset("PARSER_CRASH_AT");
        world.run(&["state", "import", file.to_str().unwrap()]).expect(0).prints(&["imported 65 titles"]);
        let other = world.run(&["state", "show", "--json"]).expect(0).json();
        assert_eq!((&other["titles"], &other["watermark"]), (&known["titles"], &known["watermark"]), "{point}");
    }
    world.set("STATE_PATH", "state");
    let ledger = world.state().join("ledger.jsonl");
    let bad = std::fs::read_to_string(&ledger).unwrap().replacen('\n', "\ngarbage\n", 1);
    std::fs::write(&ledger, bad).unwrap();
    world.set("PARSER_CRASH_AT", "checkpoint.repair.before_ledger=1");
    let died = world.run(&["state", "repair"]);
    assert_eq!(died.code, None, "{died}");
    world.unset("PARSER_CRASH_AT");
    world.run(&["state", "repair"]).expect(0).prints(&["took out 1 bad lines"]);
    world.run(&["state", "show"]).expect(0).prints(&["65 known"]);
}
