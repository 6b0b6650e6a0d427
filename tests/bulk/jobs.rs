//! Imports of rows are imports like all others: begun by API or by the command, seen, cancelled, tried again, gone on with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::place::{IMPORTS, JSON, LINES, Place, Served, command, lines, on_each_engine, record};
use crate::rude::{Rude, honest, through};
use crate::shelf::Shelf;
use crate::world::{generated, gzip, until};

const FOLDER: (&str, &str) = ("IMPORT_FILES_PATH", "in");
const SMALL: (&str, &str) = ("IMPORT_BULK_ROWS", "50");

fn serve(place: &Place, env: &[(&str, &str)]) -> Served {
    std::fs::create_dir_all(place.folder.path().join("in")).unwrap();
    place.serve_with(&[&[FOLDER, SMALL], env].concat())
}

fn put(place: &Place, name: &str, content: impl AsRef<[u8]>) {
    std::fs::create_dir_all(place.folder.path().join("in")).unwrap();
    std::fs::write(place.folder.path().join("in").join(name), content).unwrap();
}

fn nodes_import(served: &Served, group: Option<&str>) -> String {
    let mut options = json!({ "domain": "d" });
    if let Some(group) = group {
        options["group"] = json!(group);
    }
    served.import(&json!({ "source": "test", "format": "nodes", "options": options }))
}

fn send(served: &Served, import: &str, body: &Value) -> Value {
    let answer = served.send(import, &[JSON], body.to_string().as_bytes());
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.json()["batch"].clone()
}

fn url(name: &str) -> Value {
    json!({ "storage_url": name })
}

/// `inserted updated unchanged duplicates failed`.
fn rows(shown: &Value) -> String {
    let names = ["inserted", "updated", "unchanged", "duplicates", "failed"];
    names.map(|name| shown["rows"][name].to_string()).join(" ")
}

/// So many nodes, with so many values of metadata.
fn counted(place: &Place) -> (u64, u64) {
    place.store(async |store| {
        let count = "SELECT (SELECT count(*) FROM nodes), (SELECT count(*) FROM node_metadata)";
        store.read(move |session| session.one(count, &[], |row| Ok((row.get(0)?, row.get(1)?)))).await.unwrap()
    })
}

#[test]
fn a_file_and_a_list_of_ids_become_nodes_and_every_failed_row_is_found() {
    on_each_engine(|place| {
        put(place, "users.csv.gz", gzip(generated(1000).replace("u333,", ",").as_bytes()));
        let served = serve(place, &[]);
        let import = nodes_import(&served, None);
        let batch = send(&served, &import, &url("users.csv.gz"));
        let batch = served.ended(&format!("{import}/batches/{}", batch["id"].as_str().unwrap()));
        assert_eq!((&batch["status"], rows(&batch).as_str()), (&json!("partially_failed"), "999 0 0 0 1"), "{batch}");
        assert_eq!((&batch["records"], &batch["received"]), (&json!(1000), &json!(true)));
        assert_eq!(batch["reason"], "1 of 1000 rows failed");
        let shown = served.get(&import);
        assert_eq!((&shown["format"], &shown["options"]["domain"]), (&json!("nodes"), &json!("d")));
        assert_eq!(
            shown["results"],
            json!({ "created": 0, "started": 0, "retrying": 0, "completed": 999, "unchanged": 0, "failed": 1 })
        );
        let failed = served.ask(
            "GET",
            &format!("{import}/results?status=failed&originals=true"),
            &[("Accept", "application/x-ndjson")],
            b"",
        );
        let failed = &failed.lines()[0];
        assert_eq!((&failed["kind"], &failed["code"]), (&json!("node"), &json!("reference_missing")), "{failed}");
        assert_eq!((&failed["line"], &failed["status"]), (&json!(335), &json!("failed")));
        assert!(failed["original"].as_str().unwrap().starts_with(",g0,bot,\"Name, 333\""), "{failed}");
        let ended = served.finalise(&import);
        assert_eq!((&ended["status"], &ended["reason"]), (&json!("partially_failed"), &json!("1 of 1000 rows failed")));
        let summary = served.get(&format!("{import}/summary"));
        assert_eq!(summary["failures"], json!([{ "code": "reference_missing", "count": 1 }]));
        let events = served.ask("GET", &format!("{import}/events?after=0"), &[], b"").text;
        assert!(events.contains("event: batch") && events.contains("\"partially_failed\""), "{events}");
        let ids = nodes_import(&served, Some("g0"));
        let batch = send(&served, &ids, &json!({ "reference_ids": ["u0", "new", " new ", "", "a,\"b\n", "nul\u{0}"] }));
        let batch = served.ended(&format!("{ids}/batches/{}", batch["id"].as_str().unwrap()));
        assert_eq!((&batch["status"], rows(&batch).as_str()), (&json!("partially_failed"), "2 0 1 1 2"), "{batch}");
        assert_eq!(counted(place).0, 1001);
    });
}

