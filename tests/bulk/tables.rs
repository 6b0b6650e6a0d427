//! JSON lines into tables through the command line, on the embedded file: what goes in, what is said of it.

use std::io::Write as _;
use std::process::Stdio;

use crate::world::{Done, World, gzip};

/// `parser import` without the arguments of nodes.
pub(crate) fn run(world: &World, args: &[&str], env: &[(&str, &str)]) -> Done {
    Done(world.import(args, env).output().unwrap())
}

/// `parser import` with these bytes on standard input.
pub(crate) fn feed(world: &World, args: &[&str], content: &[u8]) -> Done {
    let mut command = world.import(args, &[]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let content = content.to_vec();
    let writer = std::thread::spawn(move || drop(input.write_all(&content)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Done(output)
}

/// Lines of a real shape: a key, localised names, numbers, nested values, sometimes nothing.
pub(crate) fn lines(from: usize, to: usize) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for at in from..to {
        writeln!(
            text,
            r#"{{"_key":{at},"groupID":{},"name":{{"en":"Name {at}","ru":"Имя {at}"}},"mass":{}.5,"published":{},"note":{}}}"#,
            at % 50,
            at % 1000,
            at % 2 == 0,
            if at % 3 == 0 { "null".to_owned() } else { format!("\"tab\\t{at}\"") },
        )
        .unwrap();
    }
    text
}

#[test]
fn records_become_rows_and_the_same_again_changes_nothing() {
    let world = World::new();
    world.write("types.jsonl", lines(0, 5000));
    assert_eq!(run(&world, &["types.jsonl"], &[]).counts(0), "COMPLETED 5000 5000 0 0 0 0");
    let schema = "SELECT sql FROM sqlite_master WHERE name = 'types'";
    assert_eq!(
        world.rows(schema),
        [
            r#"CREATE TABLE "types" ("_key" INTEGER PRIMARY KEY, "groupID" INTEGER, "name" TEXT, "mass" REAL, "published" BOOLEAN, "note" TEXT)"#
        ]
    );
    let row = "SELECT _key, groupID, name, typeof(mass), published, note FROM types WHERE _key IN (3, 4)";
    assert_eq!(
        world.rows(row),
        [r#"3|3|{"en":"Name 3","ru":"Имя 3"}|real|0|NULL"#, "4|4|{\"en\":\"Name 4\",\"ru\":\"Имя 4\"}|real|1|tab\t4",]
    );
    assert_eq!(run(&world, &["types.jsonl"], &[]).counts(0), "COMPLETED 5000 0 0 5000 0 0");
    world.write("types.jsonl", lines(4000, 6000).replace("\"mass\":7.5", "\"mass\":8.5"));
    assert_eq!(run(&world, &["types.jsonl"], &[]).counts(0), "COMPLETED 2000 1000 1 999 0 0");
    let import = world.rows("SELECT format, status FROM import_record ORDER BY number");
    assert_eq!(import, ["tables|completed", "tables|completed", "tables|completed"]);
}

#[test]
fn a_bad_line_is_rejected_alone_and_can_be_mended_and_fed_back() {
    let world = World::new();
    let good = lines(0, 4);
    let bad = "{\"_key\":10,}\n[1]\n{\"note\":\"no key\"}\n{\"_key\":11,\"note\":\"a\\u0000b\"}\n{\"_key\":12,\"_line_hash\":1}\n{}\n";
    let mut content = b"\xEF\xBB\xBF".to_vec();
    content.extend(good.replace('\n', "\r\n").bytes());
    content.extend(b"\r\n   \n");
    content.extend(bad.bytes());
    content.extend(
        b"{\"_key\":13,\"note\":\"\xff\"}\n{\"_key\":14,\"note\":\"\0\"}\n{\"_key\":20,\"note\":\"a\xe2\x80\xa8b\"}",
    );
    world.write("t.jsonl", &content);
    let done = run(&world, &["t.jsonl", "--rejects", "rejects"], &[]);
    assert_eq!(done.counts(1), "PARTIALLY_FAILED 13 5 0 0 0 8");
    let reasons: Vec<serde_json::Value> =
        world.read("rejects/t.reasons.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<_> =
        reasons.iter().map(|one| (one["line"].as_u64().unwrap(), one["code"].as_str().unwrap())).collect();
    assert_eq!(
        said,
        [
            (7, "malformed"),
            (8, "malformed"),
            (9, "no_key"),
            (10, "nul_character"),
            (11, "reserved_field"),
            (12, "empty"),
            (13, "invalid_utf8"),
            (14, "malformed"),
        ]
    );
    // What is kept is what stands in the file, at the place that is named.
    let rejects = std::fs::read(world.path("rejects/t.jsonl")).unwrap();
    let originals: Vec<_> = rejects.split(|byte| *byte == b'\n').collect();
    for (original, reason) in originals.iter().zip(&reasons) {
        let at = usize::try_from(reason["byte_offset"].as_u64().unwrap()).unwrap();
        assert_eq!(&content[at..at + original.len()], *original, "{reason}");
    }
    assert_eq!(world.rows("SELECT group_concat(_key) FROM (SELECT _key FROM t ORDER BY 1)"), ["0,1,2,3,20"]);
    assert_eq!(world.rows("SELECT note FROM t WHERE _key = 20"), ["a\u{2028}b"]);
    let api = "SELECT r.code, o.bytes FROM import_result r JOIN import_original o ON o.result = r.id WHERE r.line = 7";
    assert!(world.rows(api)[0].starts_with("malformed|Blob("), "{:?}", world.rows(api));
    let mended = "{\"_key\":10}\n{\"_key\":11,\"note\":\"ab\"}\n";
    world.write("rejects/t.jsonl", mended);
    assert_eq!(run(&world, &["rejects/t.jsonl"], &[]).counts(0), "COMPLETED 2 2 0 0 0 0");
    assert_eq!(world.rows("SELECT count(*) FROM t"), ["7"]);
}

#[test]
fn stopping_at_errors_leaves_nothing_of_the_file_or_whole_batches() {
    let world = World::new();
    let content = lines(0, 30_000) + "oops\n" + &lines(30_000, 31_000);
    world.write("t.jsonl", &content);
    let stop = run(&world, &["t.jsonl", "--on-error", "stop"], &[]);
    let file = stop.file(1);
    assert_eq!((file["status"].as_str(), file["total"].as_u64()), (Some("FAILED"), Some(0)), "{file}");
    assert_eq!(file["reason"], "more rows failed than are put up with");
    assert_eq!(world.rows("SELECT count(*) FROM sqlite_master WHERE name = 't'"), ["0"]);
    let batches = run(&world, &["t.jsonl", "--on-error", "stop", "--atomic", "batch", "--batch-size", "1000"], &[]);
    let file = batches.file(1);
    assert_eq!(file["status"], "PARTIALLY_FAILED", "{file}");
    let kept = file["inserted"].as_u64().unwrap();
    assert!((1000..30_000).contains(&kept), "{file}");
    assert_eq!(world.rows("SELECT count(*) FROM t"), [kept.to_string()]);
    assert_eq!(run(&world, &["t.jsonl", "--max-errors", "1"], &[]).file(1)["total"], 31_001);
}

#[test]
fn columns_widen_and_what_is_stored_is_as_if_it_had_always_been_so() {
    let world = World::new();
    world.write(
        "one.jsonl",
        "{\"id\":1,\"a\":5,\"b\":1.50,\"c\":true,\"d\":1,\"e\":9007199254740993}\n{\"id\":2,\"a\":7,\"b\":2.0}\n",
    );
    world.write(
        "two.jsonl",
        "{\"id\":3,\"a\":1.5,\"b\":\"x\",\"c\":1,\"d\":{\"x\": 1},\"e\":0.5,\"f\":18446744073709551616}\n",
    );
    let both = ["one.jsonl", "two.jsonl", "--table", "t"];
    run(&world, &both, &[]).file(0);
    let dump = "SELECT id, a, b, c, d, e, f FROM t ORDER BY id";
    let expected = [
        "1|Real(5.0)|1.5|true|1|9007199254740993|NULL",
        "2|Real(7.0)|2|NULL|NULL|NULL|NULL",
        "3|Real(1.5)|x|1|{\"x\": 1}|0.5|18446744073709551616",
    ];
    assert_eq!(world.rows(dump), expected);
    assert!(world.rows("SELECT sql FROM sqlite_master WHERE name = 't'")[0].contains(r#""a" REAL, "b" TEXT"#));
    // The other way round it is the same table, and each file again finds its rows.
    for file in ["one.jsonl", "two.jsonl", "one.jsonl"] {
        let again = run(&world, &[file, "--table", "t"], &[]).file(0);
        assert_eq!(again["unchanged"], again["total"], "{file}: {again}");
    }
    run(&world, &["two.jsonl", "one.jsonl", "--table", "u"], &[]).file(0);
    assert_eq!(world.rows(&dump.replace("FROM t", "FROM u")), expected);
}

#[test]
fn indexes_of_the_user_stay_when_a_table_is_widened() {
    let world = World::new();
    world.write("t.jsonl", "{\"id\":1,\"a\":5}\n");
    run(&world, &["t.jsonl"], &[]).file(0);
    world.sql().execute_batch("CREATE INDEX mine ON t (a)").unwrap();
    world.write("t.jsonl", "{\"id\":2,\"a\":\"x\"}\n{\"id\":\"k\",\"a\":1}\n");
    assert_eq!(run(&world, &["t.jsonl"], &[]).counts(0), "COMPLETED 2 2 0 0 0 0");
    assert_eq!(
        world.rows("SELECT name FROM sqlite_master WHERE tbl_name = 't' AND sql IS NOT NULL ORDER BY 1"),
        ["mine", "t"]
    );
    assert_eq!(world.rows("SELECT id, a FROM t ORDER BY id"), ["1|5", "2|x", "k|1"]);
}

#[test]
fn a_frozen_table_rejects_what_does_not_fit() {
    let world = World::new();
    world.write("t.jsonl", "{\"id\":1,\"a\":5,\"b\":1.5,\"c\":\"x\"}\n");
    let early = run(&world, &["t.jsonl", "--schema", "freeze"], &[]);
    assert_eq!(early.code(), Some(2), "{}", early.said());
    run(&world, &["t.jsonl"], &[]).file(0);
    let before = world.rows("SELECT sql FROM sqlite_master WHERE name = 't'");
    world.write(
        "t.jsonl",
        "{\"id\":2,\"a\":6,\"b\":2,\"c\":7}\n{\"id\":3,\"a\":1.5}\n{\"id\":4,\"new\":1}\n{\"id\":\"x\"}\n{\"id\":5,\"c\":null,\"new\":null}\n",
    );
    let frozen = run(&world, &["t.jsonl", "--schema", "freeze", "--rejects", "r"], &[]);
    assert_eq!(frozen.counts(1), "PARTIALLY_FAILED 5 1 0 0 0 4");
    let reasons = world.read("r/t.reasons.jsonl");
    assert_eq!(reasons.matches("wrong_type").count(), 2, "{reasons}");
    assert_eq!(reasons.matches("unknown_field").count(), 2, "{reasons}");
    assert_eq!(world.rows("SELECT sql FROM sqlite_master WHERE name = 't'"), before);
    let other = run(&world, &["t.jsonl", "--key", "a"], &[]);
    assert_eq!(other.code(), Some(2), "{}", other.said());
    assert!(other.said().contains("told apart by `id`"), "{}", other.said());
}

#[test]
fn of_equal_keys_the_last_stays_and_the_others_are_counted() {
    let world = World::new();
    let far = lines(10, 20_000);
    world.write(
        "t.jsonl",
        format!("{{\"_key\":1,\"note\":\"a\"}}\n{{\"_key\":1,\"note\":\"b\"}}\n{far}{{\"_key\":1,\"note\":\"c\"}}\n"),
    );
    assert_eq!(run(&world, &["t.jsonl"], &[]).counts(0), "COMPLETED 19993 19991 0 0 2 0");
    assert_eq!(world.rows("SELECT note FROM t WHERE _key = 1"), ["c"]);
    // Within a record, too; and a name that comes again as null is null.
    world.write("u.jsonl", "{\"id\":1,\"a\":1,\"a\":2,\"b\":1,\"b\":null}\n{\"id\":2,\"b\":1}\n");
    run(&world, &["u.jsonl"], &[]).file(0);
    assert_eq!(world.rows("SELECT a, b FROM u WHERE id = 1"), ["2|NULL"]);
}

#[test]
fn without_a_key_equal_lines_are_one_row() {
    let world = World::new();
    world.write("log.jsonl", "{\"at\":1,\"what\":\"a\"}\n{\"at\":1,\"what\":\"b\"}\n{\"at\":1,\"what\":\"a\"}\n");
    assert_eq!(run(&world, &["log.jsonl"], &[]).counts(0), "COMPLETED 3 2 0 0 1 0");
    assert_eq!(run(&world, &["log.jsonl"], &[]).counts(0), "COMPLETED 3 0 0 2 1 0");
    assert_eq!(world.rows("SELECT at, what, length(_line_hash) FROM log ORDER BY what"), ["1|a|16", "1|b|16"]);
    world.write("named.jsonl", "{\"code\":\"x\",\"v\":1}\n{\"code\":\"x\",\"v\":2}\n");
    assert_eq!(run(&world, &["named.jsonl", "--key", "code"], &[]).counts(0), "COMPLETED 2 1 0 0 1 0");
    assert_eq!(world.rows("SELECT code, v FROM named"), ["x|2"]);
}

#[test]
fn folders_globs_packed_files_and_standard_input() {
    let world = World::new();
    std::fs::create_dir(world.path("in")).unwrap();
    std::fs::create_dir(world.path("empty")).unwrap();
    world.write("in/a.jsonl", lines(0, 10));
    world.write("in/b.jsonl.gz", gzip(lines(0, 20).as_bytes()));
    world.write("in/c.ndjson.zst", zstd::encode_all(lines(0, 30).as_bytes(), 1).unwrap());
    // By content, not by name.
    world.write("in/d.jsonl", gzip(lines(0, 40).as_bytes()));
    world.write("in/.hidden.jsonl", "nonsense");
    world.write("in/readme.txt", "nonsense");
    let done = run(&world, &["in"], &[]);
    assert_eq!(done.code(), Some(0), "{}", done.said());
    for (table, rows) in [("a", "10"), ("b", "20"), ("c", "30"), ("d", "40")] {
        assert_eq!(world.rows(&format!("SELECT count(*) FROM {table}")), [rows]);
    }
    assert_eq!(world.rows("SELECT count(*), (SELECT count(*) FROM import_batch) FROM import_record"), ["1|4"]);
    assert_eq!(run(&world, &["in/[ab].json*"], &[]).code(), Some(0));
    assert_eq!(feed(&world, &["-", "--table", "piped"], lines(0, 50).as_bytes()).counts(0), "COMPLETED 50 50 0 0 0 0");
    for (args, code, said) in [
        (&["empty"][..], 2, "holds no"),
        (&["in/a.jsonl/"], 2, "is a file, not a folder"),
        (&["none.jsonl"], 3, "does not exist"),
        (&["in/*.xml"], 2, "holds no"),
        (&["-"], 2, "--table NAME"),
        (&["in/a.jsonl", "--table", "series"], 2, "table of the program itself"),
        (&["in/a.jsonl", "--table", "import_mine"], 2, "table of the program itself"),
        (&["in/a.jsonl", "--table", "a b"], 2, "names no table"),
        (&["in/readme.txt"], 2, "holds nodes"),
    ] {
        let refused = run(&world, args, &[]);
        assert_eq!(refused.code(), Some(code), "{args:?}: {}", refused.said());
        assert!(refused.said().contains(said), "{args:?}: {}", refused.said());
    }
}

#[test]
fn a_dry_run_reads_all_and_writes_nothing() {
    let world = World::new();
    world.write("t.jsonl", lines(0, 100) + "nonsense\n");
    assert_eq!(run(&world, &["t.jsonl", "--dry-run"], &[]).counts(1), "PARTIALLY_FAILED 101 100 0 0 0 1");
    assert!(!world.path("state").exists());
    // What it may not change it looks at.
    run(&world, &["t.jsonl"], &[]).file(1);
    world.write("u.jsonl", "{\"_key\":7,\"new\":1}\n{\"_key\":8}\n");
    let args = ["u.jsonl", "--table", "t", "--schema", "freeze", "--dry-run"];
    assert_eq!(run(&world, &args, &[]).counts(1), "PARTIALLY_FAILED 2 1 0 0 0 1");
    assert_eq!(world.rows("SELECT count(*) FROM import_record"), ["1"]);
}

#[test]
fn records_of_the_catalogue_go_through_its_importer() {
    let world = World::new();
    let record = |id: u32, title: &str| {
        format!(
            "{{\"kind\":\"series\",\"source_name\":\"s\",\"external_id\":\"{id}\",\"payload\":{{\"title\":\"{title}\"}}}}\n"
        )
    };
    world.write("series.jsonl", record(1, "One") + &record(2, "Two") + "nonsense\n");
    let done = run(&world, &["series.jsonl", "--rejects", "r"], &[]);
    assert_eq!(done.counts(1), "PARTIALLY_FAILED 3 2 0 0 0 1");
    assert_eq!(world.rows("SELECT title FROM series ORDER BY title"), ["One", "Two"]);
    assert_eq!(world.read("r/series.jsonl"), "nonsense\n");
    world.write("series.jsonl", record(1, "One") + &record(2, "Zwei"));
    assert_eq!(run(&world, &["series.jsonl"], &[]).counts(0), "COMPLETED 2 0 1 1 0 0");
    assert_eq!(
        feed(&world, &["-", "--kind", "catalogue"], record(3, "Three").as_bytes()).counts(0),
        "COMPLETED 1 1 0 0 0 0"
    );
}

#[test]
fn a_thousand_files_are_one_import() {
    let world = World::new();
    std::fs::create_dir(world.path("in")).unwrap();
    for at in 0..1000 {
        world.write(&format!("in/part-{at:04}.jsonl"), lines(at * 3, at * 3 + 4));
    }
    let done = run(&world, &["in", "--table", "parts"], &[("LOG_LEVEL", "error")]);
    assert_eq!(done.code(), Some(0), "{}", done.said());
    assert_eq!(world.rows("SELECT count(*) FROM parts"), ["3001"]);
    assert_eq!(world.rows("SELECT status, count(*) FROM import_batch GROUP BY status"), ["completed|1000"]);
}
