//! `parser dump` and `parser copy`, from either engine to the other.

use std::path::Path;
use std::process::Output;

use serde_json::json;

use crate::cluster::{database, sql};
use crate::harness::fixture;
use crate::place::{Place, crawl, dump, parser, printed, record};
use crate::world::{Served, TOKEN, ask};

/// The bundled catalogue in a new file.
fn filled() -> Place {
    let place = Place::sqlite();
    crawl(&fixture(), &place, &[]);
    place
}

fn copy(from: &Place, to: &Place, more: &[&str]) -> Output {
    let (from, to) = (from.url(), to.url());
    let mut args = vec!["copy", "--from", &from, "--to", "env:THERE"];
    args.extend_from_slice(more);
    parser(Path::new("/"), &args, &[("THERE", &to)])
}

fn refused(output: &Output, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains(words), "{said}");
}

#[tokio::test]
async fn a_store_moves_to_postgres_and_back_and_goes_on_there() {
    let Some(database) = database() else { return };
    let (file, server, back) = (filled(), Place::Postgres(database), Place::sqlite());
    let original = dump(&file.url());
    assert!(original.lines().count() > 500);

    let dry = printed(copy(&file, &server, &["--dry-run"]));
    assert!(dry.contains("series_character"), "{dry}");
    let tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    assert_eq!(sql(&server.url(), tables), [["0"]], "a dry run makes no tables");

    let said = printed(copy(&file, &server, &[]));
    assert_eq!(said, dry, "what was announced is what was done");
    assert_eq!(dump(&server.url()), original);
    assert_eq!(server.store().await.id(), file.store().await.id(), "it is the same store");

    refused(&copy(&file, &server, &[]), "--force");
    printed(copy(&file, &server, &["--force"]));
    assert_eq!(dump(&server.url()), original);

    // Ids go on after the copied ones.
    let catalogue = server.catalogue().await;
    catalogue.import(&record(990_001, "A new one", 3, &[610])).await.unwrap();
    let grown = catalogue.dump().await.unwrap();
    drop(catalogue);

    printed(copy(&server, &back, &[]));
    assert_eq!(dump(&back.url()), grown);
    back.catalogue().await.import(&record(990_002, "Another", 3, &[610])).await.unwrap();
    let of = |place: &Place| {
        let Place::Sqlite(folder) = place else { unreachable!() };
        let connection = rusqlite::Connection::open(folder.path().join("catalog.db")).unwrap();
        let lists = "SELECT alternative_titles, genres, is_active, typeof(is_active), created_at, typeof(score) \
                     FROM series WHERE source_id NOT LIKE '99000_' ORDER BY id";
        let mut query = connection.prepare(lists).unwrap();
        let rows = query.query_map([], |row| (0..6).map(|n| row.get::<_, rusqlite::types::Value>(n)).collect());
        rows.unwrap().collect::<Result<Vec<Vec<_>>, _>>().unwrap()
    };
    assert_eq!(of(&back), of(&file), "there and back is the same, down to the bytes of lists");
}

#[test]
fn a_copy_that_is_killed_leaves_nothing_and_can_be_begun_again() {
    let Some(database) = database() else { return };
    let (file, server) = (filled(), Place::Postgres(database));
    let (from, to) = (file.url(), server.url());
    let args = ["copy", "--from", &from, "--to", &to];
    let killed = parser(Path::new("/"), &args, &[("PARSER_CRASH_AT", "copy.before_commit=1")]);
    assert_eq!(killed.status.code(), None, "{killed:?}");
    assert_eq!(dump(&to), "");
    let late = parser(Path::new("/"), &args, &[("PARSER_CRASH_AT", "copy.after_commit=1")]);
    assert_eq!(late.status.code(), None, "{late:?}");
    assert_eq!(dump(&to), dump(&from));
    refused(&copy(&file, &server, &[]), "is not empty");
}

#[test]
fn a_copy_between_files_needs_no_server() {
    let (file, other) = (filled(), Place::sqlite());
    printed(copy(&file, &other, &[]));
    assert_eq!(dump(&other.url()), dump(&file.url()));
}

#[test]
fn what_cannot_be_copied_or_dumped_is_said() {
    let (nothing, other) = (Place::sqlite(), Place::sqlite());
    refused(&copy(&nothing, &other, &[]), "there is no store");
    let said = parser(Path::new("/"), &["dump", "--database", &nothing.url()], &[]);
    refused(&said, "there is no catalogue");
    let wrong = parser(Path::new("/"), &["copy", "--from", "mysql://me:S3CRET@h/d", "--to", "x.db"], &[]);
    let text = String::from_utf8_lossy(&wrong.stderr);
    assert_eq!(wrong.status.code(), Some(2), "{text}");
    assert!(!text.contains("S3CRET"), "{text}");
    let unset = parser(Path::new("/"), &["dump", "--database", "env:NOT_THERE"], &[]);
    assert_eq!(unset.status.code(), Some(2));
}