#[test]
fn a_server_that_is_killed_goes_on_and_writes_each_row_once() {
    on_each_engine(|place| {
        put(place, "users.csv", generated(1000));
        let mut served = serve(place, &[]);
        for (point, hit) in [
            ("bulk.claim.before_commit", 1),
            ("bulk.claim.after_commit", 1),
            ("bulk.file.before_commit", 1),
            ("nodes.batch.before_commit", 3),
            ("nodes.batch.after_commit", 9),
            ("bulk.end.before_commit", 1),
            ("bulk.end.after_commit", 1),
        ] {
            served.stop();
            let crash = format!("{point}={hit}");
            let lease = ("IMPORT_LEASE_SECONDS", "0.3");
            served = serve(place, &[("PARSER_CRASH_AT", &crash), lease]);
            let import = served.import(&json!({ "source": crash, "format": "nodes", "options": { "domain": point } }));
            // It may die before it answers.
            let body = url("users.csv").to_string();
            served.try_ask("POST", &format!("{import}/batches"), &[JSON], body.as_bytes());
            until(|| served.is_dead());
            served = serve(place, &[lease]);
            let ended = served.finalise(&import);
            assert_eq!(
                (&ended["status"], rows(&ended).as_str()),
                (&json!("completed"), "1000 0 0 0 0"),
                "{crash}: {ended}"
            );
        }
        assert_eq!(counted(place), (7000, 14_000));
    });
}

#[test]
fn a_server_that_is_killed_goes_on_with_tables() {
    on_each_engine(|place| {
        let lines: String =
            (0..5000).map(|id| json!({ "id": id, "name": format!("n{id}") }).to_string() + "\n").collect();
        put(place, "things.jsonl", &lines);
        let mut served = serve(place, &[]);
        for (point, atomic) in [
            ("bulk.claim.before_commit", "file"),
            ("bulk.claim.after_commit", "file"),
            ("bulk.file.before_commit", "file"),
            ("bulk.file.after_commit", "batch"),
            ("tables.unit.before_commit", "file"),
            ("tables.unit.after_commit", "batch"),
            ("bulk.end.before_commit", "batch"),
            ("bulk.end.after_commit", "file"),
        ] {
            served.stop();
            let lease = ("IMPORT_LEASE_SECONDS", "0.3");
            served = serve(place, &[("PARSER_CRASH_AT", &format!("{point}=1")), lease]);
            let table = format!("t_{}", point.replace('.', "_"));
            let options = json!({ "table": table, "atomic": atomic });
            let import = served.import(&json!({ "source": point, "format": "tables", "options": options }));
            // It may die before it answers.
            let body = url("things.jsonl").to_string();
            served.try_ask("POST", &format!("{import}/batches"), &[JSON], body.as_bytes());
            until(|| served.is_dead());
            served = serve(place, &[lease]);
            let ended = served.finalise(&import);
            assert_eq!(
                (&ended["status"], rows(&ended).as_str()),
                (&json!("completed"), "5000 0 0 0 0"),
                "{point}: {ended}"
            );
            let count = format!("SELECT count(*), count(DISTINCT name) FROM {table}");
            let found: (u64, u64) = place.store(async |store| {
                store.read(move |session| session.one(&count, &[], |row| Ok((row.get(0)?, row.get(1)?)))).await.unwrap()
            });
            assert_eq!(found, (5000, 5000), "{point}");
        }
    });
}

