//! Buckets of a server that checks signatures.

use parser::error::{Fault as _, Severity};
use parser::store::objects::{ObjectUrl, Position, Sources, StartAt};

use crate::bucket::{Bucket, KEY, SECRET};
use crate::rude::{Rude, answer, honest};
use crate::world::{bytes, bytes_from, gzip, lines, listed, text};

fn sources(endpoint: &str, more: &[(&str, &str)]) -> Sources {
    let mut all = vec![
        ("S3_ENDPOINT", endpoint),
        ("S3_ACCESS_KEY_ID", KEY),
        ("S3_SECRET_ACCESS_KEY", SECRET),
        ("IMPORT_BUCKETS", "box"),
        ("IMPORT_READ_TRIES", "3"),
    ];
    all.extend_from_slice(more);
    listed(&all)
}

#[tokio::test]
async fn objects_are_read_whole_and_from_the_middle() {
    let bucket = Bucket::start().await;
    let content = text(3_000_000);
    bucket.put("deep/x.jsonl", &content);
    bucket.put("odd name+ü%20.gz", &gzip(&content));
    let sources = sources(&bucket.endpoint(), &[]);
    assert!(bytes(&sources, "s3://box/deep/x.jsonl").await.unwrap() == content);
    assert!(bytes_from(&sources, "s3://box/deep/x.jsonl", 1_234_567, None).await.unwrap() == content[1_234_567..]);
    let end = content.len() as u64;
    assert_eq!(bytes_from(&sources, "s3://box/deep/x.jsonl", end, None).await, Ok(Vec::new()));
    let beyond = bytes_from(&sources, "s3://box/deep/x.jsonl", end + 1, None).await.unwrap_err();
    assert_eq!(beyond.code(), "object_changed");
    let plain = lines(&sources, "s3://box/deep/x.jsonl", StartAt::START).await.unwrap();
    assert_eq!(lines(&sources, "s3://box/odd name+ü%20.gz", StartAt::START).await.unwrap(), plain);
    assert_eq!(plain.len(), content.split(|byte| *byte == b'\n').count() - 1);
}

#[tokio::test]
async fn an_http_address_at_the_endpoint_is_signed_for() {
    let bucket = Bucket::start().await;
    bucket.put("a b/x", b"content");
    let sources = sources(&bucket.endpoint(), &[]);
    let url = format!("{}/box/a%20b/x", bucket.endpoint());
    assert_eq!(bytes(&sources, &url).await.unwrap(), b"content");
    let other = format!("{}/other/x", bucket.endpoint());
    assert_eq!(bytes(&sources, &other).await.unwrap_err().code(), "object_not_allowed");
}

#[tokio::test]
async fn a_wrong_secret_is_refused_and_shown_nowhere() {
    let bucket = Bucket::start().await;
    bucket.put("x", b"content");
    let wrong = "another-secret-entirely";
    let sources = sources(&bucket.endpoint(), &[("S3_SECRET_ACCESS_KEY", wrong)]);
    let error = bytes(&sources, "s3://box/x").await.unwrap_err();
    assert_eq!((error.code(), error.severity()), ("object_refused", Severity::Permanent), "{error}");
    assert!(error.to_string().contains("SignatureDoesNotMatch"), "{error}");
    let shown = format!("{error} {error:?} {sources:?}");
    assert!(!shown.contains(wrong) && !shown.contains(SECRET), "{shown}");
}

