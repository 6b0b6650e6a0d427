//! Starting and ending: the token, who may be let in from outside, two at once, signals, health checks.

use std::io::{BufRead as _, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use parser::store::Store;
use serde_json::json;

use super::world::{ANIME, Served, TOKEN, anime, ask, command, connect, head, read_answer};

fn run(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command(folder, args, env).output().unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

#[test]
fn without_a_token_one_is_made_kept_private_and_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut served = Served::start(folder.path(), &[("LOG_LEVEL", "trace")]);
    let file = folder.path().join("state/token");
    let token = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(token.len() >= 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()), "{token}");
    let import = |served: &Served, token: &str| {
        let body = anime("1", "One").to_string();
        ask(served.address, "POST", ANIME, &[("X-Internal-Token", token)], body.as_bytes()).status
    };
    assert_eq!(import(&served, &token), 200);
    assert_eq!(import(&served, &token[1..]), 403);
    let said = served.stop();
    assert!(said.contains(&format!("INTERNAL_TOKEN={token}\n")) && said.contains("state/token"), "{said}");
    assert!(!served.log().contains(&token), "a token in the log");

    let mut again = Served::start(folder.path(), &[]);
    assert_eq!(import(&again, &token), 200, "the same token after a restart");
    let said = again.stop();
    assert!(!said.contains(&token) && said.contains("state/token"), "{said}");
}

#[test]
fn a_given_token_is_neither_kept_nor_told() {
    let mut served = Served::with(&[("LOG_LEVEL", "trace")]);
    served.import_anime("1", "One");
    assert_eq!(served.stop(), "");
    assert!(!served.root().join("state/token").exists());
    assert!(!served.log().contains(TOKEN), "a token in the log");
}

#[test]
fn other_machines_are_let_in_only_with_a_long_token_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    for env in [&[][..], &[("INTERNAL_TOKEN", "only-31-characters-are-too-few-")]] {
        for listen in ["0.0.0.0:0", "[::]:0"] {
            let (code, said) = run(folder.path(), &["serve", "--listen", listen], env);
            assert_eq!(code, Some(2), "{said}");
            assert!(said.contains("INTERNAL_TOKEN") && said.contains("hint:") && !said.contains("only-31"), "{said}");
        }
    }
    assert!(!folder.path().join("state").exists(), "nothing was made");
    let mut child = command(folder.path(), &["serve"], &[("LISTEN", "0.0.0.0:0"), ("INTERNAL_TOKEN", TOKEN)])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.starts_with("listening on http://0.0.0.0:"), "{line}");
}

#[test]
fn faulty_settings_and_a_taken_port_are_usage() {
    let served = Served::new();
    let folder = tempfile::tempdir().unwrap();
    let taken = served.address.to_string();
    let (code, said) = run(folder.path(), &["serve", "--listen", &taken], &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(&taken) && said.contains("hint:"), "{said}");
    for (name, value) in [("LISTEN", "nowhere"), ("SERVER_MAX_BODY_MIB", "0"), ("SERVER_MAX_REQUESTS", "many")] {
        let (code, said) = run(folder.path(), &["serve"], &[(name, value)]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(name), "{said}");
    }
}

#[test]
fn a_catalogue_of_a_newer_version_and_no_catalogue_are_refused() {
    let mut served = Served::new();
    served.stop();
    served.execute(
        "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) VALUES (999, 'future', '', '0')",
    );
    let (code, said) = run(served.root(), &["serve", "--listen", "127.0.0.1:0"], &[("INTERNAL_TOKEN", TOKEN)]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("999") && said.contains("newer"), "{said}");
    std::fs::write(served.catalogue(), "this is no database, however long the text may be ".repeat(50)).unwrap();
    let (code, said) = run(served.root(), &["serve", "--listen", "127.0.0.1:0"], &[("INTERNAL_TOKEN", TOKEN)]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("catalog.db"), "{said}");
}

#[test]
fn servers_that_start_at_once_share_a_new_catalogue_and_a_token() {
    const SERVERS: usize = 4;
    for _ in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let served: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..SERVERS).map(|_| scope.spawn(|| Served::start(folder.path(), &[]))).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        let token = std::fs::read_to_string(folder.path().join("state/token")).unwrap();
        for (number, one) in served.iter().enumerate() {
            let body = anime(&number.to_string(), "Same").to_string();
            let headers = [("X-Internal-Token", token.trim())];
            assert_eq!(ask(one.address, "POST", ANIME, &headers, body.as_bytes()).status, 200, "{}", one.log());
        }
        for one in &served {
            assert_eq!(one.get("/api/v1/anime").json().as_array().unwrap().len(), SERVERS);
        }
        // Each migration once.
        assert_eq!(served[0].one("SELECT count(*) - count(DISTINCT version) FROM refinery_schema_history"), "0");
        assert_eq!(served[0].one("SELECT count(*) FROM meta"), "1");
    }
}

#[test]
fn a_signal_lets_requests_in_flight_finish_and_takes_no_more() {
    for signal in ["TERM", "INT"] {
        let mut served = Served::new();
        let body = anime("1", "One").to_string();
        let mut stream = connect(served.address);
        stream.write_all(&head("POST", ANIME, &[("X-Internal-Token", TOKEN)], body.len())).unwrap();
        stream.write_all(&body.as_bytes()[..10]).unwrap();
        // Answered after that head has been read, because both are one connection's and one thread's turn is short.
        wait_until_in_flight(&served, 1);
        served.signal(signal);
        while std::net::TcpStream::connect(served.address).is_ok() {
            std::thread::yield_now();
        }
        stream.write_all(&body.as_bytes()[10..]).unwrap();
        let answer = read_answer(stream);
        assert_eq!((answer.status, &answer.json()["success"]), (200, &json!(true)));
        assert_eq!(served.wait().code(), Some(0), "{}", served.log());
        assert_eq!(served.one("SELECT title FROM series"), "One");
        assert!(!served.root().join("state/catalog.db-wal").exists(), "closed cleanly");
    }
}

