//! Files into tables, killed, stopped, crowded out: a file is in wholly or not at all, and the end is that of one run
//! that nobody disturbed.

use std::os::unix::process::ExitStatusExt as _;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parser::bulk::BulkError;
use parser::store::{Store, StoreErrorKind};

use crate::cluster;
use crate::rude::{Rude, honest};
use crate::tables::{lines, run};
use crate::tables_hostile::attempt;
use crate::world::{World, signal, until};

const SIGABRT: i32 = 6;

const DUMP: &str =
    "SELECT _key, groupID, name, CAST(mass AS text), CAST(published AS INTEGER), note FROM t ORDER BY _key";

/// Several chunks, one bad line in the last.
fn content() -> String {
    lines(0, 12_000) + "nonsense\n" + &lines(11_990, 12_010)
}

fn whole() -> Vec<String> {
    let world = World::new();
    world.write("t.jsonl", content());
    run(&world, &["t.jsonl"], &[]).file(1);
    world.rows(DUMP)
}

#[test]
fn killed_at_any_point_it_goes_on_to_the_same_table() {
    let whole = whole();
    assert_eq!(whole.len(), 12_010);
    let batches = ["--atomic", "batch", "--batch-size", "3000"];
    for (point, hits, args) in [
        ("bulk.begin.before_commit", &[1][..], &[][..]),
        ("bulk.begin.after_commit", &[1], &[]),
        ("bulk.file.before_commit", &[1], &[]),
        ("bulk.file.after_commit", &[1], &[]),
        ("tables.unit.before_commit", &[1], &[]),
        ("tables.unit.after_commit", &[1], &[]),
        ("bulk.end.before_commit", &[1], &[]),
        ("bulk.end.after_commit", &[1], &[]),
        ("tables.unit.before_commit", &[1, 2], &batches),
        ("tables.unit.after_commit", &[1, 2], &batches),
        ("bulk.end.before_commit", &[1], &batches),
        ("bulk.end.after_commit", &[1], &batches),
    ] {
        for hit in hits {
            let world = World::new();
            world.write("t.jsonl", content());
            let args = [&["t.jsonl"], args].concat();
            let killed = run(&world, &args, &[("PARSER_CRASH_AT", &format!("{point}={hit}"))]);
            assert_eq!(killed.0.status.signal(), Some(SIGABRT), "{point}={hit}: {}", killed.said());
            let there = world.rows("SELECT count(*) FROM sqlite_master WHERE name = 't'") == ["1"];
            let kept = if there { world.rows("SELECT count(*) FROM t")[0].parse().unwrap() } else { 0 };
            if args.len() == 1 {
                assert!(kept == 0 || kept == 12_010, "{point}={hit}: half a file is in: {kept}");
            }
            let file = run(&world, &[&args[..], &["--resume"]].concat(), &[]).file(1);
            // What was in is counted once and not written again.
            assert_eq!(
                (file["total"].as_u64(), file["failed"].as_u64()),
                (Some(12_021), Some(1)),
                "{point}={hit}: {file}"
            );
            // An import that has ended is not gone on with: this is a second one, which finds everything there.
            let (imports, word) = if point == "bulk.end.after_commit" { (2, "unchanged") } else { (1, "inserted") };
            assert_eq!(file[word], 12_010, "{point}={hit}: {file}");
            assert_eq!(world.rows(DUMP), whole, "{point}={hit}");
            assert_eq!(
                world.rows("SELECT count(*), min(status), max(status) FROM import_record"),
                [format!("{imports}|partially_failed|partially_failed")],
                "{point}={hit}"
            );
        }
    }
}

