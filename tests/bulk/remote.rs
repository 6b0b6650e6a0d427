//! Files from S3 and HTTP, cut and stopped on their way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::bucket::{Bucket, KEY, SECRET};
use crate::rude::{Rude, honest};
use crate::world::{World, generated, gzip, signal, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_gives_its_files() {
    let bucket = Bucket::start().await;
    bucket.put("in/users.csv.gz", &gzip(generated(2000).as_bytes()));
    let world = World::new();
    let endpoint = bucket.endpoint();
    let env = [("S3_ENDPOINT", endpoint.as_str()), ("S3_ACCESS_KEY_ID", KEY), ("S3_SECRET_ACCESS_KEY", SECRET)];
    let done = world.run_with(&["s3://box/in/users.csv.gz"], &env);
    assert_eq!(done.counts(0), "COMPLETED 2000 2000 0 0 0 0");
    let wrong = [env[0], env[1], ("S3_SECRET_ACCESS_KEY", "wrong-secret")];
    let refused = world.run_with(&["s3://box/in/users.csv.gz"], &wrong);
    assert_eq!(refused.code(), Some(3));
    assert!(!refused.said().contains("wrong-secret"), "{}", refused.said());
    assert!(bucket.path("in/users.csv.gz").exists());
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
        let args = [url.as_str(), "--batch-size", "100"];
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
        assert!(said.contains("--resume"), "{said}");
        assert_eq!(world.rows("SELECT status FROM import_record"), ["started"]);
        silent.store(false, Ordering::Relaxed);
        let done = world.run(&[&args[..], &["--resume"]].concat());
        assert_eq!(done.counts(0), "COMPLETED 5000 5000 0 0 0 0");
        assert_eq!(world.rows("SELECT status FROM import_record"), ["completed"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bucket_has_below_a_prefix_is_imported_and_taken_away() {
    let bucket = Bucket::start().await;
    let rows = generated(300);
    for (key, text) in [
        ("in/b.csv.gz", gzip(rows.as_bytes())),
        ("in/a.csv", rows.replace("\nu", "\na").into_bytes()),
        ("in/deep/c.csv", rows.replace("u7,", ",").replace("\nu", "\nc").into_bytes()),
        ("in/notes.txt", b"no csv".to_vec()),
        ("inside.csv", b"id,group\nx,g\n".to_vec()),
    ] {
        bucket.put(key, &text);
    }
    let world = World::new();
    let endpoint = bucket.endpoint();
    let env = [("S3_ENDPOINT", endpoint.as_str()), ("S3_ACCESS_KEY_ID", KEY), ("S3_SECRET_ACCESS_KEY", SECRET)];
    let left = |keys: [&str; 5]| keys.map(|key| bucket.path(key).exists());
    let keys = ["in/a.csv", "in/b.csv.gz", "in/deep/c.csv", "in/notes.txt", "inside.csv"];
    let done = world.run_with(&["s3://box/in/"], &env);
    assert_eq!(done.code(), Some(1), "{}", done.said());
    let printed: serde_json::Value = serde_json::from_slice(&done.0.stdout).unwrap();
    let files: Vec<_> = (0..3).map(|index| printed["files"][index]["file"].as_str().unwrap()).collect();
    assert_eq!(files, ["s3://box/in/a.csv", "s3://box/in/b.csv.gz", "s3://box/in/deep/c.csv"]);
    assert_eq!(left(keys), [true; 5]);
    // Now they go, but for the one of which a row is not in.
    let done = world.run_with(&["s3://box/in/", "--delete-after"], &env);
    assert_eq!(done.code(), Some(1), "{}", done.said());
    assert_eq!(left(keys), [false, false, true, true, true]);
    let nothing = world.run_with(&["s3://box/other/"], &env);
    assert_eq!(nothing.code(), Some(2), "{}", nothing.said());
    let wrong = world.run_with(&["s3://box/in/"], &[env[0], env[1], ("S3_SECRET_ACCESS_KEY", "wrong-secret")]);
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