#[test]
fn what_does_not_finish_in_time_is_cut_and_a_second_signal_does_not_wait() {
    let hanging = |seconds: &str| {
        let served = Served::with(&[("SERVER_SHUTDOWN_SECONDS", seconds)]);
        let mut stream = connect(served.address);
        stream.write_all(&head("POST", ANIME, &[("X-Internal-Token", TOKEN)], 100)).unwrap();
        stream.write_all(b"{").unwrap();
        wait_until_in_flight(&served, 1);
        (served, stream)
    };
    let (mut served, mut stream) = hanging("0.05");
    served.signal("TERM");
    assert_eq!(served.wait().code(), Some(0), "{}", served.log());
    assert!(served.log().contains("did not finish"), "{}", served.log());
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.is_empty(), "cut, not answered");

    let (mut served, _stream) = hanging("86400");
    served.signal("TERM");
    while std::net::TcpStream::connect(served.address).is_ok() {
        std::thread::yield_now();
    }
    served.signal("TERM");
    assert_eq!(served.wait().code(), Some(143));
}

/// Waits until this many requests are being worked on.
pub(super) fn wait_until_in_flight(served: &Served, requests: usize) {
    let line = format!("parser_server_requests_in_flight {requests}");
    while !served.get("/metrics").text.lines().any(|found| found == line) {
        std::thread::yield_now();
    }
}

#[test]
fn an_idle_connection_does_not_hold_up_the_end() {
    let mut served = Served::with(&[("SERVER_SHUTDOWN_SECONDS", "86400")]);
    let mut stream = connect(served.address);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    let mut byte = [0; 1];
    stream.read_exact(&mut byte).unwrap();
    served.stop();
}

#[test]
fn a_health_check_is_for_a_server_that_is_ready() {
    let mut served = Served::new();
    let url = format!("http://{}", served.address);
    let folder = tempfile::tempdir().unwrap();
    let check = |args: &[&str], env: &[(&str, &str)]| run(folder.path(), &[&["healthcheck"], args].concat(), env);
    assert_eq!(check(&["--url", &url], &[]), (Some(0), String::new()));
    assert_eq!(check(&[], &[("LISTEN", &served.address.to_string())]), (Some(0), String::new()));
    assert_eq!(check(&["--url", &format!("{url}/healthz")], &[]).0, Some(0));
    let (code, said) = check(&["--url", &format!("{url}/nowhere")], &[]);
    assert_eq!((code, said.contains("404")), (Some(1), true), "{said}");
    assert_eq!(check(&["--url", "https://localhost"], &[]).0, Some(2));
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "it writes nothing");
    served.execute(
        "DROP TABLE series_character; DROP TABLE character; DROP TABLE video; DROP TABLE release; \
                    DROP TABLE episode; DROP TABLE series; DROP TABLE source",
    );
    assert_eq!(served.get("/healthz").json(), json!({ "status": "ok" }), "alive, but");
    assert_eq!(served.get("/readyz").problem().2, "The store does not answer");
    let (code, said) = check(&["--url", &url], &[]);
    assert_eq!((code, said.contains("503")), (Some(1), true), "{said}");
    served.stop();
    assert_eq!(check(&["--url", &url], &[]).0, Some(1));
}

#[test]
fn metrics_are_for_this_machine_and_for_the_token() {
    let served = Served::new();
    served.import_anime("1", "One");
    let metrics = |headers: &[(&str, &str)]| ask(served.address, "GET", "/metrics", headers, b"");
    let here = metrics(&[]);
    assert_eq!(here.status, 200);
    assert!(here.text.contains(r#"parser_server_imports_total{kind="anime",outcome="created"} 1"#), "{}", here.text);
    let line = format!(r#"parser_server_requests_total{{method="POST",route="{ANIME}",status="200"}} 1"#);
    assert!(here.text.contains(&line), "{}", here.text);
    assert!(!here.text.contains(TOKEN));
    for proxied in [("X-Forwarded-For", "203.0.113.7"), ("Forwarded", "for=203.0.113.7")] {
        assert_eq!(metrics(&[proxied]).problem().0, 403);
        assert_eq!(metrics(&[proxied, ("X-Internal-Token", "guess")]).status, 403);
        assert_eq!(metrics(&[proxied, ("X-Internal-Token", TOKEN)]).status, 200);
        assert_eq!(metrics(&[proxied, ("Authorization", &format!("Bearer {TOKEN}"))]).status, 200);
    }
}

#[test]
fn whoever_opens_a_new_catalogue_at_once_finds_its_tables() {
    const OPENERS: usize = 16;
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.db");
        let barrier = std::sync::Barrier::new(OPENERS);
        let ids: std::collections::BTreeSet<String> = std::thread::scope(|scope| {
            let open = || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                barrier.wait();
                let store = runtime.block_on(Store::open_file(&path, 0, None)).unwrap();
                store.id().to_owned()
            };
            let openers: Vec<_> = (0..OPENERS).map(|_| scope.spawn(open)).collect();
            openers.into_iter().map(|opener| opener.join().unwrap()).collect()
        });
        assert_eq!(ids.len(), 1);
    }
}
