//! One writer: what others are told while a whole file goes into the embedded database.

use std::io::BufRead as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::place::{Answer, IMPORTS, JSON, LINES, Place, Served, lines as records, record};
use crate::rude::{Rude, honest};
use crate::tables::{lines, run};
use crate::world::{Done, World, signal, until};

const ANIME: &str = "/api/v1/internal/import/anime";

fn table_import(served: &Served, url: &str) -> String {
    let import = served.import(&json!({ "source": "test", "format": "tables", "options": { "table": "t" } }));
    let sent = served.send(&import, &[JSON], json!({ "storage_url": url }).to_string().as_bytes());
    assert_eq!(sent.status, 202, "{}", sent.text);
    import
}

/// Posts of all kinds; the status of each. One that is not taken has to say when to come back.
fn posts(served: &Served, number: usize) -> Vec<u16> {
    let token = ("X-Internal-Token", crate::place::TOKEN);
    let part =
        json!({ "source_name": "s", "source_id": number.to_string(), "title": format!("T{number}") }).to_string();
    let body = json!({ "source": format!("other {number}") }).to_string();
    let answers = [
        served.ask("POST", ANIME, &[JSON, token], part.as_bytes()),
        served.ask("POST", IMPORTS, &[JSON], body.as_bytes()),
    ];
    let import = answers[1].header("location").map(str::to_owned);
    let mut statuses = checked(&answers);
    if let Some(import) = import {
        statuses.extend(batch_posts(served, &import, number));
    }
    statuses
}

/// Batches of all kinds.
fn batch_posts(served: &Served, import: &str, number: usize) -> Vec<u16> {
    let batch = |headers: &[(&str, &str)], body: &[u8]| served.send(import, headers, body);
    checked(&[
        batch(&[LINES], &records([record(number)])),
        batch(&[JSON, ("Prefer", "wait=1")], json!([record(number)]).to_string().as_bytes()),
        batch(&[JSON], json!({ "storage_url": format!("none{number}.jsonl") }).to_string().as_bytes()),
    ])
}

fn checked(answers: &[Answer]) -> Vec<u16> {
    for answer in answers {
        let taken = (200..300).contains(&answer.status);
        assert!(taken || (answer.status == 503 && answer.header("retry-after").is_some()), "{}", answer.text);
    }
    answers.iter().map(|answer| answer.status).collect()
}

/// Makes the second row take a while, however fast the machine is.
fn slow(place: &Place) {
    let file = rusqlite::Connection::open(place.folder.path().join("state/catalog.db")).unwrap();
    file.execute_batch(
        "CREATE TRIGGER slow AFTER INSERT ON t WHEN NEW._key % 1000 = 1 BEGIN
         SELECT count(*) FROM (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 3000000) SELECT x FROM c);
         END",
    )
    .unwrap();
}

#[test]
fn whoever_writes_while_a_file_comes_in_is_served_or_told_to_come_back() {
    let place = Place::sqlite();
    let folder = place.folder.path().join("in");
    std::fs::create_dir(&folder).unwrap();
    let served = place.serve_with(&[("IMPORT_FILES_PATH", "in"), ("SERVER_REQUEST_TIMEOUT_SECONDS", "0.3")]);
    std::fs::write(folder.join("t.jsonl"), lines(0, 1)).unwrap();
    served.finalise(&table_import(&served, "t.jsonl"));
    slow(&place);
    std::fs::write(folder.join("t.jsonl"), lines(0, 20_000)).unwrap();
    // It is there before the file is: its batches are asked for at any length, and yet not kept waiting for ever.
    let early = served.import(&json!({ "source": "early" }));
    let import = table_import(&served, "t.jsonl");
    let status = || served.get(&format!("{import}/batches"))["items"][0]["status"].as_str().unwrap().to_owned();
    let (mut seen, mut batches, mut number) = (Vec::new(), Vec::new(), 0);
    while ["created", "started"].contains(&status().as_str()) {
        number += 1;
        seen.extend(posts(&served, number));
        batches.extend(batch_posts(&served, &early, number));
        // Whoever only reads is not kept waiting.
        assert_eq!(served.ask("GET", "/api/v1/anime?limit=1", &[], b"").status, 200);
    }
    assert!(seen.contains(&503) && batches.contains(&503), "nobody had to wait: {seen:?} {batches:?}");
    assert!(posts(&served, number + 1).iter().all(|status| *status < 300), "{}", served.log());
    assert_eq!(served.finalise(&import)["rows"]["inserted"], 19_999);
}

