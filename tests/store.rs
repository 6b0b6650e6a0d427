//! The stores: what a commit means, what a crash leaves, what is refused and how it is said, and the landing's promises.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic here and now")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use parser::error::{Fault, Party};
use parser::model::{MaterialId, MetadataOrigin, SeriesId, SkipReason};
use parser::store::landing::{
    CollectPosition, LandedMaterial, LandedMetadata, LandedOrigin, LandedPage, Landing, RejectedMaterial,
};
use parser::store::sent::{Sent, SentTitle};
use parser::store::sqlite::{CrashPoints, Database, Options, Schema};
use parser::store::{Store, StoreErrorKind};

static SCHEMA: Schema =
    Schema { migrations: &[("V1__notes", "CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);")] };
static NEWER: Schema = Schema {
    migrations: &[
        ("V1__notes", "CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);"),
        ("V2__more", "ALTER TABLE note ADD COLUMN more TEXT;"),
    ],
};
const OPTIONS: Options = Options { schema: &SCHEMA, party: Party::State, durable: true, max_pages: None, page_kib: 4 };
const POINTS: CrashPoints = CrashPoints { before: "test.before", after: "test.after" };

async fn note(database: &Database, text: &str) -> Result<(), parser::store::StoreError> {
    let text = text.to_owned();
    database
        .write(POINTS, move |connection| connection.execute("INSERT INTO note (text) VALUES (?1)", [text]).map(drop))
        .await
}

async fn notes(database: &Database) -> Vec<String> {
    database
        .read(|connection| {
            connection.prepare("SELECT text FROM note ORDER BY id")?.query_map([], |row| row.get(0))?.collect()
        })
        .await
        .unwrap()
}

/// Every file of a folder with its bytes.
fn bytes_of(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect()
}

/// What the disk holds at this instant, as a crash would leave it.
fn crash_copy(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for (path, bytes) in bytes_of(folder) {
        // The shared-memory index is not part of what is kept.
        if !path.to_string_lossy().ends_with("-shm") {
            std::fs::write(copy.path().join(path.file_name().unwrap()), bytes).unwrap();
        }
    }
    copy
}

// ---- the engine ----------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_failing_job_is_undone_alone() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("a.db"), &OPTIONS).unwrap();
    // Sent together, so they share a transaction; one of them writes a row and then fails.
    let half = database.write(POINTS, |connection| {
        connection.execute("INSERT INTO note (text) VALUES ('half')", [])?;
        connection.execute("INSERT INTO note (text) VALUES ('one')", []).map(drop)
    });
    let (one, half, two) = tokio::join!(note(&database, "one"), half, note(&database, "two"));
    one.unwrap();
    two.unwrap();
    let error = half.unwrap_err();
    assert!(matches!(&error.kind, StoreErrorKind::Refused(text) if text.contains("UNIQUE")), "{error}");
    assert!(!error.stops_run());
    assert_eq!(notes(&database).await, ["one", "two"]);
}

#[tokio::test]
async fn an_answer_means_committed() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("a.db"), &OPTIONS).unwrap();
    note(&database, "kept").await.unwrap();
    // The database is still open and nothing was folded back: what is on disk now must do.
    let crashed = crash_copy(folder.path());
    let again = Database::open(&crashed.path().join("a.db"), &OPTIONS).unwrap();
    assert_eq!(notes(&again).await, ["kept"]);
}

#[tokio::test]
async fn an_abandoned_request_still_counts_and_closing_leaves_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deep/er/a.db");
    let database = Database::open(&file, &OPTIONS).unwrap();
    {
        let mut request = Box::pin(note(&database, "abandoned"));
        // Once polled it is queued; then nobody waits for it any more.
        assert!(futures::poll!(&mut request).is_pending());
    }
    note(&database, "after").await.unwrap();
    drop(database);
    let left = bytes_of(file.parent().unwrap());
    assert_eq!(left.keys().collect::<Vec<_>>(), [&file]);
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&file.metadata().unwrap()) & 0o777 & !0o040, 0o600);
    assert_eq!(notes(&Database::open(&file, &OPTIONS).unwrap()).await, ["abandoned", "after"]);
}

