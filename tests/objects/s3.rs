//! Buckets of a server that checks signatures (`Shelf`: the one in this process, or the one that `S3_ENDPOINT` names), and
//! what stores do that are not well.

use parser::error::{Fault as _, Severity};
use parser::store::objects::{ObjectUrl, Position, Sources, StartAt};

use crate::rude::{Rude, answer, honest, through};
use crate::shelf::Shelf;
use crate::world::{bytes, bytes_from, gzip, lines, listed, text};

const TRIES: (&str, &str) = ("IMPORT_READ_TRIES", "3");

/// What may read this shelf's bucket.
fn sources(shelf: &Shelf, more: &[(&str, &str)]) -> Sources {
    listed(&[&shelf.env()[..], &[("IMPORT_BUCKETS", shelf.bucket()), TRIES], more].concat())
}

/// What asks a server that does not look at keys.
fn careless(server: &Rude) -> Sources {
    let (endpoint, key) = (server.url(""), "test-key");
    listed(&[
        ("S3_ENDPOINT", &endpoint),
        ("S3_ACCESS_KEY_ID", key),
        ("S3_SECRET_ACCESS_KEY", key),
        ("IMPORT_BUCKETS", "box"),
        TRIES,
    ])
}

#[tokio::test]
async fn objects_are_read_whole_and_from_the_middle() {
    let shelf = Shelf::new();
    let content = text(3_000_000);
    let (plain, odd) = ("deep/x.jsonl", "odd name+ü%20.gz");
    shelf.put(plain, &content).await;
    shelf.put(odd, &gzip(&content)).await;
    let sources = sources(&shelf, &[]);
    let url = shelf.url(plain);
    assert!(bytes(&sources, &url).await.unwrap() == content);
    assert!(bytes_from(&sources, &url, 1_234_567, None).await.unwrap() == content[1_234_567..]);
    let end = content.len() as u64;
    assert_eq!(bytes_from(&sources, &url, end, None).await, Ok(Vec::new()));
    let beyond = bytes_from(&sources, &url, end + 1, None).await.unwrap_err();
    assert_eq!(beyond.code(), "object_changed");
    let expected = lines(&sources, &url, StartAt::START).await.unwrap();
    assert_eq!(lines(&sources, &shelf.url(odd), StartAt::START).await.unwrap(), expected);
    assert_eq!(expected.len(), content.split(|byte| *byte == b'\n').count() - 1);
}

#[tokio::test]
async fn an_http_address_at_the_endpoint_is_signed_for() {
    let shelf = Shelf::new();
    shelf.put("a b/x+ü%20", b"content").await;
    let sources = sources(&shelf, &[]);
    let endpoint = shelf.access.endpoint.trim_end_matches('/');
    let url = format!("{endpoint}/{}/{}", shelf.bucket(), shelf.key("a%20b/x+%C3%BC%2520"));
    assert_eq!(bytes(&sources, &url).await.unwrap(), b"content");
    let other = format!("{endpoint}/other/x");
    assert_eq!(bytes(&sources, &other).await.unwrap_err().code(), "object_not_allowed");
}

#[tokio::test]
async fn a_wrong_secret_is_refused_and_shown_nowhere() {
    let shelf = Shelf::new();
    shelf.put("x", b"content").await;
    let wrong = "another-secret-entirely";
    let sources = sources(&shelf, &[("S3_SECRET_ACCESS_KEY", wrong)]);
    let listed = sources.list(&shelf.url("")).await.unwrap_err();
    for error in [bytes(&sources, &shelf.url("x")).await.unwrap_err(), listed] {
        assert_eq!((error.code(), error.severity()), ("object_refused", Severity::Permanent), "{error}");
        assert!(error.to_string().contains("SignatureDoesNotMatch"), "{error}");
        let shown = format!("{error} {error:?} {sources:?}");
        assert!(!shown.contains(wrong) && !shown.contains(&shelf.access.secret), "{shown}");
    }
}