#[test]
fn nobody_waits_for_the_network_that_a_file_comes_by() {
    let place = Place::sqlite();
    let content = lines(0, 60_000).into_bytes();
    let silent = Arc::new(AtomicBool::new(true));
    let quiet = Arc::clone(&silent);
    let server = Rude::new(move |asked| {
        let hangs = quiet.load(Ordering::Relaxed);
        let mut reply = honest(asked, &content, "\"v1\"", if hangs { content.len() / 2 } else { usize::MAX });
        reply.hangs = hangs;
        reply
    });
    std::fs::create_dir(place.folder.path().join("in")).unwrap();
    let served = place.serve_with(&[
        ("IMPORT_FILES_PATH", "in"),
        ("IMPORT_HOSTS", &server.address.to_string()),
        ("IMPORT_READ_TIMEOUT_SECONDS", "3"),
        ("IMPORT_READ_BACKOFF_SECONDS", "0.01"),
        ("SERVER_REQUEST_TIMEOUT_SECONDS", "2"),
    ]);
    let import = table_import(&served, &server.url("/t.jsonl"));
    served.until(&format!("{import}/batches"), |batches| batches["items"][0]["status"] == "started");
    let answered = posts(&served, 1);
    assert!(answered.iter().all(|status| *status < 300), "the source is silent, and they wait for it: {answered:?}");
    silent.store(false, Ordering::Relaxed);
    let ended = served.finalise(&import);
    assert_eq!((&ended["status"], &ended["rows"]["inserted"]), (&json!("completed"), &json!(60_000)), "{ended}");
    assert!(server.asked().last().unwrap().start() > Some(0), "it was gone on with where it had stopped");
}

/// Another process that holds the database, until it is dropped.
fn holder(world: &World) -> rusqlite::Connection {
    let file = world.sql();
    file.execute_batch("BEGIN IMMEDIATE").unwrap();
    file
}

#[test]
fn a_command_waits_for_another_process_and_can_be_stopped_meanwhile() {
    let world = World::new();
    world.write("t.jsonl", lines(0, 10));
    world.write("users.csv", "id,group\n1,g\n");
    run(&world, &["t.jsonl"], &[]).file(0);
    for args in [&["t.jsonl"][..], &["users.csv", "--domain", "d"]] {
        for stops in [false, true] {
            let held = holder(&world);
            let mut child = world.import(args, &[]).spawn().unwrap();
            let mut said = std::io::BufReader::new(child.stderr.take().unwrap());
            let mut line = String::new();
            while !line.contains("the catalogue cannot take it now") {
                line.clear();
                assert!(said.read_line(&mut line).unwrap() > 0, "it ended without waiting");
            }
            let rest = std::thread::spawn(move || std::io::read_to_string(said).unwrap());
            if stops {
                signal(&child, "INT");
            }
            let waits = !stops;
            if waits {
                drop(held);
            } else {
                until(|| child.try_wait().unwrap().is_some());
                drop(held);
            }
            let done = Done(child.wait_with_output().unwrap());
            let rest = rest.join().unwrap();
            assert_eq!(done.code(), Some(if stops { 130 } else { 0 }), "{args:?}: {rest}");
            assert_eq!(rest.contains("parser import --resume"), stops, "{rest}");
        }
    }
}

#[test]
fn a_server_says_when_to_come_back_while_another_process_imports() {
    let place = Place::sqlite();
    std::fs::create_dir(place.folder.path().join("in")).unwrap();
    let served = place.serve_with(&[("IMPORT_FILES_PATH", "in"), ("SERVER_REQUEST_TIMEOUT_SECONDS", "1")]);
    let file = rusqlite::Connection::open(place.folder.path().join("state/catalog.db")).unwrap();
    file.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(posts(&served, 1), [503, 503]);
    file.execute_batch("COMMIT").unwrap();
    until(|| posts(&served, 2).iter().all(|status| *status < 300));
    let shown: Value = served.get(IMPORTS);
    assert!(
        shown["items"].as_array().unwrap().iter().all(|import| import["source"] != "other 1"),
        "told no, and done: {shown}"
    );
}
