//! The server's disk fills up in mid-import, or none of its connections is free: nothing is lost, whoever asks meanwhile
//! is told to come back, and afterwards everything goes on.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::{Cluster, database, sql};
use crate::disk::SmallDisk;
use crate::world::{ANIME, Answer, DEADLINE, Served, TOKEN, ask};

const TOKENS: (&str, &str) = ("X-Internal-Token", TOKEN);
const COUNT: usize = 800;

fn send(served: &Served, method: &str, path: &str, kind: &str, body: &str) -> Answer {
    ask(served.address, method, path, &[TOKENS, ("Content-Type", kind)], body.as_bytes())
}

/// An import of many records that has begun; its path.
fn begun(served: &Served) -> String {
    let made = send(served, "POST", "/api/v1/imports", "application/json", r#"{"source":"s"}"#).json();
    let path = format!("/api/v1/imports/{}", made["id"].as_str().unwrap());
    let lines: Vec<String> = (0..COUNT)
        .map(|id| {
            let record = json!({ "kind": "series", "source_name": "s", "external_id": id.to_string(),
                "payload": { "title": format!("Title {id}"), "description": "word ".repeat(100) } });
            format!("{record}\n")
        })
        .collect();
    let sent = send(served, "POST", &format!("{path}/batches"), "application/x-ndjson", &lines.concat());
    assert_eq!(sent.status, 202, "{}", sent.text);
    path
}

fn until(what: &str, served: &Served, mut so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < DEADLINE, "{what}: never\n{}", served.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn get(served: &Served, path: &str) -> Value {
    let answer = ask(served.address, "GET", path, &[TOKENS], b"");
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.json()
}

/// Ends the import; how its results ended.
fn ended(served: &Served, path: &str) -> Value {
    let finalise = || ask(served.address, "PATCH", &format!("{path}/finalise"), &[TOKENS], b"");
    until("it is finalised", served, || finalise().status == 200);
    until("the import ends", served, || get(served, path)["status"] != "started");
    get(served, path)["results"].clone()
}

#[test]
fn a_full_disk_in_mid_import_loses_nothing() {
    let Some(disk) = SmallDisk::mount() else { return };
    let Some(cluster) = Cluster::start() else { return };
    let url = cluster.database_on(&disk);
    let served = Served::with(&[("DATABASE_URL", &url), ("IMPORT_LEASE_SECONDS", "2")]);
    let import = begun(&served);
    until("some are in", &served, || get(&served, &import)["results"]["completed"].as_u64() > Some(20));
    disk.fill();
    until("the disk is full", &served, || served.log().contains("no space left to write"));
    // Readers notice nothing; whoever writes is told, and the reason is in the log alone.
    assert_eq!(served.get("/api/v1/anime?limit=1").status, 200);
    let refused = (0..200).find_map(|n| {
        let body = json!({ "source_name": "t", "source_id": n.to_string(), "title": "x".repeat(400) });
        let answer = served.post(ANIME, &body);
        (answer.status != 200).then_some(answer)
    });
    let refused = refused.expect("every post found room on a full disk");
    assert!(refused.status >= 500 && !refused.text.contains("space"), "{}", refused.text);
    disk.free();

    let first = ended(&served, &import);
    let (completed, failed) = (first["completed"].as_u64().unwrap(), first["failed"].as_u64().unwrap());
    assert_eq!(completed + failed, COUNT as u64, "{first}");
    if failed > 0 {
        // Those whose attempts ran out are kept whole.
        let retry = ask(served.address, "POST", &format!("{import}/retry"), &[TOKENS], b"");
        assert_eq!(retry.status, 201, "{}", retry.text);
        let path = retry.header("location").unwrap().to_owned();
        until("the second try ends", &served, || get(&served, &path)["status"] == "completed");
    }
    let rows = sql(&url, "SELECT count(*), count(DISTINCT source_id) FROM series WHERE title LIKE 'Title %'");
    assert_eq!(rows, [[COUNT.to_string(), COUNT.to_string()]]);
    assert_eq!(sql(&url, "SELECT count(*) FROM import_result WHERE change = 'created'"), [[COUNT.to_string()]]);
}

#[test]
fn when_no_connection_is_free_everybody_waits_or_is_told_to_come_back() {
    let Some(database) = database() else { return };
    let few = [("DATABASE_URL", database.url.as_str()), ("DATABASE_CONNECTIONS", "2"), ("DATABASE_WAIT_SECONDS", "1")];
    let served = Served::with(&few);
    let import = begun(&served);
    let url = database.url.clone();
    let lock = "BEGIN; LOCK TABLE import_result IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(4); COMMIT";
    let locked = std::thread::spawn(move || sql(&url, lock));
    let mut told = None;
    while told.is_none() && !locked.is_finished() {
        told = Some(served.get("/api/v1/anime?limit=1")).filter(|answer| answer.status != 200);
    }
    let told = told.expect("nobody noticed that no connection was free");
    assert_eq!((told.status, told.header("retry-after").is_some()), (503, true), "{}", told.text);
    locked.join().unwrap();
    let results = ended(&served, &import);
    assert_eq!(results["completed"], COUNT, "{results}");
    assert_eq!(sql(&database.url, "SELECT count(*) FROM series"), [[COUNT.to_string()]]);
}

#[test]
fn a_server_whose_database_goes_away_in_mid_import_says_so_and_goes_on() {
    let Some(cluster) = Cluster::start() else { return };
    let database = cluster.database();
    let hasty = [("DATABASE_WAIT_SECONDS", "1"), ("IMPORT_LEASE_SECONDS", "2"), ("DATABASE_URL", &database.url)];
    let served = Served::with(&hasty);
    assert_eq!(served.get("/readyz").status, 200);
    let import = begun(&served);
    until("some are in", &served, || get(&served, &import)["results"]["completed"].as_u64() > Some(20));
    cluster.control(&["-m", "immediate", "stop"]);
    until("it says so", &served, || served.get("/readyz").status == 503);
    assert_eq!(served.get("/healthz").status, 200);
    let told = served.get("/api/v1/anime?limit=1");
    assert_eq!((told.status, told.header("retry-after").is_some()), (503, true), "{}", told.text);
    cluster.control(&["-m", "immediate", "restart"]);
    until("it is ready", &served, || served.get("/readyz").status == 200);
    let results = ended(&served, &import);
    assert_eq!(results["completed"], COUNT, "{results}");
    let once = "SELECT count(*) FILTER (WHERE change = 'created'), count(*) FROM import_result";
    assert_eq!(sql(&database.url, once), [[COUNT.to_string(), COUNT.to_string()]]);
}

#[test]
fn one_connection_is_enough_for_all_who_work() {
    let Some(database) = database() else { return };
    // A beat of the job falls into its work.
    let one = [("DATABASE_URL", database.url.as_str()), ("DATABASE_CONNECTIONS", "1"), ("JOB_LEASE_SECONDS", "1")];
    let served = Served::with(&one);
    let import = begun(&served);
    assert_eq!(ended(&served, &import)["completed"], COUNT);
    let staged: Vec<_> = (0..300)
        .map(|id| json!({ "kind": "character", "source_name": "s", "external_id": id.to_string(), "payload": { "name": "N" } }))
        .collect();
    let sent = send(&served, "POST", "/api/v1/staging", "application/json", &Value::from(staged).to_string());
    assert_eq!(sent.status, 202, "{}", sent.text);
    assert_eq!(send(&served, "POST", "/api/v1/jobs/character/run", "application/json", "").status, 202);
    until("the job ends", &served, || get(&served, "/api/v1/jobs/character")["state"] == "finished");
    assert_eq!(get(&served, "/api/v1/jobs/character")["counts"]["written"], 300);
    // Whoever waits for the connection gets it when it is free: nobody may sit on it and do nothing.
    assert!(!served.log().contains("have been in use"), "{}", served.log());
}