#[tokio::test]
async fn keys_come_from_the_environment_or_a_profile() {
    let shelf = Shelf::new();
    shelf.put("x", b"content").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    let (key, secret) = (shelf.access.key.as_str(), shelf.access.secret.as_str());
    let profiles = format!(
        "[default]\naws_access_key_id=wrong\naws_secret_access_key=wrong\n\
         [mine]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
    );
    std::fs::write(&file, profiles).unwrap();
    let file = file.to_str().unwrap().to_owned();
    let with = |more: &[(&str, &str)]| {
        let access = &shelf.access;
        let place = [("AWS_ENDPOINT_URL", access.endpoint.as_str()), ("AWS_REGION", &access.region)];
        listed(&[&place[..], &[("IMPORT_BUCKETS", shelf.bucket())], more].concat())
    };
    let url = shelf.url("x");
    let environment = with(&[("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", secret)]);
    let profile = with(&[("AWS_SHARED_CREDENTIALS_FILE", &file), ("S3_PROFILE", "mine"), ("AWS_ACCESS_KEY_ID", "x")]);
    for sources in [environment, profile] {
        assert_eq!(bytes(&sources, &url).await.unwrap(), b"content");
    }
    let none = with(&[]);
    let unknown = with(&[("AWS_SHARED_CREDENTIALS_FILE", &file), ("AWS_PROFILE", "yours")]);
    for sources in [none, unknown] {
        assert_eq!(bytes(&sources, &url).await.unwrap_err().code(), "object_refused");
    }
}

#[tokio::test]
async fn what_is_missing_and_what_is_not_listed() {
    let shelf = Shelf::new();
    shelf.put("daily/x", b"content").await;
    shelf.put("other", b"content").await;
    // No server has a bucket of this name.
    let cellar = shelf.key("cellar").replace('/', "-");
    let (whole, below) = (sources(&shelf, &[]), format!("s3://{cellar}/none"));
    assert_eq!(bytes(&whole, &shelf.url("none")).await.unwrap_err().code(), "object_not_found");
    assert_eq!(bytes(&whole, &below).await.unwrap_err().code(), "object_not_allowed");
    let rules = format!("{cellar},{}/{}", shelf.bucket(), shelf.key("daily/"));
    let part = sources(&shelf, &[("IMPORT_BUCKETS", &rules)]);
    assert_eq!(bytes(&part, &shelf.url("daily/x")).await.unwrap(), b"content");
    assert_eq!(bytes(&part, &shelf.url("other")).await.unwrap_err().code(), "object_not_allowed");
    let error = bytes(&part, &below).await.unwrap_err();
    // Keys that are for one bucket hear of no other whether it is there.
    let denied = error.code() == "object_refused" && error.to_string().contains("AccessDenied");
    assert!(error.code() == "object_not_found" || (denied && !shelf.is_inside()), "{error}");
}

#[tokio::test]
async fn a_changed_object_is_not_gone_on_with() {
    let shelf = Shelf::new();
    shelf.put("x", &text(10_000)).await;
    let sources = sources(&shelf, &[]);
    let url = ObjectUrl::parse(&shelf.url("x")).unwrap();
    let mut lines = sources.lines(&url, StartAt::START, 1000).await.unwrap();
    lines.next().await.unwrap().unwrap();
    let (position, tag) = (lines.position(), lines.tag().unwrap().to_owned());
    assert_eq!(position.line, 2);
    let mut again = sources.lines(&url, StartAt { position, tag: Some(&tag) }, 1000).await.unwrap();
    assert_eq!(again.next().await.unwrap().unwrap().at(), position);
    shelf.put("x", &other(&text(10_000))).await;
    let error = sources.lines(&url, StartAt { position, tag: Some(&tag) }, 1000).await.unwrap_err();
    assert_eq!(error.code(), "object_changed");
}

/// Another content of the same length.
fn other(content: &[u8]) -> Vec<u8> {
    let mut other = content.to_vec();
    other[20] = b'Z';
    other
}