#[tokio::test]
async fn a_full_disk_is_said_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.db");
    let database = Database::open(&file, &Options { max_pages: Some(16), ..OPTIONS }).unwrap();
    note(&database, "kept").await.unwrap();
    let error = note(&database, &"x".repeat(200_000)).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Full);
    assert!(error.stops_run());
    assert_eq!(error.party(), Party::State);
    assert!(error.hint().unwrap().contains("free some space"));
    assert_eq!(notes(&database).await, ["kept"]);
    note(&database, "later").await.unwrap();
    drop(database);
    assert_eq!(notes(&Database::open(&file, &OPTIONS).unwrap()).await, ["kept", "later"]);
}

#[tokio::test]
async fn files_that_are_no_store_are_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.db");
    let garbage = b"this is not a database, it only looks like a file".repeat(200);
    std::fs::write(&file, &garbage).unwrap();
    let error = Database::open(&file, &OPTIONS).unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::Corrupt(_)), "{error}");
    assert!(error.to_string().contains("a.db") && error.hint().unwrap().contains("move it away"));
    assert!(matches!(Database::open_read_only(&file, &OPTIONS).unwrap_err().kind, StoreErrorKind::Corrupt(_)));
    assert_eq!(std::fs::read(&file).unwrap(), garbage);

    let error = Database::open(&file.join("below/a.db"), &OPTIONS).unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::ReadOnly(_) | StoreErrorKind::Io(_)), "{error:?}");
    let error = Database::open(folder.path(), &OPTIONS).unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::ReadOnly(_)), "{error:?}");
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_an_older_one_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.db");
    note(&Database::open(&file, &OPTIONS).unwrap(), "old").await.unwrap();
    // Looking with a newer program: a migrated copy, the file itself stays.
    let before = bytes_of(folder.path());
    let newer = Options { schema: &NEWER, ..OPTIONS };
    let look = Database::open_read_only(&file, &newer).unwrap().unwrap();
    let more = look.read(|c| c.query_row("SELECT more FROM note", [], |row| row.get::<_, Option<String>>(0))).await;
    assert_eq!(more.unwrap(), None);
    drop(look);
    assert_eq!(bytes_of(folder.path()), before);

    drop(Database::open(&file, &newer).unwrap());
    let before = bytes_of(folder.path());
    let error = Database::open(&file, &OPTIONS).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::NewerSchema { found: 2, known: 1 });
    assert!(error.hint().unwrap().contains("newer version"));
    let error = Database::open_read_only(&file, &OPTIONS).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::NewerSchema { found: 2, known: 1 });
    assert_eq!(bytes_of(folder.path()), before);
}

#[tokio::test]
async fn looking_changes_no_byte_even_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("odd %?#name.db");
    assert!(Database::open_read_only(&file, &OPTIONS).unwrap().is_none());
    let database = Database::open(&file, &OPTIONS).unwrap();
    note(&database, "in the log").await.unwrap();

    let crashed = crash_copy(folder.path());
    drop(database);
    for folder in [folder.path(), crashed.path()] {
        let before = bytes_of(folder);
        let look = Database::open_read_only(&folder.join("odd %?#name.db"), &OPTIONS).unwrap().unwrap();
        assert_eq!(notes(&look).await, ["in the log"]);
        assert!(note(&look, "no").await.is_err(), "a read-only store was written");
        drop(look);
        assert_eq!(bytes_of(folder), before);
    }
    assert_eq!(bytes_of(crashed.path()).len(), 2, "the crash left no log, so the test tests nothing");
}

