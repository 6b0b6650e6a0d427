//! HTTP servers, good and bad.

use std::sync::Arc;

use parser::error::{Fault as _, Severity};
use parser::store::objects::{ObjectUrl, Position, StartAt};

use crate::rude::{Reply, Rude, answer, honest};
use crate::world::{bytes, bytes_from, gzip, lines, listed, text};

fn sources(server: &Rude, more: &[(&str, &str)]) -> parser::store::objects::Sources {
    let host = server.host();
    let mut all = vec![("IMPORT_HOSTS", host.as_str())];
    all.extend_from_slice(more);
    listed(&all)
}

async fn code(server: &Rude, more: &[(&str, &str)]) -> (&'static str, Severity) {
    let error = bytes(&sources(server, more), &server.url("/x")).await.unwrap_err();
    (error.code(), error.severity())
}

#[tokio::test]
async fn a_cut_download_goes_on_at_the_byte_where_it_stopped() {
    let content = Arc::new(text(3_000_000));
    let served = Arc::clone(&content);
    let server = Rude::new(move |asked| honest(asked, &served, "\"v1\"", 700_000));
    let sources = sources(&server, &[]);
    assert!(bytes(&sources, &server.url("/x")).await.unwrap() == **content);
    let asked = server.asked();
    let starts: Vec<_> = asked.iter().map(|asked| asked.start().unwrap_or(0)).collect();
    assert_eq!(starts, [0, 700_000, 1_400_000, 2_100_000, 2_800_000]);
    assert!(asked[1..].iter().all(|asked| asked.header("if-match") == Some("\"v1\"")));
    assert!(asked.iter().all(|asked| asked.header("accept-encoding") == Some("identity")));
}

#[tokio::test]
async fn each_line_of_a_cut_and_packed_download_comes_once() {
    let content = text(2_000_000);
    let packed = Arc::new(gzip(&content));
    let served = Arc::clone(&packed);
    let cut = packed.len() / 4;
    let server = Rude::new(move |asked| honest(asked, &served, "\"v1\"", cut));
    let sources = sources(&server, &[("IMPORT_READ_TRIES", "10")]);
    let found = lines(&sources, &server.url("/x"), StartAt::START).await.unwrap();
    assert_eq!(found.len(), content.split(|byte| *byte == b'\n').count() - 1);
    let mut offset = 0;
    for (number, (found, line)) in found.iter().zip(content.split(|byte| *byte == b'\n')).enumerate() {
        assert_eq!(*found, format!("{}:{offset}:{}", number + 1, std::str::from_utf8(line).unwrap()));
        offset += line.len() + 1;
    }
    assert!(server.asked().len() > 4);
}

#[tokio::test]
async fn reading_begins_in_the_middle() {
    let content = text(100_000);
    let whole = content.clone();
    let packed = gzip(&content);
    let server = Rude::new(move |asked| match asked.path.as_str() {
        "/plain" => honest(asked, &whole, "\"v1\"", usize::MAX),
        _ => honest(asked, &packed, "\"v1\"", usize::MAX),
    });
    let sources = sources(&server, &[]);
    for path in ["/plain", "/packed"] {
        let url = server.url(path);
        let all = lines(&sources, &url, StartAt::START).await.unwrap();
        for skip in [0, 1, 1000, all.len()] {
            let offset = content.split_inclusive(|byte| *byte == b'\n').take(skip).map(<[u8]>::len).sum::<usize>();
            let position = Position { line: skip as u64 + 1, offset: offset as u64 };
            let rest = lines(&sources, &url, StartAt { position, tag: Some("etag:\"v1\"") }).await.unwrap();
            assert_eq!(rest, all[skip..], "{path} from line {}", skip + 1);
        }
        let stale = StartAt { position: Position { line: 2, offset: 5 }, tag: Some("etag:\"v0\"") };
        let error = lines(&sources, &url, stale).await.unwrap_err();
        assert_eq!(error.code(), "object_changed");
    }
}

