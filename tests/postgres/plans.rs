//! What one record costs does not grow with what is stored: the server is asked how many rows were read for it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cluster::{Database, database, sql};
use crate::place::{parser, printed};
use crate::world::{Served, TOKEN, ask};

const SERIES: u32 = 400;

const NODES: u32 = 3000;

/// Rows that may be looked at for each that is written. Reading a table for each of its rows would be hundreds.
const READ: u64 = 12;

fn series(at: u32) -> serde_json::Value {
    json!({ "kind": "series", "source_name": "plans", "external_id": at.to_string(),
        "payload": { "title": format!("Title {at}"), "year": 2000 } })
}

fn release(at: u32) -> serde_json::Value {
    let episodes: Vec<_> = (1..=3)
        .map(|n| json!({ "id": format!("{at}:{n}"), "number": n, "url": format!("https://player.example/{at}/{n}") }))
        .collect();
    json!({ "kind": "release", "source_name": "plans", "external_id": format!("release-{at}"),
        "payload": { "series": at.to_string(), "translation": { "id": 610, "title": "Studio", "kind": "voice" },
            "priority": 100, "episodes": episodes } })
}

fn lines(of: fn(u32) -> serde_json::Value) -> String {
    (0..SERIES).fold(String::new(), |mut text, at| {
        writeln!(text, "{}", of(at)).unwrap();
        text
    })
}

#[test]
fn no_table_is_read_for_each_of_its_rows_while_it_grows() {
    let Some(database) = database() else { return };
    let folder = tempfile::tempdir().unwrap();
    let env = [("DATABASE_URL", database.url.as_str())];
    // The tables are made, looked at while they are empty, and never again: that is what the server then believes.
    printed(parser(folder.path(), &["process", "series"], &env));
    sql(&database.url, "VACUUM ANALYZE");
    for table in ["series", "episode", "video", "release", "parsed_series", "parsed_release"] {
        sql(&database.url, &format!("ALTER TABLE {table} SET (autovacuum_enabled = off)"));
    }
    std::fs::write(folder.path().join("series.jsonl"), lines(series)).unwrap();
    std::fs::write(folder.path().join("releases.jsonl"), lines(release)).unwrap();
    printed(parser(folder.path(), &["import", "series.jsonl"], &env));
    printed(parser(folder.path(), &["import", "releases.jsonl"], &env));

    little_is_read(&database, "video", SERIES * 3);
}

/// Each batch finds its nodes one by one, whatever was believed of the tables when the first was planned.
#[test]
fn no_table_of_nodes_is_read_for_each_batch() {
    let Some(database) = database() else { return };
    let folder = tempfile::tempdir().unwrap();
    let env = [("DATABASE_URL", database.url.as_str())];
    printed(parser(folder.path(), &["process", "series"], &env));
    sql(&database.url, "VACUUM ANALYZE");
    for table in ["nodes", "node_metadata"] {
        sql(&database.url, &format!("ALTER TABLE {table} SET (autovacuum_enabled = off)"));
    }
    for edition in ["first", "second"] {
        let rows = (0..NODES).fold("reference_id,type,city,note\n".to_owned(), |mut text, at| {
            let kind = if edition == "first" { "USER" } else { "MENTOR" };
            writeln!(text, "u{at},{kind},City {at},{edition}").unwrap();
            text
        });
        std::fs::write(folder.path().join("users.csv"), rows).unwrap();
        let import = [
            "import",
            "users.csv",
            "--kind",
            "nodes",
            "--domain",
            "d",
            "--group",
            "g",
            "--batch-size",
            "50",
            "--workers",
            "1",
        ];
        printed(parser(folder.path(), &import, &env));
    }
    little_is_read(&database, "nodes", NODES);
}

/// Claims find what is ready, whatever is processed already and however much the server believes to be ready.
#[test]
fn no_claim_walks_through_what_is_processed() {
    let Some(database) = database() else { return };
    let env = [("DATABASE_URL", database.url.as_str())];
    let mut served = Served::with(&env);
    let headers = [("X-Internal-Token", TOKEN), ("Content-Type", "application/x-ndjson")];
    let import = served.post("/api/v1/imports", &json!({ "source": "s", "process": "later" })).json();
    let path = format!("/api/v1/imports/{}", import["id"].as_str().unwrap());
    let batch = ask(served.address, "POST", &format!("{path}/batches"), &headers, lines(series).as_bytes());
    assert_eq!(batch.status, 202, "{}", batch.text);
    ask(served.address, "PATCH", &format!("{path}/finalise"), &headers[..1], b"");
    let staged = "SELECT count(*) FROM parsed_series WHERE state = 'init'";
    let deadline = Instant::now() + Duration::from_secs(30);
    while sql(&database.url, staged)[0][0] != SERIES.to_string() {
        assert!(Instant::now() < deadline, "not everything is staged");
        std::thread::sleep(Duration::from_millis(20));
    }
    served.stop();
    sql(&database.url, "VACUUM ANALYZE");
    sql(&database.url, "ALTER TABLE parsed_series SET (autovacuum_enabled = off)");
    sql(&database.url, "SELECT pg_stat_reset()");
    printed(parser(served.root(), &["process", "series"], &env));
    little_is_read(&database, "series", SERIES);
    let read = "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables \
                WHERE relname = 'parsed_series'";
    let read: u64 = sql(&database.url, read)[0][0].parse().unwrap();
    assert!(read <= u64::from(SERIES) * READ, "{read} staged rows read for {SERIES}");
}

fn little_is_read(database: &Database, last: &str, rows: u32) {
    // The server counts when its sessions end.
    let written = format!("SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = '{last}'");
    let deadline = Instant::now() + Duration::from_secs(30);
    while sql(&database.url, &written)[0][0] != rows.to_string() {
        assert!(Instant::now() < deadline, "what was written is not counted");
        std::thread::sleep(Duration::from_millis(20));
    }
    // Results are left out: those of an open batch are counted again and again to tell how far it is.
    let read = "SELECT relname, n_tup_ins + n_tup_upd, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) \
                FROM pg_stat_user_tables WHERE n_tup_ins > 100 AND relname <> 'import_result'";
    let tables = sql(&database.url, read);
    let number = |text: &String| text.parse::<u64>().unwrap();
    let much: Vec<_> = tables.iter().filter(|row| number(&row[2]) > number(&row[1]) * READ).collect();
    assert!(much.is_empty(), "written, read: {much:?} of {tables:?}");
}