#[tokio::test]
async fn a_store_locked_by_another_process_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.db");
    let database = Database::open(&file, &OPTIONS).unwrap();
    let other = rusqlite::Connection::open(&file).unwrap();
    database.write(POINTS, |connection| connection.busy_timeout(std::time::Duration::ZERO)).await.unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = note(&database, "x").await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Locked);
    other.execute_batch("COMMIT").unwrap();
    note(&database, "x").await.unwrap();
}

// ---- the catalogue's and the sent record's files -------------------------------------------------------------------

#[tokio::test]
async fn a_catalogue_has_one_identity_for_life() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.db");
    assert!(Store::open_file_read_only(&file).await.unwrap().is_none());
    let first = Store::open_file(&file, 0, None).await.unwrap().id().to_owned();
    assert_eq!(Store::open_file(&file, 0, None).await.unwrap().id(), first);
    assert_eq!(Store::open_file_read_only(&file).await.unwrap().unwrap().id(), first);
    let other = Store::open_file(&folder.path().join("other.db"), 0, None).await.unwrap();
    assert_ne!(other.id(), first);
}

#[tokio::test]
async fn what_was_sent_is_kept_for_each_target() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sent.db");
    let sent = Sent::open(&file).unwrap();
    let title = SentTitle {
        anime: Some("{}".into()),
        origin: Some(MetadataOrigin::ShikimoriRest),
        parts: vec![1, 2, u64::MAX],
        titles: BTreeMap::from([("7:1".to_owned(), "One".to_owned())]),
        fingerprint: None,
    };
    sent.put("contract:a", SeriesId(7), title.clone()).await.unwrap();
    assert_eq!(sent.get("contract:a", SeriesId(7)).await.unwrap(), Some(title.clone()));
    assert_eq!(sent.get("contract:b", SeriesId(7)).await.unwrap(), None);
    let look = Sent::open_read_only(&file).unwrap().unwrap();
    assert_eq!(look.get("contract:a", SeriesId(7)).await.unwrap(), Some(title));
}

// ---- the landing ---------------------------------------------------------------------------------------------------

fn material(id: &str, series: Option<u64>, raw: &str) -> LandedMaterial {
    LandedMaterial {
        id: MaterialId(id.into()),
        series: series.map(SeriesId),
        updated_at: Some("2024-01-01T00:00:00Z".into()),
        raw: Bytes::copy_from_slice(raw.as_bytes()),
    }
}

fn page(page: u64, materials: Vec<LandedMaterial>, next: Option<&str>) -> LandedPage {
    LandedPage { page, materials, next: next.map(str::to_owned), total: Some(9), rejected: vec![] }
}

fn raws(materials: &[LandedMaterial]) -> Vec<&str> {
    materials.iter().map(|material| std::str::from_utf8(&material.raw).unwrap()).collect()
}

#[tokio::test]
async fn a_listing_lands_page_by_page_and_survives_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let landing = Landing::open(&folder.path().join("landing.db")).unwrap();
    assert_eq!(landing.listing().await.unwrap(), None);
    let generation = landing.begin_listing("run-1").await.unwrap();
    let first = page(1, vec![material("s-2", Some(20), "b"), material("s-1", Some(10), "a")], Some("c1"));
    landing.commit_page(generation, first.clone()).await.unwrap();

    let crashed = crash_copy(folder.path());
    let landing = Landing::open(&crashed.path().join("landing.db")).unwrap();
    let position = landing.listing().await.unwrap().unwrap();
    assert_eq!((position.page, position.cursor.as_deref(), position.finished), (1, Some("c1"), false));
    assert_eq!((position.run_id.as_str(), position.total), ("run-1", Some(9)));
    // The same page again (killed before the checkpoint moved) changes nothing.
    landing.commit_page(generation, first).await.unwrap();
    let mut second = page(2, vec![material("s-3", Some(10), "c"), material("s-4", None, "d")], None);
    second.rejected = vec![RejectedMaterial {
        page: 2,
        id: None,
        series: None,
        reason: "no id".into(),
        raw: Bytes::from_static(b"{"),
    }];
    landing.commit_page(generation, second.clone()).await.unwrap();
    landing.finish_listing(generation).await.unwrap();
    assert!(landing.listing().await.unwrap().unwrap().finished);

    assert_eq!(landing.material_count().await.unwrap(), 4);
    assert_eq!(landing.material_count_of(generation).await.unwrap(), 4);
    assert_eq!(landing.series_count().await.unwrap(), 2);
    assert_eq!(landing.without_series_count().await.unwrap(), 1);
    assert_eq!(raws(&landing.without_series(None, 10).await.unwrap()), ["d"]);
    assert_eq!(landing.rejected("run-1").await.unwrap(), second.rejected);
    assert_eq!(landing.series_ids(None, 1).await.unwrap(), [SeriesId(10)]);
    assert_eq!(landing.series_ids(Some(SeriesId(10)), 9).await.unwrap(), [SeriesId(20)]);
    assert_eq!(raws(&landing.materials(SeriesId(10)).await.unwrap()), ["a", "c"]);
    let both = landing.materials_of(&[SeriesId(20), SeriesId(10), SeriesId(5)]).await.unwrap();
    assert_eq!(both.iter().map(|(id, found)| (id.0, found.len())).collect::<Vec<_>>(), [(20, 1), (10, 2), (5, 0)]);
}