#[tokio::test]
async fn keys_come_from_the_environment_or_a_profile() {
    let bucket = Bucket::start().await;
    bucket.put("x", b"content");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    let profiles = format!(
        "[default]\naws_access_key_id=wrong\naws_secret_access_key=wrong\n\
         [mine]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
    );
    std::fs::write(&file, profiles).unwrap();
    let (endpoint, file) = (bucket.endpoint(), file.to_str().unwrap().to_owned());
    let with = |more: &[(&str, &str)]| {
        let mut all = vec![("AWS_ENDPOINT_URL", endpoint.as_str()), ("IMPORT_BUCKETS", "box")];
        all.extend_from_slice(more);
        listed(&all)
    };
    let environment = with(&[("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", SECRET)]);
    let profile = with(&[("AWS_SHARED_CREDENTIALS_FILE", &file), ("S3_PROFILE", "mine"), ("AWS_ACCESS_KEY_ID", "x")]);
    for sources in [environment, profile] {
        assert_eq!(bytes(&sources, "s3://box/x").await.unwrap(), b"content");
    }
    let none = with(&[]);
    let unknown = with(&[("AWS_SHARED_CREDENTIALS_FILE", &file), ("AWS_PROFILE", "yours")]);
    for sources in [none, unknown] {
        assert_eq!(bytes(&sources, "s3://box/x").await.unwrap_err().code(), "object_refused");
    }
}

#[tokio::test]
async fn what_is_missing_and_what_is_not_listed() {
    let bucket = Bucket::start().await;
    bucket.put("daily/x", b"content");
    let whole = sources(&bucket.endpoint(), &[]);
    assert_eq!(bytes(&whole, "s3://box/none").await.unwrap_err().code(), "object_not_found");
    assert_eq!(bytes(&whole, "s3://cellar/x").await.unwrap_err().code(), "object_not_allowed");
    let part = sources(&bucket.endpoint(), &[("IMPORT_BUCKETS", "cellar,box/daily/")]);
    assert_eq!(bytes(&part, "s3://box/daily/x").await.unwrap(), b"content");
    assert_eq!(bytes(&part, "s3://box/other").await.unwrap_err().code(), "object_not_allowed");
    assert_eq!(bytes(&part, "s3://cellar/none").await.unwrap_err().code(), "object_not_found");
}

#[tokio::test]
async fn a_changed_object_is_not_gone_on_with() {
    let bucket = Bucket::start().await;
    bucket.put("x", &text(10_000));
    let sources = sources(&bucket.endpoint(), &[]);
    let url = ObjectUrl::parse("s3://box/x").unwrap();
    let mut lines = sources.lines(&url, StartAt::START, 1000).await.unwrap();
    lines.next().await.unwrap().unwrap();
    let (position, tag) = (lines.position(), lines.tag().unwrap().to_owned());
    assert_eq!(position.line, 2);
    let mut again = sources.lines(&url, StartAt { position, tag: Some(&tag) }, 1000).await.unwrap();
    assert_eq!(again.next().await.unwrap().unwrap().at(), position);
    // Another content of the same length.
    let mut other = text(10_000);
    other[20] = b'Z';
    std::fs::remove_file(bucket.path("x")).unwrap();
    bucket.put("x", &other);
    make_later(&bucket);
    let error = sources.lines(&url, StartAt { position, tag: Some(&tag) }, 1000).await.unwrap_err();
    assert_eq!(error.code(), "object_changed");
}

/// The server makes entity tags of time and length: makes sure that the time differs.
fn make_later(bucket: &Bucket) {
    let file = std::fs::File::options().write(true).open(bucket.path("x")).unwrap();
    file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(10)).unwrap();
}