#[test]
fn a_dump_whose_reader_goes_away_ends_quietly() {
    let file = filled();
    let pipe = format!("'{}' dump | head -n 1", env!("CARGO_BIN_EXE_parser"));
    let mut shell = std::process::Command::new("sh");
    let output = shell.args(["-c", &pipe]).env("DATABASE_URL", file.url()).current_dir("/").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 1);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

const IMPORTS: &str = "/api/v1/imports";

/// A server on this store, which runs no job by itself.
fn serve(place: &Place) -> Served {
    let url = place.url();
    let off = ["CHARACTER", "PET", "SERIES", "RELEASE"].map(|job| format!("JOB_{job}_CRON"));
    let mut env = vec![("DATABASE_URL", url.as_str())];
    env.extend(off.iter().map(|name| (name.as_str(), "off")));
    Served::with(&env)
}

fn asked(served: &Served, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut all = vec![("X-Internal-Token", TOKEN)];
    all.extend_from_slice(headers);
    let answer = ask(served.address, method, path, &all, body.as_bytes());
    assert!((200..300).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text);
    answer.text
}

/// An import that ended with failures, one that was cancelled, one that only staged; a job that ran; the contract's traces.
fn worked(place: &Place) -> [String; 3] {
    let served = serve(place);
    let json = ("Content-Type", "application/json");
    let lines = [("Content-Type", "application/x-ndjson"), ("Prefer", "wait=20")];
    let made = ["now", "later", "now"].map(|process| {
        let body = json!({ "source": "s", "process": process, "notes": "Ёлка" }).to_string();
        let made: serde_json::Value = serde_json::from_str(&asked(&served, "POST", IMPORTS, &[json], &body)).unwrap();
        format!("{IMPORTS}/{}", made["id"].as_str().unwrap())
    });
    let good = |kind: &str, id: u32, payload: serde_json::Value| {
        let record = json!({ "kind": kind, "source_name": "s", "external_id": id.to_string(), "payload": payload });
        format!("{record}\n")
    };
    let batch = good("series", 1, json!({ "title": "One", "images": ["https://img.example/1.jpg"], "parent": "77" }))
        + "{\"kind\": broken\n"
        + &good("series", 2, json!({ "title": "Two", "year": 5 }));
    asked(&served, "POST", &format!("{}/batches", made[0]), &lines, &batch);
    asked(&served, "PATCH", &format!("{}/finalise", made[0]), &[], "");
    let later =
        good("series", 3, json!({ "title": "Three" })) + &good("pet", 4, json!({ "name": "Pochi", "owners": ["5"] }));
    asked(&served, "POST", &format!("{}/batches", made[1]), &lines, &later);
    asked(&served, "POST", &format!("{}/cancel", made[2]), &[], "");
    served.import_anime("9", "Nine");
    asked(&served, "POST", "/api/v1/jobs/character/run", &[], "");
    let ran = || asked(&served, "GET", "/api/v1/jobs/character", &[], "").contains("\"finished\"");
    while !ran() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    made
}

/// All that a client can learn of it.
fn told(place: &Place, imports: &[String]) -> Vec<String> {
    let served = serve(place);
    let mut told = vec![asked(&served, "GET", IMPORTS, &[], ""), asked(&served, "GET", "/api/v1/jobs", &[], "")];
    for kind in ["series", "release", "character", "pet"] {
        told.push(asked(&served, "GET", &format!("/api/v1/staging/{kind}"), &[], ""));
    }
    for import in imports {
        for path in ["", "/batches", "/summary", "/results?originals=true"] {
            told.push(asked(&served, "GET", &format!("{import}{path}"), &[], ""));
        }
        let bytes = [("Accept", "application/x-ndjson")];
        told.push(asked(&served, "GET", &format!("{import}/results?status=failed"), &bytes, ""));
    }
    told
}

#[test]
fn imports_staging_and_jobs_move_with_the_catalogue() {
    let Some(database) = database() else { return };
    let (file, server, back) = (Place::sqlite(), Place::Postgres(database), Place::sqlite());
    let imports = worked(&file);
    let before = told(&file, &imports);
    assert!(
        before.iter().any(|text| text.contains("{\\\"kind\\\": broken") || text.contains("{\"kind\": broken")),
        "{before:?}"
    );

    printed(copy(&file, &server, &[]));
    assert_eq!(told(&server, &imports), before);
    printed(copy(&server, &back, &[]));
    assert_eq!(told(&back, &imports), before);

    // What was open goes on in the copies, with numbers of its own, and to the same end.
    let ends = [&server, &back].map(|place| {
        let served = serve(place);
        let path = format!("{}/retry", imports[0]);
        asked(&served, "POST", &path, &[], "");
        asked(&served, "PATCH", &format!("{}/finalise", imports[1]), &[], "");
        drop(served);
        let url = place.url();
        printed(parser(Path::new("/"), &["process", "all"], &[("DATABASE_URL", &url)]));
        dump(&url)
    });
    assert_eq!(ends[0], ends[1]);
    assert!(ends[0].contains("\"Three\"") && ends[0].contains("Pochi"));
}