#[tokio::test]
async fn a_server_that_ignores_ranges_is_read_over() {
    let content = Arc::new(text(500_000));
    let served = Arc::clone(&content);
    let server = Rude::new(move |asked| {
        let length = format!("Content-Length: {}", served.len());
        // Each answer comes a little further.
        let sent = &served[..served.len().min(200_000 * (asked.nth + 1))];
        answer("200 OK", &[&length, "ETag: \"v1\""], sent)
    });
    assert!(bytes(&sources(&server, &[]), &server.url("/x")).await.unwrap() == **content);
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn a_changed_object_is_not_joined_to_the_old_one() {
    let content = Arc::new(text(300_000));
    for how in ["etag", "412", "length", "modified", "416"] {
        let served = Arc::clone(&content);
        let server = Rude::new(move |asked| {
            let (first, length) = (asked.nth == 0, served.len());
            match how {
                "412" if !first => answer("412 Precondition Failed", &[], b""),
                "416" if !first => answer("416 No", &["Content-Range: bytes */17"], b""),
                "length" => {
                    let other = served[..if first { length } else { length - 1 }].to_vec();
                    let mut reply = honest(asked, &other, "W/\"same\"", 100_000);
                    // Not even an ETag.
                    let text = String::from_utf8(reply.bytes).unwrap().replace("ETag: W/\"same\"\r\n", "");
                    reply.bytes = text.into_bytes();
                    reply
                }
                "modified" => {
                    let date = format!("Last-Modified: Mon, 0{} Jan 2024 00:00:00 GMT", asked.nth + 1);
                    let mut reply = honest(asked, &served, "X", 100_000);
                    let text = String::from_utf8(reply.bytes).unwrap().replace("ETag: X", &date);
                    reply.bytes = text.into_bytes();
                    reply
                }
                _ => honest(asked, &served, if first { "\"v1\"" } else { "\"v2\"" }, 100_000),
            }
        });
        assert_eq!(code(&server, &[]).await, ("object_changed", Severity::Permanent), "{how}");
        assert_eq!(server.asked().len(), 2, "{how}");
    }
}

#[tokio::test]
async fn lies_about_ranges_are_found_out() {
    for range in ["bytes 100001-299999/300000", "bytes 5-4/300000", "rubbish", ""] {
        let server = Rude::new(move |asked| {
            if asked.start().is_none() {
                return answer("200 OK", &["Content-Length: 300000", "ETag: \"v\""], &vec![b'x'; 100_000]);
            }
            let range = format!("Content-Range: {range}");
            answer("206 Part", &[&range, "ETag: \"v\"", "Content-Length: 199999"], &vec![b'x'; 199_999])
        });
        assert_eq!(code(&server, &[]).await, ("object_answer_nonsense", Severity::Permanent), "{range}");
    }
}

#[tokio::test]
async fn redirects_lead_nowhere() {
    let secret = Rude::new(|_| answer("200 OK", &["Content-Length: 6"], b"secret"));
    let target = format!("Location: {}", secret.url("/latest/meta-data"));
    let server = Rude::new(move |_| answer("302 Found", &[&target, "Content-Length: 0"], b""));
    let hosts = format!("{},{}", server.host(), secret.host());
    assert_eq!(code(&server, &[("IMPORT_HOSTS", &hosts)]).await, ("object_redirected", Severity::Permanent));
    assert!(secret.asked().is_empty());
}

#[tokio::test]
async fn refusals_are_final_and_outages_are_tried_again() {
    for (status, expected) in [
        ("404 Not Found", ("object_not_found", Severity::Permanent)),
        ("403 Forbidden", ("object_refused", Severity::Permanent)),
        ("501 No", ("object_refused", Severity::Permanent)),
    ] {
        let server = Rude::new(move |_| answer(status, &["Content-Length: 0"], b""));
        assert_eq!(code(&server, &[]).await, expected, "{status}");
        assert_eq!(server.asked().len(), 1, "{status}");
    }
    for (status, header) in [("503 Busy", "Retry-After: 0"), ("429 Slow down", "Retry-After: 0"), ("500 Oops", "X: y")]
    {
        let server = Rude::new(move |_| answer(status, &["Content-Length: 0", header], b""));
        assert_eq!(code(&server, &[]).await, ("object_unavailable", Severity::Transient), "{status}");
        assert_eq!(server.asked().len(), 5, "{status}");
        let server = Rude::new(move |asked| match asked.nth {
            0..4 => answer(status, &["Content-Length: 0", header], b""),
            _ => answer("200 OK", &["Content-Length: 2"], b"ok"),
        });
        assert_eq!(bytes(&sources(&server, &[]), &server.url("/x")).await.unwrap(), b"ok");
    }
    let nobody = "127.0.0.1:1";
    let sources = listed(&[("IMPORT_HOSTS", nobody)]);
    let error = bytes(&sources, "http://127.0.0.1:1/x").await.unwrap_err();
    assert_eq!((error.code(), error.severity()), ("object_unavailable", Severity::Transient));
}

#[tokio::test]
async fn a_source_that_always_breaks_comes_to_an_end() {
    // A few bytes each time are no progress.
    let served = text(300_000);
    let server = Rude::new(move |asked| honest(asked, &served, "\"v1\"", 10));
    assert_eq!(code(&server, &[]).await, ("object_cut", Severity::Transient));
    assert_eq!(server.asked().len(), 5);
}

#[tokio::test]
async fn a_source_that_falls_silent_is_given_up() {
    for sent in [&b""[..], b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"] {
        let server = Rude::new(move |_| Reply { bytes: sent.to_vec(), hangs: true });
        let (code, severity) =
            code(&server, &[("IMPORT_READ_TIMEOUT_SECONDS", "0.05"), ("IMPORT_READ_TRIES", "2")]).await;
        assert!(matches!(code, "object_unavailable" | "object_cut"), "{code}");
        assert_eq!(severity, Severity::Transient);
        assert_eq!(server.asked().len(), 2);
    }
}

#[tokio::test]
async fn answers_that_are_none_and_answers_without_end_are_bounded() {
    let server = Rude::new(|_| Reply { bytes: b"SSH-2.0-x\r\n".to_vec(), hangs: false });
    assert_eq!(code(&server, &[]).await.0, "object_unavailable");
    let big = Rude::new(|_| answer("200 OK", &["Content-Length: 2000000"], &vec![b'x'; 2_000_000]));
    assert_eq!(code(&big, &[("IMPORT_MAX_OBJECT_MIB", "1")]).await.0, "object_too_large");
    // The same without saying how long it is.
    let endless = Rude::new(|_| answer("200 OK", &[], &vec![b'x'; 2_000_000]));
    assert_eq!(code(&endless, &[("IMPORT_MAX_OBJECT_MIB", "1")]).await.0, "object_too_large");
    let longer = Rude::new(|asked| match asked.start() {
        None => answer("200 OK", &["Content-Length: 10"], b"abcde"),
        Some(start) => {
            let range = format!("Content-Range: bytes {start}-9/10");
            answer("206 Part", &[&range], b"0123456789abcdef")
        }
    });
    assert_eq!(code(&longer, &[]).await.0, "object_answer_nonsense");
}

#[tokio::test]
async fn only_listed_hosts_are_asked() {
    let server = Rude::new(|_| answer("200 OK", &["Content-Length: 0"], b""));
    let port = server.address.port();
    let names = [
        format!("http://127.0.0.1:{port}/x"),
        format!("http://localhost:{port}/x"),
        format!("http://2130706433:{port}/x"),
        format!("http://[::ffff:127.0.0.1]:{port}/x"),
        format!("https://127.0.0.1:{port}/x"),
    ];
    let suffix = format!(".example.test:{port}");
    let other_port = "127.0.0.1:1".to_owned();
    for rule in ["", "files.example.test", &suffix, &other_port] {
        let sources = listed(&[("IMPORT_HOSTS", rule)]);
        for name in &names {
            let error = bytes(&sources, name).await.unwrap_err();
            assert_eq!(error.code(), "object_not_allowed", "{name} with `{rule}`");
            assert!(sources.check(&ObjectUrl::parse(name).unwrap()).is_err());
        }
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_name_below_a_suffix_does_not_lead_into_this_network() {
    let server = Rude::new(|_| answer("200 OK", &["Content-Length: 0"], b""));
    let port = server.address.port();
    // `x.localhost` is this machine wherever names are looked up.
    let url = format!("http://x.localhost:{port}/x");
    let below = listed(&[("IMPORT_HOSTS", &format!(".localhost:{port}")), ("IMPORT_READ_TRIES", "1")]);
    assert_eq!(bytes(&below, &url).await.unwrap_err().code(), "object_unavailable");
    assert!(server.asked().is_empty());
    let named = listed(&[("IMPORT_HOSTS", &format!("localhost:{port}"))]);
    assert_eq!(bytes(&named, &format!("http://localhost:{port}/x")).await, Ok(Vec::new()));
}

#[tokio::test]
async fn nothing_is_left_to_read_at_the_end() {
    let content = text(1000);
    let served = content.clone();
    let server = Rude::new(move |asked| honest(asked, &served, "\"v1\"", usize::MAX));
    let sources = sources(&server, &[]);
    let length = content.len() as u64;
    let tag = Some("etag:\"v1\"");
    assert_eq!(bytes_from(&sources, &server.url("/x"), length, tag).await, Ok(Vec::new()));
    let beyond = bytes_from(&sources, &server.url("/x"), length + 1, tag).await;
    assert_eq!(beyond.unwrap_err().code(), "object_changed");
}
