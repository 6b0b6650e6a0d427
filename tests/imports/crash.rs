//! Killed at any point and started again: the same catalogue, and each record counts once.

use std::time::Instant;

use serde_json::json;

use crate::place::{DEADLINE, IMPORTS, JSON, LINES, Place, Served, lines, on_each_engine, record, refused};

/// Points that a whole import passes, and the passings at which the server is killed.
const POINTS: &[(&str, &[u32])] = &[
    ("imports.create.before_commit", &[1]),
    ("imports.create.after_commit", &[1]),
    ("imports.small.before_commit", &[1]),
    ("imports.small.after_commit", &[1]),
    ("imports.receive.before_commit", &[1, 2]),
    ("imports.receive.after_commit", &[1, 2]),
    ("imports.claim.before_commit", &[1, 3]),
    ("imports.claim.after_commit", &[1, 3]),
    ("imports.record.before_commit", &[1, 300]),
    ("imports.record.after_commit", &[1, 300]),
    ("imports.settle.before_commit", &[1]),
    ("imports.settle.after_commit", &[1]),
    ("imports.finalise.before_commit", &[1]),
    ("imports.finalise.after_commit", &[1]),
];

/// One whole import, each step with a key: what was done already is answered again. `None`: the server died.
fn script(served: &Served) -> Option<String> {
    let made = served.try_ask("POST", IMPORTS, &[JSON, ("Idempotency-Key", "i")], br#"{"source":"s"}"#)?;
    let import = format!("{IMPORTS}/{}", made.json()["id"].as_str().unwrap());
    let batches = format!("{import}/batches");
    let small = json!([record(1), refused(2)]).to_string();
    let headers = [JSON, ("Prefer", "wait=20"), ("Idempotency-Key", "small")];
    served.try_ask("POST", &batches, &headers, small.as_bytes())?;
    let body = lines((10..520).map(record));
    let started = Instant::now();
    loop {
        let sent = served.try_ask("POST", &batches, &[LINES, ("Idempotency-Key", "lines")], &body)?;
        if sent.status == 202 {
            break;
        }
        // Whoever received it has died; its claim has to lapse first.
        assert_eq!(sent.refusal(), (409, "idempotency_key_in_use".to_owned()));
        assert!(started.elapsed() < DEADLINE);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    served.try_ask("PATCH", &format!("{import}/finalise"), &[], b"")?;
    Some(import)
}

fn check(served: &Served, import: &str) {
    let ended = served.ended(import);
    assert_eq!(ended["status"], "partially_failed");
    assert_eq!((&ended["results"]["completed"], &ended["results"]["failed"]), (&json!(511), &json!(1)));
    let results = served.ask("GET", &format!("{import}/results"), &[("Accept", "application/x-ndjson")], b"").lines();
    assert_eq!(results.len(), 512);
    assert!(results.iter().all(|result| result["status"] == "failed" || result["change"] == "created"), "done twice");
}

#[test]
fn killed_at_any_point_an_import_ends_the_same() {
    let clean = Place::sqlite();
    let served = clean.serve();
    let import = script(&served).unwrap();
    check(&served, &import);
    drop(served);
    let dump = clean.dump();

    for (point, passings) in POINTS {
        for passing in *passings {
            let place = Place::sqlite();
            let mut served = place.serve_hastily(&[("PARSER_CRASH_AT", &format!("{point}={passing}"))]);
            script(&served);
            let started = Instant::now();
            while !served.is_dead() {
                assert!(started.elapsed() < DEADLINE, "{point} was not passed {passing} times");
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            drop(served);
            let served = place.serve();
            let import = script(&served).unwrap();
            check(&served, &import);
            assert_eq!(place.dump(), dump, "killed at {point}, passing {passing}");
        }
    }
}

#[test]
fn a_server_that_is_stopped_gives_back_what_it_has_claimed() {
    on_each_engine(|place| {
        // Nobody waits for this claim to lapse.
        let patient = [("IMPORT_LEASE_SECONDS", "3600")];
        let mut served = place.serve_with(&patient);
        let import = served.import(&json!({ "source": "s" }));
        served.send(&import, &[LINES], &lines((1..=1500).map(record)));
        served.until(&import, |import| import["results"]["completed"].as_u64() > Some(0));
        served.stop();
        let served = place.serve_with(&patient);
        let ended = served.finalise(&import);
        assert_eq!((&ended["status"], &ended["results"]["completed"]), (&json!("completed"), &json!(1500)));
    });
}