#[test]
fn a_cancelled_import_counts_what_is_in_and_nothing_more_comes() {
    on_each_engine(|place| {
        let text = generated(5000).into_bytes();
        let hangs = Arc::new(AtomicBool::new(true));
        let quiet = Arc::clone(&hangs);
        let server = Rude::new(move |asked| {
            let mut reply = honest(asked, &text, "\"v1\"", text.len() / 2);
            reply.hangs = quiet.load(Ordering::Relaxed);
            reply
        });
        let served = serve(place, &[("IMPORT_HOSTS", &server.address.to_string())]);
        let import = nodes_import(&served, None);
        send(&served, &import, &url(&server.url("/users.csv")));
        served.until(&import, |now| now["rows"]["inserted"].as_u64() >= Some(2000));
        let answer = served.ask("POST", &format!("{import}/cancel"), &[], b"");
        assert_eq!(answer.status, 200, "{}", answer.text);
        let ended = answer.json();
        assert_eq!(ended["status"], "cancelled");
        assert_eq!(ended["rows"]["inserted"].as_u64(), Some(counted(place).0));
        hangs.store(false, Ordering::Relaxed);
        // A worker that is free takes the next file, and leaves this one alone.
        put(place, "next.csv", generated(100).replace("\nu", "\nv"));
        let next = nodes_import(&served, None);
        send(&served, &next, &url("next.csv"));
        assert_eq!(rows(&served.finalise(&next)), "100 0 0 0 0");
        assert_eq!(served.get(&import), ended);
        let batches = served.get(&format!("{import}/batches"));
        assert_eq!(batches["items"][0]["status"], "cancelled");
    });
}

#[test]
fn what_cannot_be_imported_is_failed_with_the_reason_and_can_be_tried_again() {
    on_each_engine(|place| {
        put(place, "empty.csv", "id,group\n");
        put(place, "strange.csv", "name\nx\n");
        let served = serve(place, &[]);
        for (name, reason) in [
            ("empty.csv", "the file has no rows"),
            ("strange.csv", "no column is a reference id"),
            ("missing.csv", "missing.csv"),
        ] {
            let import = nodes_import(&served, Some("g"));
            send(&served, &import, &url(name));
            let ended = served.finalise(&import);
            assert_eq!(ended["status"], "failed", "{name}: {ended}");
            assert!(ended["reason"].as_str().unwrap().contains(reason), "{name}: {ended}");
            put(place, name, "id,group\n1,g\n");
            let again = served.ask("POST", &format!("{import}/retry"), &[], b"");
            assert_eq!(again.status, 201, "{}", again.text);
            let again = served.ended(&format!("{IMPORTS}/{}", again.json()["id"].as_str().unwrap()));
            assert_eq!(again["status"], "completed", "{name}: {again}");
        }
        assert_eq!(counted(place).0, 1);
    });
}

#[test]
fn a_server_imports_tables_too() {
    on_each_engine(|place| {
        let lines: Vec<_> =
            (0..500).map(|id| json!({ "id": id, "name": format!("n{id}") }).to_string() + "\n").collect();
        let lines = lines.concat();
        put(place, "things.jsonl.gz", gzip((lines.clone() + "no json\n").as_bytes()));
        let served = serve(place, &[]);
        let new = json!({ "source": "test", "format": "tables", "options": {} });
        let import = served.import(&new);
        send(&served, &import, &url("things.jsonl.gz"));
        let ended = served.finalise(&import);
        assert_eq!((&ended["status"], rows(&ended).as_str()), (&json!("partially_failed"), "500 0 0 0 1"), "{ended}");
        put(place, "other.jsonl", &lines);
        let same = served.import(&json!({ "source": "test", "format": "tables", "options": { "table": "things" } }));
        send(&served, &same, &url("other.jsonl"));
        assert_eq!(rows(&served.finalise(&same)), "0 0 500 0 0");
        let own = served.import(&json!({ "source": "test", "format": "tables", "options": { "table": "nodes" } }));
        send(&served, &own, &url("other.jsonl"));
        let ended = served.finalise(&own);
        assert_eq!(ended["status"], "failed");
        assert!(ended["reason"].as_str().unwrap().contains("table of the program itself"), "{ended}");
    });
}

