//! Batches that are fetched from where they are.

use serde_json::json;

use crate::place::{JSON, Place, lines, on_each_engine, record, refused};

#[test]
fn a_file_is_fetched_and_each_line_counts_once() {
    on_each_engine(|place| {
        let files = place.folder.path().join("files");
        std::fs::create_dir(&files).unwrap();
        std::fs::write(files.join("a.jsonl"), lines((1..=1200).map(record).chain([refused(7000)]))).unwrap();
        let folder = files.to_str().unwrap().to_owned();
        let served = place.serve_with(&[("IMPORT_FILES_PATH", &folder)]);
        let import = served.import(&json!({ "source": "s" }));
        let url = |name: &str| json!({ "storage_url": format!("file://{folder}/{name}") }).to_string();
        let sent = served.send(&import, &[JSON], url("a.jsonl").as_bytes());
        assert_eq!(sent.status, 202, "{}", sent.text);
        let batch = served.ended(sent.header("location").unwrap());
        assert_eq!((&batch["status"], &batch["records"]), (&json!("partially_failed"), &json!(1201)));
        assert_eq!((&batch["results"]["completed"], &batch["position"]["lines"]), (&json!(1200), &json!(1201)));

        let same = served.send(&import, &[JSON], url("a.jsonl").as_bytes());
        assert_eq!(same.refusal(), (409, "storage_url_known".to_owned()));
        let missing = served.send(&import, &[JSON], url("none.jsonl").as_bytes());
        let batch = served.ended(missing.header("location").unwrap());
        assert_eq!(batch["status"], "failed");
        assert!(!batch["reason"].as_str().unwrap().is_empty());
        for forbidden in ["../secret.jsonl", "http://localhost/x", "s3://other/key"] {
            let body = json!({ "storage_url": forbidden }).to_string();
            let answer = served.send(&import, &[JSON], body.as_bytes());
            assert_eq!(answer.refusal(), (403, "storage_url_forbidden".to_owned()), "{forbidden}");
        }
        // Where a file really is shows only when it is opened.
        let outside = served.send(&import, &[JSON], b"{\"storage_url\":\"file:///etc/passwd\"}");
        let batch = served.ended(outside.header("location").unwrap());
        assert_eq!((&batch["status"], &batch["records"]), (&json!("failed"), &json!(0)));
        assert!(batch["reason"].as_str().unwrap().contains("outside the folder"), "{batch}");

        let ended = served.finalise(&import);
        assert_eq!(ended["status"], "partially_failed");
        // What failed is tried again: the bad record, and the place that is there now.
        std::fs::write(files.join("none.jsonl"), lines([record(5000)])).unwrap();
        let retry = served.ask("POST", &format!("{import}/retry"), &[], b"");
        let ended = served.ended(retry.header("location").unwrap());
        assert_eq!((&ended["results"]["completed"], &ended["results"]["failed"]), (&json!(1), &json!(1)));
    });
}

#[test]
fn a_fetch_that_was_killed_goes_on_where_it_was() {
    for point in ["imports.fetch.before_commit=3", "imports.fetch.after_commit=3"] {
        let place = Place::sqlite();
        let files = place.folder.path().join("files");
        std::fs::create_dir(&files).unwrap();
        std::fs::write(files.join("a.jsonl"), lines((1..=1600).map(record))).unwrap();
        let folder = files.to_str().unwrap().to_owned();
        let folder = ("IMPORT_FILES_PATH", folder.as_str());
        let mut served = place.serve_hastily(&[folder, ("PARSER_CRASH_AT", point)]);
        let import = served.import(&json!({ "source": "s" }));
        let body = json!({ "storage_url": "a.jsonl" }).to_string();
        // The process may die before it has answered.
        let _ = served.try_ask("POST", &format!("{import}/batches"), &[JSON], body.as_bytes());
        while !served.is_dead() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        drop(served);
        let served = place.serve_with(&[folder]);
        let ended = served.finalise(&import);
        assert_eq!((&ended["status"], &ended["results"]["completed"]), (&json!("completed"), &json!(1600)), "{point}");
        assert_eq!(place.dump().matches("\"table\":\"series\"").count(), 1600);
    }
}