#[tokio::test]
async fn a_store_that_cuts_ignores_ranges_redirects_or_is_down() {
    let content = text(2_000_000);
    let served = content.clone();
    let cutting = Rude::new(move |asked| {
        let mut reply = honest(asked, &served, "\"v1\"", 900_000);
        let text = String::from_utf8(std::mem::take(&mut reply.bytes)).unwrap();
        reply.bytes = text.replace("ETag:", "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\nETag:").into_bytes();
        reply
    });
    let found = bytes(&sources(&cutting.url(""), &[]), "s3://box/x").await.unwrap();
    assert!(found == content);
    let starts: Vec<_> = cutting.asked().iter().map(|asked| asked.start().unwrap_or(0)).collect();
    assert_eq!(starts, [0, 900_000, 1_800_000]);
    assert!(cutting.asked().iter().all(|asked| asked.path == "/box/x" && asked.header("authorization").is_some()));
    assert_eq!(cutting.asked()[1].header("if-match"), Some("\"v1\""));

    let served = content.clone();
    let ignoring = Rude::new(move |_| {
        let length = format!("Content-Length: {}", served.len());
        answer("200 OK", &[&length, "ETag: \"v\"", "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT"], &served)
    });
    let position = Position { line: 2, offset: content.iter().position(|byte| *byte == b'\n').unwrap() as u64 + 1 };
    let start = StartAt { position, tag: None };
    let rest = lines(&sources(&ignoring.url(""), &[]), "s3://box/x", start).await.unwrap();
    assert!(rest[0].starts_with(&format!("2:{}:", position.offset)), "{}", rest[0]);

    let elsewhere = Rude::new(|_| answer("200 OK", &["Content-Length: 0"], b""));
    let location = format!("Location: {}", elsewhere.url("/x"));
    for status in ["301 Moved", "307 Moved"] {
        let headers = [location.clone(), "Content-Length: 0".to_owned()];
        let moving = Rude::new(move |_| answer(status, &[&headers[0], &headers[1]], b""));
        let error = bytes(&sources(&moving.url(""), &[]), "s3://box/x").await.unwrap_err();
        assert_eq!(error.code(), "object_redirected", "{error}");
    }
    assert!(elsewhere.asked().is_empty());

    let down = Rude::new(|_| {
        let body = b"<Error><Code>SlowDown</Code><StringToSign>S3CRET</StringToSign></Error>";
        answer("503 Slow Down", &[&format!("Content-Length: {}", body.len())], body)
    });
    let error = bytes(&sources(&down.url(""), &[]), "s3://box/x").await.unwrap_err();
    assert_eq!((error.code(), error.severity()), ("object_unavailable", Severity::Transient));
    assert!(error.to_string().contains("SlowDown") && !error.to_string().contains("S3CRET"), "{error}");
    assert_eq!(down.asked().len(), 3);
}

#[tokio::test]
async fn what_a_bucket_has_is_listed_in_order_and_only_what_was_read_is_deleted() {
    let bucket = Bucket::start().await;
    for key in ["in/b", "in/a c", "in/deep/d", "inner", "out/x"] {
        bucket.put(key, key.as_bytes());
    }
    let sources = sources(&bucket.endpoint(), &[("IMPORT_BUCKETS", "box/in")]);
    let listed = async |prefix: &str| {
        sources.list(prefix).await.map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(listed("s3://box/in/").await.unwrap(), ["s3://box/in/a c", "s3://box/in/b", "s3://box/in/deep/d"]);
    assert_eq!(listed("s3://box/in/de").await.unwrap(), ["s3://box/in/deep/d"]);
    assert_eq!(listed("s3://box/inn").await.unwrap(), ["s3://box/inner"]);
    // What may not be read is not seen.
    assert_eq!(listed("s3://box/").await.unwrap().len(), 4);
    assert_eq!(listed("s3://box/none/").await.unwrap(), Vec::<String>::new());
    for wrong in ["s3://box", "/in/", "https://x/y"] {
        assert_eq!(listed(wrong).await.unwrap_err().code(), "object_address_malformed", "{wrong}");
    }
    let url = ObjectUrl::parse("s3://box/in/b").unwrap();
    let tag = sources.open(&url, 0, None).await.unwrap().tag().unwrap().to_owned();
    bucket.put("in/b", b"another");
    assert_eq!(sources.delete(&url, &tag).await.unwrap_err().code(), "object_changed");
    let tag = sources.open(&url, 0, None).await.unwrap().tag().unwrap().to_owned();
    sources.delete(&url, &tag).await.unwrap();
    assert_eq!(sources.delete(&url, &tag).await.unwrap_err().code(), "object_not_found");
    let outside = ObjectUrl::parse("s3://box/out/x").unwrap();
    assert_eq!(sources.delete(&outside, &tag).await.unwrap_err().code(), "object_not_allowed");
}