#[test]
fn a_server_imports_what_its_bucket_has_however_often_the_connection_is_cut() {
    let shelf = Shelf::new();
    let Some(target) = shelf.plain() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let put = |key: &str, content: &[u8]| runtime.block_on(shelf.put(key, content));
    let things: String = (0..2000).map(|id| json!({ "id": id, "name": format!("n{id}") }).to_string() + "\n").collect();
    put("in/users.csv", generated(1000).as_bytes());
    put("in/things.jsonl", things.as_bytes());
    put("in/records.jsonl", &lines((1..=200).map(record)));
    put("other/users.csv", b"id,group\n1,g\n");
    let cutting = Rude::new(move |asked| through(asked, &target, 10_000));
    let (rule, endpoint) = (format!("{}/{}", shelf.bucket(), shelf.key("in/")), cutting.url(""));
    let mut env = shelf.env_but("S3_ENDPOINT", &endpoint);
    env.extend([("IMPORT_BUCKETS", rule.as_str()), ("IMPORT_READ_BACKOFF_SECONDS", "0.01")]);
    env.push(("IMPORT_READ_TRIES", "20"));
    on_each_engine(|place| {
        let served = serve(place, &env);
        let resumed = || cutting.asked().iter().filter(|asked| asked.start().is_some()).count();
        let tables = json!({ "source": "test", "format": "tables", "options": {} });
        for (import, key, expected) in [
            (nodes_import(&served, None), "in/users.csv", "1000 0 0 0 0"),
            (served.import(&tables), "in/things.jsonl", "2000 0 0 0 0"),
        ] {
            let before = resumed();
            send(&served, &import, &url(&shelf.url(key)));
            let ended = served.finalise(&import);
            assert_eq!((&ended["status"], rows(&ended).as_str()), (&json!("completed"), expected), "{ended}");
            assert!(resumed() > before, "{key}");
        }
        let records = served.import(&json!({ "source": "test" }));
        let before = resumed();
        send(&served, &records, &url(&shelf.url("in/records.jsonl")));
        let forbidden = served.send(&records, &[JSON], url(&shelf.url("other/users.csv")).to_string().as_bytes());
        assert_eq!(forbidden.refusal(), (403, "storage_url_forbidden".to_owned()));
        let ended = served.finalise(&records);
        assert_eq!((&ended["status"], &ended["results"]["completed"]), (&json!("completed"), &json!(200)), "{ended}");
        assert!(resumed() > before);
        let import = nodes_import(&served, None);
        send(&served, &import, &url(&shelf.url("in/none.csv")));
        let ended = served.finalise(&import);
        assert_eq!(ended["status"], "failed", "{ended}");
        assert!(ended["reason"].as_str().unwrap().contains("does not exist"), "{ended}");
        assert_eq!(counted(place).0, 1000);
    });
}

