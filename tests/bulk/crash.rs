//! Killed, stopped, resumed: the end is that of one run that nobody disturbed.

use std::os::unix::process::ExitStatusExt as _;

use crate::world::{World, generated};

const ARGS: &[&str] = &["users.csv", "--batch-size", "50"];
const SIGABRT: i32 = 6;

fn whole() -> Vec<String> {
    let world = World::new();
    world.write("users.csv", text());
    world.run(ARGS).file(1);
    world.nodes()
}

/// A thousand rows, one of them bad.
fn text() -> String {
    generated(1000).replace("u333,", ",")
}

#[test]
fn a_killed_import_goes_on_where_it_was() {
    let whole = whole();
    for (point, hits) in [
        ("bulk.begin.before_commit", &[1][..]),
        ("bulk.begin.after_commit", &[1]),
        ("bulk.file.before_commit", &[1]),
        ("bulk.file.after_commit", &[1]),
        ("nodes.batch.before_commit", &[1, 9]),
        ("nodes.batch.after_commit", &[1, 9, 20]),
        ("bulk.end.before_commit", &[1]),
        ("bulk.end.after_commit", &[1]),
    ] {
        for hit in hits {
            let world = World::new();
            world.write("users.csv", text());
            let killed = world.run_with(ARGS, &[("PARSER_CRASH_AT", &format!("{point}={hit}"))]);
            assert_eq!(killed.0.status.signal(), Some(SIGABRT), "{point}={hit}: {}", killed.said());
            let before = if world.path("state/catalog.db").exists() { pieces(&world) } else { Vec::new() };
            let finished = point == "bulk.end.after_commit";
            let resumed = world.run(&[ARGS, &["--resume"]].concat());
            let file = resumed.file(1);
            assert_eq!(file["total"], 1000, "{point}={hit}: {file}");
            assert_eq!(file["failed"], 1, "{point}={hit}: {file}");
            if !finished {
                // What was in was not written again, and counts.
                assert_eq!(file["inserted"], 999, "{point}={hit}: {file}");
                assert_eq!(pieces(&world)[..before.len()], before[..], "{point}={hit}");
                assert_eq!(world.rows("SELECT status FROM import_record"), ["partially_failed"], "{point}={hit}");
            }
            assert_eq!(world.nodes(), whole, "{point}={hit}");
        }
    }
}

fn pieces(world: &World) -> Vec<String> {
    world.rows("SELECT batch, number, inserted, failed FROM bulk_piece ORDER BY batch, number")
}

#[test]
fn a_file_that_changed_is_not_gone_on_with() {
    let world = World::new();
    world.write("users.csv", text());
    world.run_with(ARGS, &[("PARSER_CRASH_AT", "nodes.batch.after_commit=5")]);
    world.write("users.csv", text() + "u5000,g1,USER,x,y\n");
    let resumed = world.run(&[ARGS, &["--resume"]].concat());
    assert_eq!(resumed.code(), Some(3), "{}", resumed.said());
    assert!(resumed.said().contains("has changed"), "{}", resumed.said());
    // The old job has ended; from its start it is another one.
    assert_eq!(world.run(&[ARGS, &["--resume"]].concat()).file(1)["total"], 1001);
    let statuses = world.rows("SELECT status FROM import_record ORDER BY number");
    assert_eq!(statuses, ["partially_failed", "partially_failed"]);
}

#[test]
fn a_file_that_is_cut_is_a_failed_job_that_keeps_its_rows() {
    let world = World::new();
    let packed = crate::world::gzip(generated(5000).as_bytes());
    world.write("users.csv", &packed[..packed.len() - 9]);
    let done = world.run(ARGS);
    assert_eq!(done.code(), Some(3), "{}", done.said());
    assert!(done.said().contains("ends within its gzip data"), "{}", done.said());
    let import = world.rows("SELECT status, reason FROM import_record");
    assert!(import[0].starts_with("partially_failed|") && import[0].contains("gzip"), "{import:?}");
    world.write("users.csv", &packed);
    let kept: u32 = world.rows("SELECT count(*) FROM nodes")[0].parse().unwrap();
    assert!((1..5000).contains(&kept), "{kept}");
    let file = world.run(&[ARGS, &["--resume"]].concat()).file(0);
    assert_eq!((file["total"].as_u64(), file["unchanged"].as_u64()), (Some(5000), Some(u64::from(kept))));
}
