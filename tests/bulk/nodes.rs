//! Node files through the command line.

use crate::world::{World, generated, gzip};

const FILE: &str = "\u{feff}User Id,GRP,NodeType,Full Name,e-mail,Notes\r\n\
    1,friends,mentor,\" Ann \"\"A\"\" \",ann@x.test,\"two\r\nlines\"\r\n\
    2,friends,wizard,Bob,,\r\n\
    \r\n\
    3,others,,Zoë,z@x.test,,,\r\n\
    4,friends,couple candidate\r\n";

#[test]
fn columns_types_and_metadata_are_normalised() {
    let world = World::new();
    world.write("users.csv", FILE);
    assert_eq!(world.run(&["users.csv"]).counts(0), "COMPLETED 4 4 0 0 0 0");
    let expected = [
        "friends|1|MENTOR|e_mail|ann@x.test",
        "friends|1|MENTOR|full_name|Ann \"A\"",
        "friends|1|MENTOR|notes|two lines",
        "friends|2|UNKNOWN|full_name|Bob",
        "friends|4|COUPLE_CANDIDATE|NULL|NULL",
        "others|3|USER|e_mail|z@x.test",
        "others|3|USER|full_name|Zoë",
    ];
    assert_eq!(world.nodes(), expected);
    let batch =
        "SELECT r.format, r.status, b.status, b.records, b.completed, b.failed, b.reason, r.reason FROM import_batch b
                 JOIN import_record r ON r.number = b.import";
    assert_eq!(world.rows(batch), ["nodes|completed|completed|4|4|0|NULL|NULL"]);
}

#[test]
fn the_same_again_changes_nothing_and_what_changed_is_updated() {
    let world = World::new();
    world.write("users.csv", FILE);
    world.run(&["users.csv"]).file(0);
    let before = world.rows("SELECT id, updated_at FROM nodes ORDER BY id");
    assert_eq!(world.run(&["users.csv"]).counts(0), "COMPLETED 4 0 0 4 0 0");
    assert_eq!(world.rows("SELECT id, updated_at FROM nodes ORDER BY id"), before);
    world
        .write("more.csv", "id,group,type,full_name,city\n1,friends,mentor,Ann,Paris\n2,friends,bot,,\n9,friends,,,\n");
    assert_eq!(world.run(&["more.csv"]).counts(0), "COMPLETED 3 1 2 0 0 0");
    let nodes = world.nodes();
    for line in [
        "friends|1|MENTOR|full_name|Ann",
        "friends|1|MENTOR|city|Paris",
        "friends|1|MENTOR|notes|two lines",
        "friends|2|BOT|full_name|Bob",
        "friends|9|USER|NULL|NULL",
    ] {
        assert!(nodes.contains(&line.to_owned()), "{line}: {nodes:?}");
    }
}

#[test]
fn packed_files_folders_and_lists_of_ids() {
    let world = World::new();
    std::fs::create_dir(world.path("in")).unwrap();
    let text = generated(2500);
    world.write("in/a.csv.gz", gzip(text.as_bytes()));
    world.write("in/b.csv.zst", zstd::encode_all(text.as_bytes(), 1).unwrap());
    world.write("in/.hidden.csv", "x");
    world.write("in/readme.txt", "x");
    let done = world.run(&["in", "--batch-size", "400"]);
    assert_eq!(done.counts(0), "COMPLETED 2500 2500 0 0 0 0");
    assert_eq!(world.rows("SELECT unchanged FROM bulk_piece ORDER BY batch DESC, number DESC LIMIT 2"), ["100", "400"]);
    assert_eq!(world.rows("SELECT count(*), count(DISTINCT reference_id) FROM nodes"), ["2500|2500"]);
    world.write("ids", "a\nb\n\na\n\"c,d\"\n");
    assert_eq!(world.run(&["ids", "--refs", "--group", "list"]).counts(0), "COMPLETED 4 3 0 0 1 0");
    let found = world.rows(
        "SELECT reference_id, type FROM nodes WHERE length(reference_id) < 4 AND reference_id NOT LIKE 'u%' ORDER BY 1",
    );
    assert_eq!(found, ["a|USER", "b|USER", "c,d|USER"]);
}

#[test]
fn bad_rows_are_rejected_alone_and_can_be_mended() {
    let world = World::new();
    let mut file = b"id,group,name\n1,g,one\n,g,nobody\n2,h,other\n3,g,three,extra\n4,g,bad\xff\n5,g,nul\0\n".to_vec();
    file.extend_from_slice(format!("{},g,long\n6,g,six\n\"7,g,seven\n8,g,eight\n", "x".repeat(600)).as_bytes());
    world.write("users.csv", &file);
    let done = world.run(&["users.csv", "--group", "g", "--rejects", "out"]);
    assert_eq!(done.counts(1), "PARTIALLY_FAILED 10 3 0 0 0 7");
    assert_eq!(world.rows("SELECT reference_id FROM nodes ORDER BY 1"), ["1", "6", "8"]);
    let rejected = std::fs::read(world.path("out/users.csv")).unwrap();
    let mut expected = b"id,group,name\n,g,nobody\n2,h,other\n3,g,three,extra\n4,g,bad\xff\n5,g,nul\0\n".to_vec();
    expected.extend_from_slice(format!("{},g,long\n\"7,g,seven\n", "x".repeat(600)).as_bytes());
    assert_eq!(String::from_utf8_lossy(&rejected), String::from_utf8_lossy(&expected));
    let reasons: Vec<String> = world
        .read("out/users.reasons.jsonl")
        .lines()
        .map(|line| {
            let reason: serde_json::Value = serde_json::from_str(line).unwrap();
            format!("{} {} {}", reason["line"], reason["reference_id"], reason["code"])
        })
        .collect();
    assert_eq!(
        reasons,
        [
            r#"3 null "reference_missing""#,
            r#"4 "2" "other_group""#,
            r#"5 "3" "too_many_cells""#,
            r#"6 null "not_utf8""#,
            r#"7 "5" "nul_character""#,
            r#"8 null "key_too_long""#,
            r#"10 null "csv_quote_not_closed""#,
        ]
    );
    world.write("mended.csv", "id,group,name\n2,g,other\n7,g,seven\n");
    assert_eq!(world.run(&["mended.csv", "--group", "g"]).counts(0), "COMPLETED 2 2 0 0 0 0");
}

