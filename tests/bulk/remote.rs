//! Files from S3 and HTTP, cut and stopped on their way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::rude::{Rude, honest, through};
use crate::shelf::Shelf;
use crate::tables::{lines, run};
use crate::world::{World, generated, gzip, signal, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_gives_its_files() {
    let shelf = Shelf::new();
    shelf.put("in/users.csv.gz", &gzip(generated(2000).as_bytes())).await;
    let world = World::new();
    let (env, url) = (shelf.env(), shelf.url("in/users.csv.gz"));
    let done = world.run_with(&[&url], &env);
    assert_eq!(done.counts(0), "COMPLETED 2000 2000 0 0 0 0");
    let refused = world.run_with(&[&url], &shelf.env_but("S3_SECRET_ACCESS_KEY", "wrong-secret"));
    assert_eq!(refused.code(), Some(3));
    assert!(!refused.said().contains("wrong-secret"), "{}", refused.said());
    assert_eq!(shelf.left(["in/users.csv.gz"]).await, [true]);
}

#[test]
fn a_download_that_is_cut_again_and_again_is_imported_once() {
    let packed = gzip(generated(20_000).as_bytes());
    let cut = packed.len() / 3;
    let server = Rude::new(move |asked| honest(asked, &packed, "\"v1\"", cut));
    let world = World::new();
    let done = world.run_with(&[&server.url("/users.csv.gz")], &[("IMPORT_READ_BACKOFF_SECONDS", "0.01")]);
    assert_eq!(done.counts(0), "COMPLETED 20000 20000 0 0 0 0");
    assert!(server.asked().len() >= 3 && server.asked()[1].start().is_some());
    assert_eq!((server.asked()[0].nth, server.asked()[0].path.as_str()), (0, "/users.csv.gz"));
    assert_eq!(server.host(), server.address.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_whose_connection_is_cut_again_and_again_is_imported_once_and_never_half_new() {
    let shelf = Shelf::new();
    let Some(server) = shelf.plain() else { return };
    let packed = gzip(generated(20_000).as_bytes());
    let cut = packed.len() / 3;
    shelf.put("users.csv.gz", &packed).await;
    let target = server.clone();
    let cutting = Rude::new(move |asked| through(asked, &target, cut));
    let world = World::new();
    let (url, fast) = (shelf.url("users.csv.gz"), ("IMPORT_READ_BACKOFF_SECONDS", "0.01"));
    let done = world.run_with(&[&url], &[&shelf.env_but("S3_ENDPOINT", &cutting.url(""))[..], &[fast]].concat());
    assert_eq!(done.counts(0), "COMPLETED 20000 20000 0 0 0 0");
    let starts: Vec<_> = cutting.asked().iter().filter_map(crate::rude::Asked::start).collect();
    assert!(starts.starts_with(&[cut, 2 * cut]), "{starts:?}");

    // Who asks for the rest finds another file.
    let (other, runtime) = (generated(20_000).replace("City", "Town"), tokio::runtime::Handle::current());
    let (shelf, world) = (Arc::new(shelf), World::new());
    // The server stays when the test has ended, the shelf must not.
    let kept = Arc::downgrade(&shelf);
    let replacing = Rude::new(move |asked| {
        if asked.start().is_some() {
            let shelf = kept.upgrade().unwrap();
            runtime.block_on(shelf.put("users.csv.gz", &gzip(other.as_bytes())));
        }
        through(asked, &server, cut)
    });
    let endpoint = replacing.url("");
    let changed = world.run_with(&[&url], &[&shelf.env_but("S3_ENDPOINT", &endpoint)[..], &[fast]].concat());
    assert_eq!(changed.code(), Some(3), "{}", changed.said());
    assert!(changed.said().contains("has changed since reading it began"), "{}", changed.said());
    assert_eq!(world.rows("SELECT count(*) FROM node_metadata WHERE metadata_value LIKE 'Town%'"), ["0"]);
}

#[test]
fn stopped_by_a_signal_it_says_how_to_go_on() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let text = generated(5000).into_bytes();
        let silent = Arc::new(AtomicBool::new(true));
        let quiet = Arc::clone(&silent);
        let server = Rude::new(move |asked| {
            let first = quiet.load(Ordering::Relaxed);
            let mut reply = honest(asked, &text, "\"v1\"", if first { text.len() / 2 } else { usize::MAX });
            reply.hangs = first;
            reply
        });
        let world = World::new();
        let url = server.url("/users.csv");
        let args = [url.as_str(), "--batch-size", "100", "--rejects", "it's in here"];
        let child = world.command(&args, &[]).spawn().unwrap();
        let count = "SELECT count(*) FROM bulk_piece";
        let begun = "SELECT count(*) FROM sqlite_master WHERE name = 'bulk_piece'";
        until(|| {
            world.path("state/catalog.db").exists()
                && world.rows(begun) == ["1"]
                && world.rows(count)[0].parse::<u32>().unwrap() >= 20
        });
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert_eq!(world.rows("SELECT status FROM import_record"), ["started"]);
        silent.store(false, Ordering::Relaxed);
        let done = world.again(&said, &[]);
        assert_eq!(done.counts(0), "COMPLETED 5000 5000 0 0 0 0");
        assert_eq!(world.rows("SELECT status FROM import_record"), ["completed"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bucket_has_below_a_prefix_is_imported_and_taken_away() {
    let shelf = Shelf::new();
    let rows = generated(300);
    for (key, text) in [
        ("in/b.csv.gz", gzip(rows.as_bytes())),
        ("in/a.csv", rows.replace("\nu", "\na").into_bytes()),
        ("in/deep/c.csv", rows.replace("u7,", ",").replace("\nu", "\nc").into_bytes()),
        ("in/notes.txt", b"no csv".to_vec()),
        ("inside.csv", b"id,group\nx,g\n".to_vec()),
    ] {
        shelf.put(key, &text).await;
    }
    let world = World::new();
    let env = shelf.env();
    let folder = shelf.url("in/");
    let keys = ["in/a.csv", "in/b.csv.gz", "in/deep/c.csv", "in/notes.txt", "inside.csv"];
    let done = world.run_with(&[&folder], &env);
    assert_eq!(done.code(), Some(1), "{}", done.said());
    let printed: serde_json::Value = serde_json::from_slice(&done.0.stdout).unwrap();
    let files: Vec<_> = (0..3).map(|index| printed["files"][index]["file"].as_str().unwrap()).collect();
    assert_eq!(files, ["in/a.csv", "in/b.csv.gz", "in/deep/c.csv"].map(|key| shelf.url(key)));
    assert_eq!(shelf.left(keys).await, [true; 5]);
    // Now they go, but for the one of which a row is not in.
    let done = world.run_with(&[&folder, "--delete-after"], &env);
    assert_eq!(done.code(), Some(1), "{}", done.said());
    assert_eq!(shelf.left(keys).await, [false, false, true, true, true]);
    let nothing = world.run_with(&[&shelf.url("other/")], &env);
    assert_eq!(nothing.code(), Some(2), "{}", nothing.said());
    let wrong = world.run_with(&[&folder], &shelf.env_but("S3_SECRET_ACCESS_KEY", "wrong-secret"));
    assert_eq!(wrong.code(), Some(3), "{}", wrong.said());
    assert!(!wrong.said().contains("wrong-secret"), "{}", wrong.said());
}

#[test]
fn a_file_is_deleted_only_as_it_was_imported() {
    let world = World::new();
    world.write("a.csv", generated(50));
    world.write("b.csv", generated(50));
    assert_eq!(world.run(&["a.csv", "--dry-run", "--delete-after"]).code(), Some(0));
    assert!(world.path("a.csv").exists());
    assert_eq!(world.run(&["a.csv", "--delete-after"]).code(), Some(0));
    assert!(!world.path("a.csv").exists());
    let server = Rude::new({
        let text = generated(50).into_bytes();
        move |asked| honest(asked, &text, "\"v1\"", usize::MAX)
    });
    let done = world.run(&[&server.url("/users.csv"), "--delete-after"]);
    assert_eq!(done.code(), Some(0), "{}", done.said());
    assert!(
        done.said().contains("warning:") && done.said().contains("nothing is deleted over HTTP"),
        "{}",
        done.said()
    );
    assert_eq!(world.run(&["b.csv", "--keep", "--delete-after"]).code(), Some(2));
    assert!(world.path("b.csv").exists());
}

#[test]
fn the_command_to_go_on_holds_no_password() {
    let Some(database) = crate::cluster::database() else { return };
    let text = generated(5000).into_bytes();
    let silent = Arc::new(AtomicBool::new(true));
    let quiet = Arc::clone(&silent);
    let server = Rude::new(move |asked| {
        let first = quiet.load(Ordering::Relaxed);
        let mut reply = honest(asked, &text, "\"v1\"", if first { text.len() / 2 } else { usize::MAX });
        reply.hangs = first;
        reply
    });
    let world = World::new();
    // One that has no password is given one.
    let (user, password) = database.login().split_once(':').unwrap_or((database.login(), "hunter2hunter2"));
    let into = database.url_of(&format!("{user}:{password}"));
    let args = [&server.url("/users.csv?part=hidden7"), "--batch-size", "100", "--into", &into];
    let child = world.command(&args, &[]).spawn().unwrap();
    let begun = "SELECT count(*) FROM pg_class WHERE relname = 'bulk_piece'";
    let sql = |asked: &str| crate::cluster::sql(&database.url, asked)[0][0].clone();
    until(|| sql(begun) == "1" && sql("SELECT count(*) FROM bulk_piece") != "0");
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{said}");
    for secret in [password, "hidden7"] {
        assert!(!said.contains(secret), "{said}");
    }
    assert!(said.contains("--into env:IMPORT_INTO") && said.contains("hint: put it into the variable"), "{said}");
    assert!(said.contains("/users.csv?…'") && said.contains("hint: what stood behind `?`"), "{said}");
    silent.store(false, Ordering::Relaxed);
    let mended = said.replace("?…'", "?part=hidden7'");
    assert_eq!(world.again(&mended, &[("IMPORT_INTO", &into)]).counts(0), "COMPLETED 5000 5000 0 0 0 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_come_from_buckets_and_servers_too() {
    let shelf = Shelf::new();
    let keys = ["in/a.jsonl.gz", "in/b.jsonl", "in/c.csv"];
    shelf.put(keys[0], &gzip(lines(0, 300).as_bytes())).await;
    shelf.put(keys[1], lines(0, 20).as_bytes()).await;
    shelf.put(keys[2], b"id\n").await;
    let world = World::new();
    let done = run(&world, &[&shelf.url("in/"), "--kind", "table", "--delete-after"], &shelf.env());
    assert_eq!(done.counts(0), "COMPLETED 300 300 0 0 0 0");
    assert_eq!(world.rows("SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)"), ["300|20"]);
    assert_eq!(shelf.left(keys).await, [false, false, true]);
    let packed = zstd::encode_all(lines(0, 500).as_bytes(), 1).unwrap();
    let cut = packed.len() / 3;
    let server = Rude::new(move |asked| honest(asked, &packed, "\"v1\"", cut));
    // By its content, not by its name; cut again and again on its way.
    let args = [&server.url("/dump"), "--table", "a"];
    let done = run(&world, &args, &[("IMPORT_READ_BACKOFF_SECONDS", "0.01")]);
    assert_eq!(done.counts(0), "COMPLETED 500 200 0 300 0 0");
    assert!(server.asked().len() >= 3);
}