#[tokio::test]
async fn a_connection_to_a_bucket_that_is_cut_goes_on_at_the_byte_where_it_stopped() {
    let shelf = Shelf::new();
    let Some(server) = shelf.plain() else { return };
    let content = text(3_000_000);
    shelf.put("x", &content).await;
    let cutting = Rude::new(move |asked| through(asked, &server, 700_000));
    // Less than what counts as progress comes each time.
    let sources = sources(&shelf, &[("S3_ENDPOINT", &cutting.url("")), ("IMPORT_READ_TRIES", "5")]);
    assert!(bytes(&sources, &shelf.url("x")).await.unwrap() == content);
    let asked = cutting.asked();
    let starts: Vec<_> = asked.iter().map(|asked| asked.start().unwrap_or(0)).collect();
    assert_eq!(starts, [0, 700_000, 1_400_000, 2_100_000, 2_800_000]);
    let tag = asked[1].header("if-match").unwrap();
    assert!(tag.len() > 2 && tag.starts_with('"'), "{tag}");
    assert!(asked[2..].iter().all(|asked| asked.header("if-match") == Some(tag)));
}

#[tokio::test]
async fn each_line_of_a_cut_and_packed_object_comes_once() {
    let shelf = Shelf::new();
    let Some(server) = shelf.plain() else { return };
    let content = text(2_000_000);
    let packed = gzip(&content);
    let cut = packed.len() / 4;
    shelf.put("odd name+ü%20.gz", &packed).await;
    let cutting = Rude::new(move |asked| through(asked, &server, cut));
    let sources = sources(&shelf, &[("S3_ENDPOINT", &cutting.url("")), ("IMPORT_READ_TRIES", "10")]);
    let found = lines(&sources, &shelf.url("odd name+ü%20.gz"), StartAt::START).await.unwrap();
    let mut offset = 0;
    let expected = content.split_inclusive(|byte| *byte == b'\n').enumerate().map(|(number, line)| {
        let text = std::str::from_utf8(line).unwrap().trim_end();
        let shown = format!("{}:{offset}:{text}", number + 1);
        offset += line.len();
        shown
    });
    assert!(found == expected.collect::<Vec<_>>());
    assert!(cutting.asked().len() > 4);
}

#[tokio::test]
async fn an_object_that_is_replaced_while_its_connection_is_cut_is_not_joined_to_the_old_one() {
    let shelf = Shelf::new();
    let Some(server) = shelf.plain() else { return };
    let content = text(3_000_000);
    let cutting = Rude::new(move |asked| through(asked, &server, 700_000));
    let (direct, cut) = (sources(&shelf, &[]), sources(&shelf, &[("S3_ENDPOINT", &cutting.url(""))]));
    let url = ObjectUrl::parse(&shelf.url("x")).unwrap();
    for replacement in [Some(other(&content)), Some(content[..2_000_000].to_vec()), Some(Vec::new()), None] {
        shelf.put("x", &content).await;
        let before = cutting.asked().len();
        let mut object = cut.open(&url, 0, None).await.unwrap();
        let mut found = object.next().await.unwrap().unwrap().to_vec();
        let expected = if let Some(other) = &replacement {
            shelf.put("x", other).await;
            "object_changed"
        } else {
            let tag = object.tag().unwrap().to_owned();
            direct.delete(&url, &tag).await.unwrap();
            "object_not_found"
        };
        let error = loop {
            match object.next().await {
                Ok(piece) => found.extend_from_slice(&piece.expect("it came to an end")),
                Err(error) => break error,
            }
        };
        assert_eq!((error.code(), error.severity()), (expected, Severity::Permanent), "{error}");
        assert!(found == content[..700_000], "{} bytes", found.len());
        let resumed = cutting.asked().iter().skip(before).filter(|asked| asked.start() == Some(700_000)).count();
        assert_eq!(resumed, 1, "{expected}");
    }
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
    let found = bytes(&careless(&cutting), "s3://box/x").await.unwrap();
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
    let rest = lines(&careless(&ignoring), "s3://box/x", start).await.unwrap();
    assert!(rest[0].starts_with(&format!("2:{}:", position.offset)), "{}", rest[0]);

    let elsewhere = Rude::new(|_| answer("200 OK", &["Content-Length: 0"], b""));
    let location = format!("Location: {}", elsewhere.url("/x"));
    for status in ["301 Moved", "307 Moved"] {
        let headers = [location.clone(), "Content-Length: 0".to_owned()];
        let moving = Rude::new(move |_| answer(status, &[&headers[0], &headers[1]], b""));
        let error = bytes(&careless(&moving), "s3://box/x").await.unwrap_err();
        assert_eq!(error.code(), "object_redirected", "{error}");
    }
    assert!(elsewhere.asked().is_empty());

    let down = Rude::new(|_| {
        let body = b"<Error><Code>SlowDown</Code><StringToSign>S3CRET</StringToSign></Error>";
        answer("503 Slow Down", &[&format!("Content-Length: {}", body.len())], body)
    });
    let error = bytes(&careless(&down), "s3://box/x").await.unwrap_err();
    assert_eq!((error.code(), error.severity()), ("object_unavailable", Severity::Transient));
    assert!(error.to_string().contains("SlowDown") && !error.to_string().contains("S3CRET"), "{error}");
    assert_eq!(down.asked().len(), 3);
}

