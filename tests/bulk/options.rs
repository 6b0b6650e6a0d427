//! Every option of the command does what its help says, and what it does not take is exit 2.

use crate::tables::{feed, lines, run};
use crate::world::{World, generated};

#[test]
fn any_number_of_workers_leaves_the_same() {
    let content = lines(0, 20_000) + "nonsense\n" + &lines(10, 20);
    let mut seen = Vec::new();
    for workers in ["1", "2", "64"] {
        let world = World::new();
        world.write("t.jsonl", &content);
        let counts = run(&world, &["t.jsonl", "--workers", workers], &[]).counts(1);
        seen.push((counts, world.rows("SELECT _key, name, note FROM t ORDER BY _key")));
        world.write("users.csv", generated(3000));
        assert_eq!(world.run(&["users.csv", "--workers", workers]).counts(0), "COMPLETED 3000 3000 0 0 0 0");
    }
    assert!(seen.iter().all(|one| *one == seen[0]), "{:?}", seen[0].0);
}

#[test]
fn into_names_any_database() {
    let world = World::new();
    world.write("t.jsonl", lines(0, 10));
    let count = |name: &str| {
        let file = rusqlite::Connection::open(world.path(name)).unwrap();
        file.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    for (into, name) in [("sqlite:one.db", "one.db"), ("deep/two.db", "deep/two.db"), ("env:PLACE", "three.db")] {
        let done = run(&world, &["t.jsonl", "--into", into], &[("PLACE", "sqlite:three.db")]);
        assert_eq!((done.code(), count(name)), (Some(0), 10), "{into}: {}", done.said());
    }
    assert!(!world.path("state").exists());
    for (into, code) in
        [("mysql://u:hunter2hunter2@h/d", 2), ("env:NOWHERE", 2), ("postgres://u:hunter2hunter2@127.0.0.1:1/d", 4)]
    {
        let done = run(&world, &["t.jsonl", "--into", into], &[]);
        assert_eq!(done.code(), Some(code), "{into}: {}", done.said());
        assert!(!done.said().contains("hunter2") && done.said().contains("hint: "), "{}", done.said());
    }
}

#[test]
fn what_the_command_does_not_take_is_exit_2() {
    let world = World::new();
    world.write("t.jsonl", lines(0, 10));
    for args in [
        &["t.jsonl", "--workers", "0"][..],
        &["t.jsonl", "--workers", "65"],
        &["t.jsonl", "--atomic", "row"],
        &["t.jsonl", "--schema", "melt"],
        &["t.jsonl", "--on-error", "cry"],
        &["t.jsonl", "--max-errors", "-1"],
        &["t.jsonl", "--batch-size", "0"],
        &["t.jsonl", "--kind", "movies"],
        &["t.jsonl", "--keep", "--delete-after"],
        &["t.jsonl", "--nothing"],
        &["[", "--kind", "table"],
    ] {
        let done = run(&world, args, &[]);
        assert_eq!(done.code(), Some(2), "{args:?}: {}", done.said());
        assert!(!world.path("state").exists(), "{args:?}");
    }
}

#[test]
fn files_of_tables_and_of_the_catalogue_are_deleted_only_when_all_of_them_is_in() {
    let world = World::new();
    let record = "{\"kind\":\"series\",\"source_name\":\"s\",\"external_id\":\"1\",\"payload\":{\"title\":\"One\"}}\n";
    world.write("good.jsonl", lines(0, 10));
    world.write("bad.jsonl", lines(0, 10) + "nonsense\n");
    world.write("series.jsonl", record);
    let all = ["good.jsonl", "bad.jsonl", "series.jsonl"];
    let left = || all.map(|name| world.path(name).exists());
    assert_eq!(run(&world, &[&all[..], &["--keep"]].concat(), &[]).code(), Some(1));
    assert_eq!(left(), [true; 3]);
    assert_eq!(run(&world, &[&all[..], &["--delete-after"]].concat(), &[]).code(), Some(1));
    assert_eq!(left(), [false, true, false]);
}

#[test]
fn rejected_rows_are_mended_in_their_file_and_fed_back() {
    let world = World::new();
    // Two files of one name must not share their rejects.
    std::fs::create_dir(world.path("a")).unwrap();
    std::fs::create_dir(world.path("b")).unwrap();
    world.write("a/users.csv", "id,group,\"full, name\"\n1,g,One\n,g,\"Two, \"\"2\"\"\nmore\"\n");
    world.write("b/users.csv", "id,group,name\n,g,Three\n");
    let done = world.run(&["a/users.csv", "b/users.csv", "--rejects", "out"]);
    assert_eq!(done.counts(1), "PARTIALLY_FAILED 2 1 0 0 0 1");
    for (file, id) in [("out/users.csv", "2"), ("out/users-2.csv", "3")] {
        let rejected = world.read(file);
        world.write(file, rejected.replace("\n,g,", &format!("\n{id},g,")));
        assert_eq!(world.run(&[file]).counts(0), "COMPLETED 1 1 0 0 0 0", "{rejected}");
    }
    assert_eq!(
        world.nodes(),
        ["g|1|USER|full__name|One", "g|2|USER|full__name|Two, \"2\" more", "g|3|USER|name|Three"]
    );
    let reason: serde_json::Value = serde_json::from_str(world.read("out/users.reasons.jsonl").trim()).unwrap();
    assert_eq!(
        (&reason["line"], &reason["byte_offset"], &reason["code"]),
        (&3.into(), &30.into(), &"reference_missing".into())
    );
    assert!(world.path("out/users-2.reasons.jsonl").exists());

    world.write(
        "series.jsonl",
        "{\"kind\":\"series\",\"source_name\":\"s\",\"external_id\":\"1\",\"payload\":{\"title\":\"\"}}\n",
    );
    assert_eq!(run(&world, &["series.jsonl", "--rejects", "out"], &[]).file(1)["failed"], 1);
    world.write("out/series.jsonl", world.read("out/series.jsonl").replace("\"\"", "\"One\""));
    assert_eq!(run(&world, &["out/series.jsonl"], &[]).counts(0), "COMPLETED 1 1 0 0 0 0");
}

#[test]
fn for_people_the_summary_is_a_table_that_adds_up() {
    let world = World::new();
    world.write("types.jsonl", lines(0, 1500) + "nonsense\n");
    world.write("users.csv", generated(20));
    let args = ["import", "types.jsonl", "users.csv", "--domain", "d"];
    let output = crate::place::command(&world.path(""), &args, &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = String::from_utf8(output.stdout).unwrap();
    let row = |name: &str| {
        let mut rows = shown.lines().map(|line| line.trim_matches('│').split("  ").map(str::trim));
        let row = rows.find_map(|row| {
            let cells: Vec<_> = row.filter(|cell| !cell.is_empty()).collect();
            (cells.first() == Some(&name)).then(|| cells.join("|"))
        });
        row.unwrap_or_else(|| panic!("{shown}"))
    };
    assert_eq!(row("file"), "file|into|status|rows|inserted|updated|unchanged|duplicates|failed");
    assert_eq!(row("types.jsonl"), "types.jsonl|types|PARTIALLY_FAILED: 1 of 1501 rows failed|1 501|1 500|0|0|0|1");
    assert_eq!(row("users.csv"), "users.csv|nodes|COMPLETED|20|20|0|0|0|0");
    assert_eq!(row("2 files"), "2 files|1 521|1 520|0|0|0|1");
}

#[test]
fn strange_files_end_as_they_are_documented_to() {
    let world = World::new();
    for (name, content, code, counts) in [
        ("nothing.jsonl", &b""[..], 1, "FAILED 0 0 0 0 0 0"),
        ("blank.jsonl", b"\n\r\n   \n", 1, "FAILED 0 0 0 0 0 0"),
        ("mark.jsonl", b"\xEF\xBB\xBF", 1, "FAILED 0 0 0 0 0 0"),
        ("one.jsonl", b"\xEF\xBB\xBF{\"id\":1}", 0, "COMPLETED 1 1 0 0 0 0"),
        ("nul.jsonl", b"\0\0\0\n{\"id\":1}\n", 1, "PARTIALLY_FAILED 2 1 0 0 0 1"),
        ("cr.jsonl", b"{\"id\":1}\r{\"id\":2}\n{\"id\":3}\r\n", 1, "PARTIALLY_FAILED 2 1 0 0 0 1"),
        ("last.jsonl", b"{\"id\":1}\n{\"id\":2}", 0, "COMPLETED 2 2 0 0 0 0"),
        ("marks.jsonl", b"\xEF\xBB\xBF{\"id\":1}\n\xEF\xBB\xBF{\"id\":2}\n", 1, "PARTIALLY_FAILED 2 1 0 0 0 1"),
        (
            "utf8.jsonl",
            b"{\"id\":1,\"a\":\"\xC0\x80\"}\n{\"id\":2,\"a\":\"\xED\xA0\x80\"}\n{\"id\":3}\n",
            1,
            "PARTIALLY_FAILED 3 1 0 0 0 2",
        ),
    ] {
        world.write(name, content);
        assert_eq!(run(&world, &[name, "--kind", "table"], &[]).counts(code), counts, "{name}");
        let table = name.trim_end_matches(".jsonl");
        assert_eq!(feed(&world, &["-", "--table", &format!("{table}_piped")], content).counts(code), counts, "{name}");
    }
    std::fs::create_dir(world.path("folder.jsonl")).unwrap();
    std::fs::create_dir(world.path("in")).unwrap();
    world.write("in/.a.jsonl", lines(0, 1));
    for args in [&["folder.jsonl"][..], &["in"], &["in/*"], &["nothing.jsonl/"]] {
        let done = run(&world, args, &[]);
        assert_eq!(done.code(), Some(2), "{args:?}: {}", done.said());
        assert!(done.said().contains("hint: "), "{}", done.said());
    }
    // Named, a hidden file is meant.
    assert_eq!(run(&world, &["in/.a.jsonl", "--table", "a"], &[]).counts(0), "COMPLETED 1 1 0 0 0 0");
}

/// What a person at a terminal of 200 columns sees.
fn seen(world: &World, line: &str) -> String {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_parser")).parent().unwrap().display().to_string();
    let mut script = std::process::Command::new("script");
    script.args(["-qefc", &format!("stty cols 200; PATH=\"{program}:$PATH\" {line}"), "/dev/null"]);
    script.current_dir(world.path("")).stdin(std::process::Stdio::null()).env("TERM", "xterm");
    let output = script.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_person_sees_how_far_each_file_and_all_of_them_are() {
    if std::process::Command::new("script").arg("--version").output().is_err() {
        assert!(std::env::var("CI").is_err(), "`script` is missing: apt-get install bsdutils");
        println!("skipped: there is no `script`");
        return;
    }
    let world = World::new();
    world.write("one.jsonl", "nonsense\n".to_owned() + &lines(0, 40_000));
    world.write("two.jsonl", lines(0, 40_000));
    world.write("a.csv", format!("{},,\n", generated(8000)));
    world.write("b.csv", generated(8000));
    for (line, files) in [
        ("parser import one.jsonl two.jsonl --into sqlite:t.db", ["one.jsonl", "two.jsonl"]),
        ("parser import a.csv b.csv --domain d --into sqlite:n.db", ["a.csv", "b.csv"]),
    ] {
        let seen = seen(&world, line);
        // Each drawing of a bar is a line of its own: bytes, bytes a second, how long it will take, rows and failures.
        for name in files.iter().chain(&["2 files"]) {
            let drawn = seen.split(['\r', '\n']).filter(|line| line.contains(name) && line.contains("eta"));
            let whole = |line: &&str| ["/s", "rows", "failed", "iB"].iter().all(|part| line.contains(part));
            assert!(drawn.filter(whole).count() > 0, "{name}: {seen}");
        }
        assert!(seen.contains("1 failed"), "{seen}");
    }
}

#[test]
fn the_four_kinds_of_the_catalogue_are_told_by_their_files_names() {
    let world = World::new();
    let record = |kind: &str, payload: &str| {
        format!("{{\"kind\":\"{kind}\",\"source_name\":\"s\",\"external_id\":\"1\",\"payload\":{payload}}}\n")
    };
    world.write("series.jsonl", record("series", "{\"title\":\"One\"}"));
    world.write("characters.ndjson", record("character", "{\"name\":\"Ann\"}"));
    world.write("pets.jsonl.gz", crate::world::gzip(record("pet", "{\"name\":\"Rex\"}").as_bytes()));
    world.write("releases.jsonl", record("character", "{}"));
    world.write("other.jsonl", lines(0, 3));
    let all = ["series.jsonl", "characters.ndjson", "pets.jsonl.gz", "releases.jsonl", "other.jsonl"];
    let done = run(&world, &all, &[]);
    let printed: serde_json::Value = serde_json::from_slice(&done.0.stdout).unwrap();
    let kinds: Vec<_> = printed["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| format!("{} {}", file["kind"], file["failed"]))
        .collect();
    let catalogue = r#""catalogue" "#;
    let expected = [0, 0, 0, 1].map(|failed| format!("{catalogue}{failed}"));
    assert_eq!(kinds[..4], expected, "{printed}");
    assert_eq!(kinds[4], r#""table" 0"#);
    assert_eq!(world.rows("SELECT (SELECT count(*) FROM series), (SELECT count(*) FROM other)"), ["1|3"]);
}

#[test]
fn what_is_there_already_costs_no_write() {
    let world = World::new();
    world.write("t.jsonl", lines(0, 500));
    world.write("users.csv", generated(500));
    run(&world, &["t.jsonl"], &[]).file(0);
    world.run(&["users.csv"]).file(0);
    let guards = ["t", "nodes", "node_metadata"].map(|table| {
        ["INSERT", "UPDATE", "DELETE"].map(|verb| {
            let when = if verb == "INSERT" { "AFTER" } else { "BEFORE" };
            format!("CREATE TRIGGER {table}_{verb} {when} {verb} ON {table} BEGIN SELECT RAISE(ABORT, 'written'); END;")
        })
    });
    world.sql().execute_batch(&guards.concat().concat()).unwrap();
    assert_eq!(run(&world, &["t.jsonl"], &[]).counts(0), "COMPLETED 500 0 0 500 0 0");
    assert_eq!(world.run(&["users.csv"]).counts(0), "COMPLETED 500 0 0 500 0 0");
    let Some(database) = crate::cluster::database() else { return };
    let env = [("DATABASE", database.url.as_str())];
    let versions = || {
        let ask = |table: &str| format!("(SELECT string_agg(xmin || '.' || ctid, ',' ORDER BY ctid) FROM {table})");
        crate::cluster::sql(&database.url, &format!("SELECT {}, {}, {}", ask("t"), ask("nodes"), ask("node_metadata")))
    };
    let both = || {
        let into = ["--into", "env:DATABASE"];
        let counts = run(&world, &[&["t.jsonl"], &into[..]].concat(), &env).counts(0);
        [counts, world.run_with(&[&["users.csv"], &into[..]].concat(), &env).counts(0)]
    };
    assert_eq!(both(), ["COMPLETED 500 500 0 0 0 0"; 2]);
    let before = versions();
    assert_eq!(both(), ["COMPLETED 500 0 0 500 0 0"; 2]);
    assert_eq!(versions(), before);
}

#[test]
fn many_tables_go_into_a_server_side_by_side() {
    let Some(database) = crate::cluster::database() else { return };
    let world = World::new();
    let names: Vec<_> = (0..9).map(|at| format!("table{at}.jsonl")).collect();
    for (at, name) in names.iter().enumerate() {
        world.write(name, lines(0, 500 + at));
    }
    let mut args: Vec<_> = names.iter().map(String::as_str).collect();
    args.extend(["--into", "env:DATABASE"]);
    assert_eq!(run(&world, &args, &[("DATABASE", &database.url)]).counts(0), "COMPLETED 500 500 0 0 0 0");
    for at in 0..9 {
        let count = format!("SELECT count(*) FROM table{at}");
        assert_eq!(crate::cluster::sql(&database.url, &count), [[(500 + at).to_string()]]);
    }
}

#[test]
fn a_line_of_more_than_ten_mebibytes_is_rejected_alone() {
    let world = World::new();
    let line = |length: usize| format!("{{\"id\":{length},\"text\":\"{}\"}}\n", "x".repeat(length - 30));
    world.write("t.jsonl", line(10 << 20) + &line((10 << 20) + 100) + "{\"id\":3}\n");
    assert_eq!(run(&world, &["t.jsonl", "--rejects", "r"], &[]).counts(1), "PARTIALLY_FAILED 3 2 0 0 0 1");
    let reason: serde_json::Value = serde_json::from_str(world.read("r/t.reasons.jsonl").trim()).unwrap();
    assert_eq!(
        (&reason["file"], &reason["line"], &reason["code"]),
        (&"t.jsonl".into(), &2.into(), &"line_too_long".into())
    );
}

#[test]
fn rejected_rows_are_kept_unless_somebody_says_otherwise() {
    let world = World::new();
    world.write("bad.jsonl", "{\"id\":1}\nnope\n");
    let nowhere = run(&world, &["bad.jsonl", "--no-rejects"], &[]);
    assert_eq!(nowhere.file(1).get("rejects"), None);
    assert!(!world.path("rejects").exists());
    assert_eq!(run(&world, &["bad.jsonl", "--dry-run"], &[]).file(1).get("rejects"), None);
    assert!(!world.path("rejects").exists());
    let kept = run(&world, &["bad.jsonl"], &[]);
    assert_eq!(kept.file(1)["rejects"], "rejects/bad.jsonl");
    assert!(kept.said().contains("rejects/bad.reasons.jsonl"), "{}", kept.said());
    assert_eq!(world.read("rejects/bad.jsonl"), "nope\n");
    assert_eq!(std::fs::read_dir(world.path("rejects")).unwrap().count(), 2);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |name: &str| std::fs::metadata(world.path(name)).unwrap().permissions().mode();
        assert_eq!(mode("rejects/bad.jsonl"), mode("bad.jsonl"));
    }

    // A line that is too long is read once more from the very file that its rejects are to replace.
    let long = format!("{{\"id\":2,\"text\":\"{}\"}}\n", "x".repeat(2 << 20));
    world.write("rejects/bad.jsonl", format!("{{\"id\":3}}\n{long}"));
    let again = run(&world, &["rejects/bad.jsonl"], &[("IMPORT_MAX_LINE_MIB", "1")]);
    assert_eq!(again.counts(1), "PARTIALLY_FAILED 2 1 0 0 0 1");
    assert!(world.read("rejects/bad.jsonl") == long);

    // What is in the way of keeping them costs no row and no other exit code.
    world.write("other", "a file");
    let lost = run(&world, &["bad.jsonl", "--rejects", "other"], &[]);
    assert_eq!(lost.counts(1), "PARTIALLY_FAILED 2 0 0 1 0 1");
    let said = lost.said();
    assert!(said.contains("rejected rows cannot be written") && said.contains("but for lines above"), "{said}");
    assert_eq!(world.read("other"), "a file");
}
