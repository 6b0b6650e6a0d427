//! `parser dump` and `parser copy`, from either engine to the other.

use std::path::Path;
use std::process::Output;

use crate::cluster::{database, sql};
use crate::harness::fixture;
use crate::place::{Place, crawl, dump, parser, printed, record};

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