#[tokio::test]
async fn what_a_bucket_has_is_listed_in_order_and_only_what_was_read_is_deleted() {
    let shelf = Shelf::new();
    let keys = ["in/b", "in/a c", "in/odd name+ü%20.gz", "in/deep/d", "inner", "out/x"].map(str::to_owned);
    shelf.put_all(&keys).await;
    let rule = format!("{}/{}", shelf.bucket(), shelf.key("in"));
    let sources = sources(&shelf, &[("IMPORT_BUCKETS", &rule)]);
    let listed = async |prefix: &str| {
        sources.list(prefix).await.map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let below = async |prefix: &str| listed(&shelf.url(prefix)).await.unwrap();
    let urls = |keys: &[&str]| keys.iter().map(|key| shelf.url(key)).collect::<Vec<_>>();
    let all = urls(&["in/a c", "in/b", "in/deep/d", "in/odd name+ü%20.gz"]);
    assert_eq!(below("in/").await, all);
    assert_eq!(below("in/de").await, urls(&["in/deep/d"]));
    assert_eq!(below("inn").await, urls(&["inner"]));
    // What is listed is what can be read.
    assert_eq!(bytes(&sources, &all[3]).await.unwrap(), keys[2].as_bytes());
    // What may not be read is not seen.
    assert_eq!(below("").await.len(), 5);
    assert_eq!(listed(&format!("s3://{}/", shelf.bucket())).await.unwrap().len(), 5);
    assert_eq!(below("none/").await, Vec::<String>::new());
    for wrong in [&format!("s3://{}", shelf.bucket()), "/in/", "https://x/y"] {
        assert_eq!(listed(wrong).await.unwrap_err().code(), "object_address_malformed", "{wrong}");
    }
    let url = ObjectUrl::parse(&shelf.url("in/b")).unwrap();
    let tag = sources.open(&url, 0, None).await.unwrap().tag().unwrap().to_owned();
    shelf.put("in/b", b"another").await;
    assert_eq!(sources.delete(&url, &tag).await.unwrap_err().code(), "object_changed");
    let tag = sources.open(&url, 0, None).await.unwrap().tag().unwrap().to_owned();
    sources.delete(&url, &tag).await.unwrap();
    assert_eq!(sources.delete(&url, &tag).await.unwrap_err().code(), "object_not_found");
    assert_eq!(shelf.left(["in/b", "in/a c"]).await, [false, true]);
    let outside = ObjectUrl::parse(&shelf.url("out/x")).unwrap();
    assert_eq!(sources.delete(&outside, &tag).await.unwrap_err().code(), "object_not_allowed");
}

#[tokio::test]
async fn more_objects_than_a_server_lists_at_once_are_all_listed() {
    let shelf = Shelf::new();
    // A page has 1,000.
    let keys: Vec<_> = (0..1001).map(|number| format!("in/{number:04}")).collect();
    shelf.put_all(&keys).await;
    let found = sources(&shelf, &[]).list(&shelf.url("in/")).await.unwrap();
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, keys.iter().map(|key| shelf.url(key)).collect::<Vec<_>>());
}