#[test]
fn killed_on_a_server_it_goes_on_to_the_same_table() {
    let Some(database) = cluster::database() else { return };
    let whole = whole();
    let world = World::new();
    world.write("t.jsonl", content());
    let env = ("DATABASE", database.url.as_str());
    let args = ["t.jsonl", "--into", "env:DATABASE", "--resume", "--atomic", "batch", "--batch-size", "3000"];
    for point in ["tables.unit.before_commit=2", "tables.unit.after_commit=1", "bulk.end.before_commit=1"] {
        let killed = run(&world, &args, &[env, ("PARSER_CRASH_AT", point)]);
        assert_eq!(killed.code(), None, "{point}: {}", killed.said());
    }
    let file = run(&world, &args, &[env]).file(1);
    assert_eq!((file["total"].as_u64(), file["inserted"].as_u64()), (Some(12_021), Some(12_010)), "{file}");
    let found: Vec<_> =
        cluster::sql(&database.url, &DUMP.replace("groupID", "\"groupID\"").replace("AS INTEGER", "AS int"));
    let expected: Vec<Vec<String>> =
        whole.iter().map(|row| row.replace("NULL", "").split('|').map(str::to_owned).collect()).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_signal_leaves_whole_transactions_and_the_way_to_go_on() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let world = World::new();
        assert!(std::process::Command::new("mkfifo").arg(world.path("pipe")).status().unwrap().success());
        // A pipe on standard input that never ends: the import waits for more when the signal comes.
        let args = ["-", "--table", "t", "--atomic", "batch", "--batch-size", "1000"];
        let mut command = world.import(&args, &[]);
        let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut input, lines(0, 40_000).as_bytes()).unwrap();
        let there = "SELECT count(*) FROM sqlite_master WHERE name = 't'";
        until(|| world.path("state/catalog.db").exists() && world.rows(there) == ["1"]);
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        drop(input);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        let again = "parser import --resume --json - --table t --atomic batch --batch-size 1000\n";
        assert!(said.contains(again) && said.contains("hint: give it the same input once more"), "{said}");
        let sums =
            "SELECT (SELECT count(*) FROM t) = (SELECT sum(inserted) FROM bulk_piece), (SELECT count(*) FROM t) > 0";
        assert_eq!(world.rows(sums), ["1|1"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_leaves_nothing_half_in_and_is_gone_on_with() {
    let world = World::new();
    world.write("t.jsonl", lines(0, 20_000));
    std::fs::create_dir(world.path("state")).unwrap();
    let mut kept = 0_u64;
    for batch in [None, Some(5000)] {
        let small = Arc::new(Store::open_file(&world.path("state/catalog.db"), 0, Some(300)).await.unwrap());
        let full = attempt(&small, &world, "t.jsonl", "t", batch).await.unwrap_err();
        assert!(matches!(&full, BulkError::Store(error) if error.kind == StoreErrorKind::Full), "{full}");
        // Nothing of the transaction stands; the store works on.
        small.ping().await.unwrap();
        drop(small);
        let there = world.rows("SELECT count(*) FROM sqlite_master WHERE name = 't'") == ["1"];
        let sum = world.rows("SELECT coalesce(sum(inserted), 0) FROM bulk_piece").remove(0);
        kept = sum.parse().unwrap();
        assert_eq!(there, batch.is_some());
        if there {
            assert_eq!(world.rows("SELECT count(*) FROM t"), [sum]);
        }
    }
    assert_eq!(world.rows("SELECT status, count(*) FROM import_record GROUP BY 1"), ["started|1"]);
    let file = run(&world, &["t.jsonl"], &[]).file(0);
    assert_eq!(file["inserted"].as_u64().unwrap() + kept, 20_000, "{file}");
    assert_eq!(file["unchanged"], kept, "{file}");
}

#[test]
fn two_imports_of_the_same_keys_at_once_end_as_one() {
    let world = World::new();
    world.write("t.jsonl", lines(0, 8000));
    let both = |env: &[(&str, &str)], more: &[&str]| {
        let args = [&["t.jsonl"], more].concat();
        let children: Vec<_> = (0..2).map(|_| world.import(&args, env).spawn().unwrap()).collect();
        let mut inserted = 0;
        for child in children {
            let done = crate::world::Done(child.wait_with_output().unwrap());
            let file = done.file(0);
            assert_eq!(file["updated"], 0, "{file}");
            inserted += file["inserted"].as_u64().unwrap();
        }
        assert_eq!(inserted, 8000);
    };
    both(&[], &[]);
    assert_eq!(world.rows("SELECT count(*) FROM t"), ["8000"]);
    let Some(database) = cluster::database() else { return };
    both(&[("DATABASE", database.url.as_str())], &["--into", "env:DATABASE"]);
    assert_eq!(cluster::sql(&database.url, "SELECT count(*) FROM t"), [["8000"]]);
}

#[test]
fn a_file_that_is_cut_is_not_in_and_says_so() {
    let world = World::new();
    let packed = crate::world::gzip(lines(0, 20_000).as_bytes());
    world.write("t.jsonl.gz", &packed[..packed.len() - 9]);
    let done = run(&world, &["t.jsonl.gz"], &[]);
    assert_eq!(done.code(), Some(3), "{}", done.said());
    assert!(done.said().contains("ends within its gzip data"), "{}", done.said());
    assert_eq!(world.rows("SELECT count(*) FROM sqlite_master WHERE name = 't'"), ["0"]);
    assert_eq!(world.rows("SELECT status FROM import_record"), ["failed"]);
    world.write("t.jsonl.gz", &packed);
    assert_eq!(run(&world, &["t.jsonl.gz", "--resume"], &[]).counts(0), "COMPLETED 20000 20000 0 0 0 0");
}

#[test]
fn a_restart_of_the_server_in_mid_copy_costs_no_row() {
    let Some(cluster) = cluster::Cluster::start() else { return };
    let database = cluster.database();
    let content = lines(0, 60_000).into_bytes();
    let silent = Arc::new(AtomicBool::new(true));
    let quiet = Arc::clone(&silent);
    let server = Rude::new(move |asked| {
        let hangs = quiet.load(Ordering::Relaxed);
        let mut reply = honest(asked, &content, "\"v1\"", if hangs { content.len() / 2 } else { usize::MAX });
        reply.hangs = hangs;
        reply
    });
    for (table, atomic) in [("whole", &[][..]), ("parts", &["--atomic", "batch", "--batch-size", "5000"])] {
        silent.store(true, Ordering::Relaxed);
        let world = World::new();
        let url = server.url("/t.jsonl");
        let args = [&[url.as_str(), "--table", table, "--into", "env:DATABASE"], atomic].concat();
        let env = [
            ("DATABASE", database.url.as_str()),
            ("IMPORT_READ_TIMEOUT_SECONDS", "1"),
            ("IMPORT_READ_BACKOFF_SECONDS", "0.01"),
            ("IMPORT_READ_TRIES", "100"),
        ];
        let child = world.import(&args, &env).spawn().unwrap();
        // The other half of the file is being waited for, and the COPY with it.
        let copying =
            "SELECT count(*) FROM pg_stat_progress_copy WHERE datname = current_database() AND tuples_processed > 1000";
        until(|| cluster::sql(&database.url, copying) == [["1"]]);
        cluster.control(&["-m", "immediate", "restart"]);
        silent.store(false, Ordering::Relaxed);
        let done = crate::world::Done(child.wait_with_output().unwrap());
        assert_eq!(done.counts(0), "COMPLETED 60000 60000 0 0 0 0", "{}", done.said());
        assert!(done.said().contains("the catalogue cannot take it now"), "nobody noticed: {}", done.said());
        let count = format!("SELECT count(*), count(DISTINCT _key), min(_key), max(_key) FROM {table}");
        assert_eq!(cluster::sql(&database.url, &count), [["60000", "60000", "0", "59999"]]);
    }
}

#[test]
fn records_of_the_catalogue_are_gone_on_with_too() {
    let record = |id: usize| {
        format!(
            "{{\"kind\":\"series\",\"source_name\":\"s\",\"external_id\":\"{id}\",\"payload\":{{\"title\":\"Title {id}\"}}}}\n"
        )
    };
    let content: String = (0..300).map(record).chain(["nonsense\n".to_owned()]).collect();
    for point in [
        "imports.create.before_commit=1",
        "imports.create.after_commit=1",
        "imports.fetch.before_commit=1",
        "imports.fetch.after_commit=1",
        "imports.finalise.before_commit=1",
        "imports.finalise.after_commit=1",
        "imports.claim.after_commit=1",
        "imports.record.before_commit=40",
        "imports.record.after_commit=90",
        "imports.settle.before_commit=1",
    ] {
        let world = World::new();
        world.write("series.jsonl", &content);
        let lease = ("IMPORT_LEASE_SECONDS", "0.5");
        let killed = run(&world, &["series.jsonl"], &[lease, ("PARSER_CRASH_AT", point)]);
        assert_eq!(killed.0.status.signal(), Some(SIGABRT), "{point}: {}", killed.said());
        let resumed = run(&world, &["series.jsonl", "--resume"], &[lease]);
        let file = resumed.file(1);
        assert_eq!((file["total"].as_u64(), file["failed"].as_u64()), (Some(301), Some(1)), "{point}: {file}");
        assert_eq!(world.rows("SELECT count(*), count(DISTINCT title) FROM series"), ["300|300"], "{point}");
        assert_eq!(
            world.rows("SELECT count(*), sum(change = 'created') FROM import_result WHERE status = 'completed'"),
            ["300|300"],
            "{point}"
        );
    }
}
