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