#[tokio::test]
async fn a_new_listing_replaces_the_old_one_only_when_it_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let landing = Landing::open(&folder.path().join("landing.db")).unwrap();
    let first = landing.begin_listing("run-1").await.unwrap();
    landing
        .commit_page(first, page(1, vec![material("s-1", Some(1), "old"), material("s-2", Some(2), "gone")], None))
        .await
        .unwrap();
    landing.finish_listing(first).await.unwrap();
    let second = landing.begin_listing("run-2").await.unwrap();
    assert!(second > first);
    landing.commit_page(second, page(1, vec![material("s-1", Some(1), "new")], None)).await.unwrap();
    // What a search found meanwhile is as new as the listing.
    landing.put_search(SeriesId(3), vec![material("s-3", Some(3), "found")]).await.unwrap();
    assert_eq!(landing.series_count().await.unwrap(), 3);
    landing.finish_listing(second).await.unwrap();
    assert_eq!(landing.series_ids(None, 9).await.unwrap(), [SeriesId(1), SeriesId(3)]);
    assert_eq!(raws(&landing.materials(SeriesId(1)).await.unwrap()), ["new"]);
    assert!(landing.commit_page(first, page(2, vec![], None)).await.is_err(), "an old listing went on");
    assert!(landing.commit_page(second, page(2, vec![], None)).await.is_err(), "a finished listing went on");
}

#[tokio::test]
async fn a_search_replaces_all_materials_of_its_title() {
    let landing = Landing::open_temp().unwrap();
    let found = vec![material("s-2", Some(1), "two"), material("s-1", Some(1), "one")];
    landing.put_search(SeriesId(1), found).await.unwrap();
    assert_eq!(raws(&landing.materials(SeriesId(1)).await.unwrap()), ["two", "one"]);
    landing.put_search(SeriesId(1), vec![material("s-9", Some(1), "nine")]).await.unwrap();
    assert_eq!(raws(&landing.materials(SeriesId(1)).await.unwrap()), ["nine"]);
    landing.put_search(SeriesId(1), vec![]).await.unwrap();
    assert_eq!(landing.series_count().await.unwrap(), 0);
    let folder = landing.path().parent().unwrap().to_owned();
    drop(landing);
    assert!(!folder.exists(), "the private folder stayed");
}