#[test]
fn an_import_takes_what_it_was_made_for() {
    let place = Place::sqlite();
    let served = serve(&place, &[]);
    let records = served.import(&json!({ "source": "test" }));
    let nodes = nodes_import(&served, None);
    let refused = |import: &str, headers: &[(&str, &str)], body: &[u8]| served.send(import, headers, body).refusal();
    let mismatch = (409, "format_mismatch".to_owned());
    assert_eq!(refused(&records, &[JSON], br#"{"reference_ids":["1"]}"#), mismatch);
    assert_eq!(refused(&nodes, &[JSON], br#"{"reference_ids":["1"]}"#), mismatch, "it has no group");
    assert_eq!(refused(&nodes, &[LINES], &lines([record(1)])), mismatch);
    assert_eq!(refused(&nodes, &[JSON, ("Prefer", "wait=5")], json!([record(1)]).to_string().as_bytes()), mismatch);
    for body in [
        json!({ "source": "s", "format": "nodes" }),
        json!({ "source": "s", "format": "nodes", "options": {} }),
        json!({ "source": "s", "format": "nodes", "options": { "domain": " " } }),
        json!({ "source": "s", "format": "nodes", "options": { "domain": "d", "grp": "g" } }),
        json!({ "source": "s", "format": "nodes", "options": { "domain": "d" }, "process": "later" }),
        json!({ "source": "s", "format": "other" }),
        json!({ "source": "s", "options": { "domain": "d" } }),
    ] {
        let answer = served.ask("POST", IMPORTS, &[JSON], body.to_string().as_bytes());
        assert_eq!(answer.status, 422, "{body}: {}", answer.text);
    }
    let outside = send(&served, &nodes, &url("/etc/passwd"));
    let outside = served.ended(&format!("{nodes}/batches/{}", outside["id"].as_str().unwrap()));
    assert!(outside["reason"].as_str().unwrap().contains("may not be read"), "{outside}");
    // The same key is the same batch.
    put(&place, "users.csv", "id,group\n1,g\n");
    let key = ("Idempotency-Key", "k");
    let send = || served.send(&nodes, &[JSON, key], url("users.csv").to_string().as_bytes());
    let ids = [send(), send()].map(|answer| answer.json()["batch"]["id"].clone());
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn what_the_command_imports_is_seen_by_the_server_and_is_not_its_work() {
    on_each_engine(|place| {
        put(place, "a.csv", generated(300));
        put(place, "b.csv", generated(300).replace("u7,", ",").replace("\nu", "\nw"));
        let served = serve(place, &[]);
        let into = place.database.as_ref().map_or("sqlite:state/catalog.db", |database| database.url.as_str());
        let args = ["import", "in", "--kind", "nodes", "--domain", "d", "--into", "env:DATABASE", "--batch-size", "50"];
        let crash = ("PARSER_CRASH_AT", "nodes.batch.after_commit=9");
        let killed = command(place.folder.path(), &args, &[("DATABASE", into), crash]).output().unwrap();
        assert_eq!(killed.status.code(), None, "{}", String::from_utf8_lossy(&killed.stderr));
        let listed = served.get(IMPORTS);
        let shown = &listed["items"][0];
        assert_eq!((&shown["status"], &shown["finalised"]), (&json!("started"), &json!(true)), "{shown}");
        assert_eq!(shown["batches"]["total"], 2);
        let before = shown["rows"]["inserted"].as_u64().unwrap();
        // A server may still commit what the dead process has sent.
        assert!((250..600).contains(&before) && before <= counted(place).0, "{before}");
        let resumed = [&args[..], &["--resume", "--json"]].concat();
        let done = command(place.folder.path(), &resumed, &[("DATABASE", into)]).output().unwrap();
        assert_eq!(done.status.code(), Some(1), "{}", String::from_utf8_lossy(&done.stderr));
        let printed: Value = serde_json::from_slice(&done.stdout).unwrap();
        assert_eq!(printed["import"], shown["id"]);
        let ended = served.get(&format!("{IMPORTS}/{}", shown["id"].as_str().unwrap()));
        assert_eq!((&ended["status"], rows(&ended).as_str()), (&json!("partially_failed"), "599 0 0 0 1"), "{ended}");
        let retry = served.ask("POST", &format!("{IMPORTS}/{}/retry", shown["id"].as_str().unwrap()), &[], b"");
        assert_eq!(retry.refusal(), (409, "import_of_command".to_owned()));
    });
}
