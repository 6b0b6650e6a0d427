//! What a client cannot do: fill the memory, hold every place, take for ever.

use std::io::{ErrorKind, Read as _, Write as _};
use std::time::{Duration, Instant};

use serde_json::json;

use super::process::wait_until_in_flight;
use super::world::{ANIME, DEADLINE, EPISODES, Served, TOKEN, anime, ask, connect, head, read_answer};

const WITH_TOKEN: &[(&str, &str)] = &[("X-Internal-Token", TOKEN)];

#[test]
fn a_body_that_is_too_large_is_refused_and_nothing_of_it_is_kept() {
    let served = Served::new();
    let sized = |bytes: usize| {
        let mut body = anime("1", "One");
        body["description"] = json!("x".repeat(bytes - body.to_string().len() - r#","description":"""#.len()));
        let body = body.to_string();
        assert_eq!(body.len(), bytes);
        ask(served.address, "POST", ANIME, WITH_TOKEN, body.as_bytes())
    };
    let refused = (413, "HTTP_ERROR".to_owned(), "Request body too large".to_owned());
    assert_eq!(sized((1 << 20) + 1).error(), refused);
    assert_eq!(sized(5 << 20).error(), refused);
    assert_eq!(served.one("SELECT count(*) FROM series"), "0");
    assert_eq!(sized(1 << 20).status, 200, "exactly as large as allowed");
    let larger = Served::with(&[("SERVER_MAX_BODY_MIB", "2")]);
    let body = anime("1", &"x".repeat(1 << 20)).to_string();
    assert_eq!(ask(larger.address, "POST", ANIME, WITH_TOKEN, body.as_bytes()).status, 200);
}

#[test]
fn a_body_of_unknown_length_has_the_same_limit() {
    let served = Served::new();
    let mut stream = connect(served.address);
    let start = format!(
        "POST {ANIME} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nX-Internal-Token: {TOKEN}\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    stream.write_all(start.as_bytes()).unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..32 {
        stream.write_all(chunk.as_bytes()).unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(read_answer(stream).error().0, 413);
}

#[test]
fn deep_json_is_refused_wherever_it_is() {
    let served = Served::new();
    let deep = |depth: usize| {
        let body = format!(
            r#"{{"source_name":"s","source_id":"1","title":"One","unknown":{}1{}}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        );
        ask(served.address, "POST", ANIME, WITH_TOKEN, body.as_bytes()).status
    };
    assert_eq!(deep(100_000), 422);
    assert_eq!(deep(40), 422);
    assert_eq!(deep(20), 200);
    let open = "[".repeat(500_000);
    assert_eq!(ask(served.address, "POST", EPISODES, WITH_TOKEN, open.as_bytes()).status, 422);
    assert_eq!(served.get("/healthz").status, 200);
}

#[test]
fn one_request_too_many_is_told_to_come_back_while_probes_are_answered() {
    let served = Served::with(&[("SERVER_MAX_REQUESTS", "1")]);
    let body = anime("1", "One").to_string();
    let mut stream = connect(served.address);
    stream.write_all(&head("POST", ANIME, WITH_TOKEN, body.len())).unwrap();
    wait_until_in_flight(&served, 1);
    for path in ["/api/v1/anime", "/api/v1/anime/one"] {
        let answer = served.get(path);
        assert_eq!(answer.error(), (503, "HTTP_ERROR".to_owned(), "Too many requests at once".to_owned()));
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert_eq!(served.post(ANIME, &anime("2", "Two")).status, 503);
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(served.get(path).status, 200, "{path}");
    }
    stream.write_all(body.as_bytes()).unwrap();
    assert_eq!(read_answer(stream).status, 200);
    assert_eq!(served.get("/api/v1/anime").status, 200, "the place is free again");
}

#[test]
fn a_request_that_takes_for_ever_is_ended() {
    let served = Served::with(&[("SERVER_REQUEST_TIMEOUT_SECONDS", "0.05"), ("SERVER_MAX_REQUESTS", "1")]);
    let mut stream = connect(served.address);
    stream.write_all(&head("POST", ANIME, WITH_TOKEN, 100)).unwrap();
    stream.write_all(b"{").unwrap();
    let answer = read_answer(stream);
    assert_eq!(answer.error(), (503, "HTTP_ERROR".to_owned(), "Request timed out".to_owned()));
    assert_eq!(served.get("/api/v1/anime").status, 200, "its place is free again");
}

#[test]
fn a_body_that_ends_early_and_a_huge_head_do_no_harm() {
    let served = Served::new();
    let mut stream = connect(served.address);
    stream.write_all(&head("POST", ANIME, WITH_TOKEN, 100)).unwrap();
    stream.write_all(b"{\"source_name\"").unwrap();
    drop(stream);
    let long = "x".repeat(100_000);
    let mut stream = connect(served.address);
    // The server may hang up while this is being sent.
    let _ = stream.write_all(format!("GET / HTTP/1.1\r\nHost: test\r\nX-Long: {long}\r\n\r\n").as_bytes());
    drop(stream);
    let many: Vec<(String, &str)> = (0..200).map(|number| (format!("X-{number}"), "1")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(ask(served.address, "GET", "/healthz", &many[..50], b"").status, 200);
    let mut stream = connect(served.address);
    let _ = stream.write_all(&head("GET", "/healthz", &many, 0));
    drop(stream);
    served.import_anime("1", "One");
    assert_eq!(served.one("SELECT count(*) FROM series"), "1");
}

#[test]
fn one_token_leaves_room_for_readers() {
    let served = Served::with(&[("SERVER_MAX_REQUESTS_PER_TOKEN", "1")]);
    let body = anime("1", "One").to_string();
    let mut stream = connect(served.address);
    stream.write_all(&head("POST", ANIME, WITH_TOKEN, body.len())).unwrap();
    wait_until_in_flight(&served, 1);
    let second = served.post(ANIME, &anime("2", "Two"));
    assert_eq!(second.error(), (429, "HTTP_ERROR".to_owned(), "This token has too many requests in work".to_owned()));
    assert_eq!(second.header("retry-after"), Some("1"));
    let guess = ask(served.address, "POST", ANIME, &[("X-Internal-Token", "guess")], b"{}");
    assert_eq!(guess.status, 403, "who guesses learns nothing");
    assert_eq!(served.get("/api/v1/anime").status, 200, "readers have their places");
    stream.write_all(body.as_bytes()).unwrap();
    assert_eq!(read_answer(stream).status, 200);
    assert_eq!(served.post(ANIME, &anime("2", "Two")).status, 200, "the place is free again");
}

#[test]
fn a_head_out_of_proportion_is_refused() {
    let served = Served::new();
    let long = |bytes: usize| format!("/readyz?{}", "x".repeat(bytes - "/readyz?".len()));
    assert_eq!(served.get(&long(8 * 1024)).status, 200);
    assert_eq!(served.get(&long(8 * 1024 + 1)).problem().1, "uri_too_long");
    assert_eq!(served.get(&format!("/api/v1/anime?genre={}", "x".repeat(9000))).error().0, 414);
    let with = |count: usize, size: usize| {
        let value = "x".repeat(size);
        let names: Vec<String> = (0..count).map(|number| format!("X-{number}")).collect();
        let headers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), value.as_str())).collect();
        ask(served.address, "GET", "/readyz", &headers, b"")
    };
    // Three are there in any case: Host, Connection, Content-Length.
    assert_eq!(with(61, 1).status, 200);
    assert_eq!(with(62, 1).problem().1, "header_too_large");
    assert_eq!(with(2, 8000).status, 200);
    assert_eq!(with(2, 8200).problem().0, 431);
}

#[test]
fn a_head_that_never_ends_ends_the_connection() {
    let served = Served::with(&[("SERVER_IDLE_TIMEOUT_SECONDS", "0.1")]);
    for start in [&b""[..], b"GET /healthz HTTP/1.1\r\nHost: te"] {
        let mut stream = connect(served.address);
        stream.write_all(start).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(!rest.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&rest));
    }
    // A trickle does not keep it alive: the time is for the whole head.
    let mut stream = connect(served.address);
    stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let started = Instant::now();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nX: ").unwrap();
    while stream.write_all(b"x").is_ok() {
        match stream.read(&mut [0; 100]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            _ => break,
        }
        assert!(started.elapsed() < DEADLINE, "it waits for ever");
    }
    assert_eq!(served.get("/healthz").status, 200);
}

#[test]
fn an_answer_that_nobody_takes_ends_the_connection() {
    let served = Served::with(&[("SERVER_IDLE_TIMEOUT_SECONDS", "0.2")]);
    let mut stream = connect(served.address);
    // Asked for so often that the answers fill every buffer between us.
    let question = b"GET /openapi.json HTTP/1.1\r\nHost: test\r\n\r\n".repeat(2000);
    let _ = stream.write_all(&question);
    let line = |served: &Served| {
        let metrics = served.get("/metrics").text;
        let name = "parser_server_connections ";
        metrics.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned)).unwrap()
    };
    let started = Instant::now();
    // Only the one that asks.
    while line(&served) != "1" {
        assert!(started.elapsed() < DEADLINE, "it waits for ever");
        std::thread::yield_now();
    }
}

#[test]
fn a_client_learns_nothing_about_the_inside_and_the_log_everything() {
    let served = Served::new();
    served.execute("DROP TABLE refinery_schema_history; ALTER TABLE series RENAME TO gone");
    let answer = ask(served.address, "GET", "/api/v1/anime", &[("X-Trace-ID", "trace-77")], b"");
    assert_eq!(answer.error().0, 500);
    for inside in ["sqlite", "series", "SELECT", "state", "catalog.db", "src/"] {
        assert!(!answer.text.to_lowercase().contains(inside), "{}", answer.text);
    }
    let log = served.log();
    let line = log.lines().find(|line| line.contains("trace-77")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("no such table") && line.contains("ERROR"), "{line}");
    let broken = ask(served.address, "GET", "/readyz", &[("X-Trace-ID", "trace-78")], b"");
    assert!(broken.status == 200 || broken.problem().0 == 503);
    let refused = ask(served.address, "POST", ANIME, &[WITH_TOKEN[0], ("X-Trace-ID", "trace-79")], b"{\"title\":1}");
    assert_eq!(refused.error().2, "Invalid request data");
    let log = served.log();
    let line = log.lines().find(|line| line.contains("trace-79")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("`title`"), "{line}");
}
