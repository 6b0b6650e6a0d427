//! What a client cannot do: fill the memory, hold every place, take for ever.

use std::io::Write as _;

use serde_json::json;

use super::process::wait_until_in_flight;
use super::world::{ANIME, EPISODES, Served, TOKEN, anime, ask, connect, head, read_answer};

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
