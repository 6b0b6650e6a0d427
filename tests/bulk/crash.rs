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
        ("nodes.begin.before_commit", &[1][..]),
        ("nodes.begin.after_commit", &[1]),
        ("nodes.batch.before_commit", &[1, 9]),
        ("nodes.batch.after_commit", &[1, 9, 20]),
        ("nodes.finish.before_commit", &[1]),
        ("nodes.finish.after_commit", &[1]),
    ] {
        for hit in hits {
            let world = World::new();
            world.write("users.csv", text());
            let killed = world.run_with(ARGS, &[("PARSER_CRASH_AT", &format!("{point}={hit}"))]);
            assert_eq!(killed.0.status.signal(), Some(SIGABRT), "{point}={hit}: {}", killed.said());
            let before = if world.path("state/catalog.db").exists() { batches(&world) } else { Vec::new() };
            let finished = point == "nodes.finish.after_commit";
            let resumed = world.run(&[ARGS, &["--resume"]].concat());
            let file = resumed.file(1);
            assert_eq!(file["total"], 1000, "{point}={hit}: {file}");
            assert_eq!(file["failed"], 1, "{point}={hit}: {file}");
            if !finished {
                // What was in was not written again, and counts.
                assert_eq!(file["inserted"], 999, "{point}={hit}: {file}");
                assert_eq!(batches(&world)[..before.len()], before[..], "{point}={hit}");
                assert_eq!(world.rows("SELECT status FROM node_jobs"), ["PARTIALLY_FAILED"], "{point}={hit}");
            }
            assert_eq!(world.nodes(), whole, "{point}={hit}");
        }
    }
}

fn batches(world: &World) -> Vec<String> {
    world.rows("SELECT job_id, number, inserted, failed FROM node_job_batches ORDER BY job_id, number")
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
    assert_eq!(world.rows("SELECT status FROM node_jobs ORDER BY created_at"), ["FAILED", "PARTIALLY_FAILED"]);
}

#[test]
fn a_file_that_is_cut_is_a_failed_job_that_keeps_its_rows() {
    let world = World::new();
    let packed = crate::world::gzip(generated(5000).as_bytes());
    world.write("users.csv", &packed[..packed.len() - 9]);
    let done = world.run(ARGS);
    assert_eq!(done.code(), Some(3), "{}", done.said());
    assert!(done.said().contains("ends within its gzip data"), "{}", done.said());
    let job = world.rows("SELECT status, reason FROM node_jobs");
    assert!(job[0].starts_with("FAILED|") && job[0].contains("gzip"), "{job:?}");
    world.write("users.csv", &packed);
    let kept: u32 = world.rows("SELECT count(*) FROM nodes")[0].parse().unwrap();
    assert!((1..5000).contains(&kept), "{kept}");
    let file = world.run(&[ARGS, &["--resume"]].concat()).file(0);
    assert_eq!((file["total"].as_u64(), file["unchanged"].as_u64()), (Some(5000), Some(u64::from(kept))));
}