#[test]
fn a_row_that_the_store_refuses_does_not_cost_its_neighbours() {
    let world = World::new();
    world.write("first.csv", "id,group\nx,g\n");
    world.run(&["first.csv"]).file(0);
    world
        .sql()
        .execute_batch(
            "CREATE TRIGGER picky BEFORE INSERT ON nodes WHEN NEW.reference_id IN ('u7', 'u512', 'u999')
         BEGIN SELECT RAISE(ABORT, 'we do not like it'); END",
        )
        .unwrap();
    world.write("users.csv", generated(1500));
    let done = world.run(&["users.csv", "--rejects", "out"]);
    assert_eq!(done.counts(1), "PARTIALLY_FAILED 1500 1497 0 0 0 3");
    assert_eq!(world.rows("SELECT count(*) FROM nodes"), ["1498"]);
    let reasons = world.read("out/users.reasons.jsonl");
    for (line, id) in [(9, "u7"), (514, "u512"), (1001, "u999")] {
        assert!(reasons.contains(&format!("\"line\":{line},")) && reasons.contains(&format!("\"{id}\"")), "{reasons}");
    }
    assert!(reasons.contains("we do not like it"), "{reasons}");
}

#[test]
fn the_last_of_equal_keys_in_a_batch_wins() {
    let world = World::new();
    world.write("users.csv", "id,group,name\n1,g,first\n1,h,elsewhere\n1,g,second\n1,g,third\n");
    assert_eq!(world.run(&["users.csv"]).counts(0), "COMPLETED 4 2 0 0 2 0");
    assert_eq!(world.nodes(), ["g|1|USER|name|third", "h|1|USER|name|elsewhere"]);
}

#[test]
fn a_job_without_rows_has_failed() {
    let world = World::new();
    world.write("empty.csv", "id,group\n");
    world.write("nothing.csv", "");
    world.write("bad.csv", "id,group\n,g\n");
    for (name, reason) in [
        ("empty.csv", "the file has no rows"),
        ("nothing.csv", "the file has no rows"),
        ("bad.csv", "every row failed"),
    ] {
        let file = world.run(&[name]).file(1);
        assert_eq!((file["status"].as_str(), file["reason"].as_str()), (Some("FAILED"), Some(reason)), "{name}");
    }
    let ends = "SELECT DISTINCT r.status, b.status, r.reason = b.reason FROM import_batch b JOIN import_record r ON r.number = b.import";
    assert_eq!(world.rows(ends), ["failed|failed|1"]);
}

#[test]
fn what_is_wrong_with_a_command_or_a_header_is_exit_2() {
    let world = World::new();
    world.write("users.csv", "name,group\nx,g\n");
    let done = world.run(&["users.csv"]);
    assert_eq!(done.code(), Some(2));
    assert!(done.said().contains("no column is a reference id") && done.said().contains("hint:"), "{}", done.said());
    std::fs::create_dir(world.path("empty")).unwrap();
    for args in [&["empty"][..], &["users.csv", "--refs"], &["ftp://x/y"], &[]] {
        assert_eq!(world.run(args).code(), Some(2), "{args:?}");
    }
    let missing = world.run(&["missing.csv"]);
    assert_eq!(missing.code(), Some(3), "{}", missing.said());
}

#[test]
fn stopping_at_errors_keeps_what_is_in() {
    let world = World::new();
    let bad = generated(3000).replace("u1500,", ",");
    world.write("users.csv", &bad);
    for args in [&["--on-error", "stop"][..], &["--max-errors", "0"]] {
        let all = [&["users.csv", "--batch-size", "100", "--workers", "1"], args].concat();
        let file = world.run(&all).file(1);
        assert_eq!(file["status"], "PARTIALLY_FAILED");
        assert_eq!(file["reason"], "more rows failed than are put up with");
        assert!(file["total"].as_u64().unwrap() < 3000, "{file}");
    }
    assert_eq!(world.run(&["users.csv", "--max-errors", "1"]).file(1)["status"], "PARTIALLY_FAILED");
}

#[test]
fn a_dry_run_writes_nothing() {
    let world = World::new();
    world.write("users.csv", format!("{},,\n", generated(100)));
    let done = world.run(&["users.csv", "--dry-run"]);
    assert_eq!(done.file(1)["total"], 101);
    assert!(!world.path("state").exists());
}

#[test]
fn two_imports_of_the_same_keys_at_once_end_as_one() {
    let world = World::new();
    world.write("users.csv", generated(3000));
    let children: Vec<_> = (0..2).map(|_| world.command(&["users.csv"], &[]).spawn().unwrap()).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(world.rows("SELECT count(*), sum(metadata) FROM (SELECT (SELECT count(*) FROM node_metadata m WHERE m.node_id = n.id) AS metadata FROM nodes n)"), ["3000|6000"]);
}
