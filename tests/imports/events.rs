//! Server-sent events: in order, without gaps, from anywhere on.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::place::{DEADLINE, LINES, Served, head, lines, on_each_engine, record};

/// Id, type and data of each event in a text.
fn events(text: &str) -> Vec<(u64, String, Value)> {
    text.split("\n\n")
        .filter(|event| event.starts_with("id: "))
        .map(|event| {
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
            (field("id: ").parse().unwrap(), field("event: "), serde_json::from_str(&field("data: ")).unwrap())
        })
        .collect()
}

fn watch(served: &Served, import: &str, headers: &[(&str, &str)]) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(&head("GET", &format!("{import}/events"), headers, 0)).unwrap();
    BufReader::new(stream)
}

#[test]
fn a_watcher_sees_everything_once_and_can_come_back() {
    on_each_engine(|place| {
        let served = place.serve();
        let import = served.import(&json!({ "source": "s" }));
        let mut live = watch(&served, &import, &[]);
        let mut text = String::new();
        while !text.contains("snapshot") {
            assert!(live.read_line(&mut text).unwrap() > 0, "{text}");
        }
        served.send(&import, &[LINES], &lines((1..=600).map(record)));
        served.finalise(&import);
        while live.read_line(&mut text).unwrap() > 0 {}
        let seen = events(&text);
        let ids: Vec<u64> = seen.iter().map(|event| event.0).collect();
        assert_eq!(ids, (ids[0]..ids[0] + ids.len() as u64).collect::<Vec<_>>(), "a gap");
        let kinds: Vec<&str> = seen.iter().map(|event| event.1.as_str()).filter(|kind| *kind != "progress").collect();
        assert_eq!(kinds, ["snapshot", "import", "batch", "batch", "import"]);
        let last = seen.last().unwrap();
        assert_eq!((&last.2["status"], &last.2["results"]["completed"]), (&json!("completed"), &json!(600)));

        let whole = events(&served.ask("GET", &format!("{import}/events?after=0"), &[], b"").text);
        for (at, event) in whole.iter().enumerate() {
            assert_eq!(event.0, at as u64 + 1);
            let id = event.0.to_string();
            let rest = served.ask("GET", &format!("{import}/events"), &[("Last-Event-ID", &id)], b"");
            if at + 1 == whole.len() {
                assert_eq!(rest.status, 204, "{}", rest.text);
            } else {
                assert_eq!(rest.header("content-type"), Some("text/event-stream"));
                assert_eq!(events(&rest.text), whole[at + 1..]);
            }
        }
        let ended = served.ask("GET", &format!("{import}/events"), &[], b"");
        assert_eq!(events(&ended.text)[0].2["status"], "completed", "{}", ended.text);
        assert_eq!(
            served.ask("GET", "/api/v1/imports/01a20210-2e58-7546-8038-e1c30add527b/events", &[], b"").status,
            404
        );
    });
}

#[test]
fn watchers_are_bounded_and_do_not_hold_up_the_end() {
    let place = crate::place::Place::sqlite();
    let mut served = place.serve();
    let import = served.import(&json!({ "source": "s" }));
    let mut watchers = Vec::new();
    for _ in 0..64 {
        let mut watcher = watch(&served, &import, &[]);
        let mut line = String::new();
        watcher.read_line(&mut line).unwrap();
        assert!(line.contains("200"), "{line}");
        watchers.push(watcher);
    }
    let refused = served.ask("GET", &format!("{import}/events"), &[], b"");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    served.stop();
    assert!(!served.log().contains("were cut"), "{}", served.log());
}