#[tokio::test]
async fn metadata_roles_and_reference_lists_are_kept_raw() {
    let landing = Landing::open_temp().unwrap();
    let row = |id: u64, origin, raw: &'static [u8]| LandedMetadata {
        series: SeriesId(id),
        run_id: "run-1".into(),
        origin,
        raw: Bytes::from_static(raw),
        fetched_at: "2024-01-01T00:00:00.5Z".parse().unwrap(),
    };
    let rows = vec![
        row(1, LandedOrigin::GraphQl, b"{\"a\": 1}"),
        row(2, LandedOrigin::Rest, b"{}"),
        row(3, LandedOrigin::Absent(SkipReason::Banned), b"rkn_banned"),
    ];
    landing.put_metadata(rows.clone()).await.unwrap();
    let ids = [SeriesId(3), SeriesId(9), SeriesId(1)];
    assert_eq!(landing.metadata(&ids).await.unwrap(), [rows[2].clone(), rows[0].clone()]);
    landing.put_roles("run-1", SeriesId(1), Bytes::from_static(b"[]")).await.unwrap();
    assert_eq!(landing.roles(SeriesId(1)).await.unwrap(), Some(("run-1".into(), Bytes::from_static(b"[]"))));
    assert_eq!(landing.roles(SeriesId(2)).await.unwrap(), None);
    landing.put_reference("translations", Bytes::from_static(b"{}")).await.unwrap();
    assert_eq!(landing.reference("translations").await.unwrap(), Some(Bytes::from_static(b"{}")));
}

#[tokio::test]
async fn collected_ids_and_their_position_move_together() {
    let landing = Landing::open_temp().unwrap();
    assert_eq!(landing.collect_position("run-1").await.unwrap(), None);
    let at = CollectPosition { page: 1, cursor: Some("c".into()), finished: false, mark: Some("2024".into()) };
    let unread = RejectedMaterial {
        page: 1,
        id: None,
        series: Some(SeriesId(8)),
        reason: "no id".into(),
        raw: Bytes::from_static(b"{}"),
    };
    landing.commit_pending("run-0", vec![SeriesId(1)], vec![], CollectPosition::default()).await.unwrap();
    landing.commit_pending("run-1", vec![SeriesId(5), SeriesId(3)], vec![unread.clone()], at.clone()).await.unwrap();
    landing.commit_pending("run-1", vec![SeriesId(3), SeriesId(4)], vec![], at.clone()).await.unwrap();
    assert_eq!(landing.collect_position("run-1").await.unwrap(), Some(at));
    assert_eq!(landing.pending_count("run-1").await.unwrap(), 3);
    assert_eq!(landing.pending("run-1", Some(SeriesId(3)), 1).await.unwrap(), [SeriesId(4)]);
    assert_eq!(landing.rejected("run-1").await.unwrap(), std::slice::from_ref(&unread));
    assert_eq!(landing.rejected_of_titles("run-1").await.unwrap(), [unread]);
    landing.keep_pending_of("run-1").await.unwrap();
    assert_eq!(landing.rejected("run-1").await.unwrap().len(), 1);
    assert_eq!(landing.pending_count("run-0").await.unwrap(), 0);
    assert_eq!(landing.pending_count("run-1").await.unwrap(), 3);
    landing.keep_pending_of("run-2").await.unwrap();
    assert_eq!(landing.rejected("run-1").await.unwrap(), [], "what could not be read outlives its run");
}

#[tokio::test]
async fn a_page_that_does_not_fit_lands_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let landing = Landing::open_limited(&folder.path().join("landing.db"), Some(64)).unwrap();
    let generation = landing.begin_listing("run-1").await.unwrap();
    landing.commit_page(generation, page(1, vec![material("s-1", Some(1), "a")], Some("c1"))).await.unwrap();
    let big = "x".repeat(100_000);
    let many = (0..5).map(|n| material(&format!("b-{n}"), Some(2), &big)).collect();
    let error = landing.commit_page(generation, page(2, many, Some("c2"))).await.unwrap_err();
    assert_eq!((error.kind.clone(), error.party()), (StoreErrorKind::Full, Party::State));
    let position = landing.listing().await.unwrap().unwrap();
    assert_eq!((position.page, position.cursor.as_deref()), (1, Some("c1")));
    assert_eq!(landing.material_count().await.unwrap(), 1);
}
